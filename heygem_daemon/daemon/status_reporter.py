"""Write the status: one status.json for each job with a log beside it, one for the daemon, at most once a second each while things only
progress; and one line for the service manager."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Final, Literal

from heygem_daemon.core import policy
from heygem_daemon.core.clock import ClockReading
from heygem_daemon.core.errors import TransientError
from heygem_daemon.core.job import FINAL, Job, State
from heygem_daemon.core.ports import Executor, Hooks, JobLines, Ledger, Log, MetricsExporter, Publisher, StatusWriter
from heygem_daemon.core.scan import InboxScan
from heygem_daemon.core.status import (
    DaemonStatus,
    DeviceStatus,
    DiskStatus,
    InboxStatus,
    JobStatus,
    moment,
)
from heygem_daemon.core.status_builder import RECENT, job_status, queue_status, summaries
from heygem_daemon.daemon.candidates import CandidateTracker
from heygem_daemon.daemon.dispatcher import Attempt, Dispatcher
from heygem_daemon.daemon.inboxes import Inboxes
from heygem_daemon.daemon.job_store import JobStore

PROGRESS_SECONDS: Final = 1.0
HEARTBEAT_SECONDS: Final = 5.0
OVERVIEW_SECONDS: Final = 1.0
"""Between two writes of the daemon's own status while jobs change: it lists a hundred of them, which takes 50 ms."""
RETRY_SECONDS: Final = 5.0
LISTED: Final = 100
WRITES_PER_TICK: Final = 50
"""Each write is an fsync (some ms): a thousand jobs that change at once must not hold up the tick."""
LOGS_PER_TICK: Final = 50
LOGS_SECONDS: Final = 1.0
"""Lines that cannot be written now (the folder of a new drop is not there yet) are tried again after this."""
ATTEMPTS_IN_LINE: Final = 3


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The part of the status about the daemon itself; a reload may change `reserve_bytes`, the rest stays."""

    version: str
    pid: int
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
    _unwritable: dict[str, float] = field(default_factory=dict)

    def write(self, now: ClockReading, state: str, limit: int | None = WRITES_PER_TICK) -> None:
        """Write what is due, the status of `limit` jobs at most. When outputs cannot be written the status waits for a while; nothing is
        lost, the ledger has it."""
        changed = self.store.take_changed()
        self._dirty |= changed
        if any(job.state in FINAL for job in changed.values()):
            self._recent = None
        context = StatusContext(now=now, positions=self._positions())
        is_heartbeat = now.monotonic >= self._heartbeat_at
        if is_heartbeat:
            self._find_changed_circumstances(context)
        due = [job for job in self._dirty.values() if self._is_due(job, context)]
        try:
            self._has_news = self._has_news or any(self._is_urgent(job, context) for job in due)
            if is_heartbeat or (now.monotonic >= max(self._retry_at, self._overview_at) and self._has_news):
                self._heartbeat_at, self._overview_at = now.monotonic + HEARTBEAT_SECONDS, now.monotonic + OVERVIEW_SECONDS
                self._write_daemon(context, state)
                self._has_news = False
        except TransientError as problem:
            self._retry_at = now.monotonic + RETRY_SECONDS
            self.log("status_unwritable", level="warning", error_code=problem.code, reason=problem.message)
        if now.monotonic >= self._retry_at:
            for job in due[:limit]:
                self._write_job(job, context)
            self.write_logs(now, None if limit is None else LOGS_PER_TICK)

    def finish(self, now: ClockReading) -> None:
        """Write everything that is left, without a limit, before the daemon ends."""
        self._written.clear()
        self._unwritable.clear()
        self._retry_at = self._heartbeat_at = self._logs_at = 0.0
        self.write(now, "stopped", limit=None)

    def job_ended(self, job: Job, now: ClockReading) -> None:
        """Call the hooks: all of the job is over, its inputs are archived."""
        self.hooks.job_ended(job_status(job, now=now.wall, links=self._links(job)))

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
            if job.id not in self._unwritable:
                self.log("status_unwritable", level="warning", **job.log_context(), error_code=problem.code, reason=problem.message)
            self._unwritable[job.id] = context.now.monotonic + RETRY_SECONDS
            return
        self._unwritable.pop(job.id, None)
        del self._dirty[job.id]
        if job.state in FINAL:
            self._shown.pop(job.id, None)
            self._written.pop(job.id, None)
        else:
            self._shown[job.id] = self._signature(job, context)
            self._written[job.id] = context.now.monotonic

    def _find_changed_circumstances(self, context: StatusContext) -> None:
        """Find the jobs whose place in the queue, or reason to wait, changed while they did not."""
        for job in self.store.jobs.values():
            if job.id in self._shown and self._is_urgent(job, context):
                self._dirty[job.id] = job

    def _signature(self, job: Job, context: StatusContext) -> int:
        items = tuple((item.state, item.attempt) for item in job.items)
        return hash((job.state, job.reason, job.on_hold, job.priority, items, self._waiting_for(job), context.positions.get(job.id)))

    def _is_urgent(self, job: Job, context: StatusContext) -> bool:
        return self._shown.get(job.id) != self._signature(job, context)

    def _is_due(self, job: Job, context: StatusContext) -> bool:
        if context.now.monotonic < self._unwritable.get(job.id, 0.0):
            return False
        since = context.now.monotonic - self._written.get(job.id, -PROGRESS_SECONDS)
        return since >= PROGRESS_SECONDS or self._is_urgent(job, context)

    def _status(self, job: Job, context: StatusContext) -> JobStatus:
        attempts = [attempt for attempt in self.dispatcher.attempts.values() if attempt.job_id == job.id]
        waiting_for = self._waiting_for(job)
        return job_status(
            _as_waiting(job) if waiting_for else job,
            now=context.now.wall,
            position=context.positions.get(job.id),
            progress={attempt.key: attempt.progress for attempt in attempts if attempt.progress is not None},
            waiting_for=waiting_for,
            worker=self.dispatcher.worker_of(job.id),
            links=self._links(job),
        )

    def _links(self, job: Job) -> dict[str, str]:
        name = self.publisher.zip_name(job) if job.state in FINAL else None
        return {"zip": name} if name else {}

    def _waiting_for(self, job: Job) -> str | None:
        """Return the reason in words why the job does not run."""
        if job.state in FINAL or job.state is State.RUNNING:
            return None
        if job.on_hold:
            return job.reason or "Held back"
        return self._blocked_by(job) or next((item.reason for item in job.items if item.state is State.WAITING and item.reason), None)

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

    def _write_daemon(self, context: StatusContext, state: str) -> None:
        """Raises TransientError when outputs cannot be written; the metrics are exported all the same."""
        status = self._daemon_status(context, state)
        self.metrics_exporter.write(status)
        self.status_writer.write_daemon(status)

    def _daemon_status(self, context: StatusContext, state: str) -> DaemonStatus:
        now, breaker = context.now, self.dispatcher.breaker
        if self._recent is None:
            finished = [job for job in self.ledger.recent(2 * RECENT) if job.state in FINAL][:RECENT]
            self._recent = [job_status(job, now=now.wall) for job in finished]
        free = self.publisher.free_bytes()
        reserve, capacity = self.identity.reserve_bytes, self.executor.capacity()
        return DaemonStatus(
            version=self.identity.version,
            state=self._state(state),
            pid=self.identity.pid,
            started=moment(self.identity.started),
            heartbeat=moment(now.wall),
            queue=queue_status(self.store.jobs.values()),
            jobs=summaries(self._list_jobs(context), self._recent),
            inboxes=tuple(_inbox_status(scan, self.inboxes.scanned_at.get(path)) for path, scan in self.inboxes.scans.items()),
            disk=DiskStatus(path=self.identity.outputs, free=free, reserve=reserve, ok=free is not None and free >= reserve),
            devices=tuple(DeviceStatus(name=view.worker, **asdict(view)) for view in self.executor.workers()),
            items_at_once=capacity.items_at_once,
            items_reason=capacity.reason,
            breaker=breaker.describe(now.wall),
            until=moment(breaker.until) if breaker.until else None,
        )

    def _state(self, state: str) -> Literal["starting", "running", "paused", "stopping", "stopped"]:
        if state in {"starting", "stopping", "stopped"}:
            return state  # type: ignore[return-value]
        scans = self.inboxes.scans.values()
        paused = bool(scans) and all(scan.paused for scan in scans)
        return "paused" if paused or self.dispatcher.breaker.until is not None else "running"

    def _list_jobs(self, context: StatusContext) -> list[JobStatus]:
        """Return the open jobs in the order of the queue, then the drops that are not jobs yet."""
        jobs = [self._status(job, context) for job in self._queue()[:LISTED]]
        return [*jobs, *self.candidates.statuses(LISTED - len(jobs))]

    def _queue(self) -> Sequence[Job]:
        return sorted(self.store.jobs.values(), key=lambda job: (job.state is not State.RUNNING, -job.priority, *policy.queue_key(job)))

    def _positions(self) -> dict[str, int]:
        queued = [job for job in self._queue() if job.state is State.QUEUED]
        return {job.id: place for place, job in enumerate(queued, start=1)}

    # -- the line -------------------------------------------------------------------------------------------------

    def status_line(self) -> str:
        """Return for instance `3 queued, 1 running: lesson-01/teacher-a 42 %, 2 inboxes online`."""
        queue, candidates = queue_status(self.store.jobs.values()), self.candidates.count
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


def _as_waiting(job: Job) -> Job:
    """Return a job that could run but for its circumstances as a waiting one; the ledger keeps it as queued."""
    return replace(job, state=State.WAITING) if job.state in {State.QUEUED, State.INTERRUPTED} else job


def _inbox_status(scan: InboxScan, last_scan: float | None) -> InboxStatus:
    return InboxStatus(
        path=scan.inbox,
        online=scan.online,
        reason=scan.reason,
        network=scan.network,
        paused=scan.paused,
        last_scan=moment(last_scan) if last_scan else None,
    )
