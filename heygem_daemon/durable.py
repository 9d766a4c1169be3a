"""Write and rename files so that it survives a power cut and overwrites nothing by accident. Imports nothing of the package."""

import ctypes
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_AT_FDCWD: Final = -100
_RENAME_NOREPLACE: Final = 1
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
    """Rename `source` to `folder/name`, to `name-2`, `name-3` ... where that is taken (before the suffix of a file); return the path."""
    for candidate in _numbered(name, is_file=not source.is_dir() or source.is_symlink()):
        try:
            rename_exclusive(source, folder / candidate)
        except FileExistsError:
            continue
        return folder / candidate
    raise AssertionError("the numbers never end")


def _numbered(name: str, *, is_file: bool) -> Iterator[str]:
    yield name
    stem, suffix = (name, "") if not is_file else os.path.splitext(name)  # noqa: PTH122 - splits names that Path would refuse
    number = 2
    while True:
        end = f"-{number}{suffix}"
        # Linux file systems allow 255 bytes; a long name is cut to make room for its number.
        yield os.fsdecode(os.fsencode(stem)[: 255 - len(os.fsencode(end))]) + end
        number += 1


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


def write_durably(path: Path, content: bytes, *, mode: int = 0o664) -> None:
    """Replace the file `path` (never what a link of that name points to) by `content`, all of it or nothing.

    mode: its permissions, less the umask."""
    _replace(path, content, mode=mode, is_synced=True)


def write_whole(path: Path, content: bytes, *, mode: int = 0o664) -> None:
    """Do the same without waiting for the disk: after a power cut the file may be empty. For what is written again after a restart."""
    _replace(path, content, mode=mode, is_synced=False)


def _replace(path: Path, content: bytes, *, mode: int, is_synced: bool) -> None:
    temporary = path.with_name(f".{path.name[:200]}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            if is_synced:
                os.fsync(descriptor)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
