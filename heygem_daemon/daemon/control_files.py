"""Apply the control files in an inbox: NAME.cancel, .hold, .resume, .retry and .priority, where NAME is a drop's name or a job's id.

They are deleted once they are applied, but for .hold, which holds for as long as it lies there. What is to be done is idempotent, and the
file goes last: after a crash in between it is applied once more. .ready is applied by the candidates alone.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final, TypeVar

from heygem_daemon.core.clock import ClockReading
from heygem_daemon.core.errors import TransientError
from heygem_daemon.core.job import Job
from heygem_daemon.core.job_options import parse_priority
from heygem_daemon.core.names import STAYING_CONTROLS, escape_name, is_job_id
from heygem_daemon.core.ports import Claims, Ledger, Log
from heygem_daemon.core.scan import InboxScan
from heygem_daemon.core.users import may_only, priority_lowered, request_refused
from heygem_daemon.daemon.candidates import CandidateTracker
from heygem_daemon.daemon.control_rights import Control, ControlRights
from heygem_daemon.daemon.dispatcher import Dispatcher
from heygem_daemon.daemon.job_store import JobStore
from heygem_daemon.daemon.requests import RequestHandler

T = TypeVar("T")

CHANGES_PER_SCAN: Final = 50
RETRIES_PER_SCAN: Final = 20
"""Each costs some fsyncs: a thousand files at once must not hold up the tick."""
NAMESAKES: Final = 200
"""The newest jobs of a name that are looked through for one of an inbox; there may be twenty thousand."""
UNKNOWN_SECONDS: Final = 60.0
"""How long a file may lie there before the drop that it is about."""

_WAITS_FOR_A_DROP: Final = frozenset({"cancel", "resume", "priority"})
_OFFLINE: Final = frozenset({"outputs_offline", "share_offline"})
"""Codes of what tells nothing about one job: its file waits, with the others."""


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
    _has_time: Callable[[], bool] = field(default=lambda: True)

    def apply(self, scan: InboxScan, now: ClockReading, *, has_time: Callable[[], bool] = lambda: True) -> None:
        """Apply what lies in the inbox; where there is much, or without time, the rest at the next scan."""
        self._has_time = has_time
        self._forget_what_is_gone(scan)
        controls: Sequence[Control] = [control for control in scan.controls if (scan.inbox, control) not in self._undeletable]
        if not controls and not any(job.on_hold for job in self.store.jobs.values()):
            return
        self._refuse_priorities(scan, controls)
        rights = ControlRights(scan=scan, users=self.candidates.rules.users)
        controls = self._without_refused(rights, controls)
        self._apply_to_jobs(rights, controls, now)
        self._resume_candidates(rights, controls)
        self._retry(rights, [name for name, kind in controls if kind == "retry"], now)
        self._remove_unknown(scan, controls, now)

    def _forget_what_is_gone(self, scan: InboxScan) -> None:
        present = set(scan.controls)
        self._undeletable = {(inbox, control) for inbox, control in self._undeletable if inbox != scan.inbox or control in present}
        self._unknown_since = {
            (inbox, control): since for (inbox, control), since in self._unknown_since.items() if inbox != scan.inbox or control in present
        }

    # -- rights ---------------------------------------------------------------------------------------------------

    def _without_refused(self, rights: ControlRights, controls: Sequence[Control]) -> Sequence[Control]:
        """Remove the control files of those who may not ask what they ask, note it with the job, and return the others."""
        inbox = rights.scan.inbox
        jobs = (job for job in self.store.jobs.values() if job.inbox == inbox)
        refused = rights.refused(controls, jobs, self.candidates.of(inbox))
        changed: dict[str, Job] = {}
        for control, target in islice(refused.items(), CHANGES_PER_SCAN):
            self._refuse(rights, control, target.log_context())
            if isinstance(target, Job):
                warning = request_refused(shown(control), rights.users.who_may(control[1]))
                changed[target.id] = changed.get(target.id, target).with_warning(warning)
        self.store.save(*(job for job in changed.values() if job != self.store.jobs[job.id]))
        return [control for control in controls if control not in refused]

    def _refuse(self, rights: ControlRights, control: Control, context: Mapping[str, str]) -> None:
        who = rights.users.who_may(control[1])
        self.log("control_refused", level="warning", **context, control=shown(control), reason=may_only(who))
        self._remove(rights.scan.inbox, control)

    # -- open jobs and candidates ---------------------------------------------------------------------------------

    def _apply_to_jobs(self, rights: ControlRights, controls: Collection[Control], now: ClockReading) -> None:
        by_name: dict[str, list[Control]] = {}
        for control in controls:
            by_name.setdefault(escape_name(control[0]), []).append(control)
        applied: list[Control] = []
        changes = 0
        scan = rights.scan
        for job in [job for job in self.store.jobs.values() if job.inbox == scan.inbox]:
            named = [*by_name.get(job.name, ()), *(by_name.get(job.id, ()) if job.id != job.name else ())]
            wanted = [control for control in named if rights.may(control, job.dropped_by)]
            if not wanted and not job.on_hold:
                continue
            if changes and (changes >= CHANGES_PER_SCAN or not self._has_time()):
                break  # what was changed is not asked for again, so the others have their turn
            before = len(applied)
            has_changed = self._apply_to_job(job, wanted, rights, applied, now)
            changes += has_changed or len(applied) > before
        self._clear_all(scan.inbox, applied)

    def _apply_to_job(self, job: Job, wanted: Sequence[Control], rights: ControlRights, applied: list[Control], now: ClockReading) -> bool:
        """Do what these files ask of a job and add those that may be deleted to `applied`; return whether the job changed."""
        given = {kind: [control for control in wanted if control[1] == kind] for kind in ("cancel", "hold", "resume", "priority")}
        if given["cancel"]:
            self.dispatcher.cancel(job, now)
            applied += given["cancel"]
            return True
        numbers = {control: parse_priority(rights.scan.priorities.get(control[0], "")) for control in given["priority"]}
        asked = [(control, number) for control, number in numbers.items() if number is not None]
        applied += [control for control, _ in asked]
        prioritized = self._prioritize(job, *asked[0], rights) if asked else job
        if given["resume"]:
            self.dispatcher.release(prioritized, now)
            applied += (*given["hold"], *given["resume"])
        elif given["hold"] and not job.on_hold:
            self.dispatcher.hold(prioritized, f"Held back by {escape_name(given['hold'][0][0])}.hold", now)
        elif job.on_hold and job.reason.endswith(".hold") and not given["hold"]:
            self.dispatcher.release(prioritized, now)
        return self.store.jobs[job.id] != job

    def _prioritize(self, job: Job, control: Control, wanted: int, rights: ControlRights) -> Job:
        usual = self.candidates.rules.priorities.get(job.inbox, 0)
        priority = rights.users.priority(wanted, rights.uids(control), usual)
        changed = job if priority == wanted else job.with_warning(priority_lowered(wanted, priority))
        if priority != job.priority:
            changed = replace(changed, priority=priority)
            self.log("job_prioritized", **job.log_context(), priority=priority)
        if changed != job:
            self.store.save(changed)
        return changed

    def _resume_candidates(self, rights: ControlRights, controls: Collection[Control]) -> None:
        """Delete the .hold files of drops that are to be resumed; the candidates go on while a .resume file lies there."""
        present = set(controls)
        pairs: list[Control] = []
        for candidate in self.candidates.of(rights.scan.inbox) if any(kind == "resume" for _, kind in present) else ():
            owner, names = candidate.owner(rights.users), candidate.control_names
            if any((name, "resume") in present and rights.may((name, "resume"), owner) for name in names):
                pairs += [(name, kind) for kind in ("hold", "resume") for name in names]
        self._clear_all(rights.scan.inbox, [pair for pair in pairs if pair in present][:CHANGES_PER_SCAN])

    def _clear_all(self, inbox: str, applied: Sequence[Control]) -> None:
        """Delete files that were applied, .resume last: until then it outweighs a .hold that cannot be deleted."""
        is_held = False
        for control in sorted(dict.fromkeys(applied), key=lambda control: control[1] == "resume"):
            if control[1] != "resume" or not is_held:
                is_held |= not self._clear(inbox, control) and control[1] == "hold"

    def _in_time(self, found: Iterable[T]) -> Iterator[T]:
        """Yield some while there is time, but one at least."""
        for place, each in enumerate(found):
            if place and not self._has_time():
                return
            yield each

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
        for name, text in self._in_time(wrong[:CHANGES_PER_SCAN]):
            reason = f"it must hold a whole number from -100 to 100, not {text.strip()[:64]}"
            self.log("control_refused", level="warning", control=f"{escape_name(name)}.priority", reason=escape_name(reason))
            self._remove(scan.inbox, (name, "priority"))

    def _retry(self, rights: ControlRights, names: Sequence[str], now: ClockReading) -> None:
        """Try finished jobs again; a file that names none is deleted, or it would be looked up at every scan."""
        inbox = rights.scan.inbox
        for name in self._in_time(names[:RETRIES_PER_SCAN]):
            try:
                job = (self.ledger.get(name) if is_job_id(name) else None) or self._newest(inbox, name)
            except TransientError:
                return  # the ledger does not answer now
            if job is not None and job.inbox == inbox and not rights.may((name, "retry"), job.dropped_by):
                self._refuse(rights, (name, "retry"), job.log_context())
                continue
            if job is None or job.inbox != inbox:
                self._log_unknown((name, "retry"))
            elif not self._retry_job(job, name, now):
                return
            self._remove(inbox, (name, "retry"))

    def _retry_job(self, job: Job, name: str, now: ClockReading) -> bool:
        """Try a job again, or log why not; return False where that cannot be decided now, of this job and of others."""
        try:
            if self.requests.retry(job, now):
                self._clear(job.inbox, (job.id, "hold"))  # left from before its end
            else:
                self._log_unknown((name, "retry"))
        except TransientError as problem:
            if problem.code in _OFFLINE:
                return False
            self.log("job_waiting", level="warning", **job.log_context(), error_code=problem.code, reason=problem.message)
        except Exception:  # more than the program can deal with: not at every scan, and the others have their turn
            self._undeletable.add((job.inbox, (name, "retry")))
            raise
        return True

    def _newest(self, inbox: str, name: str) -> Job | None:
        """Return the newest job of this name in this inbox. Raises TransientError."""
        shown = escape_name(name)
        return next((job for job in self.ledger.find(shown, NAMESAKES) if job.name == shown and job.inbox == inbox), None)

    def _remove_unknown(self, scan: InboxScan, controls: Collection[Control], now: ClockReading) -> None:
        """Remove files that are about no open job and no drop, after a while: a drop may still come."""
        if self.candidates.has_unregistered(scan.inbox):
            return  # its id is not known yet
        known = set(self._known_names(scan.inbox))
        removed = 0
        for name, kind in controls:
            is_leftover = kind in STAYING_CONTROLS and is_job_id(name)  # of a job that is over
            if not (kind in _WAITS_FOR_A_DROP or is_leftover) or escape_name(name) in known:
                continue
            since = self._unknown_since.setdefault((scan.inbox, (name, kind)), now.monotonic)
            if now.monotonic - since >= UNKNOWN_SECONDS and removed < CHANGES_PER_SCAN and self._has_time():
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


def shown(control: Control) -> str:
    """Return the name of a control file, safe to show."""
    return f"{escape_name(control[0])}.{control[1]}"
