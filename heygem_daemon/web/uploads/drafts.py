"""Drops that are being uploaded: made, filled, looked up, deleted, and forgotten when nobody continues them."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, TypeVar
from weakref import WeakValueDictionary

from heygem_daemon.clock_record import ClockRecord
from heygem_daemon.core.clock import ClockReading
from heygem_daemon.core.clock_trust import ClockTrust
from heygem_daemon.core.names import UPLOADS
from heygem_daemon.settings import Settings
from heygem_daemon.web.caller import Caller
from heygem_daemon.web.jobs.share_poll import repeat
from heygem_daemon.web.models import DraftStatus, Role, UploadStatus
from heygem_daemon.web.problems import WebProblem
from heygem_daemon.web.shares import Shares
from heygem_daemon.web.uploads import draft_store
from heygem_daemon.web.uploads.draft_store import Draft, Upload
from heygem_daemon.web.uploads.draft_sweep import sweep_draft
from heygem_daemon.web.uploads.stored_names import stored_name
from heygem_daemon.web.uploads.upload_limits import UploadLimits
from heygem_daemon.web.uploads.upload_locks import UploadLocks

T = TypeVar("T")

SWEEP_SECONDS: Final = 3600.0
HOUR: Final = 3600.0
_UNREACHABLE: Final = frozenset({"share_timeout", "inbox_offline"})
"""Problems that the other drafts of an inbox have as well."""

_log: Final = logging.getLogger(__name__)


class Drafts:
    """The unfinished uploads of all inboxes. Nothing of them is kept in memory: a restart of the page changes nothing."""

    def __init__(self, settings: Settings, shares: Shares) -> None:
        self.settings = settings
        self.shares = shares
        self.limits = UploadLimits(settings=settings, shares=shares)
        self.uploading = UploadLocks()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._sweeping: asyncio.Task[None] | None = None
        self._clock_record = ClockRecord(settings.web.state / "clock.json")
        self._clock_trust: ClockTrust | None = None

    def start(self) -> None:
        """Begin to delete what nobody continues."""
        self._sweeping = asyncio.create_task(repeat(self.sweep, SWEEP_SECONDS))

    async def stop(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
            with suppress(asyncio.CancelledError):
                await self._sweeping

    # -- drafts --------------------------------------------------------------------------------------------------------

    async def create(self, caller: Caller, inbox_number: int) -> DraftStatus:
        """Make an empty draft in an inbox. Raises WebProblem."""
        inbox = self.inbox(inbox_number)
        async with self._lock(str(inbox)):
            await self.limits.check_new_draft(caller.name, inbox)
            draft = Draft(id=draft_store.new_draft_id(inbox), owner=caller.name, created=time.time())
            await self.shares.call(inbox, partial(draft_store.create, inbox, draft))
        return self._status(draft, {}, draft.created)

    async def status(self, caller: Caller, draft_id: str) -> DraftStatus:
        """Return what has arrived of a draft. Raises WebProblem: `not_found` also for one of somebody else, or one that is a job now."""

        def look(folder: int, draft: Draft) -> DraftStatus:
            return self._status(draft, draft_store.offsets(folder, draft), draft_store.touched(folder, draft))

        return await self.work(caller, draft_id, look)

    async def delete(self, caller: Caller, draft_id: str) -> None:
        """Delete a draft with all that was uploaded. Raises WebProblem."""
        inbox = self.inbox_of(draft_id)
        async with self.lock(draft_id):
            await self.work(caller, draft_id, lambda _folder, _draft: None)
            await self.shares.call(inbox, partial(draft_store.delete, inbox, draft_id))

    # -- files ---------------------------------------------------------------------------------------------------------

    async def add(self, caller: Caller, draft_id: str, name: str, role: Role, length: int) -> UploadStatus:
        """Add a file to a draft, of which nothing has arrived. Raises WebProblem."""
        if length == 0:
            raise WebProblem("empty_file", name=name)
        inbox = self.inbox_of(draft_id)
        async with self._lock(str(inbox)):
            draft = await self.work(caller, draft_id, lambda _folder, draft: draft)
            stored = stored_name(name, role, [each.stored for each in draft.uploads if (each.role == "video") == (role == "video")])
            await self.limits.check_new_upload(draft, inbox, length)
            upload = Upload(id=draft_store.new_upload_id(draft_id), name=name, stored=stored, role=role, length=length)
            async with self.lock(draft_id):
                await self.work(caller, draft_id, lambda folder, draft: draft_store.save(folder, draft.with_upload(upload)))
        return _upload_status(upload, 0)

    async def upload(self, caller: Caller, upload_id: str) -> tuple[UploadStatus, float]:
        """Return one file of a draft, and when it expires as unix time. Raises WebProblem."""

        def look(folder: int, draft: Draft) -> tuple[UploadStatus, float]:
            upload = draft.upload(upload_id)
            expires = draft_store.touched(folder, draft) + self.settings.web.draft_hours * HOUR
            return _upload_status(upload, draft_store.offset_of(folder, upload)), expires

        return await self.work(caller, draft_store.draft_id_of(upload_id), look)

    async def finished_file(self, caller: Caller, upload_id: str) -> Path:
        """Return the path of a file that has arrived whole. Raises WebProblem (`draft_incomplete` before)."""

        def look(folder: int, draft: Draft) -> tuple[str, ...]:
            upload = draft.upload(upload_id)
            if draft_store.offset_of(folder, upload) < upload.length:
                raise WebProblem("draft_incomplete", names=upload.name, count=1)
            return (*draft_store.folders_of(folder, upload), upload.stored)

        draft_id = draft_store.draft_id_of(upload_id)
        parts = await self.work(caller, draft_id, look)
        return self.inbox_of(draft_id).joinpath(UPLOADS, draft_id, *parts)

    async def delete_upload(self, caller: Caller, upload_id: str) -> None:
        """Take a file out of its draft. Raises WebProblem (`upload_locked` while it is received)."""
        draft_id = draft_store.draft_id_of(upload_id)
        async with self.uploading.hold(upload_id), self.lock(draft_id):
            await self.work(caller, draft_id, lambda folder, draft: draft_store.delete_upload(folder, draft, draft.upload(upload_id)))

    # -- the parts of these, also for the writer of uploads and of drops ----------------------------------------------------

    def inbox(self, number: int) -> Path:
        """Return the inbox of this number. Raises WebProblem (`not_found`)."""
        if not 0 <= number < len(self.settings.inboxes):
            raise WebProblem("not_found")
        return self.settings.inboxes[number].path

    def inbox_of(self, draft_id: str) -> Path:
        """Return the inbox in which a draft lies, by its id. Raises WebProblem (`not_found`)."""
        for each in self.settings.inboxes:
            if draft_store.is_draft_id(draft_id) and draft_id.startswith(draft_store.inbox_digits(each.path)):
                return each.path
        raise WebProblem("not_found")

    def lock(self, draft_id: str) -> asyncio.Lock:
        """Return the lock under which the state of a draft is changed."""
        return self._lock(draft_id)

    async def work(self, caller: Caller, draft_id: str, look: Callable[[int, Draft], T], *, published: bool = False) -> T:
        """Run `look` on the open folder of a draft of the caller, in a thread of its share. Raises WebProblem.

        published: also for a draft that has become a drop."""
        inbox = self.inbox_of(draft_id)

        def call() -> T:
            with draft_store.opened_draft(inbox, draft_id, self.settings.limits.file_bytes) as (folder, draft):
                if not caller.may_see(draft.owner) or (not published and draft_store.is_published(folder, draft)):
                    raise WebProblem("not_found")
                return look(folder, draft)

        return await self.shares.call(inbox, call)

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    def _status(self, draft: Draft, offsets: dict[str, int], touched: float) -> DraftStatus:
        inbox = self.inbox_of(draft.id)
        return DraftStatus(
            draft=draft.id,
            inbox=[each.path for each in self.settings.inboxes].index(inbox),
            created=datetime.fromtimestamp(draft.created, tz=UTC),
            expires=datetime.fromtimestamp(touched + self.settings.web.draft_hours * HOUR, tz=UTC),
            uploads=[_upload_status(each, offsets.get(each.id, 0)) for each in draft.uploads],
        )

    # -- expiry --------------------------------------------------------------------------------------------------------

    async def sweep(self) -> bool:
        """Delete the drafts of every inbox that nobody continues; an inbox that does not answer is left for the next time.

        Nothing while the clock is not believed: one that is far ahead makes every draft look old."""
        if not self._is_clock_believed():
            _log.warning("the clock has jumped ahead: no unfinished upload is deleted before it is confirmed")
            return True
        await asyncio.gather(*(self._sweep(each.path) for each in self.settings.inboxes))
        return True

    def _is_clock_believed(self) -> bool:
        now, before = ClockReading(monotonic=time.monotonic(), wall=time.time()), self._clock_trust
        trust = ClockTrust.recalled(now, self._clock_record.read()) if before is None else before.observe(now)
        self._clock_trust = trust
        self._clock_record.write(trust.numbers)
        return trust.is_believed

    async def _sweep(self, inbox: Path) -> None:
        now = time.time()
        too_old = now - self.settings.web.draft_hours * HOUR
        try:
            drafts = await self.shares.call(inbox, partial(draft_store.ids, inbox))
        except WebProblem as problem:
            _log.warning("unfinished uploads in %s are not looked through: %s", inbox, problem.code)
            return
        for draft_id in drafts:
            try:
                async with self.lock(draft_id):
                    await self.shares.call(inbox, partial(sweep_draft, inbox, draft_id, self.settings.limits.file_bytes, too_old, now))
            except WebProblem as problem:
                _log.warning("the unfinished upload %s in %s is not looked at: %s", draft_id, inbox, problem.code)
                if problem.code in _UNREACHABLE:
                    return
            except Exception:  # noqa: BLE001 - people of the share can put anything there; no draft ends the care for the others
                _log.exception("the unfinished upload %s in %s is not looked at", draft_id, inbox)


def _upload_status(upload: Upload, offset: int) -> UploadStatus:
    return UploadStatus(id=upload.id, name=upload.name, stored=upload.stored, role=upload.role, offset=offset, length=upload.length)
