"""The watcher reports what happens in an inbox, except in the daemon's own folders, and survives an inbox that goes and comes back."""

import errno
import fcntl
import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from watchdog.observers.inotify_c import CallbackId, InotifyEvent, InotifyFD, Mask, WatchCallback, WatchDescriptor

from heygem_daemon.intake import watcher
from heygem_daemon.intake.scanner import FolderScanner
from heygem_daemon.intake.watcher import WatchdogNotifier, _InboxWatch

SENTINEL = ".heygem-uploads"
DELETED = "(a watched folder was deleted)"
PATIENCE = 60.0
"""In s; far more than any machine needs. Only a test that fails waits for so long."""


class HandledEvents:
    """The names in the events that the handler has finished with, in their order, which is that of the changes."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._names: list[str] = []

    def add(self, name: str) -> None:
        with self._changed:
            self._names.append(name)
            self._changed.notify_all()

    def count(self, name: str) -> int:
        return self._names.count(name)

    def wait_for(self, name: str, count: int = 1) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.count(name) >= count, PATIENCE), f"no event of {name}"


@pytest.fixture(autouse=True)
def handled(monkeypatch: pytest.MonkeyPatch) -> HandledEvents:
    events = HandledEvents()
    handle: Callable[[_InboxWatch, InotifyEvent], None] = _InboxWatch.on_event
    forget: Callable[[_InboxWatch, WatchDescriptor], None] = _InboxWatch.on_watch_deleted

    def handle_and_record(handler: _InboxWatch, event: InotifyEvent) -> None:
        handle(handler, event)
        events.add(os.fsdecode(event.name))

    def forget_and_record(handler: _InboxWatch, descriptor: WatchDescriptor) -> None:
        forget(handler, descriptor)
        events.add(DELETED)

    monkeypatch.setattr(_InboxWatch, "on_event", handle_and_record)
    monkeypatch.setattr(_InboxWatch, "on_watch_deleted", forget_and_record)
    return events


@pytest.fixture
def inbox(inbox: Path) -> Path:
    (inbox / SENTINEL).mkdir()
    return inbox


@pytest.fixture
def notifier() -> Iterator[WatchdogNotifier]:
    notifier = WatchdogNotifier()
    yield notifier
    notifier.close()


def is_notified(notifier: WatchdogNotifier) -> bool:
    """Wait for a change to be reported."""
    readable, _, _ = select.select([notifier.wakeup()], [], [], PATIENCE)
    return notifier.changed() if readable else False


def has_changed(notifier: WatchdogNotifier, handled: HandledEvents, inbox: Path) -> bool:
    """Return whether a change was reported, once all events so far were handled.

    The last two are made here, of a folder whose events are not reported."""
    before = handled.count(SENTINEL)
    (inbox / SENTINEL).rename(inbox.parent / SENTINEL)
    (inbox.parent / SENTINEL).rename(inbox / SENTINEL)
    handled.wait_for(SENTINEL, before + 2)
    return notifier.changed()


def test_a_new_folder_is_reported(inbox: Path, notifier: WatchdogNotifier) -> None:
    notifier.watch(str(inbox))
    (inbox / "lesson-01").mkdir()
    assert is_notified(notifier)


def test_a_tree_that_is_moved_in_is_reported(inbox: Path, notifier: WatchdogNotifier, tmp_path: Path) -> None:
    (tmp_path / "lesson/videos").mkdir(parents=True)
    notifier.watch(str(inbox))
    (tmp_path / "lesson").rename(inbox / "lesson")
    assert is_notified(notifier)


def test_the_end_of_writing_deep_inside_a_drop_is_reported(inbox: Path, notifier: WatchdogNotifier, handled: HandledEvents) -> None:
    (inbox / "lesson/videos").mkdir(parents=True)
    notifier.watch(str(inbox))
    with (inbox / "lesson/videos/a.mp4").open("wb") as file:
        assert has_changed(notifier, handled, inbox)
        file.write(b"x")
    assert is_notified(notifier)


def test_control_files_are_reported_when_they_come_and_when_they_go(
    inbox: Path, notifier: WatchdogNotifier, handled: HandledEvents
) -> None:
    notifier.watch(str(inbox))
    (inbox / "PAUSE").touch()
    assert has_changed(notifier, handled, inbox)
    (inbox / "PAUSE").unlink()
    assert is_notified(notifier)


def test_the_daemons_own_folders_are_not_reported(inbox: Path, notifier: WatchdogNotifier, handled: HandledEvents) -> None:
    for folder in (".heygem/claimed/x", "_done/x", "_failed/x"):
        (inbox / folder).mkdir(parents=True)
    notifier.watch(str(inbox))
    for folder in (".heygem/claimed/x", "_done/x", "_failed/x"):
        (inbox / folder / "reason.txt").write_text("x")
        (inbox / folder / "reason.txt").unlink()
    (inbox / "_done/x").rename(inbox / "_done/y")
    assert not has_changed(notifier, handled, inbox)


def test_an_upload_is_not_reported_until_it_becomes_a_drop(inbox: Path, notifier: WatchdogNotifier, handled: HandledEvents) -> None:
    notifier.watch(str(inbox))
    draft = inbox / ".heygem-uploads/draft-1"
    (draft / "videos").mkdir(parents=True)
    for _ in range(20):
        with (draft / "videos/a.mp4").open("ab") as file:
            file.write(b"x" * 1000)
    assert not has_changed(notifier, handled, inbox)
    draft.rename(inbox / "lesson-01")
    assert is_notified(notifier)


def test_scanning_is_not_reported(inbox: Path, notifier: WatchdogNotifier, handled: HandledEvents) -> None:
    (inbox / "lesson").mkdir()
    (inbox / "lesson/speech.wav").write_text("x")
    notifier.watch(str(inbox))
    scanner = FolderScanner()
    for _ in range(3):
        scanner.scan(str(inbox))
    assert not has_changed(notifier, handled, inbox)


def test_a_change_is_reported_once_and_only_after_a_change(inbox: Path, notifier: WatchdogNotifier, handled: HandledEvents) -> None:
    notifier.watch(str(inbox))
    assert not notifier.changed()
    (inbox / "lesson-01").mkdir()
    assert has_changed(notifier, handled, inbox)
    assert not has_changed(notifier, handled, inbox)


def test_watching_again_changes_nothing_and_starts_no_threads(inbox: Path, notifier: WatchdogNotifier) -> None:
    notifier.watch(str(inbox))
    before = set(threading.enumerate())
    for _ in range(10):
        notifier.watch(str(inbox))
    assert set(threading.enumerate()) <= before


def test_an_inbox_that_was_deleted_and_made_again_is_reported_again(
    inbox: Path, notifier: WatchdogNotifier, handled: HandledEvents
) -> None:
    notifier.watch(str(inbox))
    (inbox / SENTINEL).rmdir()
    (inbox / ".heygem-inbox").unlink()
    inbox.rmdir()
    handled.wait_for(DELETED)
    notifier.watch(str(inbox))
    notifier.changed()
    inbox.mkdir()
    notifier.watch(str(inbox))
    (inbox / "lesson-01").mkdir()
    assert is_notified(notifier)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_file_system_mounted_over_the_inbox_is_watched_instead(inbox: Path, notifier: WatchdogNotifier, handled: HandledEvents) -> None:
    notifier.watch(str(inbox))
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(inbox)], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        (inbox / SENTINEL).mkdir()
        notifier.watch(str(inbox))
        notifier.changed()
        (inbox / "lesson-01").mkdir()
        assert is_notified(notifier)
        notifier.close()
    finally:
        subprocess.run(["umount", str(inbox)], check=True)


def test_an_inbox_behind_a_link_is_watched(inbox: Path, notifier: WatchdogNotifier, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(inbox)
    notifier.watch(str(tmp_path / "link"))
    (inbox / "lesson-01").mkdir()
    assert is_notified(notifier)


def test_a_missing_inbox_is_not_an_error(notifier: WatchdogNotifier, tmp_path: Path) -> None:
    notifier.watch(str(tmp_path / "gone"))
    assert not notifier.changed()


def test_a_path_that_does_not_exist_starts_no_thread(notifier: WatchdogNotifier) -> None:
    before = set(threading.enumerate())
    notifier.watch("/proc/self/no/such/share")
    assert set(threading.enumerate()) <= before


def test_a_flood_of_events_neither_blocks_nor_ends_the_watch(inbox: Path, notifier: WatchdogNotifier, handled: HandledEvents) -> None:
    fcntl.fcntl(notifier.wakeup(), fcntl.F_SETPIPE_SZ, 4096)
    notifier.watch(str(inbox))
    for number in range(2100):  # two events each: more than the pipe holds
        (inbox / f"drop-{number}").touch()
    assert has_changed(notifier, handled, inbox)
    (inbox / "one-more").mkdir()
    assert is_notified(notifier)


def test_closing_ends_all_threads_and_may_be_repeated(inbox: Path) -> None:
    before = set(threading.enumerate())
    notifier = WatchdogNotifier()
    notifier.watch(str(inbox))
    started = set(threading.enumerate()) - before
    assert started
    notifier.close()
    notifier.close()
    assert not any(thread.is_alive() for thread in started)


# -- how much is watched ----------------------------------------------------------------------------------------------


def watched_folders() -> int:
    """Return the number of folders that this process watches, as the kernel counts them."""
    files = (path.read_text(encoding="ascii") for path in Path("/proc/self/fdinfo").iterdir() if path.exists())
    return sum(line.startswith("inotify ") for file in files for line in file.splitlines())


@pytest.fixture
def none_watched() -> int:
    """The number of folders that were watched before the test."""
    return watched_folders()


def test_what_was_taken_in_is_not_watched(inbox: Path, notifier: WatchdogNotifier, none_watched: int) -> None:
    for number in range(300):
        (inbox / f"_done/old-{number}/videos").mkdir(parents=True)
        (inbox / f".heygem/claimed/job-{number}/old/videos").mkdir(parents=True)
    (inbox / "lesson/videos").mkdir(parents=True)
    notifier.watch(str(inbox))
    assert watched_folders() - none_watched == 3


def test_a_claimed_drop_is_no_longer_watched(inbox: Path, notifier: WatchdogNotifier, handled: HandledEvents, none_watched: int) -> None:
    (inbox / "_done").mkdir()
    (inbox / "lesson/videos").mkdir(parents=True)
    notifier.watch(str(inbox))
    (inbox / "lesson").rename(inbox / "_done/lesson")
    assert has_changed(notifier, handled, inbox)
    assert watched_folders() - none_watched == 1
    (inbox / "_done/lesson/videos/a.mp4").touch()
    assert not has_changed(notifier, handled, inbox)


def test_a_tree_that_was_moved_inside_a_drop_is_watched_where_it_is(
    inbox: Path, notifier: WatchdogNotifier, handled: HandledEvents, none_watched: int
) -> None:
    (inbox / "lesson/a/b").mkdir(parents=True)
    (inbox / "lesson/ab").mkdir()
    notifier.watch(str(inbox))
    (inbox / "lesson/a").rename(inbox / "lesson/c")
    assert has_changed(notifier, handled, inbox)
    assert watched_folders() - none_watched == 5
    (inbox / "lesson/c/b/new").touch()
    assert has_changed(notifier, handled, inbox)


def test_a_drop_of_many_folders_is_watched_in_part(
    inbox: Path, notifier: WatchdogNotifier, handled: HandledEvents, none_watched: int
) -> None:
    notifier.watch(str(inbox))
    for number in range(300):
        (inbox / f"lesson/folder-{number}").mkdir(parents=True)
    assert has_changed(notifier, handled, inbox)
    assert watched_folders() - none_watched <= watcher.MAX_FOLDERS_OF_A_DROP + 1


def test_of_many_drops_those_that_come_are_watched(
    inbox: Path, notifier: WatchdogNotifier, handled: HandledEvents, none_watched: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "MAX_FOLDERS", 20)
    for number in range(50):
        (inbox / f"old-{number}").mkdir()
    notifier.watch(str(inbox))
    assert watched_folders() - none_watched == 21
    (inbox / "lesson/videos").mkdir(parents=True)
    assert has_changed(notifier, handled, inbox)
    assert watched_folders() - none_watched == 21
    (inbox / "lesson/videos/a.mp4").touch()
    assert has_changed(notifier, handled, inbox)


def test_ten_thousand_drops_do_not_hold_up_whoever_begins_to_watch(
    inbox: Path, notifier: WatchdogNotifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(300):
        (inbox / f"lesson-{number}/videos").mkdir(parents=True)
    added: list[bytes] = []
    add = InotifyFD.add_callback

    def noted(inotify: InotifyFD, path: bytes, mask: Mask, callback: WatchCallback, callback_id: CallbackId) -> WatchDescriptor:
        added.append(path)
        return add(inotify, path, mask, callback, callback_id)

    monkeypatch.setattr(InotifyFD, "add_callback", noted)
    monkeypatch.setattr(watcher, "MAX_FOLDERS", 20)
    notifier.watch(str(inbox))
    assert len(added) <= 22
    notifier.close()
    notifier = WatchdogNotifier()
    monkeypatch.setattr(watcher, "BEGIN_SECONDS", 0.0)
    added.clear()
    notifier.watch(str(inbox))
    assert len(added) <= 3
    (inbox / "another").mkdir()
    assert is_notified(notifier)
    notifier.close()


def test_drops_that_come_and_go_leave_nothing_behind(
    inbox: Path, notifier: WatchdogNotifier, handled: HandledEvents, none_watched: int
) -> None:
    notifier.watch(str(inbox))
    for number in range(50):
        (inbox / f"lesson-{number}/videos").mkdir(parents=True)
        (inbox / f"lesson-{number}/videos").rmdir()
        (inbox / f"lesson-{number}").rmdir()
    assert has_changed(notifier, handled, inbox)
    assert watched_folders() - none_watched == 1
    (watch,) = notifier._watches.values()
    assert (watch.events._folders, watch.events._drops) == ({}, {})


def test_after_lost_events_all_drops_are_watched(inbox: Path, notifier: WatchdogNotifier, none_watched: int) -> None:
    notifier.watch(str(inbox))
    (watch,) = notifier._watches.values()
    (inbox / "lesson/videos").mkdir(parents=True)
    assert is_notified(notifier)
    watch.events.on_queue_overflow()
    assert is_notified(notifier)
    assert watched_folders() - none_watched == 3
    watch.events.on_queue_overflow()
    assert watched_folders() - none_watched == 3


def test_without_a_watch_left_there_is_no_error(inbox: Path, notifier: WatchdogNotifier, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "inotify watch limit reached")

    monkeypatch.setattr(InotifyFD, "add_callback", full)
    before = set(threading.enumerate())
    notifier.watch(str(inbox))
    assert not any(thread.is_alive() for thread in set(threading.enumerate()) - before)
    assert not notifier.changed()


def test_what_watchdog_reports_is_written_to_no_stream() -> None:
    program = "import logging; import heygem_daemon.intake.watcher; logging.getLogger('watchdog.observers.inotify_c').error('lost')"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=60)
    assert (ended.stdout, ended.stderr) == (b"", b"")


def test_an_inbox_that_may_not_be_read_is_not_watched_until_it_may(
    inbox: Path, notifier: WatchdogNotifier, handled: HandledEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = set(threading.enumerate())
    with monkeypatch.context() as forbidden:
        forbidden.setattr(InotifyFD, "add_callback", lambda *_: -1)  # what watchdog does where the kernel refuses
        notifier.watch(str(inbox))
    assert not any(thread.is_alive() for thread in set(threading.enumerate()) - before)
    notifier.watch(str(inbox))
    (inbox / "lesson").mkdir()
    assert has_changed(notifier, handled, inbox)
