"""Work on files in folders that other people may write to: relative to open folders, never through a link that one of them made.

Every function blocks; requests call them through `Shares`.
"""

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from heygem_daemon.core.names import MARKER, escape_name
from heygem_daemon.intake.listing import opened_folder
from heygem_daemon.web.problems import WebProblem

_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_DENIED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_OFFLINE: Final = frozenset({errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ETIMEDOUT, errno.ENODEV})

_owners: Final[dict[int, int]] = {}
"""By device."""

SHARED_FOLDER_MODE: Final = 0o770
SHARED_FILE_MODE: Final = 0o660
"""For the group of the inbox, in which the daemon and the people of the share are: a drop that they may not move is never taken."""


@contextmanager
def opened_inbox(inbox: Path) -> Iterator[int]:
    """Hold an inbox open; OSErrors inside become WebProblems. Without its marker it is `inbox_offline`: an unmounted share looks empty."""
    with inbox_problems(inbox), ExitStack() as stack:
        try:
            folder = stack.enter_context(opened_folder(str(inbox)))
            os.stat(MARKER, dir_fd=folder)
        except FileNotFoundError:
            raise WebProblem("inbox_offline", name=escape_name(inbox.name)) from None
        yield folder


@contextmanager
def inbox_problems(inbox: Path) -> Iterator[None]:
    """Turn an OSError inside into the WebProblem for it: inbox_offline, disk_full, permission_denied, else internal."""
    try:
        yield
    except OSError as failed:
        raise problem_of(failed, inbox) from failed


def problem_of(failed: OSError, inbox: Path) -> WebProblem:
    """Return the WebProblem for an OSError in an inbox."""
    name = escape_name(inbox.name)
    if failed.errno in _NO_SPACE:
        return WebProblem("disk_full", name=name)
    if failed.errno in _DENIED:
        return WebProblem("permission_denied", name=name)
    return WebProblem("inbox_offline" if failed.errno in _OFFLINE else "internal", name=name)


@contextmanager
def opened_below(folder: int, *names: str) -> Iterator[int]:
    """Hold open the folder `names[0]/names[1]/...` below an open one, following no link. Raises OSError."""
    with ExitStack() as stack:
        for name in names:
            folder = stack.enter_context(opened_folder(name, folder))
        yield folder


def is_own(folder: int, root: int) -> bool:
    """Return whether an open folder of the open inbox `root` was made by our user, not by somebody else of the group. Raises OSError.

    Some shares name one owner for everything; there nobody can tell, and everything counts as ours."""
    found = os.fstat(folder)
    return found.st_uid == os.geteuid() or found.st_uid == _owner_of_new_files(root, found.st_dev)


def _owner_of_new_files(root: int, device: int) -> int:
    """Return the user whom the file system names for what we make, found out once by making a file. Raises OSError."""
    if device not in _owners:
        name = f".{secrets.token_hex(8)}.tmp"
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=root)
        try:
            _owners[device] = os.fstat(descriptor).st_uid
        finally:
            os.close(descriptor)
            os.unlink(name, dir_fd=root)
    return _owners[device]


def make_folder(name: str, parent: int, mode: int = SHARED_FOLDER_MODE, *, exist_ok: bool = False) -> None:
    """Make a folder with this mode, whatever the umask (file systems without modes keep theirs). Raises OSError.

    It is only changed where it is wrong: a service with RestrictSUIDSGID may not name the bit by which folders hand down their group."""
    try:
        os.mkdir(name, mode, dir_fd=parent)
    except FileExistsError:
        if not exist_ok:
            raise
        return
    with opened_folder(name, parent) as made, suppress(PermissionError):
        found = os.fstat(made).st_mode
        if found & 0o777 != mode:
            os.fchmod(made, mode | (found & stat.S_ISGID))


def hand_down_group(folder: int, group: int) -> None:
    """Let everything that is made in an open folder belong to a group, that of the inbox, where we are a member of it. Raises OSError."""
    found = os.fstat(folder)
    if found.st_gid != group or not found.st_mode & stat.S_ISGID:
        with suppress(PermissionError):
            os.fchown(folder, -1, group)
            os.fchmod(folder, stat.S_IMODE(found.st_mode) | stat.S_ISGID)


def open_regular(name: str, parent: int, flags: int, mode: int = SHARED_FILE_MODE) -> int:
    """Return a descriptor of a regular file that has no second name. Raises OSError (ELOOP for a link or anything else)."""
    descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode, dir_fd=parent)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
        if flags & os.O_CREAT and not found.st_size:
            with suppress(PermissionError):
                os.fchmod(descriptor, mode)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def size_of(name: str, parent: int) -> int:
    """Return the size of a regular file; 0 where there is none."""
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def read_small(name: str, parent: int, limit: int) -> bytes | None:
    """Return the content of a regular file of at most `limit` bytes; None without one. Raises OSError."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        return file.read(limit) if stat.S_ISREG(found.st_mode) and found.st_size <= limit else None


def write_durably_at(name: str, parent: int, content: bytes, mode: int = SHARED_FILE_MODE) -> None:
    """Replace the file `name` in an open folder by `content`, all of it or nothing, also after a power cut. Raises OSError."""
    temporary = f".{secrets.token_hex(8)}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            with suppress(PermissionError):
                os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
        sync_open_folder(parent)
    except OSError:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=parent)
        raise


def sync_open_folder(folder: int) -> None:
    """Make the names in an open folder survive a power cut. On shares without fsync of folders that is up to their server."""
    try:
        os.fsync(folder)
    except OSError as failed:
        if failed.errno not in {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EBADF}:
            raise


def delete_below(name: str, parent: int) -> None:
    """Delete a file, a link or a folder with all in it; follows no link; what is gone already is fine. Raises OSError."""
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            shutil.rmtree(name, dir_fd=parent)
        else:
            os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        pass


def exists_at(name: str, parent: int) -> bool:
    """Return whether an open folder has an entry of this name, a broken link included."""
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def path_of(folder: int) -> Path:
    """Return a path of an open folder that no rename or link on its way can redirect."""
    return Path(f"/proc/self/fd/{folder}")
