"""Keep a condition that lasts from filling the log: of equal lines a few pass, then one in a while, with how many were left out.

So does what people put down: of lines that anybody causes by a file or folder, each about another one, so many pass a minute."""

import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from heygem_daemon.core.ports import Log

LASTING: Final = frozenset({
    "control_refused", "drop_incomplete", "drop_not_adopted", "drop_restored", "internal_error", "job_bundle_failed", "job_waiting",
    "ledger_unwritable", "library_output", "memory_low", "metrics_unwritable", "request_unknown", "status_unwritable", "tick_failed",
    "tick_slow", "worker_died", "worker_output", "worker_started",
})  # fmt: skip
"""Events about a condition that may last, or come back in a loop. None is among them that ends a condition or reports a result: the last
line about a thing must be true."""
PASSING: Final = 3
"""Lines of one kind that pass in each period: what repeats a few times is worth reading."""
PERIODS: Final = (60.0, 600.0, 3600.0)
"""s. The first period is short, so that another case an hour later is seen at once; the last one repeats."""
CAUSED_BY_ENTRIES: Final = frozenset({
    "control_refused", "drop_incomplete", "drop_restored", "drop_seen", "drop_withdrawn", "entry_ignored", "request_unknown",
})  # fmt: skip
"""Events of which a folder that comes and goes, or gets another name again and again, causes as many as somebody likes. The journal drops
lines of a service that writes more than 10,000 in 30 s, whichever they are."""
ENTRIES_PER_PERIOD: Final = 1000
"""Lines of each of these events that pass in the first of PERIODS."""
KINDS: Final = 2000
"""Kinds of lines that are known at once; of more, the one that was logged longest ago is forgotten."""
_CHANGING: Final = frozenset({"seconds", "pid", "exc_info", "exception"})
"""Fields in which two lines about one thing differ."""


@dataclass(kw_only=True)
class _Kind:
    until: float
    passed: int = 0
    left_out: int = 0
    period: int = 0


class RepeatLimiter:
    """A `Log` in front of another one. A line after some that were left out has their number in the field `left_out`. May be called from
    any thread."""

    def __init__(self, next_log: Log, clock: Callable[[], float] = time.monotonic) -> None:
        self._next = next_log
        self._clock = clock
        self._kinds: OrderedDict[object, _Kind] = OrderedDict()
        self._entries: dict[str, _Kind] = {}
        """Event of CAUSED_BY_ENTRIES -> its lines in this period."""
        self._lock = threading.Lock()

    def __call__(self, event: str, /, *, level: str = "info", **fields: object) -> None:
        if event not in LASTING and event not in CAUSED_BY_ENTRIES:
            self._next(event, level=level, **fields)
            return
        with self._lock:
            now = self._clock()
            left_out = self._count(_key(event, level, fields), now) if event in LASTING else 0
            if left_out is not None and event in CAUSED_BY_ENTRIES:
                left_out = self._count_entry(event, left_out, now)
        if left_out is not None:
            self._next(event, level=level, **fields, left_out=left_out or None)

    def _count_entry(self, event: str, left_out: int, now: float) -> int | None:
        """Return how many lines were left out before this one, `left_out` of its own kind among them, None where it is left out too."""
        found = self._entries.setdefault(event, _Kind(until=now + PERIODS[0]))
        if now >= found.until:
            found.until, found.passed = now + PERIODS[0], 0
        if found.passed >= ENTRIES_PER_PERIOD:
            found.left_out += left_out + 1
            return None
        found.passed += 1
        found.left_out, before = 0, found.left_out
        return before + left_out

    def _count(self, key: object, now: float) -> int | None:
        """Return how many lines of this kind were left out since the last one, None where this one is left out too."""
        kind = self._kinds.setdefault(key, _Kind(until=now + PERIODS[0]))
        self._kinds.move_to_end(key)
        if len(self._kinds) > KINDS:
            self._kinds.popitem(last=False)
        if now >= kind.until:
            is_lasting = kind.left_out > 0
            kind.period = min(kind.period + 1, len(PERIODS) - 1) if is_lasting else 0
            kind.until, kind.passed = now + PERIODS[kind.period], PASSING - 1 if is_lasting else 0
        if kind.passed >= PASSING:
            kind.left_out += 1
            return None
        kind.passed += 1
        left_out, kind.left_out = kind.left_out, 0
        return left_out


def _key(event: str, level: str, fields: Mapping[str, object]) -> object:
    problem = sys.exception() if fields.get("exc_info") is True else fields.get("exc_info")
    named = tuple(sorted((name, repr(value)[:500]) for name, value in fields.items() if name not in _CHANGING))
    return event, level, named, type(problem).__name__ if problem else "", str(problem)[:500] if problem else ""
