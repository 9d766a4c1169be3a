"""From the last byte copied to `queued`, and a thousand drops at once: none lost, none doubled.

    python benchmarks/intake.py [--drops 1000] [--singles 10]

A real daemon process on a temporary folder, its inbox paused so that nothing is rendered meanwhile.
"""

import argparse
import collections
import statistics
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.daemon.doubles import make_film, make_speech
from tests.e2e.site import Site


def queued(site: Site) -> dict[str, float]:
    """Return job name -> unix time of its job_queued line."""
    return {event["job"]: datetime.fromisoformat(event["timestamp"]).timestamp() for event in site.events("job_queued")}


def singles(site: Site, count: int, speech: Path, film: Path) -> None:
    delays = []
    for number in range(count):
        name = f"single-{number}"
        site.drop(name, speech, [film])
        last_byte = time.time()
        site.wait_for(lambda name=name: name in queued(site), f"{name} was not queued")
        delays.append(queued(site)[name] - last_byte)
    print(f"settle {site.settle} s; last byte -> queued: median {statistics.median(delays):.2f} s, worst {max(delays):.2f} s of {count}")


def thousand(site: Site, count: int, speech: Path, film: Path) -> None:
    for number in range(count):
        site.drop(f"drop-{number:04}", speech, [film])
    began = time.monotonic()
    site.wait_for(lambda: sum(name.startswith("drop-") for name in queued(site)) >= count, "not all were queued", timeout=1800)
    seconds = time.monotonic() - began
    claims = collections.Counter(event["job"] for event in site.events("drop_claimed") if event["job"].startswith("drop-"))
    doubled = [name for name, times in claims.items() if times > 1]
    lost = [f"drop-{number:04}" for number in range(count) if f"drop-{number:04}" not in claims]
    folders = len(list((site.inbox / ".heygem" / "claimed").iterdir()))
    print(f"{count} drops: queued {seconds:.0f} s after the last copy; lost {len(lost)}, doubled {len(doubled)}, claimed folders {folders}")


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
            singles(site, options.singles, speech, film)
            thousand(site, options.drops, speech, film)
            site.stop(daemon)


if __name__ == "__main__":
    main()
