"""Whose turn it is: among jobs of one priority the inboxes take turns, in an inbox its owners, and an owner's jobs are first in, first out.

A turn is the start of one item. It goes to whoever has had none for longest, so an owner with a thousand drops delays another's single
one by one item. `start_order` tells in advance how `policy.choose` will go on, without playing it through: where everybody takes turns,
the n-th turn of each is in the n-th round.
"""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final

from heygem_daemon.core.job import Job


@dataclass(frozen=True, kw_only=True)
class Turns:
    """The number of the last turn of each inbox, and of each owner in an inbox (by inbox and owner); `count` turns were there in all."""

    inboxes: Mapping[str, int] = field(default_factory=dict)
    owners: Mapping[tuple[str, str], int] = field(default_factory=dict)
    count: int = 0

    def last(self, job: Job) -> tuple[int, int]:
        """Return when the inbox of a job, and its owner there, had their last turn; 0 = never."""
        return (self.inboxes.get(job.inbox, 0), self.owners.get((job.inbox, job.dropped_by), 0))

    def after(self, job: Job) -> "Turns":
        """Return them after the start of an item of this job."""
        count = self.count + 1
        owners = {**self.owners, (job.inbox, job.dropped_by): count}
        return Turns(inboxes={**self.inboxes, job.inbox: count}, owners=owners, count=count)


NO_TURNS: Final = Turns()


def queue_key(job: Job) -> tuple[float, str]:
    """Return what jobs are sorted by, first in first out: the time it was queued (before that, dropped), then the id."""
    return (job.dropped_at if job.queued_at is None else job.queued_at, job.id)


def start_order(jobs: Iterable[Job], now: float, turns: Turns = NO_TURNS) -> list[Job]:
    """Return the jobs of which an item could start at unix time `now`, in the order in which their next items will, if nothing changes."""
    by_priority: dict[int, list[tuple[Job, int]]] = defaultdict(list)
    for job in jobs:
        ready = 0 if job.on_hold else [item.is_ready(now) for item in job.items].count(True)  # none of a job that is over
        if ready:
            by_priority[job.priority].append((job, ready))
    order: list[Job] = []
    for priority in sorted(by_priority, reverse=True):
        placed, turns = _place(by_priority[priority], turns)
        order += placed
    return order


@dataclass(frozen=True, kw_only=True)
class _Line:
    """What takes turns with others: how many it takes, and before how many turns of its own each of its jobs starts."""

    key: str
    starts: Sequence[tuple[int, Job]]
    length: int


def _place(jobs: Sequence[tuple[Job, int]], turns: Turns) -> tuple[list[Job], Turns]:
    """Return the jobs of one priority in the order of their starts, and the turns after the last item of them."""
    by_inbox: dict[str, list[tuple[Job, int]]] = defaultdict(list)
    for job, ready in sorted(jobs, key=lambda each: queue_key(each[0])):
        by_inbox[job.inbox].append((job, ready))
    inboxes: list[_Line] = []
    owners_after = dict(turns.owners)
    for inbox, found in by_inbox.items():
        owners = sorted(_owner_lines(found), key=lambda line: turns.owners.get((inbox, line.key), 0))
        inboxes.append(_Line(key=inbox, starts=_interleave(owners), length=sum(line.length for line in owners)))
        owners_after |= {(inbox, owner): number for owner, number in _last_turns(owners, turns.count)}
    inboxes.sort(key=lambda line: turns.inboxes.get(line.key, 0))  # stable: those that had no turn yet by their first job
    after = Turns(
        inboxes={**turns.inboxes, **dict(_last_turns(inboxes, turns.count))},
        owners=owners_after,
        count=turns.count + sum(line.length for line in inboxes),
    )
    return [job for _, job in _interleave(inboxes)], after


def _owner_lines(jobs: Iterable[tuple[Job, int]]) -> list[_Line]:
    starts: dict[str, list[tuple[int, Job]]] = defaultdict(list)
    lengths: dict[str, int] = defaultdict(int)
    for job, ready in jobs:
        starts[job.dropped_by].append((lengths[job.dropped_by], job))
        lengths[job.dropped_by] += ready
    return [_Line(key=owner, starts=found, length=lengths[owner]) for owner, found in starts.items()]


def _interleave(lines: Sequence[_Line]) -> list[tuple[int, Job]]:
    """Return (turns before it, job) for the jobs of lines that take turns in this order, sorted; O(n log n).

    Before the n-th turn of a line each line has had n turns or all that it takes, and the earlier ones of those that go on one more."""
    if len(lines) == 1:
        return list(lines[0].starts)
    count = len(lines)
    starts = [(turn * count + place, job) for place, line in enumerate(lines) for turn, job in line.starts]
    starts.sort(key=itemgetter(0))
    longest_first = sorted(((line.length, place) for place, line in enumerate(lines)), reverse=True)
    ended = sum(line.length for line in lines)
    going_on: list[int] = []
    found: list[tuple[int, Job]] = []
    for slot, job in reversed(starts):
        turn, place = divmod(slot, count)
        while len(going_on) < count and longest_first[len(going_on)][0] > turn:
            length, another = longest_first[len(going_on)]
            ended -= length
            insort(going_on, another)
        found.append((ended + turn * len(going_on) + bisect_left(going_on, place), job))
    return found[::-1]


def _last_turns(lines: Sequence[_Line], count: int) -> list[tuple[str, int]]:
    """Return each line's key with a number for its last turn that is higher the later it was, and above `count`."""
    ended = sorted((line.length, place) for place, line in enumerate(lines))
    return [(lines[place].key, count + number) for number, (_, place) in enumerate(ended, start=1)]
