import os
import select
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from heygem_daemon.intake.scanner import FolderScanner
from heygem_daemon.intake.watcher import WatchdogNotifier

PATIENCE = 5.0
QUIET = 1.2
"""Longer than watchdog waits (0.5 s) for the second half of a move."""


@pytest.fixture
def notifier() -> Iterator[WatchdogNotifier]:
    bell = WatchdogNotifier()
    yield bell
    bell.close()


def rings(notifier: WatchdogNotifier, within: float = PATIENCE) -> bool:
    readable, _, _ = select.select([notifier.wakeup()], [], [], within)
    return notifier.changed() if readable else False


def is_quiet(notifier: WatchdogNotifier) -> bool:
    return not rings(notifier, QUIET)


def settle(notifier: WatchdogNotifier) -> None:
    """Wait until the echo of what the test prepared has died away."""
    while rings(notifier, QUIET):
        pass


def test_a_new_folder_rings(inbox: Path, notifier: WatchdogNotifier) -> None:
    notifier.watch(str(inbox))
    (inbox / "lesson-01").mkdir()
    assert rings(notifier)


def test_a_tree_that_is_moved_in_rings(inbox: Path, notifier: WatchdogNotifier, tmp_path: Path) -> None:
    (tmp_path / "lesson/videos").mkdir(parents=True)
    notifier.watch(str(inbox))
    (tmp_path / "lesson").rename(inbox / "lesson")
    assert rings(notifier)


def test_the_end_of_writing_deep_inside_a_drop_rings(inbox: Path, notifier: WatchdogNotifier) -> None:
    (inbox / "lesson/videos").mkdir(parents=True)
    notifier.watch(str(inbox))
    with (inbox / "lesson/videos/a.mp4").open("wb") as file:
        settle(notifier)
        file.write(b"x")
    assert rings(notifier)


def test_control_files_ring_when_they_come_and_when_they_go(inbox: Path, notifier: WatchdogNotifier) -> None:
    notifier.watch(str(inbox))
    (inbox / "PAUSE").touch()
    assert rings(notifier)
    settle(notifier)
    (inbox / "PAUSE").unlink()
    assert rings(notifier)


def test_the_daemons_own_folders_do_not_ring(inbox: Path, notifier: WatchdogNotifier) -> None:
    for folder in (".heygem/claimed/x", "_done/x", "_failed/x"):
        (inbox / folder).mkdir(parents=True)
    notifier.watch(str(inbox))
    for folder in (".heygem/claimed/x", "_done/x", "_failed/x"):
        (inbox / folder / "reason.txt").write_text("x")
        (inbox / folder / "reason.txt").unlink()
    (inbox / "_done/x").rename(inbox / "_done/y")
    assert is_quiet(notifier)


def test_scanning_does_not_ring(inbox: Path, notifier: WatchdogNotifier) -> None:
    (inbox / "lesson").mkdir()
    (inbox / "lesson/speech.wav").write_text("x")
    notifier.watch(str(inbox))
    scanner = FolderScanner()
    for _ in range(3):
        scanner.scan(str(inbox))
    assert is_quiet(notifier)


def test_ringing_is_told_once_and_only_when_it_rang(inbox: Path, notifier: WatchdogNotifier) -> None:
    notifier.watch(str(inbox))
    assert not notifier.changed()
    (inbox / "lesson-01").mkdir()
    assert rings(notifier)
    settle(notifier)
    assert not notifier.changed()


def test_watching_again_changes_nothing_and_starts_no_threads(inbox: Path, notifier: WatchdogNotifier) -> None:
    notifier.watch(str(inbox))
    before = threading.active_count()
    for _ in range(10):
        notifier.watch(str(inbox))
    assert threading.active_count() == before


def test_an_inbox_that_was_deleted_and_made_anew_rings_again(inbox: Path, notifier: WatchdogNotifier) -> None:
    notifier.watch(str(inbox))
    (inbox / ".heygem-inbox").unlink()
    inbox.rmdir()
    settle(notifier)
    notifier.watch(str(inbox))
    inbox.mkdir()
    notifier.watch(str(inbox))
    (inbox / "lesson-01").mkdir()
    assert rings(notifier)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_file_system_mounted_over_the_inbox_is_watched_instead(inbox: Path, notifier: WatchdogNotifier) -> None:
    notifier.watch(str(inbox))
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(inbox)], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        notifier.watch(str(inbox))
        settle(notifier)
        (inbox / "lesson-01").mkdir()
        assert rings(notifier)
        notifier.close()
    finally:
        subprocess.run(["umount", str(inbox)], check=True)


def test_an_inbox_behind_a_link_rings(inbox: Path, notifier: WatchdogNotifier, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(inbox)
    notifier.watch(str(tmp_path / "link"))
    (inbox / "lesson-01").mkdir()
    assert rings(notifier)


def test_a_missing_inbox_is_no_trouble(notifier: WatchdogNotifier, tmp_path: Path) -> None:
    notifier.watch(str(tmp_path / "gone"))
    assert not notifier.changed()


def test_what_cannot_be_heard_by_this_kernel_is_not_watched(notifier: WatchdogNotifier) -> None:
    before = threading.active_count()
    notifier.watch("/proc/self/no/such/share")
    assert threading.active_count() == before


def test_a_flood_of_events_neither_blocks_nor_ends_the_bell(inbox: Path, notifier: WatchdogNotifier) -> None:
    notifier.watch(str(inbox))
    for number in range(2000):
        (inbox / f"drop-{number}").mkdir()
        (inbox / f"drop-{number}/speech.wav").touch()
    assert rings(notifier)
    settle(notifier)
    (inbox / "one-more").mkdir()
    assert rings(notifier)


def test_closing_ends_all_threads_and_twice_is_fine(inbox: Path) -> None:
    before = threading.active_count()
    notifier = WatchdogNotifier()
    notifier.watch(str(inbox))
    assert threading.active_count() > before
    notifier.close()
    notifier.close()
    assert threading.active_count() == before
