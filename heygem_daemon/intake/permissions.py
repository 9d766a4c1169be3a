"""Who may not do what, and the command that changes it: a person's copy arrives with that person's rights, not with ours."""

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
    """Whether `path` can be renamed into another folder. The kernel asks for the right to write in a folder that gets another parent
    (its `..` changes), and for no right at all in a file. What is not there, or is a link, is no matter of permissions."""
    if path.is_symlink() or not path.is_dir():
        return True
    return os.access(path, os.W_OK, effective_ids=True) or not os.path.lexists(path)  # somebody else may just have taken it


def permission_error(path: Path, deed: str, inbox: Path) -> HeygemError:
    """Return the error for something at or below `inbox` that we have no right to `deed` ("move", "read", "change"), with its mend."""
    return error(
        "permission_denied",
        deed=deed,
        name=escape_name(str(path.relative_to(inbox)) if path != inbox and path.is_relative_to(inbox) else str(path)),
        owner=_owner(path),
        command=escape_name(fix_command(path, inbox)),
    )


def fix_command(path: Path, inbox: Path) -> str:
    """Return for a shell what gives us the rights to `path`."""
    return " && ".join(join(command) for command in commands(path, inbox))


def commands(path: Path, inbox: Path) -> list[tuple[str, ...]]:
    """Return what gives us the rights: to all of the drop that `path` lies in, or to the folder that should be ours."""
    parts = path.relative_to(inbox).parts if path.is_relative_to(inbox) else ()
    if not parts:
        return [("chown", _user(os.geteuid()), str(path))]
    top = str(inbox / parts[0])
    if parts[0] in {PRIVATE, DONE, FAILED}:
        return [("chown", "-R", _user(os.geteuid()), top)]
    is_shared = _group_of(path) in _our_groups()
    return [*([] if is_shared else [("chgrp", "-R", _group(_shared_group(inbox)), top)]), ("chmod", "-R", "g+rwX", top)]


def _shared_group(inbox: Path) -> int:
    """The inbox's group where we belong to it, else our own."""
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
    """Return the name of the owner; of what cannot even be looked at, that of the folder it lies in."""
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
