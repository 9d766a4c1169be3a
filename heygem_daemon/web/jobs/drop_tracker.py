"""The drops that the daemon has not given a status yet: those that lie in the inboxes, and those that the page has just made.

A drop is shown under its reference (or an id of ours) until a status tells of it; then the job of the daemon takes its place. What has
left an inbox is shown for a few seconds more: its status may be on its way.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from heygem_daemon.core.job import State
from heygem_daemon.web.jobs.inbox_listing import InboxListing, anonymous_id
from heygem_daemon.web.jobs.job_record import JobRecord
from heygem_daemon.web.jobs.job_table import JobTable

GRACE: Final = 10.0
"""s between a drop leaving its inbox and its job standing in the list; the daemon writes the status in the same round."""
EXPECTED: Final = 60.0
"""s for which a drop that the page made is shown although no listing of its inbox has found it."""
_SLACK: Final = 2.0
"""s by which the clock of a file server may be ahead of ours."""


@dataclass(kw_only=True)
class _Leaving:
    record: JobRecord
    until: float


@dataclass(kw_only=True)
class DropTracker:
    """Puts drops into the table and takes them out again; call `reconcile` after every change of a listing or of settling jobs."""

    table: JobTable
    listings: dict[Path, InboxListing] = field(default_factory=dict)
    _shown: dict[str, JobRecord] = field(default_factory=dict)
    _leaving: dict[str, _Leaving] = field(default_factory=dict)

    def expect(self, record: JobRecord, now: float) -> None:
        """Show a drop that has just come into its inbox, before any listing has found it."""
        self._leaving[record.id] = _Leaving(record=record, until=now + EXPECTED)
        self.reconcile(now)

    def adopt(self, record: JobRecord) -> JobRecord:
        """Return a job of the daemon with what only its drop knows: a status of a drop that is not claimed may lack them."""
        found = self._drop_of(record)
        if found is None:
            return record
        return replace(
            record,
            owner=record.owner or found.owner,
            reference=record.reference or found.reference,
            inbox=record.inbox or found.inbox,
            control=found.control,
        )

    def _drop_of(self, record: JobRecord) -> JobRecord | None:
        """Return the drop that a status is about: as it lies in an inbox, as the page has made it, or as it was known before."""
        if not record.is_genuine or record.state is not State.SETTLING or not record.output:
            return None
        drops = (*self._lying(), *(each.record for each in self._leaving.values()), *self._shown.values())
        same = (drop for drop in drops if drop.name == record.name and record.inbox in {"", drop.inbox})
        return next(same, self.table.get(record.id))

    def reconcile(self, now: float) -> None:
        """Bring the drops in the table in line with the listings and with the jobs."""
        for record in [each for each in self.table.open() if each.output and each.state is State.SETTLING]:
            self.table.put(self.adopt(record))
        taken = _Taken(self.table)
        present = {record.id: record for record in _distinct(self._lying(), self.table) if not taken.has(record)}
        self._let_go(present, taken, now)
        wanted = {**{each.record.id: each.record for each in self._leaving.values()}, **present}
        for job_id in [job_id for job_id in self._shown if job_id not in wanted]:
            if not self._is_job(job_id):
                self.table.remove(job_id)
        for record in wanted.values():
            if not self._is_job(record.id):
                self.table.put(record)
        self._shown = wanted

    def _is_job(self, job_id: str) -> bool:
        """Return whether this is the id of a job of the daemon, which somebody's reference may be equal to."""
        known = self.table.get(job_id)
        return known is not None and known.output != ""

    def _lying(self) -> Iterable[JobRecord]:
        return (drop.record for listing in self.listings.values() for drop in listing.drops.values())

    def _let_go(self, present: Mapping[str, JobRecord], taken: "_Taken", now: float) -> None:
        """Keep what was shown and lies nowhere any more for a while, until a job takes its place."""
        for record in self._shown.values():
            if record.id not in present and record.id not in self._leaving:
                self._leaving[record.id] = _Leaving(record=record, until=now + GRACE)
        self._leaving = {
            job_id: each
            for job_id, each in self._leaving.items()
            if job_id not in present and each.until > now and not taken.has(each.record)
        }


class _Taken:
    """Which drops have a status of the daemon already."""

    def __init__(self, table: JobTable) -> None:
        self._table = table
        self._open: dict[str, list[JobRecord]] = {}
        for record in table.open():
            if record.output:
                self._open.setdefault(record.name, []).append(record)

    def has(self, drop: JobRecord) -> bool:
        same = [each for each in self._open.get(drop.name, ()) if each.inbox in {"", drop.inbox}]
        if any(each.state is State.SETTLING for each in same):
            return True
        since = drop.since - _SLACK
        if drop.reference:
            return any(each.output and each.began >= since for each in self._table.referenced(drop.reference))
        return any(each.began >= since for each in same) or self._has_ended(drop, since)

    def _has_ended(self, drop: JobRecord, since: float) -> bool:
        for record in self._table.finished():
            if record.ended < since:
                return False
            if record.name == drop.name and record.began >= since and record.inbox in {"", drop.inbox}:
                return True
        return False


def _distinct(records: Iterable[JobRecord], table: JobTable) -> Iterable[JobRecord]:
    """Yield the drops with ids that are theirs alone: a reference may be a second drop's, or the id of a job."""
    used: set[str] = set()
    for record in records:
        known = table.get(record.id)
        if record.id in used or (known is not None and known.output):
            record = replace(record, id=anonymous_id(Path(record.inbox), record.control))  # noqa: PLW2901
        used.add(record.id)
        yield record
