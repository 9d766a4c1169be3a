"""Append to the log of a job, a file of bounded size beside its status: a convenience for readers, the journal has it all.

It is written without fsync, and never through a link: anybody may write into outputs.
"""

import errno
import json
import os
import stat
from collections.abc import Sequence
from datetime import datetime
from io import FileIO
from pathlib import Path
from typing import Final

from heygem_daemon.core.names import JOB_LOG

MAX_BYTES: Final = 256 * 2**10
_LAST_EVENT: Final = "job_log_full"
_TAIL_BYTES: Final = 512
"""The line that ends a full log is shorter, and is looked for there."""
_FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def append(folder: Path, lines: Sequence[str]) -> None:
    """Append lines to the log in an output folder that is there; nothing once it is full. Raises OSError."""
    parent = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        descriptor = os.open(JOB_LOG, _FLAGS, 0o664, dir_fd=parent)
    finally:
        os.close(parent)
    with FileIO(descriptor, "r+") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise OSError(errno.EINVAL, "not a file of its own", JOB_LOG)
        file.write(_content(_tail(descriptor, found.st_size), found.st_size, lines))


def _tail(descriptor: int, size: int) -> bytes:
    return os.pread(descriptor, _TAIL_BYTES, max(size - _TAIL_BYTES, 0))


def _content(tail: bytes, size: int, lines: Sequence[str]) -> bytes:
    """Return what to append to a log of `size` bytes that ends in `tail`."""
    if _LAST_EVENT.encode() in tail:
        return b""
    content = b"" if not tail or tail.endswith(b"\n") else b"\n"  # a line that a crash cut off stays alone
    for line in lines:
        encoded = line.encode(errors="backslashreplace") + b"\n"
        if size + len(content) + len(encoded) > MAX_BYTES - _TAIL_BYTES:
            return content + _last_line()
        content += encoded
    return content


def _last_line() -> bytes:
    time = datetime.now().astimezone().isoformat(timespec="milliseconds")
    message = "This log is full; the journal of the server has the later lines."
    return (json.dumps({"time": time, "level": "warning", "event": _LAST_EVENT, "message": message}) + "\n").encode()
