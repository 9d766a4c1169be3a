"""Measure the time from the last byte copied to `queued`, whether any of a thousand drops at once is lost or claimed twice, and what an
idle daemon needs.

    python -m benchmarks.intake [--drops 1000] [--singles 10] [--settle 3.0] [--idle 60]

A real daemon process runs on a temporary folder, its inbox paused so that nothing is rendered meanwhile. CPU time is that of the daemon
and of the processes that look into files, without its worker. --idle: s for which a daemon with ten empty inboxes
and 500 results is watched; 0 leaves that out.
"""

import argparse
import collections
import os
import re
import statistics
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

from tests.daemon.doubles import make_film, make_speech
from tests.e2e.site import Site, children_of

INBOXES: Final = 10
RESULTS: Final = 500
START_SECONDS: Final = 15.0
"""s after its start for which a daemon is not counted as idle: its worker is loading."""


@dataclass(frozen=True, kw_only=True)
class Used:
    """CPU s of a process and of its children, and its resident memory in MiB."""

    own: float
    children: float
    resident: float


def used(pid: int) -> Used:
    """Return what a process and its children but the worker have used so far (proc_pid_stat(5): utime, stime, cutime, cstime)."""
    own, ended = cpu_seconds(pid)
    inspecting = [child for child in children_of(pid) if b"heygem_daemon.worker" not in Path(f"/proc/{child}/cmdline").read_bytes()]
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    living = sum(sum(cpu_seconds(child)) for child in inspecting)
    return Used(own=own, children=ended + living, resident=int(found[1]) / 1024 if found else 0.0)


def cpu_seconds(pid: int) -> tuple[float, float]:
    """Return the CPU s of a process, and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system, child_user, child_system = (int(field) / os.sysconf("SC_CLK_TCK") for field in fields[11:15])
    return user + system, child_user + child_system


def queued_times(site: Site) -> dict[str, float]:
    """Return job name -> unix time of its job_queued line."""
    return {event["job"]: datetime.fromisoformat(event["timestamp"]).timestamp() for event in site.events("job_queued")}


def count_queued(site: Site) -> int:
    return site.log_file.read_bytes().count(b'"event": "job_queued"')


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


def measure_many(site: Site, pid: int, count: int, speech: Path, film: Path) -> None:
    """Drop `count` at once and print how many were lost or claimed twice, and the CPU time of the daemon `pid`."""
    before, queued_before = used(pid), count_queued(site)
    for number in range(count):
        site.drop(f"drop-{number:04}", speech, [film])
    start = time.time()
    while (done := count_queued(site) - queued_before) < count:
        if time.time() - start > 1800:
            raise TimeoutError(f"{count - done} drops were not queued")
        time.sleep(1.0)  # each look reads a log of some MB: more of them would slow the daemon down
    queued = {name: moment for name, moment in queued_times(site).items() if name.startswith("drop-")}
    time.sleep(1.0)
    after = used(pid)
    claims = collections.Counter(event["job"] for event in site.events("drop_claimed") if event["job"].startswith("drop-"))
    claimed_twice = [name for name, times in claims.items() if times > 1]
    lost = [f"drop-{number:04}" for number in range(count) if f"drop-{number:04}" not in claims]
    folders = len(list((site.inbox / ".heygem" / "claimed").iterdir()))
    counts = f"lost {len(lost)}, claimed twice {len(claimed_twice)}, claimed folders {folders}"
    print(f"{count} drops: queued {max(queued.values()) - start:.1f} s after the last copy; {counts}")
    own, children = (1000 * (later - earlier) / count for earlier, later in ((before.own, after.own), (before.children, after.children)))
    load = os.getloadavg()[0]
    print(f"CPU of a drop: {own + children:.0f} ms (daemon {own:.0f} ms, its children {children:.0f} ms); load average {load:.1f}")


def measure_idle(folder: Path, seconds: float) -> None:
    """Print memory and CPU of a daemon with ten empty inboxes and some hundred results in outputs."""
    more = [folder / "site" / f"inbox-{number}" for number in range(1, INBOXES)]
    with Site(folder=folder / "site", weights=Path("weights"), cache=folder / "cache", settle=3.0) as site:
        for inbox in more:
            inbox.mkdir()
            (inbox / ".heygem-inbox").touch()
        text = (site.folder / "heygem.toml").read_text().replace("scan_seconds = 0.5\n", "")
        inboxes = ", ".join(f'"{inbox}"' for inbox in [site.inbox, *more])
        (site.folder / "heygem.toml").write_text(re.sub(r"^inboxes = .*$", f"inboxes = [{inboxes}]", text, flags=re.MULTILINE))
        for number in range(RESULTS):
            result = site.outputs / f"lesson-{number:04}"
            result.mkdir()
            (result / "film.mp4").write_bytes(b"0" * 1000)
            (result / "status.json").write_text("{}")
        daemon = site.start()
        site.wait_for(lambda: site.status().get("state"), "the daemon did not come up")
        time.sleep(START_SECONDS)
        before, start = used(daemon.pid), time.monotonic()
        time.sleep(seconds)
        after = used(daemon.pid)
        share = 100 * (after.own - before.own) / (time.monotonic() - start)
        print(f"idle, {INBOXES} inboxes, {RESULTS} results: {after.resident:.1f} MiB, {share:.2f} % of a core over {seconds:.0f} s")
        site.stop(daemon)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drops", type=int, default=1000)
    parser.add_argument("--singles", type=int, default=10)
    parser.add_argument("--settle", type=float, default=3.0)
    parser.add_argument("--idle", type=float, default=60.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.idle:
            measure_idle(Path(folder) / "idle", options.idle)
        if not options.drops + options.singles:
            return
        speech, film = make_speech(Path(folder) / "speech.wav"), make_film(Path(folder) / "film.mp4")
        with Site(folder=Path(folder) / "site", weights=Path("weights"), cache=Path(folder) / "cache", settle=options.settle) as site:
            (site.inbox / "PAUSE").touch()
            daemon = site.start()
            site.wait_for(lambda: site.status().get("state"), "the daemon did not come up")
            if options.singles:
                measure_singles(site, options.singles, speech, film)
            if options.drops:
                measure_many(site, daemon.pid, options.drops, speech, film)
            site.stop(daemon)


if __name__ == "__main__":
    main()
