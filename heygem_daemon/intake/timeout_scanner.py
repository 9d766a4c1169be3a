"""Scan inboxes without waiting for them: a system call on a dead share hangs in the kernel for as long as the share is dead."""

import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import partial
from typing import Final

from heygem_daemon.core.ports import Scanner
from heygem_daemon.core.scan import InboxScan
from heygem_daemon.intake.daemon_pool import DaemonThreadPool

TYPICAL_SECONDS: Final = 0.5
"""A scan takes some ms on a local disk; the caller waits this long for the result before it turns to other things."""


@dataclass(frozen=True, kw_only=True)
class _PendingScan:
    """One scan that is under way; `started` is the clock's time in s."""

    started: float
    result: Future[InboxScan | None]


class TimeoutScanner:
    """A Scanner that runs another one in a thread per inbox, with one scan per inbox at a time.

    Returns None while the result is not there yet, and after `seconds` an offline scan. A scan that hangs is not repeated: its thread
    stays until the kernel releases it, and its result is then discarded, because it is old.
    """

    def __init__(
        self,
        scanner: Scanner,
        *,
        seconds: float,
        typical_seconds: float = TYPICAL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scanner = scanner
        self.seconds = seconds
        self._typical_seconds = typical_seconds
        self._clock = clock
        self._pools: dict[str, DaemonThreadPool] = {}
        self._pending: dict[str, _PendingScan] = {}

    def scan(self, inbox: str) -> InboxScan | None:
        pending = self._pending.get(inbox)
        if pending is None or (pending.result.done() and self._is_old(pending)):
            pending = self._pending[inbox] = self._start(inbox)
            wait([pending.result], min(self._typical_seconds, self.seconds))
        if pending.result.done():
            del self._pending[inbox]
            return pending.result.result()
        if not self._is_old(pending):
            return None
        return InboxScan(inbox=inbox, online=False, reason=f"The folder {inbox} does not answer: its share or the network hangs")

    def _is_old(self, pending: _PendingScan) -> bool:
        return self._clock() - pending.started >= self.seconds

    def _start(self, inbox: str) -> _PendingScan:
        if inbox not in self._pools:
            self._pools[inbox] = DaemonThreadPool(f"scan {inbox}", threads=1)
        return _PendingScan(started=self._clock(), result=self._pools[inbox].submit(partial(self._scanner.scan, inbox)))
