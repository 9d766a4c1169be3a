"""Read files of outputs and inboxes, into which anybody may write: never through a link, never waiting on a pipe, small ones never beyond a
limit."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from heygem_daemon.core.names import is_inside

MAX_BYTES: Final = 8 * 2**20
"""Longer than the status or the index of the largest job that the limits allow."""

_FOLDER_FLAGS: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def read_file_in(folder: Path, name: str, limit: int = MAX_BYTES) -> bytes:
    """Return the content of the regular file `name` in `folder`; neither may be a link.

    Raises OSError, also for a file of more than `limit` bytes and for what is no regular file."""
    with open_file_in(folder, name) as file:
        if os.fstat(file.fileno()).st_size > limit:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), name)
        return file.read(limit)


def open_file_in(folder: Path, relative: str) -> BinaryIO:
    """Open the regular file `relative` below `folder` for reading; neither that folder nor anything on the way may be a link.

    Raises OSError, also for what is no regular file, and for a path that leaves the folder."""
    if not is_inside(relative):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), relative)
    with _parent(folder, relative) as (parent, name):
        descriptor = os.open(name, _FILE_FLAGS, dir_fd=parent)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)  # fdopen would leave that of a folder open
        raise OSError(errno.EINVAL, "not a regular file", relative)
    return os.fdopen(descriptor, "rb")


def is_file_in(folder: Path, relative: str) -> bool:
    """Return whether the regular file `relative` is below `folder` and has content; False for a path that leaves it, and for a link.
    Raises OSError where that cannot be found out."""
    if not is_inside(relative):
        return False
    try:
        with _parent(folder, relative) as (parent, name):
            found = os.lstat(name, dir_fd=parent)
    except OSError as failed:
        if failed.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
            return False
        raise
    return stat.S_ISREG(found.st_mode) and found.st_size > 0


@contextmanager
def _parent(folder: Path, relative: str) -> Iterator[tuple[int, str]]:
    """Open the folder in which the file `relative` below `folder` lies, and yield its descriptor and the file's name. Raises OSError, also
    where a folder on the way is a link."""
    *folders, name = relative.split("/")
    parent = os.open(folder, _FOLDER_FLAGS)
    try:
        for each in folders:
            outer, parent = parent, os.open(each, _FOLDER_FLAGS, dir_fd=parent)
            os.close(outer)
        yield parent, name
    finally:
        os.close(parent)
