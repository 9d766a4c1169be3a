"""List a folder's files by open() and fstat(), without following links, up to a number of files and a depth.

stat() alone answers from the attribute cache on SMB and NFS; opening makes the client ask the server. A dead share may hang in any of
these calls: nothing in user space can prevent that.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from heygem_daemon.core.drop import Entry, Kind, is_flat_part
from heygem_daemon.core.names import is_ignored
from heygem_daemon.intake.permissions import DENIED

MAX_FILES: Final = 5000
MAX_DEPTH: Final = 8

_OPEN_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_IS_A_LINK: Final = frozenset({errno.ELOOP, errno.EMLINK})
_GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR})


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The files below a folder, sorted by path.

    `ignored_files` holds (path, size, mtime_ns) of files whose names never count: an unfinished `.part` that grows shows a copy under
    way. `busy` is true where a file could not be opened because another process holds a lease on it. `unreadable` names what could not
    be read, `denied` the same where permission is missing (a path in the drop, "" for the drop itself), `limit_exceeded` where there
    are too many files or folders; with any of them the listing proves nothing.
    """

    entries: tuple[Entry, ...] = ()
    ignored_files: frozenset[tuple[str, int, int]] = frozenset()
    busy: bool = False
    unreadable: str = ""
    denied: str | None = None
    limit_exceeded: str = ""


@contextmanager
def opened_folder(name: str, parent: int | None = None) -> Iterator[int]:
    """Hold a folder open. Raises NotADirectoryError, or ELOOP for a link (only the topmost path may be one)."""
    follow = 0 if parent is None else os.O_NOFOLLOW
    descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | follow, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def list_drop(name: str, parent: int | None, *, max_files: int = MAX_FILES, max_depth: int = MAX_DEPTH) -> Listing | None:
    """List the drop `name` in the open folder `parent`; None when it is gone. A drop that is a link is one Entry with path ""."""
    walk = _Walk(max_files, max_depth)
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if not stat.S_ISDIR(found.st_mode):
            walk.entries.append(_entry("", found))
            return walk.result()
        with opened_folder(name, parent) as descriptor:
            walk.folder(descriptor, "", 1)
    except OSError as failed:
        if failed.errno in _GONE:
            return None
        walk.record_error(failed, "", name)
    return walk.result()


def list_flat(root: int, *, max_files: int = MAX_FILES, max_depth: int = MAX_DEPTH) -> Listing:
    """List the names in the open inbox root that are part of a drop in the flat form, with everything below them."""
    walk = _Walk(max_files, max_depth)
    walk.folder(root, "", 1, _is_flat_part)
    return walk.result()


def _is_flat_part(found: os.DirEntry[str]) -> bool:
    return is_flat_part(found.name, is_folder=found.is_dir(follow_symlinks=False))


def read_regular(path: Path | str, limit: int, parent: int | None = None) -> bytes | None:
    """Return the first `limit` bytes of a regular file; None for a pipe or a device. Raises OSError, ELOOP for a link."""
    with os.fdopen(os.open(path, _OPEN_FLAGS, dir_fd=parent), "rb") as file:
        return file.read(limit) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None


class _Walk:
    """One walk through one drop; collects until a limit is reached."""

    def __init__(self, max_files: int, max_depth: int) -> None:
        self.entries: list[Entry] = []
        self.ignored_files: set[tuple[str, int, int]] = set()
        self.busy = False
        self.unreadable = ""
        self.denied: str | None = None
        self.limit_exceeded = ""
        self._max_files = max_files
        self._max_depth = max_depth
        self._count = 0

    def result(self) -> Listing:
        return Listing(
            entries=tuple(sorted(self.entries)),
            ignored_files=frozenset(self.ignored_files),
            busy=self.busy,
            unreadable=self.unreadable,
            denied=self.denied,
            limit_exceeded=self.limit_exceeded,
        )

    def folder(self, descriptor: int, prefix: str, depth: int, is_part: Callable[[os.DirEntry[str]], bool] | None = None) -> None:
        """Collect the files of one open folder and below. Raises OSError where it cannot be read."""
        folders: list[str] = []
        with os.scandir(descriptor) as found:
            for each in found:
                if is_part and not is_part(each):
                    continue
                self._count += 1
                if self._count > self._max_files:
                    self.limit_exceeded = f"{prefix or '.'} (more than {self._max_files} files)"
                    return
                if self._collect(each, descriptor, prefix):
                    folders.append(each.name)
        for name in sorted(folders):
            self._descend(name, descriptor, prefix, depth)

    def _collect(self, found: os.DirEntry[str], folder: int, prefix: str) -> bool:
        """Collect one name; return True when it is a folder to walk into."""
        ignored = is_ignored(found.name)
        try:
            if found.is_dir(follow_symlinks=False):
                return not is_ignored(found.name, is_folder=True)
            if ignored or found.is_symlink() or not found.is_file(follow_symlinks=False):
                self._add(prefix + found.name, os.stat(found.name, dir_fd=folder, follow_symlinks=False), ignored=ignored)
            else:
                self._add(prefix + found.name, self._fstat(found.name, folder), ignored=False)
        except OSError as failed:
            if failed.errno not in _GONE and not ignored:
                self.record_error(failed, prefix + found.name)
        return False

    def _fstat(self, name: str, folder: int) -> os.stat_result:
        """Return the server's current attributes of a regular file. O_NONBLOCK: a pipe put in its place must not block us."""
        try:
            descriptor = os.open(name, _OPEN_FLAGS, dir_fd=folder)
        except OSError as failed:
            if failed.errno == errno.EWOULDBLOCK:
                self.busy = True
            elif failed.errno not in _IS_A_LINK and failed.errno != errno.ENXIO:
                raise
            return os.stat(name, dir_fd=folder, follow_symlinks=False)
        try:
            return os.fstat(descriptor)
        finally:
            os.close(descriptor)

    def _add(self, path: str, found: os.stat_result, *, ignored: bool) -> None:
        if ignored:
            self.ignored_files.add((path, found.st_size, found.st_mtime_ns))
        else:
            self.entries.append(_entry(path, found))

    def _descend(self, name: str, folder: int, prefix: str, depth: int) -> None:
        if depth >= self._max_depth:
            self.limit_exceeded = f"{prefix}{name} (deeper than {self._max_depth} folders)"
        if self.limit_exceeded:
            return
        try:
            with opened_folder(name, folder) as descriptor:
                self.folder(descriptor, f"{prefix}{name}/", depth + 1)
        except OSError as failed:
            if failed.errno not in _GONE:
                self.record_error(failed, prefix + name)

    def record_error(self, failed: OSError, path: str, shown: str = "") -> None:
        """Remember that `path` could not be read, and the name to show where that differs."""
        self.unreadable = shown or path
        if failed.errno in DENIED:
            self.denied = path


def _entry(path: str, found: os.stat_result) -> Entry:
    kind = Kind.FILE if stat.S_ISREG(found.st_mode) else Kind.SYMLINK if stat.S_ISLNK(found.st_mode) else Kind.OTHER
    return Entry(path=path, size=found.st_size, mtime_ns=found.st_mtime_ns, ctime_ns=found.st_ctime_ns, kind=kind)
