"""Measure the time from the last byte copied to `queued`, and whether any of a thousand drops at once is lost or claimed twice.

    python -m benchmarks.intake [--drops 1000] [--singles 10] [--settle 3.0]

A real daemon process runs on a temporary folder, its inbox paused so that nothing is rendered meanwhile.
"""

import argparse
import collections
import statistics
import tempfile
import time
from datetime import datetime
from functools import partial
from pathlib import Path

from tests.daemon.doubles import make_film, make_speech
from tests.e2e.site import Site


def queued_times(site: Site) -> dict[str, float]:
    """Return job name -> unix time of its job_queued line."""
    return {event["job"]: datetime.fromisoformat(event["timestamp"]).timestamp() for event in site.events("job_queued")}


def is_queued(site: Site, name: str) -> bool:
    return name in queued_times(site)


def measure_singles(site: Site, count: int, speech: Path, film: Path) -> None:
    """Drop one after the other and print the delays."""
    delays = []
    for number in range(count):
        name = f"single-{number}"
        site.drop(name, speech, [film])
        last_byte = time.time()
        site.wait_for(partial(is_queued, site, name), f"{name} was not queued")
        delays.append(queued_times(site)[name] - last_byte)
    print(f"settle {site.settle} s; last byte -> queued: median {statistics.median(delays):.2f} s, worst {max(delays):.2f} s of {count}")


def measure_many(site: Site, count: int, speech: Path, film: Path) -> None:
    """Drop `count` at once and print how many were lost or claimed twice."""
    for number in range(count):
        site.drop(f"drop-{number:04}", speech, [film])
    start = time.monotonic()
    site.wait_for(lambda: sum(name.startswith("drop-") for name in queued_times(site)) >= count, "not all were queued", timeout=1800)
    seconds = time.monotonic() - start
    claims = collections.Counter(event["job"] for event in site.events("drop_claimed") if event["job"].startswith("drop-"))
    claimed_twice = [name for name, times in claims.items() if times > 1]
    lost = [f"drop-{number:04}" for number in range(count) if f"drop-{number:04}" not in claims]
    folders = len(list((site.inbox / ".heygem" / "claimed").iterdir()))
    counts = f"lost {len(lost)}, claimed twice {len(claimed_twice)}, claimed folders {folders}"
    print(f"{count} drops: queued {seconds:.0f} s after the last copy; {counts}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drops", type=int, default=1000)
    parser.add_argument("--singles", type=int, default=10)
    parser.add_argument("--settle", type=float, default=3.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        speech, film = make_speech(Path(folder) / "speech.wav"), make_film(Path(folder) / "film.mp4")
        with Site(folder=Path(folder) / "site", weights=Path("weights"), cache=Path(folder) / "cache", settle=options.settle) as site:
            (site.inbox / "PAUSE").touch()
            daemon = site.start()
            site.wait_for(lambda: site.status().get("state"), "the daemon did not come up")
            measure_singles(site, options.singles, speech, film)
            measure_many(site, options.drops, speech, film)
            site.stop(daemon)


if __name__ == "__main__":
    main()
