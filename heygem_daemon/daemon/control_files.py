"""Apply the control files in an inbox: NAME.cancel, .hold, .resume, .retry and .priority, where NAME is a drop's name or a job's id.

They are deleted once they are applied, but for .hold, which holds for as long as it lies there. What is to be done is idempotent, and the
file goes last: after a crash in between it is applied once more. .ready is applied by the candidates alone.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from heygem_daemon.core.clock import ClockReading
from heygem_daemon.core.errors import TransientError
from heygem_daemon.core.job import Job
from heygem_daemon.core.job_options import parse_priority
from heygem_daemon.core.names import escape_name, is_job_id
from heygem_daemon.core.ports import Claims, Ledger, Log
from heygem_daemon.core.scan import InboxScan
from heygem_daemon.daemon.candidates import CandidateTracker
from heygem_daemon.daemon.dispatcher import Dispatcher
from heygem_daemon.daemon.job_store import JobStore
from heygem_daemon.daemon.requests import RequestHandler

CHANGES_PER_SCAN: Final = 50
RETRIES_PER_SCAN: Final = 20
"""Each costs some fsyncs: a thousand files at once must not hold up the tick."""
SEARCHES_PER_SCAN: Final = 2
"""Retries by the name of a drop, for which the ledger has no index: 0.16 s with 20 000 finished jobs, where that by an id takes 2 ms."""
UNKNOWN_SECONDS: Final = 60.0
"""How long a file may lie there before the drop that it is about."""

_WAITS_FOR_A_DROP: Final = frozenset({"cancel", "resume", "priority"})
_STAYS: Final = frozenset({"hold", "ready"})
"""May lie there before a drop for as long as it takes; by the id of a job that is over they are only left behind."""

Control = tuple[str, str]
"""The name before the suffix as the file system gives it, and the suffix."""


@dataclass(kw_only=True)
class ControlFiles:
    """Call `apply` after each scan of an inbox that is online."""

    store: JobStore
    dispatcher: Dispatcher
    candidates: CandidateTracker
    requests: RequestHandler
    ledger: Ledger
    claims: Claims
    log: Log
    _unknown_since: dict[tuple[str, Control], float] = field(default_factory=dict)
    _undeletable: set[tuple[str, Control]] = field(default_factory=set)
    """Files that were applied and are still there: they must not be applied again and again."""

    def apply(self, scan: InboxScan, now: ClockReading) -> None:
        """Apply what lies in the inbox; where there is much, the rest at the next scan."""
        self._forget_what_is_gone(scan)
        controls = [control for control in scan.controls if (scan.inbox, control) not in self._undeletable]
        if not controls and not any(job.on_hold for job in self.store.jobs.values()):
            return
        self._refuse_priorities(scan, controls)
        self._apply_to_jobs(scan, controls, now)
        self._resume_candidates(scan.inbox, controls)
        self._retry(scan.inbox, [name for name, kind in controls if kind == "retry"], now)
        self._remove_unknown(scan, controls, now)

    def _forget_what_is_gone(self, scan: InboxScan) -> None:
        present = set(scan.controls)
        self._undeletable = {(inbox, control) for inbox, control in self._undeletable if inbox != scan.inbox or control in present}
        self._unknown_since = {
            (inbox, control): since for (inbox, control), since in self._unknown_since.items() if inbox != scan.inbox or control in present
        }

    # -- open jobs and candidates ---------------------------------------------------------------------------------

    def _apply_to_jobs(self, scan: InboxScan, controls: Collection[Control], now: ClockReading) -> None:
        by_name: dict[str, list[Control]] = {}
        for control in controls:
            by_name.setdefault(escape_name(control[0]), []).append(control)
        applied: list[Control] = []
        changes = 0
        for job in [job for job in self.store.jobs.values() if job.inbox == scan.inbox]:
            if changes >= CHANGES_PER_SCAN:
                break
            wanted = [*by_name.get(job.name, ()), *(by_name.get(job.id, ()) if job.id != job.name else ())]
            before = len(applied)
            has_changed = self._apply_to_job(job, wanted, scan, applied, now)
            changes += has_changed or len(applied) > before
        self._clear_all(scan.inbox, applied)

    def _apply_to_job(self, job: Job, wanted: Sequence[Control], scan: InboxScan, applied: list[Control], now: ClockReading) -> bool:
        """Do what these files ask of a job and add those that may be deleted to `applied`; return whether the job changed."""
        given = {kind: [control for control in wanted if control[1] == kind] for kind in ("cancel", "hold", "resume", "priority")}
        if given["cancel"]:
            self.dispatcher.cancel(job, now)
            applied += given["cancel"]
            return True
        numbers = {control: parse_priority(scan.priorities.get(control[0], "")) for control in given["priority"]}
        applied += [control for control, number in numbers.items() if number is not None]
        prioritized = self._prioritize(job, next((number for number in numbers.values() if number is not None), job.priority))
        if given["resume"]:
            self.dispatcher.release(prioritized, now)
            applied += (*given["hold"], *given["resume"])
        elif given["hold"] and not job.on_hold:
            self.dispatcher.hold(prioritized, f"Held back by {escape_name(given['hold'][0][0])}.hold", now)
        elif job.on_hold and job.reason.endswith(".hold") and not given["hold"]:
            self.dispatcher.release(prioritized, now)
        return self.store.jobs[job.id] != job

    def _prioritize(self, job: Job, priority: int) -> Job:
        if priority == job.priority:
            return job
        changed = replace(job, priority=priority)
        self.store.save(changed)
        self.log("job_prioritized", **job.log_context(), priority=priority)
        return changed

    def _resume_candidates(self, inbox: str, controls: Collection[Control]) -> None:
        """Delete the .hold files of drops that are to be resumed; the candidates go on while a .resume file lies there."""
        present = set(controls)
        resumed = [names for names in self.candidates.control_names(inbox) if any((name, "resume") in present for name in names)]
        pairs = [(name, kind) for names in resumed for kind in ("hold", "resume") for name in names]
        self._clear_all(inbox, [pair for pair in pairs if pair in present][:CHANGES_PER_SCAN])

    def _clear_all(self, inbox: str, applied: Sequence[Control]) -> None:
        """Delete files that were applied, .resume last: until then it outweighs a .hold that cannot be deleted."""
        is_held = False
        for control in sorted(dict.fromkeys(applied), key=lambda control: control[1] == "resume"):
            if control[1] != "resume" or not is_held:
                is_held |= not self._clear(inbox, control) and control[1] == "hold"

    def _clear(self, inbox: str, control: Control) -> bool:
        try:
            self.claims.clear_control(inbox, *control)
        except TransientError:
            return False
        return True

    # -- the others -----------------------------------------------------------------------------------------------

    def _refuse_priorities(self, scan: InboxScan, controls: Collection[Control]) -> None:
        """Remove the .priority files that hold no priority."""
        present = set(controls)
        wrong = [(name, text) for name, text in scan.priorities.items() if (name, "priority") in present and parse_priority(text) is None]
        for name, text in wrong[:CHANGES_PER_SCAN]:
            reason = f"it must hold a whole number from -100 to 100, not {text.strip()[:64]}"
            self.log("control_refused", level="warning", control=f"{escape_name(name)}.priority", reason=escape_name(reason))
            self._remove(scan.inbox, (name, "priority"))

    def _retry(self, inbox: str, names: Sequence[str], now: ClockReading) -> None:
        """Try finished jobs again; a file that names none is deleted, or it would be looked up at every scan."""
        searches_left = SEARCHES_PER_SCAN
        for name in sorted(names, key=lambda name: not is_job_id(name))[:RETRIES_PER_SCAN]:
            try:
                job = self.ledger.get(name) if is_job_id(name) else None
                if job is None and not searches_left:
                    continue
                if job is None:
                    searches_left -= 1
                    job = self._newest(inbox, name)
            except TransientError:
                return  # the ledger does not answer now
            if job is None or job.inbox != inbox or not self.requests.retry(job, now):
                self._log_unknown((name, "retry"))
            else:
                self._clear(inbox, (job.id, "hold"))  # left from before its end
            self._remove(inbox, (name, "retry"))

    def _newest(self, inbox: str, name: str) -> Job | None:
        """Return the newest job of this name in this inbox. Raises TransientError."""
        shown = escape_name(name)
        return next((job for job in self.ledger.find(shown) if job.name == shown and job.inbox == inbox), None)

    def _remove_unknown(self, scan: InboxScan, controls: Collection[Control], now: ClockReading) -> None:
        """Remove files that are about no open job and no drop, after a while: a drop may still come."""
        if self.candidates.has_unregistered(scan.inbox):
            return  # its id is not known yet
        known = set(self._known_names(scan.inbox))
        removed = 0
        for name, kind in controls:
            is_leftover = kind in _STAYS and is_job_id(name)
            if not (kind in _WAITS_FOR_A_DROP or is_leftover) or escape_name(name) in known:
                continue
            since = self._unknown_since.setdefault((scan.inbox, (name, kind)), now.monotonic)
            if now.monotonic - since >= UNKNOWN_SECONDS and removed < CHANGES_PER_SCAN:
                removed += 1
                if not is_leftover:
                    self._log_unknown((name, kind))
                self._remove(scan.inbox, (name, kind))

    def _known_names(self, inbox: str) -> Iterator[str]:
        for job in self.store.jobs.values():
            if job.inbox == inbox:
                yield from (job.name, job.id)
        for names in self.candidates.control_names(inbox):
            yield from (escape_name(name) for name in names)

    def _log_unknown(self, control: Control) -> None:
        self.log("request_unknown", level="warning", verb=control[1], target=escape_name(control[0]))

    def _remove(self, inbox: str, control: Control) -> None:
        if not self._clear(inbox, control):
            self._undeletable.add((inbox, control))
