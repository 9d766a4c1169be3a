"""Have deleted what is over its keep time, beside the daemon's other work, and only while the wall clock can be believed."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

from heygem_daemon.core.clock import ClockReading
from heygem_daemon.core.clock_trust import CONFIRM_SECONDS, ClockTrust
from heygem_daemon.core.errors import TransientError
from heygem_daemon.core.names import escape_name
from heygem_daemon.core.ports import ClockMemory, Ledger, Log, Retention

FORGET_AT_ONCE: Final = 100
"""Jobs of the history that are deleted in one tick: a year of them would hold it up for seconds."""
REMEMBER_SECONDS: Final = 600.0
"""s between two records of what the clock shows."""
_DAY: Final = 86400.0


@dataclass(kw_only=True)
class Sweeps:
    """Call `step` in every tick, and `close` at the end. The first sweep begins once all inboxes have been scanned.

    `interval` is the time between two sweeps in s; `history_seconds` is for how long finished jobs are kept, 0 for ever."""

    retention: Retention
    ledger: Ledger
    clock_memory: ClockMemory
    log: Log
    interval: float
    history_seconds: float
    _trust: ClockTrust | None = None
    _sweep_at: float = 0.0
    _remember_at: float = 0.0
    _forget_before: float | None = None
    _deleted: Counter[str] = field(default_factory=Counter)

    def step(self, now: ClockReading, open_jobs: Callable[[], Iterable[str]], online: Collection[str], *, is_ready: bool) -> None:
        """Begin a sweep of the inboxes `online` when it is due, go on with the history, and log what was deleted. Raises TransientError."""
        is_believed = self._observe(now)
        if not is_believed:
            self._forget_before = None
        elif is_ready and now.monotonic >= self._sweep_at:
            self._sweep_at = now.monotonic + self.interval
            self.retention.begin(now.wall, open_jobs(), online)
            self._forget_before = now.wall - self.history_seconds if self.history_seconds else None
        self._forget_some()
        if (left := self.retention.undeleted()) is not None:
            self.log("sweep_incomplete", level="warning", count=left.count, path=escape_name(left.path), reason=left.reason)
        self._deleted.update(self.retention.poll())
        if self._deleted and self._forget_before is None:
            self.log("swept", deleted=dict(self._deleted))
            self._deleted.clear()

    def close(self) -> None:
        """Let a sweep end, and note the clock."""
        self.retention.close()
        if self._trust is not None:
            self._remember(self._trust)

    def _forget_some(self) -> None:
        if self._forget_before is None:
            return
        count = self.ledger.forget(self._forget_before, FORGET_AT_ONCE)
        if count:
            self._deleted["history"] += count
        if count < FORGET_AT_ONCE:
            self._forget_before = None

    # -- the clock ------------------------------------------------------------------------------------------------

    def _observe(self, now: ClockReading) -> bool:
        """Look at the clock and return whether it can be believed; a jump is logged, and its end."""
        before = self._trust
        trust = self._recall(now) if before is None else before.observe(now)
        self._trust = trust
        if not trust.is_believed and (before is None or before.is_believed):
            self.log("clock_jumped", level="warning", days=round(trust.ahead / _DAY, 1), hours=round(CONFIRM_SECONDS / 3600))
        if trust.is_believed and before is not None and not before.is_believed:
            self.log("clock_believed")
        if now.monotonic >= self._remember_at or (before is not None and before.is_believed != trust.is_believed):
            self._remember_at = now.monotonic + REMEMBER_SECONDS
            self._remember(trust)
        return trust.is_believed

    def _recall(self, now: ClockReading) -> ClockTrust:
        """Return what was known at the end of the last run, or else what the newest job in the ledger tells."""
        known = self.clock_memory.read()
        return ClockTrust.recalled(now, known) if "believed" in known else ClockTrust.at_start(now, believed=self._newest_time())

    def _newest_time(self) -> float | None:
        try:
            newest = self.ledger.recent(1)
        except TransientError:
            return None
        return max((max(job.dropped_at, job.queued_at or 0.0, job.finished_at or 0.0) for job in newest), default=None)

    def _remember(self, trust: ClockTrust) -> None:
        self.clock_memory.write(trust.numbers)
