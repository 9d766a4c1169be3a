"""Read bytes of a file at any offset, without following a link."""

import math
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from heygem_daemon.core.errors import error
from heygem_daemon.media.formats import display_name, is_descriptor


@dataclass(frozen=True, kw_only=True)
class FileBytes:
    """An open file of `size` bytes."""

    path: Path
    size: int
    descriptor: int

    def at(self, offset: int, count: int) -> bytes:
        """Return up to `count` bytes from `offset` on, fewer at the end of the file. Raises TransientError (`io_error`)."""
        try:
            return os.pread(self.descriptor, min(count, self.size - offset), offset) if 0 <= offset < self.size else b""
        except OSError as problem:
            raise _unreadable(self.path, problem) from problem

    def number(self, offset: int, count: int, *, little: bool = False) -> int:
        """Return an unsigned number of `count` bytes, at most eight."""
        return int.from_bytes(self.at(offset, min(count, 8)), "little" if little else "big")

    def real(self, offset: int) -> float:
        """Return a number of eight bytes (IEEE 754, big-endian); 0 where it is none or missing."""
        (number,) = struct.unpack(">d", self.at(offset, 8).ljust(8, b"\0"))
        return float(number) if math.isfinite(number) else 0.0


@contextmanager
def open_bytes(path: Path) -> Iterator[FileBytes]:
    """Open a file for reading. Raises TransientError (`io_error`)."""
    try:
        follow = 0 if is_descriptor(path) else os.O_NOFOLLOW
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | follow)
    except OSError as problem:
        raise _unreadable(path, problem) from problem
    try:
        yield FileBytes(path=path, size=os.fstat(descriptor).st_size, descriptor=descriptor)
    finally:
        os.close(descriptor)


def _unreadable(path: Path, problem: OSError) -> Exception:
    return error("io_error", problem=f"{display_name(path)}: {problem.strerror}")
