"""Bring the files of an inbox that a job names into its drop: once nothing writes to them, by a link, or in steps by a copy."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from heygem_daemon.core.names import UPLOADS, escape_name
from heygem_daemon.web.caller import Caller
from heygem_daemon.web.models import Role
from heygem_daemon.web.problems import WebProblem
from heygem_daemon.web.uploads.drafts import Drafts
from heygem_daemon.web.uploads.inbox_files import check_unused, copy_step, link, opened_file
from heygem_daemon.web.uploads.safe_files import opened_below, opened_inbox

T = TypeVar("T")

_MAX_WAIT: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class NamedFile:
    """A file of the inbox for a drop: its path in the inbox, and its name in the drop."""

    path: str
    role: Role
    stored: str


@dataclass(frozen=True, kw_only=True)
class _Version:
    """What changes while somebody writes to a file."""

    inode: int
    size: int
    changed: float


@dataclass(frozen=True, kw_only=True)
class NamedFiles:
    """Brings files of one inbox into the drop of one draft, on behalf of a caller."""

    drafts: Drafts
    caller: Caller
    inbox: Path
    draft_id: str

    async def bring(self, named: NamedFile, folders: tuple[str, ...]) -> None:
        """Bring a file into a folder of the draft. Raises WebProblem: no_such_file, file_in_use, disk_full."""
        version = await self._settled(named)
        if await self._call(partial(self._link, named, folders)):
            return
        await self.drafts.limits.check_room(self.inbox, version.size)
        offset = 0
        while offset < version.size:
            after = await self._call(partial(self._copy, named, folders, version, offset))
            offset = after

    async def _call(self, work: Callable[[], T]) -> T:
        return await self.drafts.shares.call(self.inbox, work)

    async def _settled(self, named: NamedFile) -> _Version:
        """Return the version of a file once it has not changed for the settle time: it may still be copied into the inbox."""
        settle = self.drafts.settings.intake.settle_seconds
        before = await self._call(partial(self._look, named))
        age = time.time() - before.changed
        if not 0 <= age < settle:
            return before
        await asyncio.sleep(min(settle - age, _MAX_WAIT))
        after = await self._call(partial(self._look, named))
        if after != before:
            raise WebProblem("file_in_use", name=escape_name(named.path))
        return after

    def _look(self, named: NamedFile) -> _Version:
        with opened_inbox(self.inbox) as root, opened_file(root, named.path, self.caller) as (_, found):
            return _Version(inode=found.st_ino, size=found.st_size, changed=found.st_mtime)

    def _link(self, named: NamedFile, folders: tuple[str, ...]) -> bool:
        with (
            opened_inbox(self.inbox) as root,
            opened_file(root, named.path, self.caller) as (source, _),
            opened_below(root, UPLOADS, self.draft_id, *folders) as target,
        ):
            if not link(source, named.stored, target):
                return False
            check_unused(named.stored, target, shown=named.path)
            return True

    def _copy(self, named: NamedFile, folders: tuple[str, ...], version: _Version, offset: int) -> int:
        with opened_inbox(self.inbox) as root, opened_file(root, named.path, self.caller) as (source, found):
            if (found.st_ino, found.st_size, found.st_mtime) != (version.inode, version.size, version.changed):
                raise WebProblem("file_in_use", name=escape_name(named.path))
            with opened_below(root, UPLOADS, self.draft_id, *folders) as target:
                return copy_step(source, named.stored, target, offset)
