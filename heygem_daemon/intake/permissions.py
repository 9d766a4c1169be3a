"""Find out what may not be moved or read, and the command that fixes it: files arrive with the permissions of whoever copied them."""

import errno
import grp
import os
import pwd
from pathlib import Path
from shlex import join
from typing import Final

from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.core.names import DONE, FAILED, PRIVATE, escape_name

DENIED: Final = frozenset({errno.EACCES, errno.EPERM})


def may_move(path: Path) -> bool:
    """Return whether `path` can be renamed into another folder; True for a link or a path that is gone.

    The kernel demands write permission on a folder that gets another parent (its `..` changes), and none on a file."""
    if path.is_symlink() or not path.is_dir():
        return True
    return os.access(path, os.W_OK, effective_ids=True) or not os.path.lexists(path)  # another process may just have taken it


def may_read(path: Path) -> bool:
    """Return whether the folder or file `path` can be read; True for a path that is gone, and for a link, which nobody follows and no
    permission makes readable. Raises OSError where it cannot be reached."""
    if path.is_symlink():
        return True
    wanted = os.R_OK | os.X_OK if path.is_dir() else os.R_OK
    return os.access(path, wanted, effective_ids=True) or not os.path.lexists(path)


def permission_error(path: Path, action: str, inbox: Path) -> HeygemError:
    """Return the error for a path in `inbox` that we may not `action` ("move", "read", "change"), with the command that fixes it."""
    return error(
        "permission_denied",
        action=action,
        name=escape_name(str(path.relative_to(inbox)) if path != inbox and path.is_relative_to(inbox) else str(path)),
        owner=_owner(path),
        command=escape_name(fix_command(path, inbox)),
    )


def fix_command(path: Path, inbox: Path) -> str:
    """Return the shell command that gives us the permissions on `path`."""
    return " && ".join(join(command) for command in commands(path, inbox))


def commands(path: Path, inbox: Path) -> list[tuple[str, ...]]:
    """Return the commands that give us the permissions: on the whole drop that `path` lies in, or on the folder that should be ours."""
    parts = path.relative_to(inbox).parts if path.is_relative_to(inbox) else ()
    if not parts:
        return [("chown", _user(os.geteuid()), str(path))]
    top = str(inbox / parts[0])
    if parts[0] in {PRIVATE, DONE, FAILED}:
        return [("chown", "-R", _user(os.geteuid()), top)]
    is_shared = _group_of(path) in _our_groups()
    return [*([] if is_shared else [("chgrp", "-R", _group(_shared_group(inbox)), top)]), ("chmod", "-R", "g+rwX", top)]


def _shared_group(inbox: Path) -> int:
    """Return the inbox's group where we belong to it, else our own."""
    group = _group_of(inbox)
    return group if group in _our_groups() else os.getegid()


def _our_groups() -> set[int]:
    return {os.getegid(), *os.getgroups()}


def _group_of(path: Path) -> int:
    try:
        return path.lstat().st_gid
    except OSError:
        return -1


def _owner(path: Path) -> str:
    """Return the owner's name; for a path that cannot be read at all, the owner of its folder."""
    for each in (path, path.parent):
        try:
            return _user(each.lstat().st_uid)
        except OSError:
            continue
    return "somebody else"


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
