"""The jobs that the page knows, by id, and who wants to hear of their changes. Used by one thread, the event loop's."""

import asyncio
from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from heygem_daemon.web.jobs.job_record import JobRecord

MAX_PENDING: Final = 5000
"""Jobs whose change a subscriber has not taken yet; one that falls behind further has to begin anew."""


@dataclass(kw_only=True)
class Subscription:
    """What has changed since it was last taken: ids of jobs, each with its last record, in the order of their first change.

    lost: there were too many, the subscriber has to begin anew. closed: the page ends."""

    pending: dict[str, JobRecord] = field(default_factory=dict)
    daemon: bool = False
    lost: bool = False
    closed: bool = False
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def changed(self, record: JobRecord) -> None:
        if len(self.pending) >= MAX_PENDING and record.id not in self.pending:
            self.lost = True
        else:
            self.pending[record.id] = record
        self.woken.set()

    def take(self) -> tuple[dict[str, JobRecord], bool]:
        """Return the jobs that changed, and whether the daemon's status did; both begin anew."""
        taken, daemon = self.pending, self.daemon
        self.pending, self.daemon = {}, False
        self.woken.clear()
        return taken, daemon


class JobTable:
    """Jobs by id, the finished ones sorted by their end."""

    def __init__(self) -> None:
        self._jobs: dict[str, JobRecord] = {}
        self._open: dict[str, None] = {}
        self._finished: list[tuple[float, str]] = []
        self._outputs: dict[str, str] = {}
        self._references: dict[str, dict[str, None]] = {}
        self._subscriptions: list[Subscription] = []

    def __len__(self) -> int:
        return len(self._jobs)

    def get(self, job_id: str) -> JobRecord | None:
        return self._jobs.get(job_id)

    def named(self, name: str) -> Iterator[JobRecord]:
        """Yield the jobs that this names: by id, by folder in outputs, by reference (the newest first)."""
        if name in self._jobs:
            yield self._jobs[name]
        if name in self._outputs:
            yield self._jobs[self._outputs[name]]
        yield from self.referenced(name)

    def referenced(self, reference: str) -> list[JobRecord]:
        """Return the jobs of a reference, the newest first."""
        return sorted((self._jobs[each] for each in self._references.get(reference, ())), key=lambda job: -job.began)

    def open(self) -> list[JobRecord]:
        """Return the jobs that have not ended, in no order."""
        return [self._jobs[each] for each in self._open]

    def finished(self) -> Iterator[JobRecord]:
        """Yield the jobs that have ended, the newest first."""
        return (self._jobs[job_id] for _ended, job_id in reversed(self._finished))

    def put(self, record: JobRecord, *, quiet: bool = False) -> None:
        """Add a job, or replace the one of this id. quiet: nobody is waiting for it."""
        before = self._jobs.get(record.id)
        if before == record:
            return
        if before is not None:
            self._forget(before)
        self._jobs[record.id] = record
        if record.is_final:
            insort(self._finished, (record.ended, record.id))
        else:
            self._open[record.id] = None
        if record.output:
            self._outputs[record.output] = record.id
        if record.reference:
            self._references.setdefault(record.reference, {})[record.id] = None
        if not quiet:
            self.announce(record)

    def remove(self, job_id: str) -> None:
        record = self._jobs.get(job_id)
        if record is not None:
            self._forget(record)
            self.announce(record)

    def _forget(self, record: JobRecord) -> None:
        del self._jobs[record.id]
        self._open.pop(record.id, None)
        if record.is_final:
            del self._finished[bisect_left(self._finished, (record.ended, record.id))]
        if self._outputs.get(record.output) == record.id:
            del self._outputs[record.output]
        if record.reference:
            same = self._references[record.reference]
            del same[record.id]
            if not same:
                del self._references[record.reference]

    # -- subscriptions ------------------------------------------------------------------------------------------------

    def subscribe(self) -> Subscription:
        subscription = Subscription()
        self._subscriptions.append(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        self._subscriptions.remove(subscription)

    def announce(self, record: JobRecord) -> None:
        for each in self._subscriptions:
            each.changed(record)

    def announce_daemon(self) -> None:
        for each in self._subscriptions:
            each.daemon = True
            each.woken.set()

    def close(self) -> None:
        """End all subscriptions."""
        for each in self._subscriptions:
            each.closed = True
            each.woken.set()
