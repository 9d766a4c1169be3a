"""Write the status: one status.json for each job with a log beside it, one for the daemon, at most once a second each while things only
progress; and one line for the service manager."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Final, Literal

from heygem_daemon.core.clock import ClockReading
from heygem_daemon.core.errors import TransientError
from heygem_daemon.core.ignored_entries import IgnoredEntry
from heygem_daemon.core.job import FINAL, Job, State
from heygem_daemon.core.names import escape_name
from heygem_daemon.core.policy import admission
from heygem_daemon.core.ports import Clock, Executor, Hooks, JobLines, Ledger, Log, MetricsExporter, Publisher, StatusWriter
from heygem_daemon.core.scan import InboxScan
from heygem_daemon.core.status import (
    DaemonStatus,
    DeviceStatus,
    DiskStatus,
    Heartbeat,
    IgnoredStatus,
    InboxStatus,
    JobStatus,
    QueueStatus,
    moment,
)
from heygem_daemon.core.status_builder import RECENT, as_shown, job_status, queue_status, shown_state, summaries
from heygem_daemon.core.turns import queue_key
from heygem_daemon.daemon.candidates import CandidateTracker
from heygem_daemon.daemon.dispatcher import Attempt, Dispatcher
from heygem_daemon.daemon.inboxes import Inboxes
from heygem_daemon.daemon.job_store import JobStore
from heygem_daemon.daemon.queue_places import QueuePlaces

PROGRESS_SECONDS: Final = 1.0
HEARTBEAT_SECONDS: Final = 5.0
OVERVIEW_SECONDS: Final = 1.0
"""Between two writes of the daemon's own status while jobs change: it lists a hundred of them, which takes 50 ms."""
RETRY_SECONDS: Final = 5.0
LISTED: Final = 100
WRITES_PER_TICK: Final = 50
"""Each write is an fsync (some ms): a thousand jobs that change at once must not hold up the tick."""
WRITE_SECONDS: Final = 0.3
"""No further status is begun in a tick after this; on slow storage a write takes long."""
LOGS_PER_TICK: Final = 50
LOGS_SECONDS: Final = 1.0
"""Lines that cannot be written now (the folder of a new drop is not there yet) are tried again after this."""
FILES_PER_HEARTBEAT: Final = 50
"""Open jobs whose files are looked at with each heartbeat, beside those that are worked on."""
ATTEMPTS_IN_LINE: Final = 3
REASON_CHARACTERS: Final = 1000
"""Of the reason in a heartbeat, whose file must stay small."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The part of the status about the daemon itself; a reload may change `reserve_bytes`, the rest stays."""

    version: str
    pid: int
    namespace: str
    started: float
    outputs: str
    reserve_bytes: int


@dataclass(frozen=True, kw_only=True)
class StatusContext:
    """The circumstances that the status of a job depends on: the time, and its place in the queue (job id -> 1, 2 ...)."""

    now: ClockReading
    positions: Mapping[str, int]


@dataclass(kw_only=True)
class StatusReporter:
    """Call `write` in every tick, `job_ended` when the inputs of a job are archived, and `finish` at the end."""

    store: JobStore
    candidates: CandidateTracker
    dispatcher: Dispatcher
    inboxes: Inboxes
    status_writer: StatusWriter
    ledger: Ledger
    executor: Executor
    publisher: Publisher
    hooks: Hooks
    metrics_exporter: MetricsExporter
    job_lines: JobLines
    clock: Clock
    log: Log
    identity: Identity
    _dirty: dict[str, Job] = field(default_factory=dict)
    _shown: dict[str, int] = field(default_factory=dict)
    _written: dict[str, float] = field(default_factory=dict)
    _retry_at: float = 0.0
    _logs_at: float = 0.0
    _heartbeat_at: float = 0.0
    _overview_at: float = 0.0
    _has_news: bool = False
    _recent: list[JobStatus] | None = None
    _listed_as_over: frozenset[str] = frozenset()
    """The jobs in `_recent`; one that is tried again is no longer over."""
    _missing: dict[str, frozenset[str]] = field(default_factory=dict)
    """The published items of open jobs whose files somebody deleted, as far as that was looked at."""
    _looked_at: int = 0
    _unwritable: dict[str, float] = field(default_factory=dict)
    _places: QueuePlaces = field(default_factory=QueuePlaces)
    _ended: dict[str, Job] = field(default_factory=dict)
    """Jobs whose end the hooks have not got yet: outputs does not answer what is there of them."""
    _problem: TransientError | None = None
    _problem_since: float = 0.0

    def write(self, now: ClockReading, state: str, limit: int | None = WRITES_PER_TICK) -> None:
        """Write what is due, the status of `limit` jobs at most. When outputs cannot be written the status waits for a while; nothing is
        lost, the ledger has it."""
        changed = self.store.take_changed()
        self._dirty |= changed
        if any(job.state in FINAL or job.id in self._listed_as_over for job in changed.values()):
            self._recent = None
        context = StatusContext(now=now, positions=self._positions(now, changed=bool(changed)))
        is_heartbeat = now.monotonic >= self._heartbeat_at
        if is_heartbeat:
            self._look_at_files()
            self._find_changed_circumstances(context)
        due = [job for job in self._dirty.values() if self._is_due(job, context)]
        self._has_news = self._has_news or any(self._is_urgent(job, context) for job in due)
        before = self._problem
        if is_heartbeat or (now.monotonic >= max(self._retry_at, self._overview_at) and self._has_news):
            self._heartbeat_at, self._overview_at = now.monotonic + HEARTBEAT_SECONDS, now.monotonic + OVERVIEW_SECONDS
            self._try_to_write_daemon(context, state)
        if is_heartbeat or (self._problem is None) != (before is None):
            self._beat(now, state)
        if now.monotonic >= self._retry_at:
            until = self.clock.now().monotonic + WRITE_SECONDS
            for job in due[:limit]:
                self._write_job(job, context)
                if limit is not None and self.clock.now().monotonic > until:
                    break  # on slow storage the others wait for the next tick
            self.write_logs(now, None if limit is None else LOGS_PER_TICK)
        self._tell_ends(now, is_last=limit is None)

    def finish(self, now: ClockReading) -> None:
        """Write everything that is left, without a limit, before the daemon ends."""
        self._written.clear()
        self._unwritable.clear()
        self._retry_at = self._heartbeat_at = self._logs_at = 0.0
        self.write(now, "stopped", limit=None)

    def job_ended(self, job: Job, now: ClockReading) -> None:
        """Call the hooks: all of the job is over, its inputs are archived. Where outputs does not answer that is done later."""
        self._ended[job.id] = job
        self._tell_ends(now)

    def _tell_ends(self, now: ClockReading, *, is_last: bool = False) -> None:
        """Call the hooks with what is in outputs, at the end of the daemon also without knowing it. Where that takes long the others have
        their turn in the next tick."""
        until = self.clock.now().monotonic + WRITE_SECONDS
        for job in list(self._ended.values()):
            if self.clock.now().monotonic > until and not is_last:
                return
            links, missing = dict[str, str](), frozenset[str]()
            try:
                links, missing = self._links(job), self.publisher.missing_results(job)
            except TransientError:
                if not is_last:
                    return
            del self._ended[job.id]
            self.hooks.job_ended(job_status(job, now=now.wall, links=links, missing=missing))

    def write_logs(self, now: ClockReading, limit: int | None = None) -> None:
        """Append the new lines about `limit` jobs at most to their logs. A log that cannot be written holds up nothing."""
        if now.monotonic < self._logs_at:
            return
        pending = self.job_lines.pending()[:limit]
        arriving = self.candidates.outputs() if pending else {}
        for job_id in pending:
            try:
                output = arriving.get(job_id) or self._output_of(job_id)
            except TransientError:
                continue
            lines = self.job_lines.take(job_id)
            if output is not None and not self.status_writer.append_log(output, lines):
                self.job_lines.put_back(job_id, lines)
                self._logs_at = now.monotonic + LOGS_SECONDS

    def _output_of(self, job_id: str) -> str | None:
        """Return the output folder of a job, None of one that has gone. Raises TransientError."""
        job = self.store.jobs.get(job_id) or self._dirty.get(job_id)
        if job is not None:
            return job.output
        finished = self.ledger.get(job_id)
        return None if finished is None else finished.output

    # -- the jobs -------------------------------------------------------------------------------------------------

    def _write_job(self, job: Job, context: StatusContext) -> None:
        """Write the status of one job: a folder that cannot be written (deleted and made a file, a link, read-only) must not keep the
        others from being written."""
        try:
            self.status_writer.write_job(self._status(job, context))
        except TransientError as problem:
            if job.id not in self._unwritable and self.publisher.answers():
                self.log("status_unwritable", level="warning", **job.log_context(), error_code=problem.code, reason=problem.message)
            self._unwritable[job.id] = context.now.monotonic + RETRY_SECONDS
            return
        self._unwritable.pop(job.id, None)
        del self._dirty[job.id]
        if job.state in FINAL:
            self._shown.pop(job.id, None)
            self._written.pop(job.id, None)
            self._missing.pop(job.id, None)
        else:
            self._shown[job.id] = self._signature(job, context)
            self._written[job.id] = context.now.monotonic

    def _find_changed_circumstances(self, context: StatusContext) -> None:
        """Find the jobs whose place in the queue, or reason to wait, changed while they did not."""
        for job in self.store.jobs.values():
            if job.id in self._shown and self._is_urgent(job, context):
                self._dirty[job.id] = job

    def _look_at_files(self) -> None:
        """Look whether the status files of some open jobs, and their published results, are still there: people tidy up in outputs. Those
        that are worked on come first; the others, as far as there is time, but one at least, in turn."""
        until = self.clock.now().monotonic + WRITE_SECONDS
        worked_on = dict.fromkeys(attempt.job_id for attempt in self.dispatcher.attempts.values())
        for job_id in worked_on:
            if self.clock.now().monotonic <= until:
                self._look_at_files_of(job_id)
        shown = list(self._shown)
        first = self._looked_at % max(len(shown), 1)
        for place, job_id in enumerate(shown[first:][:FILES_PER_HEARTBEAT], first):
            if place > first and self.clock.now().monotonic > until:
                return  # outputs are slow: the others have their turn with the next heartbeat
            self._looked_at = place + 1
            if job_id not in worked_on:
                self._look_at_files_of(job_id)

    def _look_at_files_of(self, job_id: str) -> None:
        job = self.store.jobs.get(job_id)
        if job is None:
            return
        with suppress(TransientError):  # looked at again with a later heartbeat
            self._missing[job_id] = self.publisher.missing_results(job)
        if job_id in self._shown and not self.status_writer.has_status(job.output):
            self._shown[job_id] = 0
            self._dirty[job_id] = job

    def _signature(self, job: Job, context: StatusContext) -> int:
        waits, now = self._waits(job), context.now.wall
        items = tuple((shown_state(item, now, waits=waits), item.attempt) for item in job.items)
        circumstances = (self._waiting_for(job, now), context.positions.get(job.id), self._missing.get(job.id, frozenset()))
        return hash((job.state, job.reason, job.on_hold, job.priority, items, circumstances))

    def _waits(self, job: Job) -> bool:
        """Whether its circumstances keep the job from starting anything."""
        return job.on_hold or self._blocked_by(job) is not None

    def _is_urgent(self, job: Job, context: StatusContext) -> bool:
        return self._shown.get(job.id) != self._signature(job, context)

    def _is_due(self, job: Job, context: StatusContext) -> bool:
        if context.now.monotonic < self._unwritable.get(job.id, 0.0):
            return False
        since = context.now.monotonic - self._written.get(job.id, -PROGRESS_SECONDS)
        return since >= PROGRESS_SECONDS or self._is_urgent(job, context)

    def _status(self, job: Job, context: StatusContext) -> JobStatus:
        attempts = [attempt for attempt in self.dispatcher.attempts.values() if attempt.job_id == job.id]
        now = context.now.wall
        return job_status(
            as_shown(job, now, is_blocked=self._blocked_by(job) is not None),
            now=now,
            position=context.positions.get(job.id),
            progress={attempt.key: attempt.progress for attempt in attempts if attempt.progress is not None},
            waiting_for=self._waiting_for(job, now),
            missing=self.publisher.missing_results(job) if job.is_final else self._missing.get(job.id, ()),
            worker=self.dispatcher.worker_of(job.id),
            links=self._links(job),
        )

    def _links(self, job: Job) -> dict[str, str]:
        name = self.publisher.zip_name(job) if job.state in FINAL else None
        return {"zip": name} if name else {}

    def _waiting_for(self, job: Job, now: float) -> str | None:
        """Return the reason in words why the job does not run."""
        if job.state in FINAL or job.state is State.RUNNING:
            return None
        if job.on_hold:
            return job.reason or "Held back"
        blocked_by = self._blocked_by(job)
        if blocked_by is not None or any(item.is_ready(now) for item in job.items):
            return blocked_by
        return next((item.reason for item in job.items if item.state is State.WAITING and item.reason), None)

    def _blocked_by(self, job: Job) -> str | None:
        scan = self.inboxes.scans.get(job.inbox)
        if scan is not None and not scan.online:
            return f"The inbox is offline: {scan.reason}"
        if scan is not None and scan.paused:
            return "Paused: PAUSE lies in the inbox"
        if self.dispatcher.breaker.until is not None:
            return "Paused: the device failed repeatedly"
        return self.dispatcher.blocked_by.message if self.dispatcher.blocked_by is not None else None

    # -- the daemon -----------------------------------------------------------------------------------------------

    def _try_to_write_daemon(self, context: StatusContext, state: str) -> None:
        """Write the daemon's own status, or try it again later; what changes is logged, not every try, and not that outputs is slow."""
        try:
            self._write_daemon(context, state)
        except TransientError as problem:
            self._retry_at = context.now.monotonic + RETRY_SECONDS
            if not self.publisher.answers():
                return
            if self._problem is None or self._problem.code != problem.code:
                self.log("status_unwritable", level="warning", error_code=problem.code, reason=problem.message)
            self._problem, self._problem_since = problem, self._problem_since if self._problem is not None else context.now.wall
            return
        self._has_news = False
        if self._problem is not None:
            self.log("status_writable", seconds=round(context.now.wall - self._problem_since, 1))
        self._problem = None

    def _beat(self, now: ClockReading, state: str) -> None:
        """Leave a sign of life that arrives where the status does not."""
        problem = self._problem
        self.status_writer.write_heartbeat(
            Heartbeat(
                pid=self.identity.pid,
                namespace=self.identity.namespace,
                outputs=self.identity.outputs,
                state=self._state(state),
                heartbeat=moment(now.wall),
                unwritable=problem.message[:REASON_CHARACTERS] if problem is not None else "",
                unwritable_since=moment(self._problem_since) if problem is not None else None,
            )
        )

    def _write_daemon(self, context: StatusContext, state: str) -> None:
        """Raises TransientError when outputs cannot be written; the metrics are exported all the same."""
        status = self._daemon_status(context, state)
        self.metrics_exporter.write(status)
        self.status_writer.write_daemon(status)

    def _daemon_status(self, context: StatusContext, state: str) -> DaemonStatus:
        now, breaker = context.now, self.dispatcher.breaker
        if self._recent is None:
            finished = self.ledger.finished(RECENT)
            self._recent = [job_status(job, now=now.wall) for job in finished]
            self._listed_as_over = frozenset(job.id for job in finished)
        capacity = self.executor.capacity()
        return DaemonStatus(
            version=self.identity.version,
            state=self._state(state),
            pid=self.identity.pid,
            started=moment(self.identity.started),
            heartbeat=moment(now.wall),
            queue=self._queue_status(now),
            jobs=summaries(self._list_jobs(context), self._recent),
            inboxes=tuple(
                _inbox_status(scan, self.inboxes.scanned_at.get(path), self.inboxes.ignored.reported(path))
                for path, scan in self.inboxes.scans.items()
            ),
            disk=self._disk_status(),
            devices=tuple(DeviceStatus(name=view.worker, **asdict(view)) for view in self.executor.workers()),
            items_at_once=capacity.items_at_once,
            items_reason=capacity.reason,
            breaker=breaker.describe(now.wall),
            until=moment(breaker.until) if breaker.until else None,
        )

    def _queue_status(self, now: ClockReading) -> QueueStatus:
        return queue_status(self.store.jobs.values(), now=now.wall, is_blocked=lambda job: self._blocked_by(job) is not None)

    def _disk_status(self) -> DiskStatus:
        path, reserve, room = self.identity.outputs, self.identity.reserve_bytes, self.publisher.room()
        if room is None:
            return DiskStatus(path=path, free=None, reserve=reserve, ok=False, reason="It is not reachable.")
        problem = admission(room, reserve, 0, path)
        return DiskStatus(
            path=path,
            free=room.free,
            reserve=reserve,
            ok=problem is None,
            files_free=room.files,
            reason=problem.message if problem is not None else "",
        )

    def _state(self, state: str) -> Literal["starting", "running", "paused", "stopping", "stopped"]:
        if state in {"starting", "stopping", "stopped"}:
            return state  # type: ignore[return-value]
        scans = self.inboxes.scans.values()
        paused = bool(scans) and all(scan.paused for scan in scans)
        return "paused" if paused or self.dispatcher.breaker.until is not None else "running"

    def _list_jobs(self, context: StatusContext) -> list[JobStatus]:
        """Return the open jobs in the order of the queue, then the drops that are not jobs yet."""
        jobs = [self._status(job, context) for job in self._queue(context)[:LISTED]]
        return [*jobs, *self.candidates.statuses(LISTED - len(jobs))]

    def _queue(self, context: StatusContext) -> Sequence[Job]:
        """Return the open jobs: those that run, the others in the order of the queue, then those that cannot start now."""
        last = len(context.positions)

        def place(job: Job) -> tuple[bool, int, int, float, str]:
            return (job.state is not State.RUNNING, context.positions.get(job.id, last + 1), -job.priority, *queue_key(job))

        return sorted(self.store.jobs.values(), key=place)

    def _positions(self, now: ClockReading, *, changed: bool) -> Mapping[str, int]:
        closed, turns = self.inboxes.closed, self.dispatcher.turns
        return self._places.update(self.store.jobs.values(), now, closed=closed, turns=turns, changed=changed)

    # -- the line -------------------------------------------------------------------------------------------------

    def status_line(self, now: ClockReading) -> str:
        """Return for instance `3 queued, 1 running: lesson-01/teacher-a 42 %, 2 inboxes online`."""
        queue, candidates = self._queue_status(now), self.candidates.count
        attempts = list(self.dispatcher.attempts.values())
        shown = [self._attempt(attempt) for attempt in attempts[:ATTEMPTS_IN_LINE]]
        more = [f"{len(attempts) - ATTEMPTS_IN_LINE} more"] if len(attempts) > ATTEMPTS_IN_LINE else []
        running = f"{queue.running} running" + (f": {' and '.join((*shown, *more))}" if shown else "")
        waiting = [f"{queue.waiting} waiting"] if queue.waiting else []
        incoming = [f"{candidates} arriving"] if candidates else []
        return ", ".join((f"{queue.queued} queued", running, *waiting, *incoming, *self._inbox_counts(), *self._reasons_for_waiting()))

    def _attempt(self, attempt: Attempt) -> str:
        percent = f" {attempt.progress.percent:.0f} %" if attempt.progress else ""
        return f"{self.store.jobs[attempt.job_id].name}/{attempt.key}{percent}"

    def _inbox_counts(self) -> list[str]:
        scans = self.inboxes.scans.values()
        online, paused = sum(scan.online for scan in scans), sum(scan.online and scan.paused for scan in scans)
        offline = len(scans) - online
        counts = [f"{online} {'inbox' if online == 1 else 'inboxes'} online"]
        return counts + ([f"{paused} paused"] if paused else []) + ([f"{offline} OFFLINE"] if offline else [])

    def _reasons_for_waiting(self) -> list[str]:
        if self.dispatcher.breaker.until is not None:
            return ["queue paused after device failures"]
        return [self.dispatcher.blocked_by.message] if self.dispatcher.blocked_by is not None else []


def _inbox_status(scan: InboxScan, last_scan: float | None, ignored: Sequence[IgnoredEntry]) -> InboxStatus:
    return InboxStatus(
        path=scan.inbox,
        online=scan.online,
        reason=scan.reason,
        network=scan.network,
        paused=scan.paused,
        last_scan=moment(last_scan) if last_scan else None,
        ignored=tuple(IgnoredStatus(name=escape_name(entry.name), reason=entry.reason) for entry in ignored),
        ignored_count=scan.ignored_count,
    )
