"""A drop that is not claimed yet, and the job made from it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from heygem_daemon.core import drop, names, policy
from heygem_daemon.core.clock import ClockReading
from heygem_daemon.core.drop import DropLimits, Entry, Plan
from heygem_daemon.core.errors import HeygemError
from heygem_daemon.core.file_types import FileType, type_of
from heygem_daemon.core.job import Failure, Item, Job, JobWarning
from heygem_daemon.core.job_options import parse_priority
from heygem_daemon.core.names import CONTROLS
from heygem_daemon.core.scan import InboxScan, Inspection, ScannedDrop, control_names
from heygem_daemon.core.settle import Settling
from heygem_daemon.core.status import JobStatus
from heygem_daemon.core.status_builder import candidate_status
from heygem_daemon.core.unused_files import unfinished_files
from heygem_daemon.core.users import NO_RULES, UserRules, priority_lowered

_NAMING: Final = (FileType.AUDIO, FileType.VIDEO, FileType.STILL, FileType.UNSUPPORTED)
"""The file that a drop in the inbox root is called after is of the first of these types that it has."""

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
"""s from a claim that came to nothing to the next try; doubled each time."""


@dataclass(frozen=True, kw_only=True)
class CandidateRules:
    """The times (s), limits and priorities by which drops are claimed, and what users may do."""

    settle_seconds: float
    network_settle_seconds: float
    incomplete_seconds: float
    limits: DropLimits
    priorities: Mapping[str, int] = field(default_factory=dict)
    """Inbox path -> priority of its drops."""
    users: UserRules = NO_RULES

    def priority_of(self, inbox: str, uid: int | None, wanted: int | None) -> tuple[int, JobWarning | None]:
        """Return the priority of a job from a drop of this user that asks for `wanted`, and the warning where that is more than he gets."""
        usual = self.priorities.get(inbox, 0)
        if wanted is None:
            return usual, None
        priority = self.users.priority(wanted, () if uid is None else (uid,), usual)
        return priority, None if priority == wanted else priority_lowered(wanted, priority)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A drop that is seen but not yet claimed. `scanned` is what the last scan found; `reported_at` (monotonic) is when its status was
    last written. `held_by` is the name of the control file that holds it back, without its suffix, and `priority` that of its .priority
    file. `planned` is what its listing asks for, with the limits that this was judged by; None where that is not known yet. `setbacks` are
    the claims of it that were undone or failed, `setback` says why the last one was, and `not_before` (monotonic) is when it may be claimed
    again."""

    job_id: str
    name: str
    output: str
    seen: ClockReading
    scanned: ScannedDrop
    settling: Settling = field(default_factory=Settling)
    held_by: str = ""
    priority: int | None = None
    reason: str = ""
    waiting_for: str = "settling"
    problem: HeygemError | None = None
    reported: bool = False
    reported_at: float = float("-inf")
    setbacks: int = 0
    setback: str = ""
    not_before: float = float("-inf")
    planned: tuple[Plan, DropLimits] | None = None

    def observe(self, scanned: ScannedDrop, now: ClockReading) -> "Candidate":
        """Return the candidate after another scan of it. What follows from the listing alone is kept while that stays the same: a thousand
        drops that wait are scanned again and again."""
        if self.settling.is_seen and scanned == self.scanned and scanned.writers == self.settling.has_writers:
            return self
        if self.settling.is_seen and scanned.entries == self.scanned.entries:
            signature, size, planned = self.settling.signature, self.settling.size, self.planned
        else:
            signature, size, planned = drop.signature(scanned.entries), drop.total_bytes(scanned.entries), None
        settling = self.settling.observe(signature, size, now.monotonic, writers=scanned.writers)
        return replace(self, scanned=scanned, settling=settling, planned=planned)

    def with_plan(self, limits: DropLimits) -> tuple["Candidate", Plan]:
        """Return the plan of its listing, and the candidate that keeps it."""
        if self.planned is not None and self.planned[1] == limits:
            return self, self.planned[0]
        plan = drop.plan(self.scanned.entries, flat=not self.scanned.name, limits=limits)
        return replace(self, planned=(plan, limits)), plan

    def waits(self, waiting_for: str, reason: str, problem: HeygemError | None = None) -> "Candidate":
        """Return the candidate with the reason why it is not claimed yet."""
        if (waiting_for, reason, problem) == (self.waiting_for, self.reason, self.problem):
            return self
        return replace(self, waiting_for=waiting_for, reason=reason, problem=problem)

    def set_back(self, now: ClockReading, reason: str, problem: HeygemError | None = None) -> "Candidate":
        """Return the candidate after a claim that came to nothing: the more of them, the longer it waits for the next one."""
        pause = min(FIRST_PAUSE * 2**self.setbacks, LONGEST_PAUSE)
        waiting = self.waits("share", reason, problem)
        return replace(waiting, setbacks=min(self.setbacks + 1, 16), setback=reason, not_before=now.monotonic + pause)

    def log_context(self) -> dict[str, str]:
        return {"job_id": self.job_id, "job": self.name}

    @property
    def control_names(self) -> tuple[str, ...]:
        """Return the names that its control files go by."""
        return (*control_names(self.scanned.name, self.scanned.entries), self.job_id)

    def owner(self, users: UserRules) -> str:
        """Return whose it is, as far as that is known before the claim."""
        return users.owner_of(self.scanned.uid, self.scanned.owner)

    def controlled(self, controls: Collection[tuple[str, str]], scan: InboxScan, rules: CandidateRules) -> "Candidate":
        """Return the candidate with what the control files of an inbox ask for, those of them that their users may ask; `controls` are
        those of the scan."""
        is_controlled = self.held_by or self.priority is not None or self.scanned.ready or self.scanned.cancel or self.scanned.hold
        if not controls and not is_controlled:
            return self
        users, owner, uids = rules.users, self.owner(rules.users), scan.control_uids
        given = {
            kind: [name for name in self.control_names if (name, kind) in controls and users.may(kind, uids.get((name, kind), ()), owner)]
            for kind in CONTROLS
        }
        held_by = "" if given["resume"] else names.escape_name(next(iter(given["hold"]), ""))
        usual = rules.priorities.get(scan.inbox, 0)
        priorities = [
            users.priority(wanted, uids.get((name, "priority"), ()), usual)
            for name in given["priority"]
            if (wanted := parse_priority(scan.priorities.get(name, ""))) is not None
        ]
        return replace(
            self,
            scanned=replace(self.scanned, ready=bool(given["ready"]), cancel=bool(given["cancel"]), hold=bool(held_by)),
            held_by=held_by,
            priority=next(iter(priorities), self.priority if given["priority"] else None),
        )

    def status(self, priority: int) -> JobStatus:
        """Return its status; `priority` is that of its inbox."""
        return candidate_status(
            self.name,
            self.job_id,
            self.output,
            since=self.seen.wall,
            dropped_at=self.seen.wall,
            reason=self.reason,
            waiting_for=self.waiting_for,
            problem=self.problem,
            inbox=self.scanned.inbox,
            owner=self.scanned.owner,
            reference=self.scanned.reference,
            priority=priority if self.priority is None else self.priority,
        )


def new_job(candidate: Candidate, claimed: Path, *, plan: Plan, inspection: Inspection, now: ClockReading, rules: CandidateRules) -> Job:
    """Return the job of a claimed drop, not rolled up yet."""
    scanned = candidate.scanned
    priority, lowered = rules.priority_of(scanned.inbox, scanned.uid, plan.options.priority)
    rejected = plan.rejected or plan.incomplete
    items = () if rejected else drop.items(plan, inspection.problems)
    trial, sizes = plan.options.first_seconds, {entry.path: entry.size for entry in scanned.entries}
    items = tuple(replace(item, needs_bytes=_needed_bytes(item, sizes, inspection, trial)) for item in items)
    if not rejected and items and all(item.failure for item in items):
        rejected = _common_problem(plan, inspection)
    too_long = drop.too_long(items, inspection.seconds, plan.options, rules.limits)
    if too_long is not None:
        rejected, items = too_long, ()
    job = Job(
        id=candidate.job_id,
        name=candidate.name,
        inbox=scanned.inbox,
        claimed=str(claimed),
        output=candidate.output,
        priority=priority,
        options=plan.options,
        items=items,
        since=now.wall,
        failure=Failure.of(rejected) if rejected else None,
        flat=not scanned.name,
        dropped_at=candidate.seen.wall,
        queued_at=now.wall,
        warnings=() if rejected else (*plan.warnings, *unfinished_files(scanned.unfinished)),
        dropped_by=rules.users.owner_of(scanned.uid, plan.options.owner),
        size=candidate.settling.size,
    )
    return job if lowered is None else job.with_warning(lowered)


def name_for_display(scanned: ScannedDrop) -> str:
    """Return the folder's name, escaped. A drop in the inbox root is called after its recording, else after another file of it."""
    if scanned.name:
        return names.escape_name(scanned.name)
    files = sorted(Path(entry.path) for entry in scanned.entries if "/" not in entry.path and type_of(entry.path) in _NAMING)
    named_after = min(files, key=lambda path: _NAMING.index(type_of(path.name)), default=Path("inbox"))
    return names.escape_name(named_after.stem)


def _needed_bytes(item: Item, sizes: Mapping[str, int], inspection: Inspection, first_seconds: float | None) -> int:
    speech = inspection.seconds.get(item.recording, 0.0)
    rendered = speech if first_seconds is None else min(speech, first_seconds)
    return policy.estimate_bytes(sizes.get(item.video, 0), inspection.seconds.get(item.video, 0.0), rendered)


def _common_problem(plan: Plan, inspection: Inspection) -> HeygemError:
    """Return the one problem to name when no item is left: a recording's, since it spoils them all, else the first video's."""
    problems = {**plan.problems, **inspection.problems}
    return next(problems[path] for path in (*plan.recordings, *plan.videos) if path in problems)


def file_versions(entries: tuple[Entry, ...]) -> set[tuple[str, int, int]]:
    """Return what a rename does not change: a drop that was written to while it was claimed differs here."""
    return {(entry.path, entry.size, entry.mtime_ns) for entry in entries}
