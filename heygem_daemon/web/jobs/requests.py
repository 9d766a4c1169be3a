"""What people have asked of jobs by control files that the daemon has not taken yet: an entry shows it until it is done.

The control files in the inboxes are the truth, so it survives a restart and shows what people asked for on the share as well; what the page
itself has just written counts until the next listing of that inbox.
"""

import time
from dataclasses import dataclass, field
from typing import Final

from heygem_daemon.core.job import State
from heygem_daemon.core.names import escape_name
from heygem_daemon.web.jobs.job_record import JobRecord
from heygem_daemon.web.jobs.job_table import JobTable

KINDS: Final = frozenset({"cancel", "hold", "resume", "retry", "priority"})
_NOTED: Final = 60.0
"""s after which a request is forgotten whose inbox was not listed since."""

_Request = tuple[str, str]
"""The name or id that a control file goes by, and its kind."""


@dataclass(kw_only=True)
class PendingRequests:
    """The control files that lie in the inboxes, by inbox."""

    table: JobTable
    _listed: dict[str, frozenset[_Request]] = field(default_factory=dict)
    _noted: dict[tuple[str, _Request], float] = field(default_factory=dict)

    def of(self, record: JobRecord) -> frozenset[str]:
        """Return what is asked of a job and not done yet."""
        if not record.inbox:
            return frozenset()
        listed = self._listed.get(record.inbox, frozenset())
        names = _names(record)
        asked = {kind for kind in KINDS for name in names if (name, kind) in listed or (record.inbox, (name, kind)) in self._noted}
        return frozenset(asked & _unfinished(record))

    def note(self, record: JobRecord, name: str, kind: str) -> None:
        """Remember that a control file was written for this job, under this name."""
        self._noted[record.inbox, (name, kind)] = time.time()
        self.table.announce(record)

    def withdraw(self, record: JobRecord, name: str, kind: str) -> None:
        """Remember that a control file was deleted again."""
        self._noted.pop((record.inbox, (name, kind)), None)
        self._listed[record.inbox] = self._listed.get(record.inbox, frozenset()) - {(name, kind)}
        self.table.announce(record)

    def update(self, inbox: str, controls: frozenset[_Request], began: float) -> None:
        """Take the control files of a listing that began at this unix time."""
        before = self._listed.get(inbox, frozenset())
        over = {request for (where, request), noted in self._noted.items() if where == inbox and noted < began}
        self._noted = {key: noted for key, noted in self._noted.items() if key[0] != inbox or noted >= began}
        self._listed[inbox] = controls
        self._announce(inbox, {name for name, _kind in (before ^ controls) | (over - controls)})

    def expire(self, now: float) -> None:
        """Forget requests in inboxes that are not listed any more."""
        over = {key for key, noted in self._noted.items() if noted < now - _NOTED}
        for inbox, (name, _kind) in over:
            del self._noted[inbox, (name, _kind)]
            self._announce(inbox, {name})

    def _announce(self, inbox: str, names: set[str]) -> None:
        if not names:
            return
        jobs = {record.id: record for record in self.table.open() if record.inbox == inbox and not names.isdisjoint(_names(record))}
        jobs |= {record.id: record for name in names if (record := self.table.get(name)) is not None}
        for record in jobs.values():
            self.table.announce(record)


def _unfinished(record: JobRecord) -> frozenset[str]:
    """Return what can be asked and not done yet: a .hold lies there as long as it holds, a .priority until its drop is claimed."""
    if record.is_final:
        return frozenset({"retry"})
    is_candidate = record.state is State.SETTLING and record.output != ""
    return KINDS - {"retry"} - ({"hold"} if record.is_held else set()) - ({"priority"} if is_candidate else set())


def _names(record: JobRecord) -> tuple[str, ...]:
    """Return the names of the control files that the daemon takes for this job. One that ended is meant by its id alone: another drop may
    have its name by now."""
    if record.is_final:
        return (record.id,)
    if record.control:
        return (record.id, record.control)
    return (record.id, record.name) if escape_name(record.name) == record.name else (record.id,)
