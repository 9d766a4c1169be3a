"""Search jobs and cut the list into pages: the open jobs in the order of the queue, then the others, the newest first.

A page continues after the place of the last job of the page before, not after so many jobs: what comes and goes meanwhile shifts nothing.
"""

import base64
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from math import inf
from typing import Any, Final

from heygem_daemon.core.job import FINAL, State
from heygem_daemon.web.caller import Caller
from heygem_daemon.web.jobs.job_record import FAILURES, JobRecord, searchable
from heygem_daemon.web.jobs.job_table import JobTable
from heygem_daemon.web.problems import WebProblem

GROUPS: Final = {"open": frozenset(State) - FINAL, "failed": FAILURES, "done": FINAL}
"""Words that stand for several states. The state `failed` alone is not asked for: to people, partly failed and rejected are failed too."""
STATES: Final = tuple(dict.fromkeys([*GROUPS, *map(str, State)]))

_RANKS: Final = {State.RUNNING: 0, State.QUEUED: 1, State.INTERRUPTED: 2, State.WAITING: 2, State.SETTLING: 3}

Place = tuple[Any, ...]
"""Where a job stands in the list; places are compared."""


@dataclass(frozen=True, kw_only=True)
class JobQuery:
    """What is searched for; what is empty excludes nothing. since, until: the first and the last day, of the server's time zone."""

    states: tuple[str, ...] = ()
    text: str = ""
    engine: str = ""
    since: date | None = None
    until: date | None = None

    @property
    def is_empty(self) -> bool:
        return self == JobQuery()

    @property
    def may_have_ended(self) -> bool:
        """Whether a job that has ended can match at all."""
        return not self.states or not FINAL.isdisjoint(_states(self.states))

    def matcher(self, caller: Caller) -> Callable[[JobRecord, float], bool]:
        """Return the test for a job and the time by which it is listed. Raises WebProblem (`invalid_request`) for an unknown state."""
        states = _states(self.states)
        words = searchable(self.text.strip())
        since = -inf if self.since is None else _midnight(self.since)
        until = inf if self.until is None else _midnight(self.until + timedelta(days=1))

        def matches(job: JobRecord, day: float) -> bool:
            if (states and job.state not in states) or not since <= day < until or (words and words not in job.searched):
                return False
            return caller.may_see(job.owner) and (not self.engine or any(engine == self.engine for engine, _count in job.engines))

        return matches


def _states(names: tuple[str, ...]) -> tuple[State, ...]:
    """Return the states that are asked for; none for all. A tuple: it compares by identity, which is faster than the hash of an enum."""
    try:
        return tuple({state for name in names for state in (GROUPS.get(name) or (State(name),))})
    except ValueError:
        raise WebProblem("invalid_request", problem=f"state: {', '.join(STATES)}") from None


def _midnight(day: date) -> float:
    return datetime(day.year, day.month, day.day).astimezone().timestamp()


@dataclass(frozen=True, kw_only=True)
class Page:
    """Part of the jobs found; `total` counts all of them, `next` is the cursor of the next page."""

    jobs: list[JobRecord]
    total: int
    next: str | None


def search(table: JobTable, query: JobQuery, caller: Caller, *, limit: int, cursor: str | None) -> Page:
    """Return the jobs that match after the place `cursor`. Raises WebProblem (`invalid_request`)."""
    matches, after = query.matcher(caller), _place_at(cursor)
    jobs: list[JobRecord] = []
    total = 0
    for job in in_queue_order(table.open()):
        if matches(job, job.began):
            total += 1
            if len(jobs) <= limit and (after is None or place(job) > after):
                jobs.append(job)
    ended_before = -after[1] if after and after[0] == 1 else inf
    is_counted = query.is_empty and caller.is_admin
    for job in table.finished() if query.may_have_ended else ():
        ended = job.ended
        if matches(job, ended):
            total += 1
            if len(jobs) <= limit:
                if ended <= ended_before and (after is None or place(job) > after):
                    jobs.append(job)
            elif is_counted:
                total = len(table)
                break
    is_last = len(jobs) <= limit
    return Page(jobs=jobs[:limit], total=total, next=None if is_last else _cursor(place(jobs[limit - 1])))


def in_queue_order(jobs: Iterable[JobRecord]) -> list[JobRecord]:
    """Return open jobs as they will be done: those that run, the queue, those that wait, drops that are on their way in."""
    return sorted(jobs, key=place)


def place(job: JobRecord) -> Place:
    """Return where a job stands in the list."""
    if job.is_final:
        return (1, -job.ended, *_reversed(job.id))
    return (0, _RANKS.get(job.state, 3), job.position or 10**9, -job.priority, job.began, job.id)


def _reversed(text: str) -> tuple[int, ...]:
    """Return what sorts texts backwards, as the table does with jobs that ended at the same time."""
    return (*(-ord(char) for char in text), 1)


def _cursor(place: Place) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def _place_at(cursor: str | None) -> Place | None:
    if not cursor:
        return None
    try:
        found = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        place = tuple(found)
        is_place = _is_place(place)
    except (ValueError, TypeError, RecursionError):
        is_place = False
    if not is_place:
        raise WebProblem("invalid_request", problem="cursor")
    return place


def _is_place(place: Place) -> bool:
    numbers = place[:-1] if place[:1] == (0,) else place
    are_numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in numbers)
    return are_numbers and (place[:1] == (1,) or (place[:1] == (0,) and len(place) == 6 and isinstance(place[-1], str)))
