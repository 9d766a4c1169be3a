"""Name what is wrong with a disk or a share, from the number of a failed system call: full, out of inodes, a quota, read-only, failing.

Each has a code of its own, since each needs another hand: deleting large files does not help where there are too many small ones.
"""

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from heygem_daemon.core.errors import HeygemError, error


@dataclass(frozen=True, kw_only=True)
class Room:
    """What may still be put on a file system by the user of the service: bytes, and entries for files and folders (inodes).

    files: None where the file system has no such limit (btrfs) or does not tell it."""

    free: int
    files: int | None = None
    is_read_only: bool = False

    @property
    def has_no_files(self) -> bool:
        return self.files is not None and self.files < FEW_FILES


FEW_FILES: Final = 8
"""With fewer inodes than this it is they that are missing: others take and give back some all the time."""
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
SHORT: Final = frozenset({errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE})
"""Error numbers of a machine that has no more memory, processes, threads or descriptors to give."""
UNREACHABLE: Final = frozenset(
    {
        *(errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH),
        *(errno.ECONNRESET, errno.ECONNABORTED, errno.EKEYEXPIRED, errno.ENOKEY, errno.EACCES, errno.EBUSY, errno.ENOLCK),
    }
)
"""Error numbers of a share that does not answer, or refuses, for the moment."""
FAILING: Final = frozenset(
    {errno.EIO, errno.EREMOTEIO, errno.EUCLEAN, errno.EBADMSG, errno.ENXIO, errno.ENODEV, errno.ENOMEDIUM, errno.EBADFD}
)
"""Error numbers of a disk that fails. EUCLEAN: the file system is damaged (ext4, xfs, btrfs)."""
_SQLITE: Final[Mapping[int, int]] = {8: errno.EROFS, 10: errno.EIO, 13: errno.ENOSPC}
"""SQLITE_READONLY, SQLITE_IOERR, SQLITE_FULL."""
_SQLITE_CANTOPEN: Final = 14


def storage_error(number: int | None, path: str, room: Room | None, problem: str = "") -> HeygemError | None:
    """Return the error for a system call that failed with this number in the folder `path`; None where no disk is the reason.

    room: of that folder, None where it cannot be measured. problem: the message of the system."""
    if number == errno.EDQUOT:
        return error("quota_full", path=path)
    if number == errno.ENOSPC:
        if room is not None and room.has_no_files:
            return error("inodes_full", path=path, free=human_bytes(room.free))
        return error("disk_full", path=path, free="nothing" if room is None else human_bytes(room.free), needed="more")
    if number == errno.EROFS:
        return error("read_only", path=path)
    if number in FAILING:
        return error("disk_failing", path=path, problem=problem or "input/output error")
    return None


def sqlite_error(code: int, path: str, room: Room | None, problem: str) -> HeygemError | None:
    """Return the error for a primary result code of SQLite, whose file lies in the folder `path`; None where no disk is the reason."""
    number = _SQLITE.get(code)
    if code == _SQLITE_CANTOPEN and room is not None and room.has_no_files:  # its log, or its index, cannot be made
        number = errno.ENOSPC
    if number == errno.EROFS and room is not None and not room.is_read_only:  # the file is another user's, or protected
        return None
    return storage_error(number, path, room, problem)


def human_bytes(count: int) -> str:
    """Return a size with its decimal unit, as disks are sold: 999 B, 1.5 GB."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.95:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
