"""Take back what status files say about jobs that nobody works on, and take up again claimed jobs that the ledger does not know.

A ledger may be lost, or come from a backup; a drop may be taken away, or its inbox out of the configuration, while the daemon is down; a
published result may be deleted. The status files in outputs would say "queued", "settling" or "succeeded" for ever. After an inbox is
online for the first time, and from time to time, outputs are surveyed beside the tick, and what is found is put right here, a little in
each tick.
"""

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from heygem_daemon.core.clock import ClockReading
from heygem_daemon.core.errors import TransientError, error
from heygem_daemon.core.found_status import FoundStatus
from heygem_daemon.core.job import Failure, Job
from heygem_daemon.core.names import escape_name
from heygem_daemon.core.ports import Claims, Clock, InboxMemory, Ledger, Log, StatusWriter, Survey
from heygem_daemon.core.scan import InboxScan
from heygem_daemon.core.status import JobStatus
from heygem_daemon.core.status_builder import concluded, with_missing
from heygem_daemon.daemon.adoption import Adoption
from heygem_daemon.daemon.candidates import CandidateTracker
from heygem_daemon.daemon.dispatcher import Dispatcher
from heygem_daemon.daemon.job_store import JobStore

STEP_SECONDS: Final = 0.05
"""s of a tick that are given to it."""
WAIT_SECONDS: Final = 0.05
"""s that a tick waits for a survey that has just begun: of a few hundred folders it is over by then."""
PAUSE_SECONDS: Final = 0.05
"""s between two steps while there is something to do."""
AGAIN_SECONDS: Final = 5.0
"""s until what failed is tried again."""
BACKLOG_SECONDS: Final = 60.0
"""s until the next survey where drops are still to be looked at."""
SURVEY_SECONDS: Final = 3600.0
"""s between two surveys for results that somebody deleted."""
TRIES: Final = 3
"""How often the inputs of a claimed job are looked at until it is put back as it is."""
CORRECTIONS_PER_TICK: Final = 20
ADOPTIONS_PER_TICK: Final = 50
"""Each correction is an fsync (some ms), each adoption a listing."""
LOOKS_AT_ONCE: Final = 100
"""Claimed folders of which it is found out after one scan whether they are in the flat form; a share takes some ms for each."""


@dataclass(kw_only=True)
class FormerJobs:
    """Call `watch` at the start and when other inboxes are watched, `inbox_recovered` and `inbox_scanned` when an inbox is online for the
    first time, and `step` in every tick."""

    survey: Survey
    adoption: Adoption
    claims: Claims
    status_writer: StatusWriter
    ledger: Ledger
    inbox_memory: InboxMemory
    store: JobStore
    candidates: CandidateTracker
    dispatcher: Dispatcher
    clock: Clock
    log: Log
    _orphans: dict[str, str] = field(default_factory=dict)
    """Claimed folders that the ledger does not know: job id -> inbox."""
    _flat: dict[str, bool] = field(default_factory=dict)
    """Whether their drops are in the flat form, as far as that was asked."""
    _statuses: dict[str, FoundStatus] = field(default_factory=dict)
    """The status that was found of an orphan."""
    _tries: dict[str, int] = field(default_factory=dict)
    _recovered: set[str] = field(default_factory=set)
    _due: set[str] = field(default_factory=set)
    _surveyed: frozenset[str] = frozenset()
    """The inboxes of the survey that runs, or whose orphans are not all dealt with."""
    _watched: frozenset[str] = frozenset()
    _unwatched: frozenset[str] = frozenset()
    """The inboxes that were watched before and are not now, until their statuses were surveyed."""
    _findings: deque[FoundStatus] = field(default_factory=deque)
    _has_failed: bool = False
    _again_at: float = 0.0
    _survey_at: float = float("inf")

    def watch(self, inboxes: Collection[str]) -> None:
        """Remember which inboxes are watched; those that were and are not any more are surveyed with the others once more."""
        self._watched = frozenset(inboxes)
        self._unwatched = frozenset(self.inbox_memory.read()) - self._watched
        self.inbox_memory.write(self._watched | self._unwatched)

    def inbox_recovered(self, inbox: str, unknown: Sequence[str]) -> None:
        """Look after the claimed folders of this inbox that the ledger does not know."""
        self._orphans |= dict.fromkeys(unknown, inbox)
        self._recovered.add(inbox)

    def may_hold_part_of_flat_drop(self, inbox: str) -> bool:
        """Whether a claimed folder that is not dealt with yet was a drop in the flat form, as far as is known: such a claim takes several
        renames, so the rest of it may still lie in the inbox, and is no drop of its own."""
        here = [job_id for job_id, where in self._orphans.items() if where == inbox]
        unknown = [job_id for job_id in here if job_id not in self._flat]
        try:
            for job_id in unknown[:LOOKS_AT_ONCE]:
                self._flat[job_id] = self.claims.is_flat(self.claims.folder(inbox, job_id))
        except TransientError:
            return True
        return len(unknown) > LOOKS_AT_ONCE or any(self._flat[job_id] for job_id in here)

    def inbox_scanned(self, inbox: str) -> None:
        """Survey the statuses of an inbox that was recovered: its drops are known now."""
        if inbox in self._recovered:
            self._recovered.discard(inbox)
            self._due.add(inbox)

    def rest(self, now: ClockReading) -> float:
        """Return in how many s the next step is worth a tick."""
        return PAUSE_SECONDS if self.is_active and now.monotonic >= self._again_at else 1.0

    @property
    def is_active(self) -> bool:
        """Whether something is still to be found out; not while outputs cannot be reached."""
        return bool(self._surveyed or (self._due and not self._has_failed))

    def step(self, scans: Mapping[str, InboxScan], now: ClockReading) -> None:
        """Do a little of what is to be done."""
        if now.monotonic < self._again_at:
            return
        online = {inbox for inbox, scan in scans.items() if scan.online}
        if now.monotonic >= self._survey_at:
            self._due |= online
        elif self._orphans and not self._surveyed:  # their inbox went away in the middle, and is back
            self._due |= (online - self._recovered).intersection(self._orphans.values())
        if self._due and not self._surveyed:
            self._begin(now)
        if not self._surveyed:
            return
        until = self.clock.now().monotonic + STEP_SECONDS
        self._correct(scans, now, until)
        if not self._findings and not self.survey.is_running:
            self._finish_survey(scans, now, until)

    def _begin(self, now: ClockReading) -> None:
        self._surveyed, self._due = frozenset(self._due), set()
        self._survey_at = now.monotonic + SURVEY_SECONDS
        self.survey.begin(self._surveyed | self._unwatched, [job_id for job_id, inbox in self._orphans.items() if inbox in self._surveyed])
        self.survey.wait(WAIT_SECONDS)

    def _finish_survey(self, scans: Mapping[str, InboxScan], now: ClockReading, until: float) -> None:
        self._has_failed = not self.survey.is_complete
        if self._has_failed:  # outputs are away: nothing follows from what was not found
            self._due |= self._surveyed
            self._surveyed = frozenset()
            self._again_at = now.monotonic + AGAIN_SECONDS
            return
        if self._unwatched:
            self._unwatched = frozenset()
            self.inbox_memory.write(self._watched)
        online = {inbox for inbox, scan in scans.items() if scan.online}
        left = [job_id for job_id, inbox in self._orphans.items() if inbox in self._surveyed & online]
        if left:
            self._settle_orphans(left, now, until)
        else:
            self._surveyed = frozenset()

    def close(self) -> None:
        """Let a survey end."""
        self.survey.close()

    # -- what status files say ------------------------------------------------------------------------------------

    def _correct(self, scans: Mapping[str, InboxScan], now: ClockReading, until: float) -> None:
        outputs = self.candidates.outputs() if self._findings or self.survey.is_running else {}
        arriving = frozenset((*outputs, *outputs.values()))
        for _ in range(CORRECTIONS_PER_TICK):
            if not self._findings:
                self._findings.extend(self.survey.take(CORRECTIONS_PER_TICK))
            if not self._findings or self.clock.now().monotonic >= until:
                return
            found = self._findings.popleft()
            try:
                self._correct_one(found, arriving, scans, now)
            except TransientError:
                self._findings.append(found)
                self._again_at = now.monotonic + AGAIN_SECONDS
                return

    def _correct_one(self, found: FoundStatus, arriving: Collection[str], scans: Mapping[str, InboxScan], now: ClockReading) -> None:
        """Put one status right; `arriving` holds the ids and output folders of drops on their way in. Raises TransientError."""
        status = found.status
        if status.job in self._orphans:
            before = self._statuses.get(status.job)
            self._statuses[status.job] = found if before is None or found.published > before.published else before
            return
        if self.store.contains(status.job) or status.job in arriving or status.output in arriving:
            return
        job = self.ledger.get(status.job)
        if job is not None and job.output == status.output:
            self._log_missing(found)
            self.store.mark_changed(job)  # what was found may be older than what was written since
        elif not found.was_claimed and not found.is_over:
            self._withdraw(found, scans, now)
        elif job is None and found.is_over:
            self.status_writer.write_job(with_missing(status, found.missing))
            self._log_missing(found)
        elif job is None and not self._is_unwatched(status):  # its inputs may still be claimed there, or in an inbox that comes later
            self._conclude(found, now)

    def _is_unwatched(self, status: JobStatus) -> bool:
        return any(escape_name(inbox) == status.inbox for inbox in self._unwatched)

    def _log_missing(self, found: FoundStatus) -> None:
        """Log which published results are gone, where the last status did not say so."""
        status = found.status
        known = {item.key for item in status.items if item.missing is not None}
        if found.is_over and found.missing - known:
            self.log("result_missing", level="warning", job_id=status.job, job=status.name, count=len(found.missing))

    def _withdraw(self, found: FoundStatus, scans: Mapping[str, InboxScan], now: ClockReading) -> None:
        """Remove the status of a drop that was taken away while the daemon was down, or whose inbox is no longer watched."""
        status = found.status
        if not self._is_unwatched(status):
            scan = next((scan for inbox, scan in scans.items() if escape_name(inbox) == status.inbox), None)
            if scan is None or not scan.online or any(escape_name(each.name) == status.name for each in scan.drops):
                return
            if self.candidates.has_unregistered(scan.inbox):  # it may be one of those that the scan had no time for
                self._survey_at = min(self._survey_at, now.monotonic + BACKLOG_SECONDS)
                return
        self.status_writer.remove(status.output)
        self.log("drop_withdrawn", job_id=status.job, job=status.name)

    def _conclude(self, found: FoundStatus, now: ClockReading) -> None:
        """Write the last status of a job that is neither in the ledger nor claimed."""
        status, problem = found.status, error("job_lost")
        self.status_writer.write_job(with_missing(concluded(status, Failure.of(problem), now.wall), found.missing))
        self.log("job_lost", level="warning", job_id=status.job, job=status.name, error_code=problem.code)

    # -- claimed folders that the ledger does not know ------------------------------------------------------------

    def _settle_orphans(self, job_ids: Sequence[str], now: ClockReading, until: float) -> None:
        """Take up what was a job, and put back what never became one; the jobs of one tick are written together."""
        adopted: list[Job] = []
        try:
            for job_id in job_ids[:ADOPTIONS_PER_TICK]:
                if self.clock.now().monotonic >= until:
                    break
                try:
                    job = self._settle(job_id, now)
                except TransientError as problem:
                    self._again_at = now.monotonic + AGAIN_SECONDS
                    if problem.code != "outputs_offline":  # that tells nothing about this folder
                        self._count_failure(job_id, problem)
                    continue
                except Exception:  # more than the program can deal with: it is put back in the end, and the others have their turn
                    self._tries[job_id] = self._tries.get(job_id, 0) + 1
                    self._orphans[job_id] = self._orphans.pop(job_id)
                    raise
                self._forget(job_id)
                if job is not None:
                    adopted.append(job)
        finally:  # also after a mistake: the others are orphans no longer
            self.dispatcher.enqueue(adopted, now)

    def _settle(self, job_id: str, now: ClockReading) -> Job | None:
        """Return the job that an orphan becomes, None where it was put back into its inbox. Raises TransientError."""
        inbox, found = self._orphans[job_id], self._statuses.get(job_id)
        is_job = found is not None and found.was_claimed and self._tries.get(job_id, 0) < TRIES
        if found is None or not is_job:
            if self.claims.unclaim(inbox, job_id):
                name = found.status.name if found is not None else job_id
                self.log("drop_restored", job_id=job_id, job=name, inbox=inbox, reason="It was claimed without becoming a job")
            return None
        job = self.adoption.job(inbox, found.status, self.candidates.rules, now.wall)
        self.log("job_adopted", level="warning", **job.log_context(), items=len(job.items), state=job.state)
        return job

    def _count_failure(self, job_id: str, problem: TransientError) -> None:
        """Log the first failure, and the last one, after which the folder is left as it is until the next start."""
        tries = self._tries[job_id] = self._tries.get(job_id, 0) + 1
        is_last = tries >= 2 * TRIES
        if tries == 1 or is_last:
            level = "error" if is_last else "warning"
            self.log("drop_not_adopted", level=level, job_id=job_id, error_code=problem.code, reason=problem.message)
        if is_last:
            self._forget(job_id)

    def _forget(self, job_id: str) -> None:
        self._orphans.pop(job_id, None)
        self._flat.pop(job_id, None)
        self._statuses.pop(job_id, None)
        self._tries.pop(job_id, None)
