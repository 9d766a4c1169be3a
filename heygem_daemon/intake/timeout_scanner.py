"""Scan inboxes without waiting for them: a system call on a dead share hangs in the kernel for as long as the share is dead."""

import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import partial
from typing import Final

from heygem_daemon.core.ports import Scanner
from heygem_daemon.core.scan import InboxScan
from heygem_daemon.daemon_threads import DaemonThreadPool

TYPICAL_SECONDS: Final = 0.2
"""A scan takes some ms on a local disk; the caller waits this long for the result before it turns to other things."""


@dataclass(kw_only=True)
class _PendingScan:
    """One scan that is under way; `began` and `progressed` are the clock's times in s at which it began and last went on."""

    began: float
    progressed: float
    result: Future[InboxScan | None]


class TimeoutScanner:
    """A Scanner that runs another one in a thread per inbox, with one scan per inbox at a time.

    Returns None while the result is not there yet, and an offline scan when it has not gone on for `seconds`: whoever scans calls
    `progressed` meanwhile. A scan that hangs is not repeated: its thread stays until the kernel releases it, and its result is then
    discarded, because it is old.
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
        self._slow: set[str] = set()
        """Inboxes whose last scan took longer than is waited for: whoever asks does not wait in vain each time."""

    def scan(self, inbox: str) -> InboxScan | None:
        pending = self._pending.get(inbox)
        if pending is None or (pending.result.done() and self._is_old(pending)):
            pending = self._pending[inbox] = self._start(inbox)
            if inbox not in self._slow:
                self._slow.add(inbox)  # until it has answered in that time
                wait([pending.result], min(self._typical_seconds, self.seconds))
        if pending.result.done():
            del self._pending[inbox]
            if self._clock() - pending.began < self._typical_seconds:
                self._slow.discard(inbox)
            return pending.result.result()
        if not self._is_old(pending):
            return None
        return InboxScan(inbox=inbox, online=False, reason=f"The folder {inbox} does not answer: its share or the network hangs")

    def progressed(self, inbox: str) -> None:
        """Note that the scan of an inbox goes on; called in its thread."""
        pending = self._pending.get(inbox)
        if pending is not None and not self._is_old(pending):
            pending.progressed = self._clock()

    def _is_old(self, pending: _PendingScan) -> bool:
        return self._clock() - pending.progressed >= self.seconds

    def _start(self, inbox: str) -> _PendingScan:
        if inbox not in self._pools:
            self._pools[inbox] = DaemonThreadPool(f"scan {inbox}", threads=1)
        now = self._clock()
        return _PendingScan(began=now, progressed=now, result=self._pools[inbox].submit(partial(self._scanner.scan, inbox)))
