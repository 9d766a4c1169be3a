"""Delete a folder with all that is in it, however deep and however much, in small steps.

`shutil.rmtree` calls itself for each level, and a path of a thousand levels ends it: anybody may put one into a drop.
"""

import errno
import itertools
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

_FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NOT_EMPTY: Final = frozenset({errno.ENOTEMPTY, errno.EEXIST})
_TAKEN: Final = frozenset({*_NOT_EMPTY, errno.ENOTDIR})


def delete_tree(folder: Path, pause: Callable[[], None] = lambda: None) -> None:
    """Delete `folder`, which nobody else may use any more. Links are deleted, never followed. Raises OSError where something could not be
    deleted, after all else was.

    A folder inside is emptied by moving the folders in it up into `folder`, so that no path gets long. pause: called after every file."""
    numbers = itertools.count()
    top = os.open(folder, _FOLDER_FLAGS)
    try:
        while names := os.listdir(top):
            freed = [name for name in names if _delete_entry(name, top, numbers, pause)]
            if not freed:
                break
    finally:
        os.close(top)
    folder.rmdir()


def _delete_entry(name: str, top: int, numbers: "itertools.count[int]", pause: Callable[[], None]) -> bool:
    """Delete what `name` is in the open folder `top`, or empty it; return whether that changed anything."""
    pause()
    try:
        if _unlink(name, top):
            return True
        inside = os.open(name, _FOLDER_FLAGS, dir_fd=top)
    except OSError:
        return False
    try:
        has_changed = [_empty_entry(each, inside, top, numbers, pause) for each in os.listdir(inside)]
    finally:
        os.close(inside)
    with suppress(OSError):
        os.rmdir(name, dir_fd=top)
        return True
    return any(has_changed)


def _empty_entry(name: str, inside: int, top: int, numbers: "itertools.count[int]", pause: Callable[[], None]) -> bool:
    """Delete what `name` is in the open folder `inside`, or move it up where it is a folder that is not empty."""
    pause()
    with suppress(OSError):
        if _unlink(name, inside):
            return True
        _move_up(name, inside, top, numbers)
        return True
    return False


def _move_up(name: str, inside: int, top: int, numbers: "itertools.count[int]") -> None:
    """Raises OSError."""
    for number in numbers:
        try:
            os.rename(name, f"{number}", src_dir_fd=inside, dst_dir_fd=top)
        except OSError as failed:
            if failed.errno not in _TAKEN:
                raise
        else:
            return


def _unlink(name: str, folder: int) -> bool:
    """Delete a file, a link or an empty folder; return False for a folder that is not empty. Raises OSError."""
    try:
        os.unlink(name, dir_fd=folder)
    except (IsADirectoryError, PermissionError):  # which of them an unlink of a folder raises depends on the file system
        try:
            os.rmdir(name, dir_fd=folder)
        except OSError as failed:
            if failed.errno not in _NOT_EMPTY:
                raise
            return False
    return True
