"""Measure the disk of a folder, and name what is wrong with it after a failed system call."""

import os
from pathlib import Path

from heygem_daemon.core.errors import HeygemError
from heygem_daemon.core.names import escape_name
from heygem_daemon.core.storage import FULL, Room, storage_error


def room_in(folder: Path) -> Room | None:
    """Return what this user can still put into the file system of `folder`; None while it is not reachable."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    return Room(
        free=found.f_bavail * found.f_frsize,
        files=found.f_favail if found.f_files else None,
        is_read_only=bool(found.f_flag & os.ST_RDONLY),
    )


def disk_error(failed: OSError, folder: Path) -> HeygemError | None:
    """Return the error that names what is wrong with the disk of `folder`; None where the disk is not the reason."""
    room = room_in(folder) if failed.errno in FULL else None
    return storage_error(failed.errno, escape_name(str(folder)), room, failed.strerror or str(failed))
