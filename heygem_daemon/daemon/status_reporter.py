"""Keeps the board: one status.json for each job, one for the daemon, at most once a second each while things only progress."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from heygem_daemon.core import policy
from heygem_daemon.core.errors import TransientError
from heygem_daemon.core.job import FINAL, Job, State
from heygem_daemon.core.ports import Executor, Hooks, InboxScan, Ledger, Log, MetricsExporter, Publisher, StatusWriter
from heygem_daemon.core.status import (
    DaemonStatus,
    DeviceStatus,
    DiskStatus,
    InboxStatus,
    JobStatus,
    job_status,
    moment,
    queue_status,
    summaries,
)
from heygem_daemon.daemon.clock import ClockReading
from heygem_daemon.daemon.dispatcher import Dispatcher

PROGRESS_SECONDS: Final = 1.0
HEARTBEAT_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 5.0
RECENT: Final = 20
LISTED: Final = 100
WRITES_PER_TICK: Final = 50
"""Each write is an fsync (some ms): a thousand jobs that change at once must not hold up the tick."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    version: str
    pid: int
    started: float
    outputs: str
    reserve_bytes: int


@dataclass(kw_only=True)
class StatusReporter:
    """Call `changed` for every job that moved, `write` in every tick."""

    status_writer: StatusWriter
    ledger: Ledger
    executor: Executor
    publisher: Publisher
    hooks: Hooks
    metrics_exporter: MetricsExporter
    log: Log
    identity: Identity
    arriving: Callable[[], Sequence[JobStatus]] = tuple
    _dirty: dict[str, Job] = field(default_factory=dict)
    _shown: dict[str, int] = field(default_factory=dict)
    _written: dict[str, float] = field(default_factory=dict)
    _retry_at: float = 0.0
    _heartbeat_at: float = 0.0
    _recent: list[JobStatus] | None = None
    _unwritable: dict[str, float] = field(default_factory=dict)
    _writes: int = WRITES_PER_TICK

    def changed(self, job: Job) -> None:
        self._dirty[job.id] = job
        if job.state in FINAL:
            self._recent = None

    def write(
        self, now: ClockReading, dispatch: Dispatcher, views: Mapping[str, InboxScan], scans: Mapping[str, float], state: str
    ) -> None:
        """Write what is due. A board that cannot be written is left alone for a while; nothing is lost, the ledger has it."""
        surroundings = StatusContext.of(now, dispatch, views)
        is_heartbeat = now.monotonic >= self._heartbeat_at
        if is_heartbeat:
            self._notice_new_circumstances(surroundings)
        due = [job for job in self._dirty.values() if self._is_due(job, surroundings)]
        try:
            if is_heartbeat or (now.monotonic >= self._retry_at and any(self._is_urgent(job, surroundings) for job in due)):
                self._heartbeat_at = now.monotonic + HEARTBEAT_SECONDS
                self._write_daemon(surroundings, scans, state)
        except TransientError as problem:
            self._retry_at = now.monotonic + RETRY_SECONDS
            self.log("status_unwritable", level="warning", error_code=problem.code, reason=problem.message)
        if now.monotonic >= self._retry_at:
            for job in due[: self._writes]:
                self._try_job(job, surroundings)

    def _write_daemon(self, surroundings: "StatusContext", scans: Mapping[str, float], state: str) -> None:
        """Raises TransientError when the board cannot be written; monitoring hears of us all the same."""
        status = self._daemon_status(surroundings, scans, state)
        self.metrics_exporter.write(status)
        self.status_writer.write_daemon(status)

    def ended(self, job: Job) -> None:
        """Tell the hooks: all of the job is over, its inputs are put away."""
        self.hooks.job_ended(job_status(job, now=ClockReading.now().wall, links=self._links(job)))

    def finish(self, now: ClockReading, dispatch: Dispatcher, views: Mapping[str, InboxScan], scans: Mapping[str, float]) -> None:
        """Write everything that is left, whatever the pace, before the daemon ends."""
        self._written.clear()
        self._unwritable.clear()
        self._writes = len(self._dirty)
        self._retry_at = self._heartbeat_at = 0.0
        self.write(now, dispatch, views, scans, "stopped")

    def _try_job(self, job: Job, surroundings: "StatusContext") -> None:
        """One folder that cannot be written (deleted and made a file, a link, read-only) must not silence the others."""
        try:
            self._write_job(job, surroundings)
        except TransientError as problem:
            if job.id not in self._unwritable:
                self.log("status_unwritable", level="warning", **job.log_context(), error_code=problem.code, reason=problem.message)
            self._unwritable[job.id] = surroundings.now.monotonic + RETRY_SECONDS
        else:
            self._unwritable.pop(job.id, None)

    def _notice_new_circumstances(self, surroundings: "StatusContext") -> None:
        """A job's place in the queue and what it waits for change without the job: look over all of them now and then."""
        for job in surroundings.dispatch.jobs.values():
            if job.id in self._shown and self._is_urgent(job, surroundings):
                self._dirty[job.id] = job

    def _signature(self, job: Job, surroundings: "StatusContext") -> int:
        items = tuple((item.state, item.attempt) for item in job.items)
        return hash((job.state, job.reason, job.on_hold, items, surroundings.waiting_for(job), surroundings.positions.get(job.id)))

    def _is_urgent(self, job: Job, surroundings: "StatusContext") -> bool:
        return self._shown.get(job.id) != self._signature(job, surroundings)

    def _is_due(self, job: Job, surroundings: "StatusContext") -> bool:
        if surroundings.now.monotonic < self._unwritable.get(job.id, 0.0):
            return False
        since = surroundings.now.monotonic - self._written.get(job.id, -PROGRESS_SECONDS)
        return since >= PROGRESS_SECONDS or self._is_urgent(job, surroundings)

    def _listed(self, surroundings: "StatusContext") -> list[JobStatus]:
        """The open jobs in the order of the queue, then the drops that are not jobs yet."""
        jobs = [self._status(job, surroundings) for job in _queue(surroundings.dispatch)[:LISTED]]
        return [*jobs, *self.arriving()[: LISTED - len(jobs)]]

    def _write_job(self, job: Job, surroundings: "StatusContext") -> None:
        self.status_writer.write_job(self._status(job, surroundings))
        del self._dirty[job.id]
        if job.state in FINAL:
            self._shown.pop(job.id, None)
            self._written.pop(job.id, None)
        else:
            self._shown[job.id] = self._signature(job, surroundings)
            self._written[job.id] = surroundings.now.monotonic

    def _status(self, job: Job, surroundings: "StatusContext") -> JobStatus:
        attempts = [attempt for attempt in surroundings.dispatch.attempts.values() if attempt.job_id == job.id]
        waiting_for = surroundings.waiting_for(job)
        return job_status(
            _as_waiting(job) if waiting_for else job,
            now=surroundings.now.wall,
            position=surroundings.positions.get(job.id),
            progress={attempt.key: attempt.progress for attempt in attempts if attempt.progress is not None},
            waiting_for=waiting_for,
            worker=surroundings.dispatch.worker_of(job.id),
            links=self._links(job),
        )

    def _links(self, job: Job) -> dict[str, str]:
        bundle = self.publisher.zip_name(job) if job.state in FINAL else None
        return {"zip": bundle} if bundle else {}

    def _daemon_status(self, surroundings: "StatusContext", scans: Mapping[str, float], state: str) -> DaemonStatus:
        now, dispatch, views = surroundings.now, surroundings.dispatch, surroundings.views
        if self._recent is None:
            finished = [job for job in self.ledger.recent(2 * RECENT) if job.state in FINAL][:RECENT]
            self._recent = [job_status(job, now=now.wall) for job in finished]
        free = self.publisher.free_bytes()
        reserve = self.identity.reserve_bytes
        return DaemonStatus(
            version=self.identity.version,
            state=_daemon_state(state, dispatch, views),
            pid=self.identity.pid,
            started=moment(self.identity.started),
            heartbeat=moment(now.wall),
            queue=queue_status(dispatch.jobs.values()),
            jobs=summaries(self._listed(surroundings), self._recent),
            inboxes=tuple(_inbox_status(view, scans.get(path)) for path, view in views.items()),
            disk=DiskStatus(path=self.identity.outputs, free=free, reserve=reserve, ok=free is not None and free >= reserve),
            devices=tuple(DeviceStatus(name=view.worker, **asdict(view)) for view in self.executor.workers()),
            breaker=dispatch.breaker.describe(now.wall),
            until=moment(dispatch.breaker.until) if dispatch.breaker.until else None,
        )


def _as_waiting(job: Job) -> Job:
    """A job that could run but for its surroundings is shown as waiting; the ledger knows it as queued."""
    return replace(job, state=State.WAITING) if job.state in {State.QUEUED, State.INTERRUPTED} else job


def _daemon_state(
    state: str, dispatch: Dispatcher, views: Mapping[str, InboxScan]
) -> Literal["starting", "running", "paused", "stopping", "stopped"]:
    if state in {"starting", "stopping", "stopped"}:
        return state  # type: ignore[return-value]
    paused = bool(views) and all(view.paused for view in views.values())
    return "paused" if paused or dispatch.breaker.until is not None else "running"


def _queue(dispatch: Dispatcher) -> Sequence[Job]:
    return sorted(dispatch.jobs.values(), key=lambda job: (job.state is not State.RUNNING, -job.priority, *policy.queue_key(job)))


@dataclass(frozen=True, kw_only=True)
class StatusContext:
    """What a job's status says beyond the job itself."""

    now: ClockReading
    dispatch: Dispatcher
    views: Mapping[str, InboxScan]
    positions: Mapping[str, int]

    @classmethod
    def of(cls, now: ClockReading, dispatch: Dispatcher, views: Mapping[str, InboxScan]) -> "StatusContext":
        queued = [job for job in _queue(dispatch) if job.state is State.QUEUED]
        return cls(now=now, dispatch=dispatch, views=views, positions={job.id: place for place, job in enumerate(queued, start=1)})

    def waiting_for(self, job: Job) -> str | None:
        """Return the reason in words why the job does not run."""
        if job.state in FINAL or job.state is State.RUNNING:
            return None
        if job.on_hold:
            return job.reason or "Held back"
        return self._closed(job) or next((item.reason for item in job.items if item.state is State.WAITING and item.reason), None)

    def _closed(self, job: Job) -> str | None:
        view = self.views.get(job.inbox)
        if view is not None and not view.online:
            return f"The inbox is offline: {view.reason}"
        if view is not None and view.paused:
            return "Paused: PAUSE lies in the inbox"
        if self.dispatch.breaker.until is not None:
            return "Paused: the device failed repeatedly"
        return self.dispatch.blocked_by.message if self.dispatch.blocked_by is not None else None


def _inbox_status(view: InboxScan, last_scan: float | None) -> InboxStatus:
    return InboxStatus(
        path=view.inbox,
        online=view.online,
        reason=view.reason,
        network=view.network,
        paused=view.paused,
        last_scan=moment(last_scan) if last_scan else None,
    )
