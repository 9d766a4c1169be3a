"""Bring files that lie in an inbox already into a new drop: linked where the file system allows it, copied elsewhere.

Every function blocks; requests call them through `Shares`.
"""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Final

from heygem_daemon.core.drop import JOB_TOML
from heygem_daemon.core.job_options import parse_job_toml
from heygem_daemon.core.names import DONE, FAILED, escape_name, is_valid_name
from heygem_daemon.core.toml_limits import MAX_CHARACTERS
from heygem_daemon.intake.leases import has_writer_at
from heygem_daemon.intake.listing import opened_folder
from heygem_daemon.web.caller import Caller
from heygem_daemon.web.problems import WebProblem
from heygem_daemon.web.uploads.safe_files import SHARED_FILE_MODE, read_small

STEP_BYTES: Final = 64 * 2**20
"""Copied in one call, so that a large file does not outlast the time limit of its share."""
_TOML_BYTES: Final = 4 * MAX_CHARACTERS
_NO_LINKS: Final = frozenset({errno.EPERM, errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES, errno.EINVAL})
_NOT_THERE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.ENAMETOOLONG})
_NO_COPY_RANGE: Final = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF})


def checked_parts(path: str) -> tuple[str, ...]:
    """Return the names on the way to a file of an inbox. Raises WebProblem (`no_such_file`) for what leads elsewhere, or is hidden."""
    parts = tuple(path.split("/"))
    if not all(is_valid_name(part) and not part.startswith(".") for part in parts):
        raise no_such_file(path)
    return parts


def no_such_file(path: str) -> WebProblem:
    """Return the answer for a file that is not there, or that the caller may not know of."""
    return WebProblem("no_such_file", name=escape_name(path))


@contextmanager
def opened_file(root: int, path: str, caller: Caller) -> Iterator[tuple[int, os.stat_result]]:
    """Hold open (O_PATH) a regular file below the open inbox `root`. Raises WebProblem (`no_such_file`) also for one of somebody else."""
    parts = checked_parts(path)
    with ExitStack() as stack:
        try:
            folders = [root]
            for name in parts[:-1]:
                folders.append(stack.enter_context(opened_folder(name, folders[-1])))
            descriptor = os.open(parts[-1], os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folders[-1])
        except OSError as failed:
            if failed.errno in _NOT_THERE:
                raise no_such_file(path) from None
            raise
        stack.callback(os.close, descriptor)
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or not _may_use(folders, parts, caller):
            raise no_such_file(path)
        yield descriptor, found


def _may_use(folders: Sequence[int], parts: tuple[str, ...], caller: Caller) -> bool:
    """Return whether the caller may use a file: those of his own drops, as an administrator all.

    folders: the inbox and those on the way to the file, open: by its path the drop could be another one meanwhile."""
    if caller.is_admin:
        return True
    depth = 2 if parts[0] in {DONE, FAILED} else 1
    return len(parts) > depth and caller.may_see(_owner(folders[depth]))


def _owner(drop: int) -> str:
    """Return the owner in the job.toml of an open drop, "" without one."""
    with suppress(OSError, UnicodeDecodeError):
        return parse_job_toml((read_small(JOB_TOML, drop, _TOML_BYTES) or b"").decode())[0].owner or ""
    return ""


def link(source: int, name: str, target: int) -> bool:
    """Give the open file a second name in the open folder `target`; False where the file system or the kernel refuses. Raises OSError."""
    try:
        os.link(f"/proc/self/fd/{source}", name, dst_dir_fd=target, follow_symlinks=True)
    except OSError as failed:
        if failed.errno in _NO_LINKS:
            return False
        raise
    return True


def check_unused(name: str, folder: int, *, shown: str) -> None:
    """Raise WebProblem (`file_in_use`) where a process writes to a file (as far as the kernel tells)."""
    if has_writer_at(name, folder):
        raise WebProblem("file_in_use", name=escape_name(shown))


def copy_step(source: int, name: str, target: int, offset: int) -> int:
    """Copy the next STEP_BYTES of the open (O_PATH) file to `name`; return the new offset, the same at the end. Raises OSError."""
    reading = os.open(f"/proc/self/fd/{source}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        writing = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, SHARED_FILE_MODE, dir_fd=target)
        try:
            if not offset:
                with suppress(PermissionError):
                    os.fchmod(writing, SHARED_FILE_MODE)
            end = offset + _copied(reading, writing, offset)
            os.fsync(writing)
            return end
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def _copied(reading: int, writing: int, offset: int) -> int:
    try:
        return os.copy_file_range(reading, writing, STEP_BYTES, offset, offset)
    except OSError as failed:
        if failed.errno not in _NO_COPY_RANGE:
            raise
    data = os.pread(reading, min(STEP_BYTES, 8 * 2**20), offset)
    return os.pwrite(writing, data, offset)
