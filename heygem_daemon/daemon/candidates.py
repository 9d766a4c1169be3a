"""Track the drops that are not claimed yet: seen, settling, inspected, claimed. The scan is the truth; nothing here is remembered on disk.

What a crash may leave is a claimed folder without a job: `recovery` puts it back into its inbox, and it becomes a candidate once more.
"""

import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final

from heygem_daemon.core import drop, names, policy
from heygem_daemon.core.clock import ClockReading
from heygem_daemon.core.drop import Plan
from heygem_daemon.core.errors import TransientError
from heygem_daemon.core.job import Job, State
from heygem_daemon.core.job_options import parse_job_toml
from heygem_daemon.core.ports import Claims, Inspector, Ledger, Log, StatusWriter
from heygem_daemon.core.scan import InboxScan, Inspection, ScannedDrop
from heygem_daemon.core.status import JobStatus
from heygem_daemon.daemon.candidate import Candidate, CandidateRules, file_versions, name_for_display, new_job

INCOMPLETE_COPY_CODES: Final = frozenset(
    {
        *("no_recording", "no_videos", "audio_unreadable", "audio_empty", "audio_truncated"),
        *("not_a_video", "video_truncated", "video_undecodable"),
    }
)
"""Problems that a copy which has only stalled would also show: they are believed after `incomplete_seconds` without a change."""


INSPECT_AT: Final = 0.5
"""Half way through the settle time the files are opened already, so that the finding is there when the drop has settled."""
CLAIMS_AT_ONCE: Final = 25
"""Claims that become jobs together: the disk is waited for once for all of them, and once more for the ledger (some ms each)."""
REPORTS_PER_SCAN: Final = 200
REPORT_SECONDS: Final = 1.0
"""A status file costs 1 ms: a thousand drops at once must not hold up the tick."""

_NOTHING_INSPECTED: Final = Inspection(problems={}, seconds={})


@dataclass(frozen=True, kw_only=True)
class _Claimed:
    """A drop that was claimed, and the job that it becomes."""

    candidate: Candidate
    job: Job


class CandidateTracker:
    """Tracks the drops of all inboxes until each is a job. With `until_idle` it does not wait for what may never come."""

    def __init__(
        self,
        *,
        claims: Claims,
        inspector: Inspector,
        status_writer: StatusWriter,
        ledger: Ledger,
        log: Log,
        rules: CandidateRules,
        until_idle: bool,
    ) -> None:
        self._claims = claims
        self._ledger = ledger
        self._inspector = inspector
        self._status_writer = status_writer
        self._log = log
        self.rules = rules
        self._until_idle = until_idle
        self._candidates: dict[tuple[str, str], Candidate] = {}
        self._unregistered: set[tuple[str, str]] = set()
        self._has_time: Callable[[], bool] = lambda: True
        self._is_behind = False
        self._reports_left = 0

    def has_active(self, online: Collection[str]) -> bool:
        """Whether a drop of these inboxes goes on by itself; one that is held or cannot be read may stay for ever."""
        return any(inbox in online and candidate.waiting_for not in {"held", "share"} for (inbox, _), candidate in self._candidates.items())

    @property
    def has_blocked(self) -> bool:
        """Whether there is a drop that nobody holds back, and that cannot come in."""
        return bool(self._unregistered) or any(candidate.waiting_for != "held" for candidate in self._candidates.values())

    @property
    def has_backlog(self) -> bool:
        """Whether the last scan left something undone that could have been done."""
        return self._is_behind or self._reports_left <= 0

    def next_settling(self, now: ClockReading) -> float:
        """Return in how many s the next drop may have settled or its files may be opened; those that wait for writers do not count."""
        settling = [candidate.settling for candidate in self._candidates.values() if candidate.waiting_for == "settling"]
        bases = (self.rules.settle_seconds, self.rules.settle_seconds * INSPECT_AT)
        waits = [each.settled_at(base) - now.monotonic for each in settling for base in bases]
        return min((wait for wait in waits if wait > 0), default=float("inf"))

    @property
    def count(self) -> int:
        """How many drops are on their way in."""
        return len(self._candidates)

    def statuses(self, limit: int) -> list[JobStatus]:
        """Return the statuses of the first seen drops on their way in."""
        first = islice(self._candidates.items(), max(limit, 0))
        return [candidate.status(self.rules.priorities.get(inbox, 0)) for (inbox, _), candidate in first]

    def outputs(self) -> dict[str, str]:
        """Return the output folder of every candidate by its id."""
        return {candidate.job_id: candidate.output for candidate in self._candidates.values()}

    def control_names(self, inbox: str) -> list[tuple[str, ...]]:
        """Return for each candidate of an inbox the names that its control files go by."""
        return [candidate.control_names for (where, _), candidate in self._candidates.items() if where == inbox]

    def has_unregistered(self, inbox: str) -> bool:
        """Whether a drop of this inbox has no id yet."""
        return any(where == inbox for where, _ in self._unregistered)

    @property
    def is_inspecting(self) -> bool:
        return any(candidate.waiting_for == "inspection" for candidate in self._candidates.values())

    def forget(self, inbox: str) -> None:
        """Stop tracking the drops of this inbox."""
        for key in [key for key in self._candidates if key[0] == inbox]:
            self._discard(key)
        self._unregistered = {key for key in self._unregistered if key[0] != inbox}

    def process_scan(self, scan: InboxScan, now: ClockReading, *, has_time: Callable[[], bool] = lambda: True) -> Iterator[Sequence[Job]]:
        """Take one scan of an online inbox: follow what is there, forget what is gone, claim what is complete. Yield the new jobs, some at
        a time, each of which must be kept before the next ones are asked for.

        has_time: asked before each claim; without time the rest is claimed after the next scan."""
        present = {(scan.inbox, scanned.name) for scanned in scan.drops}
        for key in [key for key in self._candidates if key[0] == scan.inbox and key not in present]:
            self._discard(key)
        self._unregistered = {key for key in self._unregistered if key[0] != scan.inbox or key in present}
        self._has_time, self._is_behind, self._reports_left = has_time, False, REPORTS_PER_SCAN
        controls = frozenset(scan.controls)
        claimed = (found for scanned in scan.drops if (found := self._update(scanned, scan, controls, now)) is not None)
        while batch := list(islice(claimed, CLAIMS_AT_ONCE)):
            kept = self._persist(scan.inbox, batch, now)
            yield [each.job for each in kept]
            # Only now that the jobs are kept: after a crash before this line the files must still be there.
            for each in kept:
                self._clear_controls(each.candidate.scanned, each.job.id, controls)

    def _persist(self, inbox: str, batch: list[_Claimed], now: ClockReading) -> list[_Claimed]:
        """Make the claims survive a power cut and return them; where the share fails, put them back and return none."""
        try:
            self._claims.persist(inbox, [Path(each.job.claimed) for each in batch])
        except TransientError as problem:
            for each in batch:
                self._unclaim(each.candidate, problem.message)
                waiting = each.candidate.waits("share", problem.message, problem)
                self._candidates[inbox, each.candidate.scanned.name] = self._report(each.candidate, waiting, now)
            return []
        return batch

    def _clear_controls(self, scanned: ScannedDrop, job_id: str, controls: Collection[tuple[str, str]]) -> None:
        for control in ((scanned.name, "cancel"), (job_id, "cancel"), (job_id, "ready")):
            if control in controls:
                with suppress(TransientError):
                    self._claims.clear_control(scanned.inbox, *control)

    def _discard(self, key: tuple[str, str]) -> None:
        candidate = self._candidates.pop(key)
        self._inspector.forget(candidate.job_id)
        self._status_writer.remove(candidate.output)
        self._log("drop_withdrawn", **candidate.log_context())

    def _update(self, scanned: ScannedDrop, scan: InboxScan, controls: Collection[tuple[str, str]], now: ClockReading) -> _Claimed | None:
        key = (scanned.inbox, scanned.name)
        try:
            known = self._candidates.get(key) or self._register(scanned, now)
        except TransientError:
            self._unregistered.add(key)
            return None  # outputs are away, so no status can be written; the drop stays where it is
        self._unregistered.discard(key)
        candidate = known.observe(scanned, now).controlled(controls, scan.priorities)
        if (candidate.priority, scanned.owner) != (known.priority, known.scanned.owner):
            candidate = replace(candidate, reported=False)
        result: Candidate | Inspection | Job = self._evaluate(candidate, scan.network, now)
        if isinstance(result, Inspection):
            self._is_behind = self._is_behind or not self._has_time()
            result = candidate if self._is_behind else self._claim(candidate, result, now)
        if isinstance(result, Job):
            self._candidates.pop(key, None)
            self._inspector.forget(candidate.job_id)
            return _Claimed(candidate=candidate, job=result)
        self._candidates[key] = candidate if result is candidate and candidate.reported else self._report(candidate, result, now)
        return None

    def _register(self, scanned: ScannedDrop, now: ClockReading) -> Candidate:
        name = name_for_display(scanned)
        output = self._status_writer.reserve_name(name, scanned.inbox)
        job_id = self._former_id(output) or names.new_job_id(name, now.wall, secrets.token_hex(3))
        self._log("drop_seen", job_id=job_id, job=name, inbox=scanned.inbox)
        return Candidate(job_id=job_id, name=name, output=output, seen=now, scanned=scanned)

    def _former_id(self, output: str) -> str | None:
        """Return the id that a drop had before a restart, by which people may have put control files beside it.

        Anybody may write into outputs: an id that is not one, or that is taken, is not believed."""
        found = self._status_writer.former_id(output)
        if found is None or not names.is_job_id(found) or any(found == candidate.job_id for candidate in self._candidates.values()):
            return None
        try:
            return found if self._ledger.get(found) is None else None
        except TransientError:
            return None

    def _evaluate(self, candidate: Candidate, network: bool, now: ClockReading) -> Candidate | Inspection:
        """Return the candidate with the reason why it waits, or the inspection with which it can be claimed."""
        scanned = candidate.scanned
        if scanned.cancel:
            return _NOTHING_INSPECTED
        if scanned.hold:
            return candidate.waits("held", f"Held back by {candidate.held_by}.hold")
        base = self.rules.network_settle_seconds if network else self.rules.settle_seconds
        is_settled = scanned.ready or candidate.settling.is_settled(now.monotonic, base)
        if scanned.problem is not None and is_settled:  # copying programs give their files the final rights last
            return candidate.waits("share", scanned.problem.message, scanned.problem)
        if scanned.unreadable:
            return candidate.waits("share", f"Part of it cannot be read: {names.escape_name(scanned.unreadable)}")
        if is_settled or candidate.settling.is_settled(now.monotonic, base * INSPECT_AT):
            candidate, plan = candidate.with_plan(self.rules.limits)
            if is_settled:
                return self._check_complete(candidate, plan, now)
            self._inspect(candidate, plan)
        size = policy.human_bytes(candidate.settling.size)
        return candidate.waits("settling", f"Waiting for the copy to finish ({size} so far)")

    def _check_complete(self, candidate: Candidate, plan: Plan, now: ClockReading) -> Candidate | Inspection:
        missing = plan.incomplete
        if plan.rejected or missing:
            if missing is None or self._is_overdue(candidate, now):
                return _NOTHING_INSPECTED
            return candidate.waits("files", f"{missing.message} Waiting for the rest.", missing)
        inspection = self._inspect(candidate, plan)
        if inspection is None:
            return candidate.waits("inspection", "Looking into the files")
        doubtful = [problem for problem in inspection.problems.values() if problem.code in INCOMPLETE_COPY_CODES]
        if doubtful and not self._is_overdue(candidate, now):
            return candidate.waits("files", f"{doubtful[0].message} Waiting in case it is still being copied.", doubtful[0])
        transient = next((problem for problem in inspection.problems.values() if isinstance(problem, TransientError)), None)
        if transient is not None and not self._until_idle:
            self._inspector.forget(candidate.job_id)
            return candidate.waits("server", transient.message, transient)
        return inspection

    def _inspect(self, candidate: Candidate, plan: Plan) -> Inspection | None:
        """Have the files of a complete drop opened, or return what was found; a finding counts for this very content only."""
        if plan.rejected or plan.incomplete:
            return None
        scanned = candidate.scanned
        recordings, videos = ([path for path in paths if path not in plan.problems] for paths in (plan.recordings, plan.videos))
        root = Path(scanned.inbox) / scanned.name
        return self._inspector.inspect(
            candidate.job_id, candidate.settling.signature, inbox=scanned.inbox, root=root, recordings=recordings, videos=videos
        )

    def _is_overdue(self, candidate: Candidate, now: ClockReading) -> bool:
        if candidate.scanned.ready or self._until_idle:
            return True
        return now.monotonic - candidate.settling.changed_at >= self.rules.incomplete_seconds

    def _report(self, before: Candidate, after: Candidate, now: ClockReading) -> Candidate:
        """Write the status of a waiting drop where it changed; a status that cannot be written is tried again at the next scan."""
        changed = (after.reason, after.waiting_for) != (before.reason, before.waiting_for)
        if after.reported and not changed:
            return after
        if after.reported and after.waiting_for == before.waiting_for and now.monotonic - after.reported_at < REPORT_SECONDS:
            return replace(after, reason=before.reason)  # it only grew; written after the next scan
        if changed and after.problem is not None:
            self._log("drop_incomplete", **after.log_context(), error_code=after.problem.code, reason=after.reason)
        if self._reports_left <= 0:
            return replace(after, reported=False)
        self._reports_left -= 1
        try:
            self._status_writer.write_job(after.status(self.rules.priorities.get(after.scanned.inbox, 0)))
        except TransientError as problem:
            self._log("status_unwritable", level="warning", job_id=after.job_id, error_code=problem.code, reason=problem.message)
            return replace(after, reported=False)
        return replace(after, reported=True, reported_at=now.monotonic)

    def _claim(self, candidate: Candidate, inspection: Inspection, now: ClockReading) -> Job | Candidate:
        """Return the new job, or the candidate: where the claim failed with the reason, else as it was."""
        try:
            claimed = self._claims.claim(candidate.scanned, candidate.job_id)
        except FileNotFoundError:
            self._log("drop_lost_race", **candidate.log_context())
            return candidate
        except TransientError as problem:
            return candidate.waits("share", problem.message, problem)
        try:
            job = self._build_job(candidate, claimed, inspection, now)
        except TransientError as problem:
            self._unclaim(candidate, problem.message)
            return candidate.waits("share", problem.message, problem)
        if job is None:
            self._unclaim(candidate, "It changed at the moment of the claim")
            return candidate
        self._log("drop_claimed", **job.log_context(), items=len(job.items), state=job.state)
        for each in job.warnings:
            self._log("drop_warning", level="warning", **job.log_context(), error_code=each.code, reason=each.message)
        return job

    def _unclaim(self, candidate: Candidate, reason: str) -> None:
        self._claims.unclaim(candidate.scanned.inbox, candidate.job_id)
        self._log("drop_restored", **candidate.log_context(), reason=reason)

    def _build_job(self, candidate: Candidate, claimed: Path, inspection: Inspection, now: ClockReading) -> Job | None:
        """Return the job of a claimed folder, None where somebody wrote to it until the last moment."""
        scanned = candidate.scanned
        priority = self.rules.priorities.get(scanned.inbox, 0)
        if scanned.cancel:
            plan = Plan(options=parse_job_toml(self._job_toml_of_cancelled(claimed))[0])
            job = new_job(candidate, claimed, plan=plan, inspection=inspection, now=now, priority=priority)
            return replace(job, state=State.CANCELLED, finished_at=now.wall, reason="Cancelled before it began")
        root, entries = self._claims.listing(claimed)
        if file_versions(entries) != file_versions(scanned.entries):
            return None
        job_toml = self._claims.job_toml(root, entries)
        plan = drop.plan(entries, job_toml=job_toml, flat=not scanned.name, limits=self.rules.limits)
        return new_job(candidate, claimed, plan=plan, inspection=inspection, now=now, priority=priority).rollup(now.wall)

    def _job_toml_of_cancelled(self, claimed: Path) -> str | None:
        """Return the text of a job.toml, which may name an owner; None also where it cannot be read, for a drop is cancelled as it is."""
        try:
            return self._claims.job_toml(*self._claims.listing(claimed))
        except TransientError:
            return None
