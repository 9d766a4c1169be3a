"""Turn an OSError in an inbox into one of our errors."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.core.names import escape_name
from heygem_daemon.disks import disk_error
from heygem_daemon.intake.permissions import DENIED, permission_error


def inbox_error(failed: OSError, inbox: Path, marker: str) -> HeygemError:
    """Return our error for a failed operation in an inbox: share_offline when its marker is gone too, permission_denied,
    the error that names what is wrong with its disk, else io_error."""
    try:
        (inbox / marker).stat()
    except OSError:
        return error("share_offline", path=escape_name(str(inbox)))
    if (known := disk_error(failed, inbox)) is not None:
        return known
    if failed.errno in DENIED:
        return permission_error(_forbidden(failed, inbox), "change", inbox)
    return error("io_error", problem=f"{failed.strerror or failed} ({escape_name(str(failed.filename or inbox))})")


def _forbidden(failed: OSError, inbox: Path) -> Path:
    """Return the path that refused access: the one in the error, or the folder it lies in, which every rename and removal changes."""
    named = [Path(os.fsdecode(each)) for each in (failed.filename, failed.filename2) if isinstance(each, str | bytes)]
    concerned = [each for path in named for each in (path, path.parent) if each.is_relative_to(inbox)]
    return next((each for each in concerned if each.is_dir() and not os.access(each, os.W_OK, effective_ids=True)), (*named, inbox)[0])


@contextmanager
def inbox_errors(inbox: Path, marker: str) -> Iterator[None]:
    """Turn every OSError inside into a TransientError."""
    try:
        yield
    except OSError as failed:
        raise inbox_error(failed, inbox, marker) from failed
