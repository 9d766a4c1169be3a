"""Check owner, group, mode and ACL: who can write where, by name."""

import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final

from heygem_daemon.cli.checks.directories import Directory, Role
from heygem_daemon.cli.checks.finding import Finding, fault, ok, warning
from heygem_daemon.cli.checks.identity import PEOPLE, Identity, group_name, has_group, members, user_name

_READ_IN: Final = 0o5
_WRITE_IN: Final = 0o3
"""To make, rename and remove files in a folder takes write and search permission on it."""
_SHOWN_NAMES: Final = 8
"""How many members of a group are listed."""


class Tag(IntEnum):
    """The subject of an entry in a POSIX ACL: linux/posix_acl.h."""

    OWNER = 0x01
    USER = 0x02
    OWNING_GROUP = 0x04
    GROUP = 0x08
    MASK = 0x10
    OTHERS = 0x20


_ENTRY: Final = struct.Struct("<HHI")
_VERSION: Final = struct.Struct("<I")
_MASKED: Final = frozenset({Tag.USER, Tag.OWNING_GROUP, Tag.GROUP})


@dataclass(frozen=True, kw_only=True)
class Grant:
    """The permissions of one user, one group, or everybody else: `bits` are read 4, write 2, pass through 1."""

    tag: Tag
    number: int
    bits: int

    def may(self, bits: int) -> bool:
        return self.bits & bits == bits

    @property
    def is_group(self) -> bool:
        return self.tag in {Tag.OWNING_GROUP, Tag.GROUP}


@dataclass(frozen=True, kw_only=True)
class Rights:
    """The permissions on one folder or file, of everybody who has any."""

    owner: int
    group: int
    mode: int
    grants: tuple[Grant, ...]

    def grants_with(self, bits: int) -> list[Grant]:
        return [grant for grant in self.grants if grant.may(bits)]

    @property
    def others(self) -> int:
        return self.mode & 0o7

    @property
    def is_setgid(self) -> bool:
        return bool(self.mode & stat.S_ISGID)


def rights_of(path: Path) -> Rights:
    """Return the rights at `path`, from its ACL where it has one. Raises OSError."""
    found = path.stat()
    grants = tuple(_from_acl(path, found)) or tuple(_from_mode(found))
    return Rights(owner=found.st_uid, group=found.st_gid, mode=stat.S_IMODE(found.st_mode), grants=grants)


def _from_mode(found: os.stat_result) -> Iterator[Grant]:
    yield Grant(tag=Tag.OWNER, number=found.st_uid, bits=found.st_mode >> 6 & 7)
    yield Grant(tag=Tag.OWNING_GROUP, number=found.st_gid, bits=found.st_mode >> 3 & 7)
    yield Grant(tag=Tag.OTHERS, number=-1, bits=found.st_mode & 7)


def _from_acl(path: Path, found: os.stat_result) -> Iterator[Grant]:
    try:
        content = os.getxattr(path, "system.posix_acl_access")
    except OSError:  # none, or none on this file system
        return
    entries = [(Tag(tag), bits, number) for tag, bits, number in _ENTRY.iter_unpack(content[_VERSION.size :])]
    mask = next((bits for tag, bits, _ in entries if tag is Tag.MASK), 7)
    numbers = {Tag.OWNER: found.st_uid, Tag.OWNING_GROUP: found.st_gid}
    for tag, bits, number in entries:
        if tag is not Tag.MASK:
            yield Grant(tag=tag, number=numbers.get(tag, number), bits=bits & mask if tag in _MASKED else bits)


def allows(rights: Rights, me: Identity) -> bool:
    """Return whether owner, mode and ACL let us work in a folder: a refusal then has another reason."""
    if rights.owner == me.uid:
        return any(grant.tag is Tag.OWNER for grant in rights.grants_with(_WRITE_IN))
    return any(
        grant.tag is Tag.OTHERS or grant.number in (me.groups if grant.is_group else {me.uid}) for grant in rights.grants_with(_WRITE_IN)
    )


def describe(rights: Rights, bits: int = _WRITE_IN) -> str:
    """Return in names who may do that: "heygem and the group heygem-users (alice, bob)"."""
    words = [_name(grant) for grant in rights.grants_with(bits)]
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:]))) or "nobody"


def _name(grant: Grant) -> str:
    if grant.tag is Tag.OTHERS:
        return "everybody on this machine"
    if not grant.is_group:
        return user_name(grant.number)
    known = members(grant.number)
    shown = ", ".join(known[:_SHOWN_NAMES]) + (" ..." if len(known) > _SHOWN_NAMES else "")
    return f"the group {group_name(grant.number)} ({shown or 'nobody is in it'})"


def findings(directory: Directory, me: Identity) -> Iterator[Finding]:
    """Check the rights at one directory. Raises OSError."""
    rights = rights_of(directory.path)
    if directory.is_shared:
        yield from _shared(directory, rights, me)
    elif directory.role in {Role.STATE, Role.CACHE, Role.WEIGHTS, Role.CORPUS}:
        yield from private_findings(directory.title, directory.path, rights, me, is_vital=directory.role is Role.STATE)


def _shared(directory: Directory, rights: Rights, me: Identity) -> Iterator[Finding]:
    """Check an inbox or outputs: the users have access, everybody has not, and new files must belong to the users' group."""
    action, bits = ("put drops into", _WRITE_IN) if directory.role is Role.INBOX else ("read", _READ_IN)
    people = [grant for grant in rights.grants_with(bits) if _are_people(grant, me)]
    if rights.others & 0o2:
        what = f"everybody on this machine can write to {directory.title}"
        yield warning(what, me.command(("chmod", "o-w", str(directory.path)), owner=rights.owner))
    if not people and me.is_service:
        yield warning(f"nobody but {describe(rights, bits)} can {action} {directory.title}", _grant_command(directory, rights, me))
    elif me.is_service and not rights.is_setgid:
        what = f"what is made in {directory.title} does not belong to its group {group_name(rights.group)}: the setgid bit is missing"
        yield warning(what, me.command(("chmod", "g+s", str(directory.path)), owner=rights.owner))
    else:
        yield ok(f"{describe(rights, bits)} can {action} {directory.title}")


def _are_people(grant: Grant, me: Identity) -> bool:
    """Return whether a grant reaches anybody but the service: a group of its own, with nobody else in it, does not."""
    if not grant.is_group:
        return grant.tag is Tag.OTHERS or grant.number not in {me.uid, 0}
    return grant.number not in {0, me.gid} or bool(set(members(grant.number)) - {me.name, "root"})


def _grant_command(directory: Directory, rights: Rights, me: Identity) -> str:
    steps: list[tuple[str, ...]] = []
    if rights.group in {0, me.gid}:
        steps += [] if has_group(PEOPLE) else [("groupadd", "--system", PEOPLE)]
        steps += [("chgrp", PEOPLE, str(directory.path))]
    return me.command(*steps, ("chmod", directory.mode, str(directory.path)))


def private_findings(title: str, path: Path, rights: Rights, me: Identity, *, is_vital: bool) -> Iterator[Finding]:
    """Check that nobody else can write what controls the daemon, or what it trusts."""
    foreign = [grant for grant in rights.grants_with(0o2) if _is_foreign(grant, me)]
    if not foreign:
        yield ok(f"{describe(rights, 0o2)} can write to {title}")
        return
    what = f"{title} can be written by {' and '.join(_name(grant) for grant in foreign)}"
    make = fault if is_vital else warning
    yield make(what, _revoke_command(path, foreign, me, rights.owner))


def _is_foreign(grant: Grant, me: Identity) -> bool:
    if grant.is_group:
        return grant.number not in {0, me.gid}
    return grant.tag is Tag.OTHERS or grant.number not in {0, me.uid}


def _revoke_command(path: Path, foreign: list[Grant], me: Identity, owner: int) -> str:
    steps: list[tuple[str, ...]] = []
    for guest in foreign:
        if guest.tag is Tag.OWNER:
            steps.append(("chown", me.name, str(path)))
        elif guest.tag in {Tag.USER, Tag.GROUP}:
            kind = "user" if guest.tag is Tag.USER else "group"
            steps.append(("setfacl", "-x", f"{kind}:{guest.number}", str(path)))
        else:
            steps.append(("chmod", "g-w" if guest.tag is Tag.OWNING_GROUP else "o-w", str(path)))
    return me.command(*steps, owner=0 if any(step[0] == "chown" for step in steps) else owner)
