"""Turn an OSError in the outputs folder (full, gone, read-only) into one of our errors."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.core.names import escape_name
from heygem_daemon.disks import disk_error


def outputs_error(outputs: Path, failed: OSError) -> HeygemError:
    """Return the error that names what is wrong with the disk, else outputs_offline; with each the job waits, and it costs no attempt."""
    offline = error("outputs_offline", path=escape_name(str(outputs)), problem=failed.strerror or str(failed))
    return disk_error(failed, outputs) or offline


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
        with suppress(FileExistsError):
            folder.mkdir()
        if folder.is_symlink():
            raise OSError(errno.ELOOP, f"{escape_name(part)} in it is a link", str(folder))
        if not folder.is_dir():
            raise OSError(errno.ENOTDIR, f"{escape_name(part)} in it is no folder", str(folder))
    return folder
