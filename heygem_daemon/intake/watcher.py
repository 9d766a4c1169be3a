"""Watch inboxes for file system events, which only trigger a scan: all knowledge comes from the scan.

The only module that uses watchdog. A lost watch does no harm: when an inbox is deleted or mounted anew, or a thread of watchdog ends,
the next `watch` starts again, and until then the regular scans continue.
"""

import os
import warnings
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path, PurePath
from typing import Final

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from heygem_daemon.core.names import DONE, FAILED, PRIVATE, UPLOADS
from heygem_daemon.intake.mounts import mount_of

_OWN_FOLDERS: Final = frozenset({PRIVATE, DONE, FAILED, UPLOADS})
"""In which nothing becomes a drop before it is renamed to a place beside them, which is an event of its own."""

_WATCHED_EVENTS: Final[list[type[FileSystemEvent]]] = [
    DirCreatedEvent, DirMovedEvent, DirDeletedEvent, FileCreatedEvent, FileMovedEvent, FileDeletedEvent, FileClosedEvent,
]  # fmt: skip
"""Not FileModifiedEvent (thousands while a big file is copied, the scan sees it grow), and not FileOpenedEvent: the scanner opens."""


@dataclass(frozen=True, kw_only=True)
class _Watch:
    """One watched inbox; `identity` is device and inode, which change when a share is mounted over it."""

    identity: tuple[int, int]
    observer: BaseObserver

    @property
    def works(self) -> bool:
        """Return whether watchdog still runs: it stops by itself when the folder is deleted."""
        emitters = self.observer.emitters
        return self.observer.is_alive() and bool(emitters) and all(emitter.is_alive() for emitter in emitters)


class _EventHandler(FileSystemEventHandler):
    """Writes one byte for every event outside our own folders; runs in watchdog's thread, so it does nothing else."""

    def __init__(self, inbox: str, pipe: FileIO) -> None:
        self._inbox = inbox
        self._pipe = pipe

    def on_any_event(self, event: FileSystemEvent) -> None:
        if self._is_of_interest(event.src_path) or (event.dest_path and self._is_of_interest(event.dest_path)):
            with suppress(OSError, ValueError):  # full: it is readable already; closed: the daemon is ending
                self._pipe.write(b"!")

    def _is_of_interest(self, path: bytes | str) -> bool:
        with suppress(ValueError):
            parts = PurePath(os.fsdecode(path)).relative_to(self._inbox).parts
            return not parts or parts[0] not in _OWN_FOLDERS
        return True


class WatchdogNotifier:
    """The `ChangeNotifier` port: watches local inboxes by inotify, but no network share, whose other clients cause no events here."""

    def __init__(self) -> None:
        read_end, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        # Objects, not numbers: a thread that comes late must not write into whatever file has got the number since.
        self._read_end = FileIO(read_end, "r")
        self._write_end = FileIO(write_end, "w")
        self._watches: dict[str, _Watch] = {}

    def watch(self, inbox: str) -> None:
        """Watch this inbox from now on. Cheap, and meant to be called repeatedly: it restarts a watch that ended. Never raises."""
        try:
            found = Path(inbox).stat()
        except OSError:
            self._remove(inbox)
            return
        identity = (found.st_dev, found.st_ino)
        watch = self._watches.get(inbox)
        if watch and watch.works and watch.identity == identity:
            return
        self._remove(inbox)
        mount = mount_of(inbox)
        if mount and mount.network:
            return
        with suppress(OSError):  # no more inotify instances or watches: the scanner polls anyway
            self._watches[inbox] = _Watch(identity=identity, observer=self._start_observer(inbox))

    def _start_observer(self, inbox: str) -> BaseObserver:
        # watchdog warns in its own thread when a folder is created while it lists folders; as an error it would end the thread.
        warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)
        resolved = os.path.realpath(inbox)
        observer = Observer()
        try:
            observer.schedule(_EventHandler(resolved, self._write_end), resolved, recursive=True, event_filter=_WATCHED_EVENTS)
            observer.start()
        except OSError:
            observer.stop()
            raise
        return observer

    def _remove(self, inbox: str) -> None:
        watch = self._watches.pop(inbox, None)
        if watch:
            watch.observer.stop()
            watch.observer.join(timeout=5)

    def wakeup(self) -> int:
        """Return a file descriptor that becomes readable after a change."""
        return self._read_end.fileno()

    def changed(self) -> bool:
        """Return whether something changed since the last call, and reset."""
        has_changed = False
        while self._read_end.read(65536):
            has_changed = True
        return has_changed

    def close(self) -> None:
        """Stop watching; may be called twice."""
        for inbox in list(self._watches):
            self._remove(inbox)
        self._write_end.close()
        self._read_end.close()
