"""Track the drops that are not claimed yet: seen, settling, inspected, claimed. The scan is the truth; nothing here is remembered on disk.

What a crash may leave is a claimed folder without a job: `recovery` puts it back into its inbox, and it becomes a candidate once more.
"""

import math
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Final

from heygem_daemon.core import drop, names
from heygem_daemon.core.clock import ClockReading
from heygem_daemon.core.drop import Plan
from heygem_daemon.core.errors import TransientError
from heygem_daemon.core.job import Job, State
from heygem_daemon.core.job_options import JobOptions, parse_job_toml
from heygem_daemon.core.ports import Claims, Inspector, Ledger, Log, StatusWriter
from heygem_daemon.core.scan import InboxScan, Inspection, ScannedDrop
from heygem_daemon.core.shorten import shortened
from heygem_daemon.core.status import JobStatus
from heygem_daemon.core.storage import human_bytes
from heygem_daemon.core.unused_files import MAX_SHOWN
from heygem_daemon.core.users import NOTHING_WAITS, Waiting, waiting_by_owner
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
MANY_DROPS: Final = 1000
FIRST_OF_MANY: Final = 100
"""Where there are more drops than MANY_DROPS, so many with files are looked at after every scan, before the others have their turn."""
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
        open_jobs: Callable[[], Iterable[Job]],
        until_idle: bool,
    ) -> None:
        self._claims = claims
        self._ledger = ledger
        self._inspector = inspector
        self._status_writer = status_writer
        self._log = log
        self.rules = rules
        self._open_jobs = open_jobs
        self._waiting: dict[str, Waiting] = {}
        self._until_idle = until_idle
        self._candidates: dict[tuple[str, str], Candidate] = {}
        self._unregistered: set[tuple[str, str]] = set()
        self._next_turn: dict[str, str] = {}
        """Inbox -> the drop with which to go on, where the last scan had no time for all."""
        self._has_time: Callable[[], bool] = lambda: True
        self._is_behind = False
        self._reports_left = 0
        self._unwritable = ""
        self._unwritten: set[str] = set()
        """The ids of drops whose last status could not be written."""

    def has_active(self, online: Collection[str]) -> bool:
        """Whether a drop of these inboxes goes on by itself; one that is held or cannot be read may stay for ever."""
        if not self._next_turn.keys().isdisjoint(online):
            return True
        return any(inbox in online and candidate.waiting_for not in {"held", "share"} for (inbox, _), candidate in self._candidates.items())

    @property
    def has_blocked(self) -> bool:
        """Whether there is a drop that nobody holds back, and that cannot come in."""
        return bool(self._unregistered or self._next_turn) or any(
            candidate.waiting_for != "held" for candidate in self._candidates.values()
        )

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

    def of(self, inbox: str) -> list[Candidate]:
        """Return the candidates of an inbox."""
        return [candidate for (where, _), candidate in self._candidates.items() if where == inbox]

    def has_unregistered(self, inbox: str) -> bool:
        """Whether a drop of this inbox has no id yet."""
        return inbox in self._next_turn or any(where == inbox for where, _ in self._unregistered)

    @property
    def is_inspecting(self) -> bool:
        return any(candidate.waiting_for == "inspection" for candidate in self._candidates.values())

    def forget(self, inbox: str) -> None:
        """Stop tracking the drops of this inbox."""
        for key in [key for key in self._candidates if key[0] == inbox]:
            self._discard(key)
        self._unregistered = {key for key in self._unregistered if key[0] != inbox}
        self._next_turn.pop(inbox, None)

    def process_scan(self, scan: InboxScan, now: ClockReading, *, has_time: Callable[[], bool] = lambda: True) -> Iterator[Sequence[Job]]:
        """Take one scan of an online inbox: follow what is there, forget what is gone, claim what is complete. Yield the new jobs, some at
        a time, each of which must be kept before the next ones are asked for.

        has_time: asked before each drop; without time the others have their turn after the next scan."""
        present = {(scan.inbox, scanned.name) for scanned in scan.drops}
        self._has_time, self._is_behind, self._reports_left = has_time, False, REPORTS_PER_SCAN
        self._discard_all(key for key in list(self._candidates) if key[0] == scan.inbox and key not in present)
        self._unregistered = {key for key in self._unregistered if key[0] != scan.inbox or key in present}
        controls = frozenset(scan.controls)
        self._waiting = waiting_by_owner(self._open_jobs()) if self._has_limits else {}
        claimed = (found for scanned in self._in_turn(scan) if (found := self._update(scanned, scan, controls, now)) is not None)
        while batch := list(islice(claimed, CLAIMS_AT_ONCE)):
            kept = self._persist(scan.inbox, batch, now)
            yield [each.job for each in kept]
            # Only now that the jobs are kept: after a crash before this line the files must still be there.
            for each in kept:
                self._clear_controls(each.candidate.scanned, each.job.id, controls)

    def _in_turn(self, scan: InboxScan) -> Iterator[ScannedDrop]:
        """Yield the drops of a scan, first those that the last one had no time for; without time the others wait for the next scan."""
        drops = self._in_order(scan)
        first = _first_of_many(drops) if len(drops) > MANY_DROPS else {}
        turn = self._next_turn.pop(scan.inbox, None)
        begin = next((place for place, scanned in enumerate(drops) if scanned.name == turn), 0)
        others = (scanned for scanned in (*drops[begin:], *drops[:begin]) if scanned.name not in first)
        for scanned in (*first.values(), *others):
            if not self._has_time():
                self._is_behind = True
                self._next_turn[scan.inbox] = turn if scanned.name in first and turn is not None else scanned.name
                return
            yield scanned

    @property
    def _has_limits(self) -> bool:
        return not self._until_idle and bool(self.rules.users.waiting_drops or self.rules.users.waiting_bytes)

    def _in_order(self, scan: InboxScan) -> Sequence[ScannedDrop]:
        """Return the drops of a scan; where not all of them can come in, those first that were seen first."""
        if not self._has_limits:
            return scan.drops
        seen = {name: known.seen.monotonic for (inbox, name), known in self._candidates.items() if inbox == scan.inbox}
        return sorted(scan.drops, key=lambda scanned: seen.get(scanned.name, math.inf))

    def _why_not_yet(self, candidate: Candidate) -> str | None:
        """Return in words why a complete drop stays in the inbox, because of what its owner has in the queue."""
        users, scanned = self.rules.users, candidate.scanned
        if not self._has_limits or not users.is_limited(scanned.uid, scanned.owner):
            return None
        return users.why_not_yet(self._waiting.get(candidate.owner(users), NOTHING_WAITS), candidate.settling.size)

    def _persist(self, inbox: str, batch: list[_Claimed], now: ClockReading) -> list[_Claimed]:
        """Make the claims survive a power cut and return them; where the share fails, put them back and return none."""
        try:
            self._claims.persist(inbox, [Path(each.job.claimed) for each in batch])
        except TransientError as problem:
            for each in batch:
                waiting = self._unclaim(each.candidate, now, problem.message, problem)
                self._candidates[inbox, each.candidate.scanned.name] = self._report(each.candidate, waiting, now)
            return []
        return batch

    def _clear_controls(self, scanned: ScannedDrop, job_id: str, controls: Collection[tuple[str, str]]) -> None:
        for control in ((scanned.name, "cancel"), (job_id, "cancel"), (job_id, "ready")):
            if control in controls:
                with suppress(TransientError):
                    self._claims.clear_control(scanned.inbox, *control)

    def _discard_all(self, keys: Iterable[tuple[str, str]]) -> None:
        """Forget drops that are gone, those for which there is no time after the next scan."""
        for key in keys:
            if not self._has_time():
                self._is_behind = True
                return
            self._discard(key)

    def _discard(self, key: tuple[str, str]) -> None:
        candidate = self._candidates.pop(key)
        self._inspector.forget(candidate.job_id)
        self._unwritten.discard(candidate.job_id)
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
        candidate = known.observe(scanned, now).controlled(controls, scan, self.rules)
        if (candidate.priority, scanned.owner) != (known.priority, known.scanned.owner):
            candidate = replace(candidate, reported=False)
        evaluated, inspection = self._evaluate(candidate, scan.network, now)
        result: Candidate | Job = evaluated
        if inspection is not None and now.monotonic >= candidate.not_before:
            result = self._claim(evaluated, inspection, now)
        if isinstance(result, Job):
            if not result.is_final:
                self._waiting[result.dropped_by] = self._waiting.get(result.dropped_by, NOTHING_WAITS).with_drop(result.size)
            self._candidates.pop(key, None)
            self._unwritten.discard(candidate.job_id)
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

    def _evaluate(self, candidate: Candidate, network: bool, now: ClockReading) -> tuple[Candidate, Inspection | None]:
        """Return the candidate with the reason why it waits, or with the inspection with which it can be claimed."""
        scanned = candidate.scanned
        if scanned.cancel:
            return candidate, _NOTHING_INSPECTED
        if scanned.hold:
            return candidate.waits("held", f"Held back by {candidate.held_by}.hold"), None
        base = self.rules.network_settle_seconds if network else self.rules.settle_seconds
        is_settled = scanned.ready or candidate.settling.is_settled(now.monotonic, base)
        is_due = is_settled or candidate.settling.is_settled(now.monotonic, base * INSPECT_AT)
        kept_out = self._kept_out(candidate, is_settled=is_settled, is_due=is_due)
        if kept_out is None and is_due:
            candidate, plan = candidate.with_plan(self.rules.limits)
            if is_settled:
                kept_out = self._check_complete(candidate, plan, now)
            else:
                self._inspect(candidate, plan)
        if isinstance(kept_out, Inspection):
            return candidate, kept_out
        size = human_bytes(candidate.settling.size)
        return kept_out or candidate.waits("settling", f"Waiting for the copy to finish ({size} so far)"), None

    def _kept_out(self, candidate: Candidate, *, is_settled: bool, is_due: bool) -> Candidate | Inspection | None:
        """Return the candidate with what keeps it from being looked into, None where nothing does."""
        scanned = candidate.scanned
        if scanned.oversize is not None and is_settled:
            # A folder goes away in one rename, files that lie in the inbox itself would be as many.
            return _NOTHING_INSPECTED if scanned.name else candidate.waits("files", scanned.oversize.message, scanned.oversize)
        if scanned.problem is not None and is_settled:  # copying programs give their files the final rights last
            return candidate.waits("share", scanned.problem.message, scanned.problem)
        if scanned.unreadable:
            return candidate.waits("share", f"Part of it cannot be read: {shortened(names.escape_name(scanned.unreadable), MAX_SHOWN)}")
        not_yet = self._why_not_yet(candidate) if is_due else None
        return None if not_yet is None else candidate.waits("limit", not_yet)

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
            candidate.job_id,
            candidate.settling.signature,
            inbox=scanned.inbox,
            root=root,
            recordings=recordings,
            videos=videos,
            owner=candidate.owner(self.rules.users),
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
            # Of a thousand drops on a full disk the first one is enough, and of one that never gets a status the first time.
            if problem.code != self._unwritable and after.job_id not in self._unwritten:
                self._log("status_unwritable", level="warning", **after.log_context(), error_code=problem.code, reason=problem.message)
            self._unwritable = problem.code
            self._unwritten.add(after.job_id)
            return replace(after, reported=False)
        self._unwritable = ""
        self._unwritten.discard(after.job_id)
        return replace(after, reported=True, reported_at=now.monotonic)

    def _claim(self, candidate: Candidate, inspection: Inspection, now: ClockReading) -> Job | Candidate:
        """Return the new job, or the candidate: where the claim failed with the reason, else as it was."""
        try:
            claimed = self._claims.claim(candidate.scanned, candidate.job_id)
        except FileNotFoundError:
            reason = "It was taken away at the moment of the claim"
            if reason != candidate.setback:
                self._log("drop_lost_race", **candidate.log_context())
            return candidate.set_back(now, reason)
        except TransientError as problem:
            return candidate.set_back(now, problem.message, problem)
        try:
            job = self._build_job(candidate, claimed, inspection, now)
        except TransientError as problem:
            return self._unclaim(candidate, now, problem.message, problem)
        if job is None:
            return self._unclaim(candidate, now, "It changed at the moment of the claim")
        self._log("drop_claimed", **job.log_context(), items=len(job.items), state=job.state)
        self._log_mistakes(job, inspection)
        for each in job.warnings:
            self._log("drop_warning", level="warning", **job.log_context(), error_code=each.code, reason=each.message)
        return job

    def _log_mistakes(self, job: Job, inspection: Inspection) -> None:
        """Log what went wrong in the program, not in a file, while the files were opened."""
        for path, problem in inspection.problems.items():
            if problem.trace:
                reason, trace = problem.message, problem.trace
                name = names.escape_name(path)
                self._log("file_not_judged", level="error", **job.log_context(), file=name, reason=reason, exception=trace)

    def _unclaim(self, candidate: Candidate, now: ClockReading, reason: str, problem: TransientError | None = None) -> Candidate:
        """Put the drop back and return the candidate, which waits for a while before it is claimed again."""
        self._claims.unclaim(candidate.scanned.inbox, candidate.job_id)
        if reason != candidate.setback:
            self._log("drop_restored", **candidate.log_context(), reason=reason)
        return candidate.set_back(now, reason, problem)

    def _build_job(self, candidate: Candidate, claimed: Path, inspection: Inspection, now: ClockReading) -> Job | None:
        """Return the job of a claimed folder, None where somebody wrote to it until the last moment."""
        scanned = candidate.scanned
        if scanned.cancel:
            plan = Plan(options=parse_job_toml(self._job_toml_of_cancelled(claimed))[0])
            job = new_job(candidate, claimed, plan=plan, inspection=inspection, now=now, rules=self.rules)
            return replace(job, state=State.CANCELLED, finished_at=now.wall, reason="Cancelled before it began")
        if scanned.oversize is not None:  # never listed again: it is what the scan was too large for
            plan = Plan(options=JobOptions(owner=scanned.owner, reference=scanned.reference), rejected=scanned.oversize)
            return new_job(candidate, claimed, plan=plan, inspection=inspection, now=now, rules=self.rules).rollup(now.wall)
        found = self._claims.listing(claimed)
        if file_versions(found.entries) != file_versions(scanned.entries) or found.uid != scanned.uid:
            return None
        job_toml = self._claims.job_toml(found.root, found.entries)
        if job_toml is None:
            _, plan = candidate.with_plan(self.rules.limits)  # of the same files: it takes 0.1 s for 5,000
        else:
            plan = drop.plan(found.entries, job_toml=job_toml, flat=not scanned.name, limits=self.rules.limits)
        return new_job(candidate, claimed, plan=plan, inspection=inspection, now=now, rules=self.rules).rollup(now.wall)

    def _job_toml_of_cancelled(self, claimed: Path) -> str | None:
        """Return the text of a job.toml, which may name an owner; None also where it cannot be read, for a drop is cancelled as it is."""
        try:
            found = self._claims.listing(claimed)
            return self._claims.job_toml(found.root, found.entries)
        except TransientError:
            return None


def _first_of_many(drops: Sequence[ScannedDrop]) -> dict[str, ScannedDrop]:
    """Return some of many drops by name, as many of each owner as there are: whoever puts down a hundred thousand folders must not keep
    the drop of another waiting until each of them was looked at. Empty folders are not among them."""
    of_owners: dict[int | None, list[ScannedDrop]] = {}
    for scanned in drops:
        if scanned.entries:
            of_owners.setdefault(scanned.uid, []).append(scanned)
    rounds = chain.from_iterable(zip_longest(*(owned[:FIRST_OF_MANY] for owned in of_owners.values())))
    return {scanned.name: scanned for scanned in islice((each for each in rounds if each is not None), FIRST_OF_MANY)}
