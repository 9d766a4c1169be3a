"""Watch inboxes for file system events, which only trigger a scan: all knowledge comes from the scan.

The only module that uses watchdog. Watched are an inbox itself and the folders of the drops in it, never what has been taken in: the
number of watches does not grow with what lies in _done and _failed, and it is bounded. A lost watch does no harm: when an inbox is deleted
or mounted anew, or the thread of watchdog ends, the next `watch` starts again, and until then the regular scans continue.
"""

import errno
import logging
import os
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Final

from watchdog.observers.inotify_c import CallbackId, InotifyConstants, InotifyEvent, InotifyFD, Mask, WatchCallback, WatchDescriptor

from heygem_daemon.core.names import DONE, FAILED, PRIVATE, UPLOADS
from heygem_daemon.intake.mounts import mount_of

MAX_FOLDERS: Final = 1024
"""Watched folders of one inbox; where there are more, the drop that came first is no longer watched, only scanned. Linux gives a user 8192
and more (fs.inotify.max_user_watches)."""
MAX_FOLDERS_OF_A_DROP: Final = 64
BEGIN_SECONDS: Final = 0.25
"""s in which the drops that lie there at a start come to be watched; the tick waits for it."""

_OWN_FOLDERS: Final = frozenset(os.fsencode(name) for name in (PRIVATE, DONE, FAILED, UPLOADS))
"""In which nothing becomes a drop before it is renamed to a place beside them, which is an event of its own."""

_EVENTS: Final = Mask(
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_MOVE
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_ONLYDIR
    | InotifyConstants.IN_DONT_FOLLOW
)
"""Not IN_MODIFY (thousands while a big file is copied, the scan sees it grow), and not IN_OPEN: the scanner opens."""
_CALLBACK: Final = CallbackId(0)
"""Each inbox has an instance of inotify to itself, and so only one callback."""

# It reports lost events, of which a hundred thousand new folders cause some; the scans find what they were about. Without a handler Python
# writes such lines to the standard error stream, between the lines of our log.
logging.getLogger("watchdog").addHandler(logging.NullHandler())


@dataclass(frozen=True, kw_only=True)
class _Folder:
    """A watched folder of a drop: the name of the drop in the inbox, and its own path."""

    drop: bytes
    path: bytes


class _InboxWatch(WatchCallback):
    """Writes one byte for every event in an inbox outside our own folders. Events come in the thread of watchdog."""

    def __init__(self, inbox: str, pipe: FileIO) -> None:
        """Begin to watch. Raises OSError: there is no such folder, or no more instances or watches of inotify."""
        self._inbox = os.fsencode(os.path.realpath(inbox))
        self._pipe = pipe
        self._lock = threading.Lock()
        self._folders: dict[WatchDescriptor, _Folder] = {}
        self._drops: dict[bytes, set[WatchDescriptor]] = {}
        self._root: WatchDescriptor | None = None
        self._inotify = InotifyFD()
        self._inotify.start()
        try:
            with self._lock:
                self._root = self._add(self._inbox)
                self._watch_drops()
        except OSError:
            self.stop()
            raise

    @property
    def works(self) -> bool:
        """Return whether events still come: none do when the folder was deleted."""
        return self._root is not None and self._inotify.is_alive()

    def stop(self) -> None:
        self._inotify.stop()
        self._inotify.join(timeout=5)

    # -- called by watchdog -------------------------------------------------------------------------------------------

    def on_event(self, event: InotifyEvent) -> None:
        with self._lock:
            is_of_interest = event.name not in _OWN_FOLDERS if event.wd == self._root else event.wd in self._folders
            if is_of_interest and event.is_directory:
                self._follow(event)
        if is_of_interest:
            self._report()

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        with self._lock:
            folder = self._folders.get(wd)
            if folder is not None:
                self._forget(folder.drop, folder.path)
            is_inbox = wd == self._root
            self._root = None if is_inbox else self._root
        if is_inbox:
            self._report()

    def on_queue_overflow(self) -> None:
        with self._lock:
            for drop in list(self._drops):
                self._forget(drop)
            with suppress(OSError):
                self._watch_drops()
        self._report()

    def _report(self) -> None:
        with suppress(OSError, ValueError):  # full: it is readable already; closed: the daemon is ending
            self._pipe.write(b"!")

    # -- the watched folders, under the lock --------------------------------------------------------------------------

    def _watch_drops(self) -> None:
        """Watch the drops that lie in the inbox, as far as there are watches and time. Raises OSError."""
        until = time.monotonic() + BEGIN_SECONDS
        for name, path in _folders_in(self._inbox):
            if len(self._folders) >= MAX_FOLDERS or time.monotonic() > until:
                return
            if name not in _OWN_FOLDERS:
                self._watch(name, path)

    def _follow(self, event: InotifyEvent) -> None:
        """Watch a folder that came, and forget one that went: a drop that is claimed leaves the inbox by a rename."""
        folder = self._folders.get(event.wd)
        path = (self._inbox if folder is None else folder.path) + b"/" + event.name
        drop = event.name if folder is None else folder.drop
        if event.is_create or event.is_moved_to:
            self._watch(drop, path)
        elif event.is_moved_from:
            self._forget(drop, path)

    def _watch(self, drop: bytes, path: bytes) -> None:
        """Watch a folder of a drop and those in it, as far as there is room."""
        waiting = [path]
        while waiting and len(self._drops.get(drop, ())) < MAX_FOLDERS_OF_A_DROP:
            if len(self._folders) >= MAX_FOLDERS:
                self._forget(next(iter(self._drops)))
            path = waiting.pop()
            with suppress(OSError):  # gone again, not ours to read, or no more watches: the scanner polls anyway
                wd = self._add(path)
                self._folders[wd] = _Folder(drop=drop, path=path)
                self._drops.setdefault(drop, set()).add(wd)
                waiting += (inside for _, inside in _folders_in(path))  # only now: what is made later is an event

    def _add(self, path: bytes) -> WatchDescriptor:
        """Watch a folder. Raises OSError."""
        wd = self._inotify.add_callback(path, _EVENTS, self, _CALLBACK)
        if wd < 0:  # of a folder that may not be read, watchdog raises nothing
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return wd

    def _forget(self, drop: bytes, path: bytes | None = None) -> None:
        """Watch no more the folder `path` of a drop and those in it, or all of its folders."""
        watched = self._drops.get(drop, set())
        gone = [wd for wd in watched if path is None or _is_below(self._folders[wd].path, path)]
        for wd in gone:
            del self._folders[wd]
            watched.discard(wd)
        if not watched:
            self._drops.pop(drop, None)
        with suppress(OSError):
            self._inotify.remove_callbacks([(wd, _CALLBACK) for wd in gone])


def _folders_in(path: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and path of the folders in a folder. Raises OSError."""
    with os.scandir(path) as found:
        yield from ((entry.name, entry.path) for entry in found if entry.is_dir(follow_symlinks=False))


def _is_below(path: bytes, folder: bytes) -> bool:
    return path == folder or path.startswith(folder + b"/")


@dataclass(frozen=True, kw_only=True)
class _Watch:
    """One watched inbox; `identity` is device and inode, which change when a share is mounted over it."""

    identity: tuple[int, int]
    events: _InboxWatch


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
        if watch and watch.events.works and watch.identity == identity:
            return
        self._remove(inbox)
        mount = mount_of(inbox)
        if mount and mount.network:
            return
        # watchdog warns in its own thread when a folder is watched twice; as an error it would end the thread.
        warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)
        with suppress(OSError):  # no more inotify instances or watches: the scanner polls anyway
            self._watches[inbox] = _Watch(identity=identity, events=_InboxWatch(inbox, self._write_end))

    def _remove(self, inbox: str) -> None:
        watch = self._watches.pop(inbox, None)
        if watch:
            watch.events.stop()

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
