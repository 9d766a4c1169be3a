"""Looks at inboxes without waiting for them: whatever touches a dead share hangs in the kernel for as long as the share is dead."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from heygem_daemon.core.ports import InboxScan, Scanner

_USUAL_SECONDS: Final = 0.5
"""A look takes some ms on a local disk; so long the caller waits for the answer before it turns to other things."""


@dataclass(kw_only=True)
class _Look:
    """One look that is under way, in a thread of its own."""

    begun: float
    over: threading.Event = field(default_factory=threading.Event)
    view: InboxScan | None = None
    mistake: Exception | None = None


class TimeoutScanner:
    """A Scanner that asks another one in threads: one look per inbox at a time.

    Gives None while the answer is not there yet, and after `seconds` an offline view. A look that hangs is never asked twice:
    its thread stays until the kernel lets it go, and what it then brings is thrown away, for it is old.
    """

    def __init__(self, scanner: Scanner, *, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._scanner = scanner
        self.seconds = seconds
        self._clock = clock
        self._looks: dict[str, _Look] = {}

    def scan(self, inbox: str) -> InboxScan | None:
        look = self._looks.get(inbox)
        if look is None or (look.over.is_set() and self._is_old(look)):
            look = self._looks[inbox] = self._begin(inbox)
            look.over.wait(min(_USUAL_SECONDS, self.seconds))
        if look.over.is_set():
            del self._looks[inbox]
            if look.mistake is not None:
                raise look.mistake
            return look.view
        if not self._is_old(look):
            return None
        return InboxScan(inbox=inbox, online=False, reason=f"The folder {inbox} does not answer: its share or the network hangs")

    def _is_old(self, look: _Look) -> bool:
        return self._clock() - look.begun >= self.seconds

    def _begin(self, inbox: str) -> _Look:
        look = _Look(begun=self._clock())

        def ask() -> None:
            try:
                look.view = self._scanner.scan(inbox)
            except Exception as mistake:  # noqa: BLE001 - it belongs to the tick, which knows what to do with it
                look.mistake = mistake
            look.over.set()

        # A daemon thread: one that hangs must not keep the process from ending.
        threading.Thread(target=ask, name=f"scan {inbox}", daemon=True).start()
        return look
