"""One request at a time may write to an upload; a connection that died without a word gives way to the one that resumes.

A browser that loses its network finds out before the server does: what it sends next comes while the old request still waits for bytes
that never arrive. A request that has waited `SILENT_SECONDS` for its client is therefore ended by the next one; one that receives is not.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from threading import Event
from typing import Final

from heygem_daemon.web.problems import WebProblem

SILENT_SECONDS: Final = 5.0
GRACE_SECONDS: Final = 1.0


@dataclass(kw_only=True)
class UploadLock:
    """The right to write to one upload. `writing` is set by the thread that works on the file: as long as it does, nobody else may,
    even where the request that asked for it has ended (a share that hangs)."""

    idle: Event = field(default_factory=Event)
    waiting_since: float | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    scope: asyncio.Timeout | None = None

    def is_silent(self) -> bool:
        return self.waiting_since is not None and time.monotonic() - self.waiting_since >= SILENT_SECONDS


class UploadLocks:
    """The locks of all uploads of this process."""

    def __init__(self) -> None:
        self._locks: dict[str, UploadLock] = {}

    def is_held(self, upload_id: str) -> bool:
        """Return whether a request or a thread still works on an upload."""
        lock = self._locks.get(upload_id)
        return lock is not None and not (lock.ended.is_set() and lock.idle.is_set())

    @asynccontextmanager
    async def hold(self, upload_id: str) -> AsyncIterator[UploadLock]:
        """Hold an upload. Raises WebProblem (`upload_locked`) while another request receives data for it."""
        before = self._locks.get(upload_id)
        if before is not None and self.is_held(upload_id):
            await _end(before)
            if self.is_held(upload_id):
                raise WebProblem("upload_locked", headers={"Retry-After": "1"})
        lock = UploadLock()
        lock.idle.set()
        self._locks[upload_id] = lock
        try:
            yield lock
        finally:
            lock.ended.set()
            if lock.idle.is_set() and self._locks.get(upload_id) is lock:
                del self._locks[upload_id]


async def _end(lock: UploadLock) -> None:
    """Give the request that holds a lock a moment to end: one that was just cut still syncs its file. One that is silent is ended."""
    if lock.scope is not None and lock.is_silent() and lock.idle.is_set():
        lock.scope.reschedule(0)
    with suppress(TimeoutError):
        async with asyncio.timeout(GRACE_SECONDS):
            await lock.ended.wait()
