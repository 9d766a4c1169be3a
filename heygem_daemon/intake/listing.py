"""List a folder's files by open() and fstat(), without following links, up to a number of files and a depth.

stat() alone answers from the attribute cache on SMB and NFS; opening makes the client ask the server. A dead share may hang in any of
these calls: nothing in user space can prevent that.
"""

import codecs
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from heygem_daemon.core.drop import Entry, Kind, is_flat_part
from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.core.names import is_ignored
from heygem_daemon.intake.permissions import DENIED

MAX_FILES: Final = 5000
MAX_DEPTH: Final = 8
MAX_FLAT_PARTS: Final = 1000
"""Files directly in the inbox that can be a drop: each is moved on its own when it is claimed."""

_OPEN_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_IS_A_LINK: Final = frozenset({errno.ELOOP, errno.EMLINK})
_GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR})


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The files below a folder, sorted by path.

    `ignored_files` holds (path, size, mtime_ns) of files whose names never count: an unfinished `.part` that grows shows a copy under
    way; of folders (path, 0, 0). `busy` is true where a file could not be opened because another process holds a lease on it.
    `unreadable` names what could not be read, `denied` the same where permission is missing (a path in the drop, "" for the drop itself);
    with either the listing proves nothing. `oversize` is set where there are too many files or folders; then only some are listed. `uid`
    is whose folder it is; of the flat form, whose files they all are, None where they are several people's.
    """

    entries: tuple[Entry, ...] = ()
    ignored_files: frozenset[tuple[str, int, int]] = frozenset()
    busy: bool = False
    unreadable: str = ""
    denied: str | None = None
    oversize: HeygemError | None = None
    uid: int | None = None


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
        walk.uid = found.st_uid
        if not stat.S_ISDIR(found.st_mode):
            walk.entries.append(_entry("", found))
            return walk.result()
        with opened_folder(name, parent) as descriptor:
            walk.uid = os.fstat(descriptor).st_uid
            walk.folder(descriptor, "", 1)
    except OSError as failed:
        if failed.errno in _GONE:
            return None
        walk.record_error(failed, "", name)
    return walk.result()


def list_flat(root: int, *, max_files: int = MAX_FILES, max_depth: int = MAX_DEPTH) -> Listing:
    """List the names in the open inbox root that are part of a drop in the flat form, with everything below them."""
    walk = _Walk(max_files, max_depth)
    walk.flat(root)
    walk.uid = next(iter(walk.uids)) if len(walk.uids) == 1 else None
    return walk.result()


def _is_flat_part(found: os.DirEntry[str]) -> bool:
    return is_flat_part(found.name, is_folder=found.is_dir(follow_symlinks=False))


def read_regular(path: Path | str, limit: int, parent: int | None = None) -> bytes | None:
    """Return the first `limit` bytes of a regular file; None for a pipe or a device. Raises OSError, ELOOP for a link."""
    with os.fdopen(os.open(path, _OPEN_FLAGS, dir_fd=parent), "rb") as file:
        return file.read(limit) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None


def decoded_text(content: bytes) -> str:
    """Return the text in a file that people write by hand: UTF-8, or UTF-16 as editors and PowerShell of Windows may write it. What is
    neither is replaced."""
    return content.decode("utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8", errors="replace")


class _Walk:
    """One walk through one drop; collects until a limit is reached."""

    def __init__(self, max_files: int, max_depth: int) -> None:
        self.entries: list[Entry] = []
        self.ignored_files: set[tuple[str, int, int]] = set()
        self.busy = False
        self.unreadable = ""
        self.denied: str | None = None
        self.oversize: HeygemError | None = None
        self.uid: int | None = None
        self.uids: set[int] = set()
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
            oversize=self.oversize,
            uid=self.uid,
        )

    def folder(self, descriptor: int, prefix: str, depth: int) -> None:
        """Collect the files of one open folder and below. Raises OSError where it cannot be read."""
        with os.scandir(descriptor) as found:
            self._collect_all(found, descriptor, prefix, depth)

    def flat(self, root: int) -> None:
        """Collect what is part of a drop in the open inbox root, and what lies below. Raises OSError where it cannot be read."""
        with os.scandir(root) as found:
            parts = list(islice((each for each in found if _is_flat_part(each)), MAX_FLAT_PARTS + 1))
        if len(parts) > MAX_FLAT_PARTS:
            self.oversize = error("too_many_files", name="The inbox itself", limit=MAX_FLAT_PARTS)
        self._collect_all(parts[:MAX_FLAT_PARTS], root, "", 1)

    def _collect_all(self, found: Iterable[os.DirEntry[str]], descriptor: int, prefix: str, depth: int) -> None:
        folders: list[str] = []
        for each in found:
            self._count += 1
            if self._count > self._max_files:
                self.oversize = error("too_many_files", name="This folder", limit=self._max_files)
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
                if not is_ignored(found.name, is_folder=True):
                    return True
                self.ignored_files.add((prefix + found.name, 0, 0))
                return False
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
            self.uids.add(found.st_uid)

    def _descend(self, name: str, folder: int, prefix: str, depth: int) -> None:
        if depth >= self._max_depth:
            self.oversize = error("too_deep", limit=self._max_depth)
        if self.oversize is not None:
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
