"""Write and rename files so that it survives a power cut and overwrites nothing by accident. Imports nothing of the package."""

import ctypes
import errno
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

_AT_FDCWD: Final = -100
_RENAME_NOREPLACE: Final = 1
_FIRST_NUMBERS: Final = 16
"""Numbers of equal names that are tried one by one; the others are not, there may be thousands."""
_UNSUPPORTED: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP})
_libc: Final = ctypes.CDLL(None, use_errno=True)


def rename_exclusive(source: Path, target: Path) -> None:
    """Rename `source` to `target`, atomically; FileExistsError when `target` exists (a plain rename would silently replace a file).

    Where the file system does not support renameat2(RENAME_NOREPLACE) (NFS, older CIFS), it is only checked before the rename.
    """
    renameat2 = getattr(_libc, "renameat2", None)
    if renameat2 is not None:
        if renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE) == 0:
            return
        number = ctypes.get_errno()
        if number not in _UNSUPPORTED:
            raise OSError(number, os.strerror(number), str(source), None, str(target))
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(source), None, str(target))
    source.rename(target)


def rename_numbered(source: Path, folder: Path, name: str) -> Path:
    """Rename `source` to `folder/name`, to `name-2`, `name-3` ... where that is taken (before the suffix of a file); return the path.

    Of thousands of taken numbers only a few are looked at, and the number is then not always the lowest that is free."""
    is_file = not source.is_dir() or source.is_symlink()

    def is_free(number: int) -> bool:
        return not os.path.lexists(folder / numbered_name(name, number, is_file=is_file))

    number = 1
    while True:
        candidate = numbered_name(name, number, is_file=is_file)
        try:
            rename_exclusive(source, folder / candidate)
        except FileExistsError:
            number = number + 1 if number < _FIRST_NUMBERS else free_number(number, is_free)
            continue
        return folder / candidate


def take_place(source: Path, target: Path) -> None:
    """Rename the file `source` to `target`, instead of the file or link there; a folder there gets a number, with all that is in it."""
    try:
        source.replace(target)
    except OSError:
        if not target.is_dir() or target.is_symlink():
            raise
        rename_numbered(target, target.parent, target.name)
        source.replace(target)


def numbered_name(name: str, number: int, *, is_file: bool = False) -> str:
    """Return `name-<number>` (before the suffix of a file), and for 1 the name itself."""
    if number == 1:
        return name
    stem, suffix = (name, "") if not is_file else os.path.splitext(name)  # noqa: PTH122 - splits names that Path would refuse
    end = f"-{number}{suffix}"
    # Linux file systems allow 255 bytes; a long name is cut to make room for its number.
    return os.fsdecode(os.fsencode(stem)[: 255 - len(os.fsencode(end))]) + end


def free_number(taken: int, is_free: Callable[[int], bool]) -> int:
    """Return a number above the taken one that is free while the one before it is taken, after a few looks however many are taken."""
    free = 2 * taken
    while not is_free(free):
        taken, free = free, 2 * free
    while free - taken > 1:
        middle = (taken + free) // 2
        taken, free = (taken, middle) if is_free(middle) else (middle, free)
    return free


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut. On shares without fsync of folders that is up to their server."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as failed:
        if failed.errno not in _UNSUPPORTED | {errno.EBADF}:
            raise
    finally:
        os.close(descriptor)


def temporary_of(path: Path) -> Path:
    """Return the file in which a new content of `path` is written before it takes its place; a crash may leave it."""
    return path.with_name(f".{path.name[:200]}.tmp")


def write_durably(path: Path, content: bytes, *, mode: int = 0o664) -> None:
    """Replace the file `path` (never what a link of that name points to) by `content`, all of it or nothing.

    mode: its permissions, less the umask."""
    _replace(path, content, mode=mode, is_synced=True)


def write_whole(path: Path, content: bytes, *, mode: int = 0o664) -> None:
    """Do the same without waiting for the disk: after a power cut the file may be empty. For what is written again after a restart."""
    _replace(path, content, mode=mode, is_synced=False)


def overwrite(path: Path, content: bytes, *, size: int = 4096, mode: int = 0o664) -> None:
    """Write `content`, padded with spaces to `size` bytes, over the small file `path`, in its place: that needs no free space once the file
    is there, and no other permission than on the file. A reader may see a part of two versions and should read again.

    Raises OSError, also for a link, for what is no file of its own, and for a content that is longer."""
    if len(content) > size:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise OSError(errno.EINVAL, "not a file of its own", str(path))
        if os.pwrite(descriptor, content.ljust(size), 0) < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(descriptor)


def _replace(path: Path, content: bytes, *, mode: int, is_synced: bool) -> None:
    temporary = _free_temporary(path)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            if is_synced:
                os.fsync(descriptor)
        take_place(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _free_temporary(path: Path) -> Path:
    """Return a name for a new content of `path` that nothing has: what a crash left is deleted, a folder that somebody made stays."""
    temporary = temporary_of(path)
    try:
        temporary.unlink(missing_ok=True)
    except OSError:
        if not temporary.is_dir() or temporary.is_symlink():
            raise
        return temporary.with_name(f"{temporary.stem}-{secrets.token_hex(4)}.tmp")
    return temporary
