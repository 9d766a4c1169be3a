"""The user whose rights are checked. Root becomes the user of the service first: what root can do proves nothing about that user."""

import grp
import os
import pwd
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import join, quote
from typing import Final

PEOPLE: Final = "heygem-users"
"""The group, made by `make install`, of those who may drop files and fetch results."""
_FIRST_PERSON: Final = 1000
"""The user ids below belong to the system (login.defs, UID_MIN)."""


class IdentityError(Exception):
    """We cannot become the user we should check as; the message is a sentence."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The user whose rights are checked. `is_run_by_root`: root started the check, and commands need no sudo."""

    name: str
    uid: int
    gid: int
    groups: frozenset[int]
    is_run_by_root: bool

    @property
    def is_service(self) -> bool:
        """Return whether this is an account that other people hand their files to, not somebody's own."""
        return self.uid != 0 and (self.is_run_by_root or self.uid < _FIRST_PERSON)

    def command(self, *commands: Sequence[str], owner: int = 0) -> str:
        """Return commands for a shell, quoted, one after the other; with sudo where neither root nor the `owner` runs them."""
        needs_sudo = not self.is_run_by_root and not (owner and owner == self.uid)
        return " && ".join(f"{'sudo ' if needs_sudo else ''}{join(command)}" for command in commands)

    def take_over(self, path: Path, mode: str, group: str = "") -> str:
        """Return the commands that make `path` ours, with this mode."""
        return self.command(("chown", f"{self.name}:{group}" if group else self.name, str(path)), ("chmod", mode, str(path)))


def current(*, is_run_by_root: bool | None = None) -> Identity:
    uid, gid = os.geteuid(), os.getegid()
    return Identity(
        name=user_name(uid),
        uid=uid,
        gid=gid,
        groups=frozenset({gid, *os.getgroups()}),
        is_run_by_root=uid == 0 if is_run_by_root is None else is_run_by_root,
    )


def become(wanted: str | None, state_owner: tuple[int, int] | None) -> Identity:
    """Become the user `wanted`, else as root the owner (uid, gid) of the state folder; there is no way back. Raises IdentityError."""
    if os.geteuid() != 0:
        if wanted not in {None, user_name(os.geteuid())}:
            raise IdentityError(f"only root can check as {wanted}: sudo heygem check --user {quote(str(wanted))}")
        return current()
    if wanted is not None:
        try:
            account = pwd.getpwnam(wanted)
        except KeyError:
            raise IdentityError(f"there is no user named {wanted}") from None
        _drop(account.pw_uid, account.pw_gid)
    elif state_owner is not None and state_owner[0] != 0:
        _drop(*state_owner)
    return current(is_run_by_root=True)


def _drop(uid: int, gid: int) -> None:
    """Give up root. An account without a name (a container's) has no further groups and no home."""
    try:
        account = pwd.getpwuid(uid)
    except KeyError:
        os.setgroups([])
    else:
        gid = account.pw_gid
        os.initgroups(account.pw_name, gid)
        os.environ.update(HOME=account.pw_dir, USER=account.pw_name, LOGNAME=account.pw_name)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def user_name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def has_group(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def members(number: int) -> list[str]:
    """Return the names of the accounts in a group, sorted."""
    try:
        listed = set(grp.getgrgid(number).gr_mem)
    except KeyError:
        listed = set()
    return sorted(listed | {account.pw_name for account in pwd.getpwall() if account.pw_gid == number})
