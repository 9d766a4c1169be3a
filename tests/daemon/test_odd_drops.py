"""Drops with links, pipes and folders where files belong, and drops that cannot be claimed: each concludes, or waits with one statement."""

import os
import socket
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from heygem_daemon.core.errors import error
from heygem_daemon.core.scan import ScannedDrop
from heygem_daemon.daemon.candidate import LONGEST_PAUSE
from heygem_daemon.intake import claims, listing
from heygem_daemon.intake.claims import FolderClaims
from tests.daemon.harness import INCOMPLETE, SETTLE, DaemonHarness


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        here = Path.cwd()
        os.chdir(path.parent)  # the path of a socket may have 107 bytes
        try:
            made.bind(path.name)
        finally:
            os.chdir(here)


def _folder_with_a_file(path: Path) -> None:
    path.mkdir()
    (path / "x.txt").write_text("x")


KINDS: dict[str, Callable[[Path], None]] = {
    "link to a file": lambda path: path.symlink_to(__file__),
    "link to a folder": lambda path: path.symlink_to("/etc"),
    "dangling link": lambda path: path.symlink_to("/nowhere/at/all"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "empty folder": Path.mkdir,
    "folder with a file": _folder_with_a_file,
    "pipe": os.mkfifo,
    "socket": _socket,
}
PLACES = ["job.toml", "JOB.TOML", "speech.wav", "speech.txt", "videos", "audios", "videos/b.mp4", "Videos"]
CONCLUDED = {"rejected", "failed", "partial", "succeeded"}


def _replace(path: Path, make: Callable[[Path], None]) -> None:
    if path.is_dir():
        for each in path.iterdir():
            each.unlink()
        path.rmdir()
    path.unlink(missing_ok=True)
    make(path)


def test_drops_with_something_odd_in_place_of_a_file_conclude(harness: DaemonHarness) -> None:
    pairs = [(kind, place) for kind in KINDS for place in PLACES]
    drops = {f"{number} {kind} as {place.replace('/', ' ')}": (kind, place) for number, (kind, place) in enumerate(pairs)}
    for name, (kind, place) in drops.items():
        _replace(harness.drop(name) / place, KINDS[kind])
    for seconds in (0.0, SETTLE + 0.1, INCOMPLETE + 0.1):
        harness.tick(seconds)
    harness.until(lambda: {name for name in drops if harness.state(name) not in CONCLUDED} == set())
    assert harness.events_named("drop_restored") == []
    assert len(harness.log.events) < 20 * len(drops)


def test_a_drop_that_is_a_link_concludes(harness: DaemonHarness) -> None:
    (harness.inbox / "lesson").symlink_to("/nowhere/at/all")
    harness.tick()
    harness.tick(SETTLE + 0.1)
    harness.until(lambda: harness.state("lesson") == "rejected")


def test_a_drop_that_somebody_writes_to_at_each_claim_waits_longer_and_longer_and_is_logged_once(
    harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = harness.drop("lesson")
    (harness.inbox / "lesson.ready").touch()
    claim = FolderClaims.claim
    tries = []

    def write_and_claim(self: FolderClaims, scanned: ScannedDrop, job_id: str) -> Path:
        tries.append(harness.now.monotonic)
        os.utime(folder / "speech.wav", ns=(len(tries), len(tries)))
        found = claim(self, scanned, job_id)
        (harness.inbox / "lesson.ready").touch()
        return found

    monkeypatch.setattr(FolderClaims, "claim", write_and_claim)
    for _ in range(600):
        harness.tick(1)
    assert 5 < len(tries) < 20
    assert max(later - earlier for earlier, later in pairwise(tries)) >= LONGEST_PAUSE
    assert len(harness.events_named("drop_restored")) == 1
    assert "changed at the moment of the claim" in harness.status("lesson").reason
    monkeypatch.undo()
    harness.tick(LONGEST_PAUSE)
    harness.until(lambda: harness.state("lesson") == "succeeded")


@pytest.mark.parametrize("failure", [error("io_error", problem="Invalid cross-device link (x)"), FileNotFoundError()])
def test_a_claim_that_fails_again_and_again_is_tried_less_and_less_often_and_logged_once(
    harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    tries = []

    def refuse(*_: object) -> Path:
        tries.append(harness.now.monotonic)
        raise failure

    harness.drop("lesson")
    monkeypatch.setattr(FolderClaims, "claim", refuse)
    for _ in range(300):
        harness.tick(1)
    assert 5 < len(tries) < 15
    assert harness.status("lesson").waiting_for == "share"
    assert len(harness.log.events) < 10
    monkeypatch.undo()
    harness.until(lambda: harness.state("lesson") == "succeeded")


def test_a_claim_that_cannot_be_kept_is_put_back_and_logged_once(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise error("io_error", problem="Input/output error")

    harness.drop("lesson")
    monkeypatch.setattr(FolderClaims, "persist", refuse)
    for _ in range(300):
        harness.tick(1)
    assert len(harness.events_named("drop_restored")) == 1
    assert len(harness.events_named("drop_claimed")) < 15
    monkeypatch.undo()
    harness.until(lambda: harness.state("lesson") == "succeeded")


def test_a_drop_of_too_many_files_is_refused_and_moved_whole(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = harness.drop("lesson", job_toml='owner = "amy"')
    for number in range(listing.MAX_FILES + 1):
        (folder / "videos" / f"{number}.txt").touch()
    harness.tick()
    monkeypatch.setattr(claims, "list_drop", None)  # it is not listed again
    harness.tick(SETTLE + 0.1)
    harness.until(lambda: harness.state("lesson") == "rejected")
    harness.tick(1)
    status = harness.status("lesson")
    assert status.error is not None
    assert status.error.code == "too_many_files"
    assert "more than 5000 files and folders" in status.error.message
    assert len(os.listdir(harness.inbox / "_failed" / "lesson" / "videos")) == listing.MAX_FILES + 2
    assert status.error.message in (harness.inbox / "_failed" / "lesson" / "reason.txt").read_text()


def test_a_drop_with_folders_inside_each_other_is_refused(harness: DaemonHarness) -> None:
    folder = harness.drop("lesson")
    (folder / "/".join("abcdefghijkl")).mkdir(parents=True)
    harness.tick()
    harness.tick(SETTLE + 0.1)
    harness.until(lambda: harness.state("lesson") == "rejected")
    found = harness.status("lesson").error
    assert found is not None
    assert found.code == "too_deep"


def test_too_many_files_in_the_inbox_itself_stay_where_they_are_and_are_named(
    harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MAX_FLAT_PARTS", 5)
    for number in range(6):
        (harness.inbox / f"{number}.wav").write_bytes(b"x")
    harness.tick()
    harness.tick(SETTLE + 0.1)
    harness.tick(INCOMPLETE)
    (candidate,) = harness.daemon.candidates.statuses(10)
    assert candidate.error is not None
    assert candidate.error.code == "too_many_files"
    assert len(list(harness.inbox.glob("*.wav"))) == 6
