"""Open regular files below a share without following a link, and read them in bounded parts, each with the time limit of the share.

Hard links are not refused: to make one, somebody must have been able to read the file anyway, and backup programs make them.
"""

import errno
import os
import stat
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from heygem_daemon.web.problems import WebProblem
from heygem_daemon.web.shares import Shares

CHUNK: Final = 512 * 1024
"""Bytes that are read at a time, and the most that a download holds in memory beside the socket's buffer."""

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_NOT_WHAT_WAS_ASKED: Final = frozenset({errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.ENXIO, errno.EINVAL})


class BrokenStreamError(Exception):
    """An answer that has begun cannot be finished: the connection is cut, so that the client notices."""


@dataclass(frozen=True, kw_only=True)
class OpenFile:
    """A regular file, open for reading. `name` is the last part of its path."""

    descriptor: int
    name: str
    size: int
    mtime_ns: int


def open_below(root: int, path: str) -> OpenFile:
    """Open the regular file `path` below the open folder `root`, part by part. Raises OSError, FileNotFoundError for what is no file."""
    *folders, name = path.split("/")
    if not all(is_plain(part) for part in (*folders, name)):
        raise FileNotFoundError(path)
    with open_folders(root, folders) as folder:
        return open_file(folder, name)


def open_file(folder: int, name: str) -> OpenFile:
    """Open the regular file `name` in an open folder. Raises OSError; FileNotFoundError for a link, a pipe or a device."""
    try:
        # O_NONBLOCK: a pipe in its place would wait for a writer.
        descriptor = os.open(name, _FILE, dir_fd=folder)
    except OSError as failed:
        raise _as_missing(failed, name) from failed
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise FileNotFoundError(name)
    return OpenFile(descriptor=descriptor, name=name, size=found.st_size, mtime_ns=found.st_mtime_ns)


@contextmanager
def open_folder(name: str | Path, parent: int | None = None) -> Iterator[int]:
    """Hold a folder open. Below `parent` a link is refused; the topmost path (an inbox, outputs) may be one. Raises OSError."""
    try:
        descriptor = os.open(name, _FOLDER | (0 if parent is None else os.O_NOFOLLOW), dir_fd=parent)
    except OSError as failed:
        raise _as_missing(failed, str(name)) from failed
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def open_folders(root: int, parts: Iterable[str]) -> Iterator[int]:
    """Hold the folder open that lies at these parts below the open folder `root`; no part may be a link. Raises OSError."""
    descriptor = os.dup(root)
    try:
        for part in parts:
            with open_folder(part, descriptor) as inner:
                os.close(descriptor)
                descriptor = os.dup(inner)
        yield descriptor
    finally:
        os.close(descriptor)


def is_plain(part: str) -> bool:
    """Return whether one part of a path names something in its folder, and is not hidden."""
    return part not in {"", ".", ".."} and "/" not in part and "\0" not in part and not part.startswith(".")


def _as_missing(failed: OSError, name: str) -> OSError:
    """Return FileNotFoundError for what is there but is not what was asked for: a link, a file in the place of a folder."""
    if isinstance(failed, (PermissionError, FileNotFoundError)) or failed.errno is None:
        return failed
    return FileNotFoundError(name) if failed.errno in _NOT_WHAT_WAS_ASKED else failed


class _Handover:
    """Opens a file in a thread; when nobody waits for it any more, the thread closes it again."""

    def __init__(self, work: Callable[[], OpenFile]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._abandoned = False
        self._opened: OpenFile | None = None

    def run(self) -> OpenFile:
        opened = self._work()
        with self._lock:
            self._opened = opened
            if self._abandoned:
                os.close(opened.descriptor)
        return opened

    def abandon(self) -> None:
        with self._lock:
            self._abandoned = True
            if self._opened is not None:
                os.close(self._opened.descriptor)


@asynccontextmanager
async def held_open(shares: Shares, share: Path, work: Callable[[], OpenFile]) -> AsyncIterator[OpenFile]:
    """Hold open what `work` opens below a share. Raises WebProblem: `not_found`, `permission_denied`, `share_timeout`."""
    opened = await open_through(shares, share, work)
    try:
        yield opened
    finally:
        # Not waited for: closing a file of a dead share may hang as well.
        shares.start(share, lambda: os.close(opened.descriptor))


async def open_through(shares: Shares, share: Path, work: Callable[[], OpenFile]) -> OpenFile:
    """Return what `work` opens below a share; the caller closes it.

    Raises WebProblem: `not_found`, `permission_denied`, `outputs_offline`, `share_timeout`."""
    handover = _Handover(work)
    try:
        return await shares.call(share, handover.run)
    except FileNotFoundError:
        raise WebProblem("not_found") from None
    except PermissionError as denied:
        raise WebProblem("permission_denied", path=str(share)) from denied
    except OSError as failed:
        raise WebProblem("outputs_offline", path=str(share)) from failed
    except BaseException:
        handover.abandon()
        raise


async def read_parts(shares: Shares, share: Path, opened: OpenFile, start: int, length: int) -> AsyncGenerator[bytes, None]:
    """Yield `length` bytes of a file from `start` on. Raises BrokenStreamError where the file is shorter or its share does not answer."""
    offset, end = start, start + length
    while offset < end:
        part = await _read(shares, share, opened, offset, min(CHUNK, end - offset))
        offset += len(part)
        yield part


async def _read(shares: Shares, share: Path, opened: OpenFile, offset: int, size: int) -> bytes:
    try:
        part = await shares.call(share, lambda: os.pread(opened.descriptor, size, offset))
    except WebProblem as timeout:
        raise BrokenStreamError(f"{share} does not answer") from timeout
    except OSError as failed:
        raise BrokenStreamError(f"{opened.name}: {failed.strerror}") from failed
    if not part:
        raise BrokenStreamError(f"{opened.name} became shorter while it was read")
    return part
