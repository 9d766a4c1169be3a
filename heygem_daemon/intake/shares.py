"""What a failing inbox is called in our errors."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.core.names import display

_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


def as_transient(failed: OSError, inbox: Path, marker: str) -> HeygemError:
    """Return our error for a failed operation in an inbox: share_offline when its marker is gone too, disk_full, else io_error."""
    try:
        (inbox / marker).stat()
    except OSError:
        return error("share_offline", path=display(str(inbox)))
    if failed.errno in _NO_SPACE:
        return error("disk_full", free="nothing", needed="a little", path=display(str(inbox)))
    return error("io_error", problem=f"{failed.strerror or failed} ({display(str(failed.filename or inbox))})")


@contextmanager
def share_errors(inbox: Path, marker: str) -> Iterator[None]:
    """Turn every OSError inside into a TransientError."""
    try:
        yield
    except OSError as failed:
        raise as_transient(failed, inbox, marker) from failed
