"""The places of the jobs in the queue, found again only when they may have changed: of ten thousand jobs that takes 0.1 s."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from heygem_daemon.core.clock import ClockReading
from heygem_daemon.core.job import Job, State
from heygem_daemon.core.turns import NO_TURNS, Turns, start_order

SMALL_QUEUE: Final = 200
"""Jobs whose places are found at once after every change; of more the more seldom, the more there are."""
SECONDS_PER_JOB: Final = 1e-4
LATEST: Final = 5.0
"""s after which a back-off that has ended is noticed, where nothing else changes."""


@dataclass(kw_only=True)
class QueuePlaces:
    """Job id -> 1, 2 ... in the order in which the jobs that wait will start, those of paused and absent inboxes after the others."""

    places: Mapping[str, int] = field(default_factory=dict)
    _turns: Turns = NO_TURNS
    _closed: frozenset[str] = frozenset()
    _is_stale: bool = True
    _next_at: float = 0.0
    _found_at: float = float("-inf")

    def update(
        self, jobs: Collection[Job], now: ClockReading, *, closed: Collection[str], turns: Turns, changed: bool
    ) -> Mapping[str, int]:
        """Return the places. changed: whether any job may be another than at the last call."""
        shut = frozenset(closed)
        self._is_stale = self._is_stale or changed or turns is not self._turns or shut != self._closed
        if not self._is_stale and now.monotonic >= self._found_at + LATEST:
            self._is_stale = any(job.state is State.WAITING for job in jobs)
        if self._is_stale and now.monotonic >= self._next_at:
            self._turns, self._closed, self._is_stale, self._found_at = turns, shut, False, now.monotonic
            self._next_at = now.monotonic + (SECONDS_PER_JOB * len(jobs) if len(jobs) > SMALL_QUEUE else 0.0)
            self.places = _places(jobs, now.wall, self._closed, turns)
        return self.places


def _places(jobs: Collection[Job], now: float, closed: frozenset[str], turns: Turns) -> Mapping[str, int]:
    able, later = ([job for job in jobs if (job.inbox in closed) is is_closed] for is_closed in (False, True))
    order = (*start_order(able, now, turns), *start_order(later, now, turns))
    return {job.id: place for place, job in enumerate((job for job in order if job.state is not State.RUNNING), start=1)}
