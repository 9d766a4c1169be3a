"""Whatever a user puts into an inbox, the daemon's round goes on: its heartbeat is watched while it takes the worst in."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.site import Site
from tests.prove.heartbeat import HeartbeatWatch
from tests.prove.proof import Proof

PROOF = Proof(suite="tick")
LONGEST_GAP = 2.0
"""s without a heartbeat; an idle daemon sends one every second."""

COSTLY = [
    "a" + ".a" * 40_000 + "=1",
    "[a" + ".b" * 40_000 + "]",
    "a=" + "[" * 100_000,
    "".join(f"[k{number}.a.a.a.a.a.a]\n" for number in range(1500)),
    "a=[" + "1," * 16_000 + "]",
    'text="' + "\\n" * 49_000 + '"',
    '"' + "ab" * 250_000 + '"=1',
    "first_seconds=0x" + "f" * 30_000,
    '[faces]\n"' + "\u0315\u0300" * 100_000 + '"=1',
]
CONTROLS = ("hold", "cancel", "retry", "priority", "resume", "ready", "HOLD.txt")


def _media(folder: Path) -> Path:
    (folder / "videos").mkdir(parents=True)
    (folder / "speech.wav").write_bytes(b"RIFF")
    (folder / "videos" / "a.mp4").write_bytes(b"x")
    return folder


def job_tomls(inbox: Path, count: int) -> None:
    for number in range(count):
        (_media(inbox / f"toml-{number}") / "job.toml").write_text(COSTLY[number % len(COSTLY)], encoding="utf-8")


def large_drops(inbox: Path, count: int) -> None:
    """Names of the largest size, bytes that are no text and names that are one for clients which ignore case: 4,900 in each drop."""
    for number in range(count):
        folder = os.fsencode(_media(inbox / f"large-{number}") / "videos")
        stems = (b"x" * 240, b"\xff" * 240, "\u0315\u0300".encode() * 60)
        for place in range(4900):
            name = stems[number % 3] + b"%05d.mp4" % place
            os.close(os.open(folder + b"/" + name, os.O_CREAT | os.O_WRONLY))


def too_large_drops(inbox: Path, count: int) -> None:
    for number in range(count):
        folder = _media(inbox / f"too-large-{number}") / "videos"
        for place in range(5100):
            (folder / f"{place}.txt").touch()


def files(inbox: Path, count: int) -> None:
    for number in range(count):
        (inbox / f"file-{number}.docx").touch()


def media_files(inbox: Path, count: int) -> None:
    for number in range(count):
        (inbox / f"clip-{number}.mp4").touch()


def empty_folders(inbox: Path, count: int) -> None:
    for number in range(count):
        (inbox / f"empty-{number}").mkdir()


def control_files(inbox: Path, count: int) -> None:
    for number in range(count):
        (inbox / f"lesson-{number}.{CONTROLS[number % len(CONTROLS)]}").write_text("5", encoding="utf-8")


def odd_control_files(inbox: Path, count: int) -> None:
    """About nothing, and costly to compare without case and Unicode form."""
    accents = "\u0315\u0300" * 20
    for number in range(count):
        (inbox / f"{accents}{number}.{CONTROLS[number % len(CONTROLS)]}").touch()


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A daemon that is ready, and its heartbeat."""

    site: Site
    watch: HeartbeatWatch

    def longest_gap(self, put: Callable[[], None], seconds: float) -> float:
        """Return the longest time in s without a heartbeat from when something is put down until so many s after."""
        began = time.monotonic()
        put()
        time.sleep(seconds)
        return self.watch.longest_gap(began)

    def slow_steps(self) -> list[tuple[object, object]]:
        return [(event["part"], event["seconds"]) for event in self.site.events("tick_slow")]


@pytest.fixture
def watched(tmp_path: Path, weights: Path) -> Iterator[Watched]:
    with (
        Site(folder=tmp_path / "site", weights=weights, cache=tmp_path / "cache") as site,
        # the path of a socket may have 107 bytes
        HeartbeatWatch(folder=Path(os.environ.get("TMPDIR", "/tmp")) / f"heygem-{os.getpid()}") as watch,
    ):
        watch.restart()
        site.start(environment=watch.environment())
        site.wait_for(lambda: watch.ready_at, "ready")
        yield Watched(site=site, watch=watch)
    shutil.rmtree(watch.folder, ignore_errors=True)


def test_the_worst_inputs_in_small_numbers_do_not_hold_up_the_heartbeat(watched: Watched) -> None:
    """One 80 kB job.toml alone held it up for 20 s."""
    inbox = watched.site.inbox

    def put() -> None:
        job_tomls(inbox, len(COSTLY))
        large_drops(inbox, 1)
        too_large_drops(inbox, 1)
        files(inbox, 1000)
        empty_folders(inbox, 200)
        control_files(inbox, 500)

    began = time.monotonic()
    put()
    watched.site.wait_for(lambda: watched.site.status("toml-0").get("state") == "rejected", "the first job.toml is refused", 60)
    gap = watched.watch.longest_gap(began)
    assert gap < 2 * LONGEST_GAP, (gap, watched.slow_steps())  # other tests run beside it
    lines = watched.site.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
    assert max(len(line.encode()) for line in lines) < 8192


PUT_DOWN = {
    "1,000 drops with a job.toml of hostile structure": (job_tomls, 1000, 60),
    "20 drops of 4,900 files with names of 255 bytes": (large_drops, 20, 60),
    "20 drops of more than 5,000 files": (too_large_drops, 20, 60),
    "100,000 documents directly in an inbox": (files, 100_000, 60),
    "100,000 videos directly in an inbox": (media_files, 100_000, 60),
    "100,000 empty folders in an inbox": (empty_folders, 100_000, 120),
    "10,000 control files in an inbox": (control_files, 10_000, 60),
    "100,000 control files with names of many accents": (odd_control_files, 100_000, 120),
}


@pytest.mark.prove
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("what", PUT_DOWN)
def test_large_numbers_of_the_worst_inputs_do_not_hold_up_the_heartbeat(watched: Watched, what: str) -> None:
    put, count, seconds = PUT_DOWN[what]
    gap = watched.longest_gap(lambda: put(watched.site.inbox, count), seconds)
    slow = watched.slow_steps()
    PROOF.row(
        f"The heartbeat goes on while {what} are taken in",
        f"longest gap {gap:.1f} s, {len(slow)} slow steps {slow or ''}".strip(),
        f"a gap below {LONGEST_GAP:g} s, no slow step",
        gap < LONGEST_GAP and not slow,
    )
