"""Drops on their way in: seen, settling, inspected, claimed. The scan is the truth; nothing here is remembered on disk.

What a crash may leave is a claimed folder without a job: `recover` puts it back into its inbox, and it arrives once more.
"""

import secrets
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from heygem_daemon.core import drop, names, policy
from heygem_daemon.core.drop import Entry, Plan
from heygem_daemon.core.errors import TransientError
from heygem_daemon.core.job import Job, State
from heygem_daemon.core.ports import Claims, Inspection, Inspector, Log, ScannedDrop, Scanner, StatusWriter
from heygem_daemon.core.settle import Settling
from heygem_daemon.core.status import JobStatus
from heygem_daemon.daemon.candidate import Candidate, flat_name, new_job
from heygem_daemon.daemon.clock import ClockReading

INCOMPLETE_COPY_CODES: Final = frozenset(
    {
        *("no_recording", "no_videos", "audio_unreadable", "audio_empty", "audio_truncated"),
        *("not_a_video", "video_truncated", "video_undecodable"),
    }
)
"""Problems that a copy which has only stalled would also show: they are believed after `incomplete_seconds` without a change."""


INSPECT_AT: Final = 0.5
"""Half way through the settle time the files are opened already, so that the finding is there when the drop has settled."""
CLAIMS_PER_LOOK: Final = 25
REPORTS_PER_LOOK: Final = 50
REPORT_SECONDS: Final = 1.0
"""A claim and a status file cost some fsyncs (10-20 ms together): a thousand drops at once must not hold up the tick."""


@dataclass(frozen=True, kw_only=True)
class CandidateRules:
    settle_seconds: float
    network_settle_seconds: float
    incomplete_seconds: float
    limits: drop.DropLimits
    priorities: Mapping[str, int] = field(default_factory=dict)
    """Inbox path -> priority of its drops."""


class CandidateTracker:
    """Follows the drops of all inboxes until each is a job. `admit` receives every new job, once it is claimed."""

    def __init__(
        self,
        *,
        scanner: Scanner,
        claims: Claims,
        inspector: Inspector,
        status_writer: StatusWriter,
        log: Log,
        rules: CandidateRules,
        until_idle: bool,
    ) -> None:
        self._scanner = scanner
        self._claims = claims
        self._inspector = inspector
        self._board = status_writer
        self._log = log
        self.rules = rules
        self._until_idle = until_idle
        self._arrivals: dict[tuple[str, str], Candidate] = {}
        self._unregistered: set[tuple[str, str]] = set()
        self._claims_left = 0
        self._reports_left = 0

    def has_active(self, online: Collection[str]) -> bool:
        """Whether a drop of these inboxes goes on by itself; one that is held or cannot be read may stay for ever."""
        return any(inbox in online and arrival.waiting_for not in {"held", "share"} for (inbox, _), arrival in self._arrivals.items())

    @property
    def has_blocked(self) -> bool:
        """Whether a drop lies there that nobody holds back, and that cannot come in."""
        return bool(self._unregistered) or any(arrival.waiting_for != "held" for arrival in self._arrivals.values())

    @property
    def has_backlog(self) -> bool:
        """Whether the last look left something undone that could have been done."""
        return self._claims_left < 0 or self._reports_left <= 0

    def next_settling(self, now: ClockReading) -> float:
        """Return in how many s the next drop may have settled or its files may be opened; those that wait for writers do not count."""
        settling = [arrival.settling for arrival in self._arrivals.values() if arrival.waiting_for == "settling"]
        bases = (self.rules.settle_seconds, self.rules.settle_seconds * INSPECT_AT)
        waits = [each.settled_at(base) - now.monotonic for each in settling for base in bases]
        return min((wait for wait in waits if wait > 0), default=float("inf"))

    @property
    def statuses(self) -> list[JobStatus]:
        """Return the statuses of the drops on their way in, the first seen first."""
        return [arrival.status(self.rules.priorities.get(inbox, 0)) for (inbox, _), arrival in self._arrivals.items()]

    @property
    def is_inspecting(self) -> bool:
        return any(arrival.waiting_for == "inspection" for arrival in self._arrivals.values())

    def forget(self, inbox: str) -> None:
        """Follow the drops of this inbox no longer."""
        for key in [key for key in self._arrivals if key[0] == inbox]:
            self._withdraw(key)
        self._unregistered = {key for key in self._unregistered if key[0] != inbox}

    def look(self, drops: tuple[ScannedDrop, ...], inbox: str, network: bool, now: ClockReading, admit: Callable[[Job], None]) -> None:
        """Take one scan of an online inbox: follow what is there, forget what is gone, claim what is complete."""
        present = {(inbox, scanned.name) for scanned in drops}
        for key in [key for key in self._arrivals if key[0] == inbox and key not in present]:
            self._withdraw(key)
        self._unregistered = {key for key in self._unregistered if key[0] != inbox or key in present}
        self._claims_left, self._reports_left = CLAIMS_PER_LOOK, REPORTS_PER_LOOK
        for scanned in drops:
            job = self._update(scanned, network, now)
            if job is not None:
                admit(job)
                if scanned.cancel:  # only now: after a crash before this line it must still lie there
                    with suppress(TransientError):
                        self._claims.clear_control(scanned.inbox, scanned.name, "cancel")

    def _withdraw(self, key: tuple[str, str]) -> None:
        arrival = self._arrivals.pop(key)
        self._inspector.forget(arrival.job_id)
        self._board.remove(arrival.output)
        self._log("drop_withdrawn", job_id=arrival.job_id, job=arrival.name)

    def _update(self, scanned: ScannedDrop, network: bool, now: ClockReading) -> Job | None:
        key = (scanned.inbox, scanned.name)
        try:
            arrival = self._arrivals.get(key) or self._register(scanned, now)
        except TransientError:
            self._unregistered.add(key)
            return None  # outputs are away, and the board cannot say so; the drop lies where it is
        self._unregistered.discard(key)
        settling = arrival.settling.observe(
            drop.signature(scanned.entries), drop.total_bytes(scanned.entries), now.monotonic, writers=scanned.writers
        )
        arrival = replace(arrival, settling=settling)
        verdict = self._evaluate(arrival, scanned, network, now)
        if isinstance(verdict, Candidate):
            self._arrivals[key] = self._report(arrival, verdict, scanned.inbox, now)
            return None
        self._claims_left -= 1
        outcome = self._claim(arrival, scanned, verdict, now) if self._claims_left >= 0 else arrival
        if isinstance(outcome, Job):
            self._arrivals.pop(key, None)
            self._inspector.forget(arrival.job_id)
            return outcome
        self._arrivals[key] = arrival if outcome is arrival else self._report(arrival, outcome, scanned.inbox, now)
        return None

    def _register(self, scanned: ScannedDrop, now: ClockReading) -> Candidate:
        shown = names.escape_name(scanned.name) if scanned.name else flat_name(scanned.entries)
        job_id = names.new_job_id(shown, now.wall, secrets.token_hex(3))
        output = self._board.reserve_name(shown)
        self._log("drop_seen", job_id=job_id, job=shown, inbox=scanned.inbox)
        return Candidate(job_id=job_id, name=shown, output=output, seen=now, settling=Settling())

    def _evaluate(self, arrival: Candidate, scanned: ScannedDrop, network: bool, now: ClockReading) -> "Candidate | Inspection":
        """Return the arrival with the reason why it waits, or the inspection with which it can be claimed."""
        if scanned.cancel:
            return Inspection(problems={}, seconds={})
        if scanned.hold:
            return arrival.waits("held", f"Held back by {arrival.name}.hold")
        base = self.rules.network_settle_seconds if network else self.rules.settle_seconds
        is_settled = scanned.ready or arrival.settling.is_settled(now.monotonic, base)
        if scanned.problem is not None and is_settled:  # copying programs give their files the final rights last
            return arrival.waits("share", scanned.problem.message, scanned.problem)
        if scanned.unreadable:
            return arrival.waits("share", f"Not all of it can be looked at: {names.escape_name(scanned.unreadable)}")
        if not is_settled:
            if arrival.settling.is_settled(now.monotonic, base * INSPECT_AT):
                self._inspect(arrival, scanned, self._plan(scanned.entries, scanned.name, None))
            size = policy.human_bytes(drop.total_bytes(scanned.entries))
            return arrival.waits("settling", f"Waiting for the copy to finish ({size} so far)")
        return self._check_complete(arrival, scanned, now)

    def _check_complete(self, arrival: Candidate, scanned: ScannedDrop, now: ClockReading) -> "Candidate | Inspection":
        plan = self._plan(scanned.entries, scanned.name, None)
        missing = plan.incomplete
        if plan.rejected or plan.incomplete:
            if missing is None or self._is_overdue(arrival, scanned, now):
                return Inspection(problems={}, seconds={})
            return arrival.waits("files", f"{missing.message} Waiting for the rest.", missing)
        inspection = self._inspect(arrival, scanned, plan)
        if inspection is None:
            return arrival.waits("inspection", "Looking into the files")
        doubtful = [problem for problem in inspection.problems.values() if problem.code in INCOMPLETE_COPY_CODES]
        if doubtful and not self._is_overdue(arrival, scanned, now):
            return arrival.waits("files", f"{doubtful[0].message} Waiting in case it is still being copied.", doubtful[0])
        passing = next((problem for problem in inspection.problems.values() if isinstance(problem, TransientError)), None)
        if passing is not None and not self._until_idle:
            self._inspector.forget(arrival.job_id)
            return arrival.waits("server", passing.message, passing)
        return inspection

    def _inspect(self, arrival: Candidate, scanned: ScannedDrop, plan: Plan) -> Inspection | None:
        """Have the files of a complete drop opened, or return what was found; a finding counts for this very content only."""
        if plan.rejected or plan.incomplete:
            return None
        recordings, videos = ([path for path in paths if path not in plan.problems] for paths in (plan.recordings, plan.videos))
        root = Path(scanned.inbox) / scanned.name
        return self._inspector.inspect(
            arrival.job_id, arrival.settling.signature, inbox=scanned.inbox, root=root, recordings=recordings, videos=videos
        )

    def _is_overdue(self, arrival: Candidate, scanned: ScannedDrop, now: ClockReading) -> bool:
        if scanned.ready or self._until_idle:
            return True
        return now.monotonic - arrival.settling.changed_at >= self.rules.incomplete_seconds

    def _plan(self, entries: tuple[Entry, ...], name: str, job_toml: str | None) -> Plan:
        return drop.plan(entries, job_toml=job_toml, flat=not name, limits=self.rules.limits)

    def _report(self, before: Candidate, after: Candidate, inbox: str, now: ClockReading) -> Candidate:
        """Write the status of a waiting drop where it changed; a board that cannot be written is tried again next time."""
        changed = (after.reason, after.waiting_for) != (before.reason, before.waiting_for)
        if after.reported and not changed:
            return after
        if after.reported and after.waiting_for == before.waiting_for and now.monotonic - after.reported_at < REPORT_SECONDS:
            return replace(after, reason=before.reason)  # it only grew; told with the next look
        if changed and after.problem is not None:
            self._log("drop_incomplete", job_id=after.job_id, job=after.name, error_code=after.problem.code, reason=after.reason)
        if self._reports_left <= 0:
            return replace(after, reported=False)
        self._reports_left -= 1
        try:
            self._board.write_job(after.status(self.rules.priorities.get(inbox, 0)))
        except TransientError as problem:
            self._log("status_unwritable", level="warning", job_id=after.job_id, error_code=problem.code, reason=problem.message)
            return replace(after, reported=False)
        return replace(after, reported=True, reported_at=now.monotonic)

    def _claim(self, arrival: Candidate, scanned: ScannedDrop, inspection: Inspection, now: ClockReading) -> Job | Candidate:
        """Return the new job, or the arrival: where the claim failed with the reason, else as it was."""
        try:
            claimed = self._claims.claim(scanned, arrival.job_id)
        except FileNotFoundError:
            self._log("drop_lost_race", job_id=arrival.job_id, job=arrival.name)
            return arrival
        except TransientError as problem:
            return arrival.waits("share", problem.message, problem)
        try:
            job = self._build_job(arrival, scanned, claimed, inspection, now)
        except TransientError as problem:
            self._unclaim(arrival, scanned, problem.message)
            return arrival.waits("share", problem.message, problem)
        if job is None:
            self._unclaim(arrival, scanned, "It changed at the moment of the claim")
            return arrival
        self._log("drop_claimed", job_id=job.id, job=job.name, items=len(job.items), state=job.state)
        return job

    def _unclaim(self, arrival: Candidate, scanned: ScannedDrop, reason: str) -> None:
        self._claims.unclaim(scanned.inbox, arrival.job_id)
        self._log("drop_restored", job_id=arrival.job_id, job=arrival.name, reason=reason)

    def _build_job(self, arrival: Candidate, scanned: ScannedDrop, claimed: Path, inspection: Inspection, now: ClockReading) -> Job | None:
        """Return the job of a claimed folder, None where somebody wrote to it until the last moment."""
        priority = self.rules.priorities.get(scanned.inbox, 0)
        if scanned.cancel:
            job = new_job(arrival, scanned, claimed, plan=Plan(), inspection=inspection, now=now, priority=priority)
            return replace(job, state=State.CANCELLED, finished_at=now.wall, reason="Cancelled before it began")
        _name, root, entries = self._claims.listing(claimed)
        if _content(entries) != _content(scanned.entries):
            return None
        plan = self._plan(entries, scanned.name, self._claims.job_toml(root, entries))
        return new_job(arrival, scanned, claimed, plan=plan, inspection=inspection, now=now, priority=priority).rollup(now.wall)


def _content(entries: tuple[Entry, ...]) -> set[tuple[str, int, int]]:
    """What a rename does not change: a drop that was written to while it was claimed differs here."""
    return {(entry.path, entry.size, entry.mtime_ns) for entry in entries}
