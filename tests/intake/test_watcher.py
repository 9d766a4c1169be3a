"""The watcher reports what happens in an inbox, except in the daemon's own folders, and survives an inbox that goes and comes back."""

import fcntl
import os
import select
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from watchdog.events import FileSystemEvent

from heygem_daemon.intake.scanner import FolderScanner
from heygem_daemon.intake.watcher import WatchdogNotifier, _EventHandler

PATIENCE = 60.0
"""In s; far more than any machine needs. Only a test that fails waits for so long."""


class HandledEvents:
    """The paths of the events that the handler has finished with, in their order, which is that of the changes."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._paths: set[str] = set()

    def add(self, path: str) -> None:
        with self._changed:
            self._paths.add(path)
            self._changed.notify_all()

    def wait_for(self, path: Path) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: str(path) in self._paths, PATIENCE), f"no event of {path}"


@pytest.fixture(autouse=True)
def handled(monkeypatch: pytest.MonkeyPatch) -> HandledEvents:
    events = HandledEvents()
    handle: Callable[[_EventHandler, FileSystemEvent], None] = _EventHandler.on_any_event

    def handle_and_record(handler: _EventHandler, event: FileSystemEvent) -> None:
        handle(handler, event)
        events.add(os.fsdecode(event.src_path))

    monkeypatch.setattr(_EventHandler, "on_any_event", handle_and_record)
    return events


@pytest.fixture
def inbox(inbox: Path) -> Path:
    (inbox / "_failed").mkdir()
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

    The last one is made here, in a folder whose events are not reported."""
    sentinel = inbox / "_failed" / f"sentinel-{len(os.listdir(inbox / '_failed'))}"
    sentinel.mkdir()
    handled.wait_for(sentinel)
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
    (inbox / ".heygem-uploads").mkdir()
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
    (inbox / "_failed").rmdir()
    (inbox / ".heygem-inbox").unlink()
    inbox.rmdir()
    handled.wait_for(inbox)
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
        (inbox / "_failed").mkdir()
        notifier.watch(str(inbox))
        has_changed(notifier, handled, inbox)
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
