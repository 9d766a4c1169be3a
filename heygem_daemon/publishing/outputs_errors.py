"""Turn an OSError in the outputs folder (full, gone, read-only) into one of our errors."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.core.names import escape_name
from heygem_daemon.core.policy import human_bytes

_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


def free_bytes(outputs: Path) -> int | None:
    """Return the space that this user can fill, in bytes; None while outputs is not reachable."""
    try:
        found = os.statvfs(outputs)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def outputs_error(outputs: Path, failed: OSError) -> HeygemError:
    """Return disk_full or outputs_offline; with both the job waits, and they cost no attempt."""
    if failed.errno in _NO_SPACE:
        free = free_bytes(outputs)
        return error("disk_full", free="nothing" if free is None else human_bytes(free), needed="more", path=escape_name(str(outputs)))
    return error("outputs_offline", path=escape_name(str(outputs)), problem=failed.strerror or str(failed))


@contextmanager
def outputs_errors(outputs: Path) -> Iterator[None]:
    """Turn every OSError inside into a TransientError."""
    try:
        yield
    except OSError as failed:
        raise outputs_error(outputs, failed) from failed


def folder_inside(outputs: Path, relative: str) -> Path:
    """Return `outputs/relative` with all its folders created.

    Raises OSError where one of them is a link (anybody who may write to the share could lead the daemon to another place) or not a
    folder, and ValueError for a path that leaves outputs.
    """
    folder = outputs
    for part in relative.split("/"):
        if part in {"", ".", ".."}:
            raise ValueError(f"not a path inside outputs: {relative!r}")
        folder = folder / part
        folder.mkdir(exist_ok=True)
        if folder.is_symlink():
            raise OSError(errno.ELOOP, "a folder of it is a link", str(folder))
    return folder
