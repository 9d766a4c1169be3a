import os
import select
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from heygem_daemon.intake.scanner import FolderScanner
from heygem_daemon.intake.watcher import WatchdogDoorbell

PATIENCE = 5.0
QUIET = 1.2
"""Longer than watchdog waits (0.5 s) for the second half of a move."""


@pytest.fixture
def doorbell() -> Iterator[WatchdogDoorbell]:
    bell = WatchdogDoorbell()
    yield bell
    bell.close()


def rings(doorbell: WatchdogDoorbell, within: float = PATIENCE) -> bool:
    readable, _, _ = select.select([doorbell.wakeup()], [], [], within)
    return doorbell.changed() if readable else False


def is_quiet(doorbell: WatchdogDoorbell) -> bool:
    return not rings(doorbell, QUIET)


def settle(doorbell: WatchdogDoorbell) -> None:
    """Wait until the echo of what the test prepared has died away."""
    while rings(doorbell, QUIET):
        pass


def test_a_new_folder_rings(inbox: Path, doorbell: WatchdogDoorbell) -> None:
    doorbell.watch(str(inbox))
    (inbox / "lesson-01").mkdir()
    assert rings(doorbell)


def test_a_tree_that_is_moved_in_rings(inbox: Path, doorbell: WatchdogDoorbell, tmp_path: Path) -> None:
    (tmp_path / "lesson/videos").mkdir(parents=True)
    doorbell.watch(str(inbox))
    (tmp_path / "lesson").rename(inbox / "lesson")
    assert rings(doorbell)


def test_the_end_of_writing_deep_inside_a_drop_rings(inbox: Path, doorbell: WatchdogDoorbell) -> None:
    (inbox / "lesson/videos").mkdir(parents=True)
    doorbell.watch(str(inbox))
    with (inbox / "lesson/videos/a.mp4").open("wb") as file:
        settle(doorbell)
        file.write(b"x")
    assert rings(doorbell)


def test_control_files_ring_when_they_come_and_when_they_go(inbox: Path, doorbell: WatchdogDoorbell) -> None:
    doorbell.watch(str(inbox))
    (inbox / "PAUSE").touch()
    assert rings(doorbell)
    settle(doorbell)
    (inbox / "PAUSE").unlink()
    assert rings(doorbell)


def test_the_daemons_own_folders_do_not_ring(inbox: Path, doorbell: WatchdogDoorbell) -> None:
    for folder in (".heygem/claimed/x", "_done/x", "_failed/x"):
        (inbox / folder).mkdir(parents=True)
    doorbell.watch(str(inbox))
    for folder in (".heygem/claimed/x", "_done/x", "_failed/x"):
        (inbox / folder / "reason.txt").write_text("x")
        (inbox / folder / "reason.txt").unlink()
    (inbox / "_done/x").rename(inbox / "_done/y")
    assert is_quiet(doorbell)


def test_scanning_does_not_ring(inbox: Path, doorbell: WatchdogDoorbell) -> None:
    (inbox / "lesson").mkdir()
    (inbox / "lesson/speech.wav").write_text("x")
    doorbell.watch(str(inbox))
    scanner = FolderScanner()
    for _ in range(3):
        scanner.scan(str(inbox))
    assert is_quiet(doorbell)


def test_ringing_is_told_once_and_only_when_it_rang(inbox: Path, doorbell: WatchdogDoorbell) -> None:
    doorbell.watch(str(inbox))
    assert not doorbell.changed()
    (inbox / "lesson-01").mkdir()
    assert rings(doorbell)
    settle(doorbell)
    assert not doorbell.changed()


def test_watching_again_changes_nothing_and_starts_no_threads(inbox: Path, doorbell: WatchdogDoorbell) -> None:
    doorbell.watch(str(inbox))
    before = threading.active_count()
    for _ in range(10):
        doorbell.watch(str(inbox))
    assert threading.active_count() == before


def test_an_inbox_that_was_deleted_and_made_anew_rings_again(inbox: Path, doorbell: WatchdogDoorbell) -> None:
    doorbell.watch(str(inbox))
    (inbox / ".heygem-inbox").unlink()
    inbox.rmdir()
    settle(doorbell)
    doorbell.watch(str(inbox))
    inbox.mkdir()
    doorbell.watch(str(inbox))
    (inbox / "lesson-01").mkdir()
    assert rings(doorbell)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_file_system_mounted_over_the_inbox_is_watched_instead(inbox: Path, doorbell: WatchdogDoorbell) -> None:
    doorbell.watch(str(inbox))
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(inbox)], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        doorbell.watch(str(inbox))
        settle(doorbell)
        (inbox / "lesson-01").mkdir()
        assert rings(doorbell)
        doorbell.close()
    finally:
        subprocess.run(["umount", str(inbox)], check=True)


def test_an_inbox_behind_a_link_rings(inbox: Path, doorbell: WatchdogDoorbell, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(inbox)
    doorbell.watch(str(tmp_path / "link"))
    (inbox / "lesson-01").mkdir()
    assert rings(doorbell)


def test_a_missing_inbox_is_no_trouble(doorbell: WatchdogDoorbell, tmp_path: Path) -> None:
    doorbell.watch(str(tmp_path / "gone"))
    assert not doorbell.changed()


def test_what_cannot_be_heard_by_this_kernel_is_not_watched(doorbell: WatchdogDoorbell) -> None:
    before = threading.active_count()
    doorbell.watch("/proc/self/no/such/share")
    assert threading.active_count() == before


def test_a_flood_of_events_neither_blocks_nor_ends_the_bell(inbox: Path, doorbell: WatchdogDoorbell) -> None:
    doorbell.watch(str(inbox))
    for number in range(2000):
        (inbox / f"drop-{number}").mkdir()
        (inbox / f"drop-{number}/speech.wav").touch()
    assert rings(doorbell)
    settle(doorbell)
    (inbox / "one-more").mkdir()
    assert rings(doorbell)


def test_closing_ends_all_threads_and_twice_is_fine(inbox: Path) -> None:
    before = threading.active_count()
    doorbell = WatchdogDoorbell()
    doorbell.watch(str(inbox))
    assert threading.active_count() > before
    doorbell.close()
    doorbell.close()
    assert threading.active_count() == before
