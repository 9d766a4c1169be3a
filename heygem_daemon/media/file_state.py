"""What distinguishes one state of a file from the next, as for the files of a drop."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, kw_only=True)
class FileState:
    """The state of a regular file. No move of the folder that it lies in changes it."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, path: Path) -> Self | None:
        """Return the state of a regular file; None for everything else, and where it cannot be opened."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            found = os.fstat(descriptor)  # of the open file: on a network share an open asks the server anew
        finally:
            os.close(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return None
        return cls(device=found.st_dev, inode=found.st_ino, size=found.st_size, mtime_ns=found.st_mtime_ns, ctime_ns=found.st_ctime_ns)


def identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of a file, None while it cannot be reached. Another pair is another file, or a share mounted anew."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
