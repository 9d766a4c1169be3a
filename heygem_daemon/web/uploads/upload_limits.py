"""What may be uploaded: sizes and numbers by the configuration, and room on the disk before the first byte is sent."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from heygem_daemon.core.storage import human_bytes
from heygem_daemon.settings import Settings
from heygem_daemon.web.problems import WebProblem
from heygem_daemon.web.shares import Shares
from heygem_daemon.web.uploads import draft_store
from heygem_daemon.web.uploads.draft_store import Draft
from heygem_daemon.web.uploads.safe_files import opened_inbox

_OTHERS_SECONDS: Final = 2.0
"""How long other inboxes are waited for: one that is frozen must not keep uploads to a healthy one from beginning."""


@dataclass(frozen=True, kw_only=True)
class Holding:
    """What one unfinished draft holds. promised: bytes of its files when complete; missing: those that have not arrived."""

    owner: str
    promised: int
    missing: int


@dataclass(frozen=True, kw_only=True)
class Survey:
    """The unfinished drafts of one inbox, and its disk."""

    device: int
    free: int
    holdings: tuple[Holding, ...]


@dataclass(kw_only=True)
class UploadLimits:
    """The limits of [web], [limits] and [disk]."""

    settings: Settings
    shares: Shares
    _complete: set[str] = field(default_factory=set)
    """Ids of uploads seen complete: they need not be looked at again."""

    async def check_new_draft(self, owner: str, inbox: Path) -> None:
        """Raise WebProblem (`too_many_uploads`) where this user has as many unfinished uploads as are allowed."""
        surveys = await self._surveys(inbox)
        count = sum(holding.owner == owner for survey in surveys for holding in survey.holdings)
        if count >= self.settings.web.user_drafts:
            raise WebProblem("too_many_uploads", limit=str(self.settings.web.user_drafts))

    async def check_new_upload(self, draft: Draft, inbox: Path, length: int) -> None:
        """Raise WebProblem where a file of this length may not be added to the draft, or has no room on the disk."""
        web = self.settings.web
        if length > self.settings.limits.file_bytes:
            raise WebProblem("upload_too_large", limit=human_bytes(self.settings.limits.file_bytes))
        if sum(each.length for each in draft.uploads) + length > web.upload_bytes:
            raise WebProblem("upload_too_large", limit=human_bytes(web.upload_bytes))
        if len(draft.uploads) >= web.upload_files:
            raise WebProblem("too_many_files", limit=web.upload_files)
        surveys = await self._surveys(inbox)
        if sum(each.promised for survey in surveys for each in survey.holdings if each.owner == draft.owner) + length > web.user_bytes:
            raise WebProblem("too_many_uploads", limit=human_bytes(web.user_bytes))
        self._check_room(surveys, inbox, length)

    async def check_room(self, inbox: Path, length: int) -> None:
        """Raise WebProblem (`disk_full`) unless the disk has room for so many bytes beside the reserve and all unfinished uploads."""
        self._check_room(await self._surveys(inbox), inbox, length)

    def _check_room(self, surveys: Sequence[Survey], inbox: Path, length: int) -> None:
        own, *others = surveys
        missing = sum(each.missing for survey in (own, *others) if survey.device == own.device for each in survey.holdings)
        needed = self.settings.disk.reserve_bytes + missing + length
        if own.free < needed:
            raise WebProblem("disk_full", name=inbox.name, free=human_bytes(own.free), needed=human_bytes(needed))

    async def _surveys(self, inbox: Path) -> list[Survey]:
        """Return the survey of `inbox`, then those of the other inboxes that answer."""
        others = [each.path for each in self.settings.inboxes if each.path != inbox]
        waits = [asyncio.wait_for(self._survey(each), _OTHERS_SECONDS) for each in others]
        own, *rest = await asyncio.gather(self._survey(inbox), *waits, return_exceptions=True)
        if isinstance(own, BaseException):
            raise own
        return [own, *(each for each in rest if isinstance(each, Survey))]

    async def _survey(self, inbox: Path) -> Survey:
        survey, complete = await self.shares.call(
            inbox, partial(survey_inbox, inbox, self.settings.limits.file_bytes, frozenset(self._complete))
        )
        self._complete = complete | {each for each in self._complete if not each.startswith(draft_store.inbox_digits(inbox))}
        return survey


def survey_inbox(inbox: Path, file_bytes: int, complete: frozenset[str]) -> tuple[Survey, set[str]]:
    """Return the survey of an inbox, and the ids of its complete uploads; `complete` are those known before. Raises WebProblem."""
    holdings: list[Holding] = []
    found: set[str] = set()
    for draft_id in draft_store.ids(inbox):
        try:
            with draft_store.opened_draft(inbox, draft_id, file_bytes) as (folder, draft):
                if draft_store.is_published(folder, draft):
                    continue
                missing = {each.id: each.length - draft_store.offset_of(folder, each) for each in draft.uploads if each.id not in complete}
        except WebProblem:
            continue  # deleted meanwhile, or not ours
        found |= {each.id for each in draft.uploads if not missing.get(each.id, 0)}
        promised = sum(each.length for each in draft.uploads)
        holdings.append(Holding(owner=draft.owner, promised=promised, missing=sum(missing.values())))
    with opened_inbox(inbox) as root:
        disk = os.fstatvfs(root)
        device = os.fstat(root).st_dev
    return Survey(device=device, free=disk.f_bavail * disk.f_frsize, holdings=tuple(holdings)), found
