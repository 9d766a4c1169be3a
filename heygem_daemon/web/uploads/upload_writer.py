"""Take the bytes of one PATCH request into the file of an upload; what has arrived counts, also where the connection is cut."""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from threading import Lock, Thread
from typing import TypeVar

from heygem_daemon.web.caller import Caller
from heygem_daemon.web.problems import WebProblem
from heygem_daemon.web.uploads import draft_store, tus
from heygem_daemon.web.uploads.draft_store import Draft, Upload
from heygem_daemon.web.uploads.drafts import Drafts
from heygem_daemon.web.uploads.safe_files import opened_below, problem_of, sync_open_folder
from heygem_daemon.web.uploads.tus import Checksum
from heygem_daemon.web.uploads.upload_locks import UploadLock

T = TypeVar("T")


class UploadWriter:
    """Writes to one upload, under its lock."""

    def __init__(self, drafts: Drafts, caller: Caller, upload_id: str, lock: UploadLock) -> None:
        self._drafts = drafts
        self._caller = caller
        self._upload_id = upload_id
        self._draft_id = draft_store.draft_id_of(upload_id)
        self._inbox = drafts.inbox_of(self._draft_id)
        self._file_bytes = drafts.settings.limits.file_bytes
        self._lock = lock
        self._mutex = Lock()
        self._orphan: int | None = None
        """A descriptor that the thread which still works with it closes at its end: once closed, its number is that of another file."""

    async def take(self, stream: AsyncIterator[bytes], offset: int, checksum: Checksum | None) -> int:
        """Write a request that begins at `offset`; return the new offset. Raises WebProblem, ClientDisconnect."""
        descriptor, upload = await self._run(partial(self._open, offset, checksum is not None), late=lambda opened: os.close(opened[0]))
        digest = hashlib.new(checksum.algorithm, usedforsecurity=False) if checksum else None
        counts = checksum is None
        try:
            async with asyncio.timeout(None) as scope:
                self._lock.scope = scope
                end = await tus.receive(
                    self._noted(stream),
                    offset=offset,
                    length=upload.length,
                    run=self._run,
                    write=partial(tus.write_blocks, descriptor),
                    digest=digest,
                )
            if checksum is not None and digest is not None and not checksum.matches(digest):
                raise WebProblem("checksum_mismatch")
            counts = True
        except OSError as failed:
            if scope.expired():  # another request has ended this one, whose client was silent
                raise WebProblem("upload_locked") from None
            raise problem_of(failed, self._inbox) from failed
        finally:
            self._lock.scope = None
            await self._close(descriptor, upload, cut_to=None if counts else offset, has_checksum=checksum is not None)
        return end

    def _open(self, offset: int, has_checksum: bool) -> tuple[int, Upload]:
        """Return a descriptor of the file, and the upload. Raises WebProblem (`offset_mismatch`)."""
        with draft_store.opened_draft(self._inbox, self._draft_id, self._file_bytes) as (folder, draft):
            upload = self._own_upload(folder, draft)
            there = draft_store.offset_of(folder, upload)
            if there != offset:
                raise WebProblem("offset_mismatch", headers={"Upload-Offset": str(there)}, offset=there)
            descriptor = draft_store.open_for_writing(folder, upload, offset)
            if has_checksum:
                draft_store.keep_proven_offset(folder, upload, offset)
            return descriptor, upload

    def _own_upload(self, folder: int, draft: Draft) -> Upload:
        if not self._caller.may_see(draft.owner) or draft_store.is_published(folder, draft):
            raise WebProblem("not_found")
        return draft.upload(self._upload_id)

    async def _close(self, descriptor: int, upload: Upload, *, cut_to: int | None, has_checksum: bool) -> None:
        """Cut off what does not count, let the disk have a file that is whole, and close it. Raises WebProblem."""
        with self._mutex:
            if not self._lock.idle.is_set():  # the share hangs; what no checksum proves, the next request cuts off
                self._orphan = descriptor
                return

        def close() -> None:
            try:
                if cut_to is not None:
                    os.ftruncate(descriptor, cut_to)
                is_whole = os.fstat(descriptor).st_size >= upload.length
                if is_whole:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if not (is_whole or has_checksum):
                return
            with draft_store.opened_draft(self._inbox, self._draft_id, self._file_bytes) as (folder, _):
                if has_checksum:
                    draft_store.forget_proven_offset(folder, upload)
                with opened_below(folder, *draft_store.folders_of(folder, upload)) as inside:
                    sync_open_folder(inside)

        try:
            await self._run(close, skipped=lambda: Thread(target=os.close, args=(descriptor,), daemon=True).start())
        except OSError as failed:
            raise problem_of(failed, self._inbox) from failed

    async def _noted(self, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the stream, and note since when its client is waited for."""
        blocks = aiter(stream)
        while True:
            self._lock.waiting_since = time.monotonic()
            try:
                block = await anext(blocks)
            except StopAsyncIteration:
                return
            finally:
                self._lock.waiting_since = None
            yield block

    async def _run(
        self, work: Callable[[], T], *, late: Callable[[T], object] | None = None, skipped: Callable[[], object] | None = None
    ) -> T:
        """Run `work` in a thread of the share; the lock is not idle before the thread is done, even where nobody waits for it any more.

        late: gets a result for which nobody waits any more. skipped: is called where the work will never begin. Raises what it raises."""
        turn = _Turn()
        self._lock.idle.clear()

        def call() -> T:
            if not turn.begin():
                raise WebProblem("share_timeout")
            try:
                result = work()
                if turn.is_late() and late is not None:
                    late(result)
                return result
            finally:
                self._end_of_work()

        try:
            return await self._drafts.shares.call(self._inbox, call)
        except BaseException:
            if turn.give_up():
                self._lock.idle.set()
                if skipped is not None:
                    skipped()
            raise

    def _end_of_work(self) -> None:
        with self._mutex:
            self._lock.idle.set()
            orphan = self._orphan
        if orphan is not None:
            os.close(orphan)


class _Turn:
    """Whether a work that was handed to a thread has begun, and whether anybody still waits for it."""

    def __init__(self) -> None:
        self._mutex = Lock()
        self._has_begun = False
        self._given_up = False

    def begin(self) -> bool:
        with self._mutex:
            self._has_begun = not self._given_up
            return self._has_begun

    def give_up(self) -> bool:
        """Stop waiting; return whether the work will never begin."""
        with self._mutex:
            self._given_up = True
            return not self._has_begun

    def is_late(self) -> bool:
        with self._mutex:
            return self._given_up
