"""Bring items from the queue to a worker and from a worker to outputs: start them, take reports, publish, retry."""

import secrets
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from heygem_daemon.core import policy
from heygem_daemon.core.clock import ClockReading
from heygem_daemon.core.error_catalog import ErrorKind
from heygem_daemon.core.errors import HeygemError, TransientError, error
from heygem_daemon.core.job import Failure, Item, Job, State
from heygem_daemon.core.names import escape_name
from heygem_daemon.core.ports import Claims, Executor, Log, Publisher
from heygem_daemon.core.status import ProgressStatus
from heygem_daemon.core.status_builder import item_progress
from heygem_daemon.core.turns import NO_TURNS
from heygem_daemon.core.work import WorkerReady, WorkerState, WorkFailed, WorkOrder, WorkProgress, WorkSucceeded
from heygem_daemon.daemon.job_store import JobStore
from heygem_daemon.daemon.runtime_config import RuntimeConfig

GONE_SECONDS: Final = 5.0
"""s for which an inbox must be online without the inputs of a job until they count as gone."""
STARTS_PER_TICK: Final = 20
"""Each costs some fsyncs and looks through all open jobs, also where nothing starts: the item is published already, or cannot start."""
STALL_TIMEOUT: Final = 30.0
"""s without progress after which an attempt is ended while its inbox is offline."""


@dataclass(kw_only=True)
class Attempt:
    """One running attempt; `last_progress` (monotonic) is when its worker last reported progress, `result` what it reported at its end."""

    job_id: str
    key: str
    started: ClockReading
    last_progress: float
    progress: ProgressStatus | None = None
    result: Mapping[str, object] | None = None


class Dispatcher:
    """Starts and ends the attempts of the open jobs. While the ledger cannot be written, nothing new starts.

    With `until_idle` an item that could only wait for better times fails instead. While outputs is slow to answer nothing begins, and
    nothing fails of it."""

    def __init__(
        self,
        *,
        store: JobStore,
        executor: Executor,
        publisher: Publisher,
        claims: Claims,
        log: Log,
        config: RuntimeConfig,
        until_idle: bool,
    ) -> None:
        self._store = store
        self._executor = executor
        self._publisher = publisher
        self._claims = claims
        self._log = log
        self._config = config
        self._until_idle = until_idle
        self.turns = NO_TURNS
        self._last_wall = float("inf")
        self._worker_seen = False
        self.has_more = False
        self._logged_block = ""
        self._half_staged: dict[tuple[str, str], str] = {}
        """(job id, item key) -> token of an attempt that did not begin because outputs is slow: its staging folder may be there soon."""
        self._gone: dict[tuple[str, str], float] = {}
        """(job id, item key) -> since when (monotonic) its inputs have not been there, though the inbox is online."""
        self._died: set[tuple[str, str]] = set()
        """(job id, item key) of those whose worker died since an item last succeeded."""
        self.breaker = config.breaker
        self.attempts: dict[str, Attempt] = {}
        self.blocked_by: HeygemError | None = None

    def apply(self, config: RuntimeConfig) -> None:
        """Go on with these values; an open breaker stays open, and running attempts keep what they were given."""
        self._config = config
        self.breaker = replace(self.breaker, threshold=config.breaker.threshold, cool_down=config.breaker.cool_down)

    # -- jobs in --------------------------------------------------------------------------------------------------

    def enqueue(self, jobs: Iterable[Job], now: ClockReading) -> None:
        """Take new (or retried) jobs into the queue; those that are final already are only finished."""
        checked = [self._with_known_engine(job, now) for job in jobs]
        self._store.save(*checked)
        for job in checked:
            if not job.is_final:
                self._log("job_queued", job_id=job.id, job=job.name, items=len(job.items), priority=job.priority)
            if job.state is not State.REJECTED:  # that one is reported as a whole
                for item in job.items:
                    if item.failure is not None:
                        self._log_failure(job, item, item.failure)

    def _with_known_engine(self, job: Job, now: ClockReading) -> Job:
        """Return the job, failed where it names an engine that there is not."""
        if job.is_final or job.options.engine in (None, *self._config.engines):
            return job
        problem = error("unknown_engine", name=job.options.engine, known=", ".join(self._config.engines))
        return replace(job, failure=Failure.of(problem)).rollup(now.wall)

    # -- items out ------------------------------------------------------------------------------------------------

    def start(self, now: ClockReading, closed_inboxes: Collection[str]) -> None:
        """Hand out items while a worker is free; `closed_inboxes` are offline or paused."""
        self._hand_out(now, closed_inboxes)
        if self.blocked_by is not None and self.blocked_by.code != self._logged_block:
            self._log("queue_blocked", level="warning", error_code=self.blocked_by.code, reason=self.blocked_by.message)
            self._logged_block = self.blocked_by.code

    def _hand_out(self, now: ClockReading, closed_inboxes: Collection[str]) -> None:
        self._handle_clock_step(now)
        self._store.flush()
        self._forget_gone(closed_inboxes)
        self._discard_half_staged()
        self.has_more = False
        no_worker = self._no_worker()
        self.blocked_by = no_worker or self._store.problem
        if no_worker is not None and self._until_idle and not self._worker_seen:
            self._give_up_all(no_worker, closed_inboxes, now)
        for _ in range(STARTS_PER_TICK):
            if not (self._store.is_saved and self._executor.free() > 0 and self.breaker.allows(now.wall) and self._publisher.answers()):
                return
            eligible = [job for job in self._store.jobs.values() if job.inbox not in closed_inboxes]
            choice = policy.choose(eligible, now.wall, self.turns)
            if choice is None:
                return
            job, item = choice
            self.blocked_by = self._check_disk(item)
            if not self._publisher.answers():
                self.blocked_by = None
                return
            if self.blocked_by is not None and not self._until_idle:
                return
            if self.blocked_by is not None:
                self._give_up(job, item, self.blocked_by, now)
                continue
            self.turns = self.turns.after(job)
            if self._logged_block:
                self._log("queue_continues")
                self._logged_block = ""
            self._start(job, item, now)
        self.has_more = True

    def _handle_clock_step(self, now: ClockReading) -> None:
        """After the wall clock was set back (or at the start, from a ledger of another time) nobody waits longer than the longest wait."""
        if now.wall < self._last_wall - 1.0:
            latest = now.wall + max(*self._config.retry.backoff.steps, self._config.retry.device_pause)
            self._change_items(self._store.jobs.values(), lambda item: replace(item, not_before=min(item.not_before, latest)))
            if self.breaker.opened_at is not None:
                self.breaker = replace(self.breaker, opened_at=min(self.breaker.opened_at, now.wall))
        self._last_wall = now.wall

    def _change_items(self, jobs: Iterable[Job], change: Callable[[Item], Item]) -> None:
        """Change the items of these jobs, and write what that changed at once: each transaction waits for the disk."""
        pairs = [(job, tuple(change(item) for item in job.items)) for job in jobs]
        self._store.save(*(replace(job, items=items) for job, items in pairs if items != job.items))

    def _no_worker(self) -> HeygemError | None:
        """Return the error while no worker can be started at all."""
        workers = self._executor.workers()
        if not workers or any(view.state is not WorkerState.BACKOFF for view in workers):
            return None
        return error("device_unavailable", device=workers[0].worker, problem=workers[0].problem)

    def _check_disk(self, item: Item) -> HeygemError | None:
        room = self._publisher.room()
        if room is None:
            return error("outputs_offline", path=self._config.outputs, problem="it is not reachable")
        return policy.admission(room, self._config.reserve_bytes, item.needs_bytes, self._config.outputs)

    def _give_up(self, job: Job, item: Item, problem: HeygemError, now: ClockReading) -> None:
        failed = item.transition(State.FAILED, failure=Failure.of(problem), reason=problem.message)
        self._log_failure(job, failed, Failure.of(problem))
        self._store.save(job.with_item(failed).rollup(now.wall))

    def _give_up_all(self, problem: HeygemError, closed_inboxes: Collection[str], now: ClockReading) -> None:
        for job in [job for job in self._store.jobs.values() if not job.on_hold and job.inbox not in closed_inboxes]:
            for item in job.items:
                if not item.is_final:
                    self._give_up(self._store.jobs[job.id], item, problem, now)

    def _start(self, job: Job, item: Item, now: ClockReading) -> None:
        token = self._half_staged.pop((job.id, item.key), "") or secrets.token_hex(8)
        running = item.transition(State.RUNNING, token=token, attempt=item.attempt + 1, reason="", failure=None)
        try:
            published = self._publisher.published_result(job, item)
            if published is not None:  # a ledger from a backup, or a lost one, may not know it
                self._store.save(job.with_item(_published(item, published)).rollup(now.wall))
                return
            staged = self._publisher.stage(job, running, token)
            root = self._claims.root(job, [path for path in (item.recording, item.video, item.script) if path])
            self._gone.pop((job.id, item.key), None)
            if not self._commit(job, job.with_item(running).rollup(now.wall)):
                self._publisher.discard(token)
                return
        except HeygemError as problem:
            if not self._publisher.answers():
                self._half_staged[job.id, item.key] = token
                return
            self._publisher.discard(token)
            failed = self._not_started(job, running, problem, now)
            self._log_failure(job, failed, Failure.of(problem))
            self._store.save(job.with_item(failed).rollup(now.wall))
            return
        self.attempts[token] = Attempt(job_id=job.id, key=item.key, started=now, last_progress=now.monotonic)
        wanted, limit = job.options.for_video(item.video.rpartition("/")[2]), self._config.item_seconds
        options = self._config.options.overridden_by(wanted)
        order = WorkOrder.for_attempt(job, item, root=root, staged=staged, token=token, options=options, limit_seconds=limit)
        self.breaker = self.breaker.started()
        self._executor.submit(order)
        self._log("item_started", **job.log_context(), item=item.key, attempt=running.attempt, engine=order.options.engine)

    def _commit(self, job: Job, started: Job) -> bool:
        """Have the ledger keep a job that is to start, and return whether it did; where it did not, it is asked again for the job as it is,
        and nothing starts until then: no pause of the item outlasts the cause. With `until_idle` raises TransientError."""
        try:
            self._store.commit(started)
        except TransientError as problem:
            if self._until_idle:
                raise
            self._store.save(job)
            self.blocked_by = problem
            return False
        return True

    def _not_started(self, job: Job, running: Item, problem: HeygemError, now: ClockReading) -> Item:
        """Return the item that could not start. Inputs that are gone are looked for once more: a share may be on its way back."""
        if problem.code == "inputs_gone":
            since = self._gone.setdefault((job.id, running.key), now.monotonic)
            if now.monotonic - since < GONE_SECONDS and not self._until_idle:
                again, reason = now.wall + GONE_SECONDS, f"{problem.message} It is looked for once more."
                return running.transition(State.WAITING, token="", attempt=running.attempt - 1, not_before=again, reason=reason)
        return self._after_failure(running, problem.kind, Failure.of(problem), now)

    def _forget_gone(self, closed_inboxes: Collection[str]) -> None:
        """Begin anew with inputs that were gone, where the inbox was closed since: only one that stays online proves it."""
        jobs = self._store.jobs
        self._gone = {
            (job_id, key): since
            for (job_id, key), since in self._gone.items()
            if (job := jobs.get(job_id)) is not None and job.inbox not in closed_inboxes
        }

    def _discard_half_staged(self) -> None:
        """Discard what was staged for items that are over by now: nobody asks for it any more."""
        jobs = self._store.jobs
        for (job_id, key), token in list(self._half_staged.items()):
            if (job := jobs.get(job_id)) is None or job.item(key).is_final:
                del self._half_staged[job_id, key]
                self._publisher.discard(token)

    def inbox_returned(self, inbox: str, now: ClockReading) -> None:
        """Let what waited for this inbox go on at once."""
        here = (job for job in self._store.jobs.values() if job.inbox == inbox)
        self._change_items(here, lambda item: not_waiting_for_share(item, now.wall))

    # -- reports --------------------------------------------------------------------------------------------------

    def collect(self, now: ClockReading) -> None:
        """Take what workers and publications report."""
        for report in self._executor.poll():
            match report:
                case WorkerReady():
                    self._worker_seen = True
                    self._log("worker_ready", worker=report.worker, device=report.device)
                case WorkProgress() if attempt := self.attempts.get(report.token):
                    self._on_progress(attempt, report, now)
                case WorkSucceeded() if report.token in self.attempts:
                    self._on_rendered(report)
                case WorkFailed() if report.token in self.attempts:
                    self._on_failed(report.token, report.kind, report.failure, now, report.trace)
                case WorkSucceeded() | WorkFailed():
                    self._log("item_late", token=report.token)
        for published in self._publisher.poll():
            if published.token not in self.attempts:
                self._log("item_late", token=published.token)
            elif published.problem is None:
                self._on_published(published.token, now)
            else:
                problem = published.problem
                self._on_failed(published.token, problem.kind, Failure.of(problem), now, problem.trace)

    def cancel_stalled(self, offline: Collection[str], now: ClockReading) -> None:
        """End attempts that stand still while their inbox cannot be reached: waiting for a dead share they keep the device from others."""
        for token, attempt in list(self.attempts.items()):
            inbox = self._store.jobs[attempt.job_id].inbox
            if inbox in offline and attempt.result is None and now.monotonic - attempt.last_progress >= STALL_TIMEOUT:
                self._executor.cancel(token)
                problem = error("share_offline", path=escape_name(inbox))
                self._on_failed(token, problem.kind, Failure.of(problem), now)

    def _on_progress(self, attempt: Attempt, report: WorkProgress, now: ClockReading) -> None:
        job = self._store.jobs[attempt.job_id]
        if attempt.progress is None or attempt.progress.stage != report.stage:
            self._log("item_stage", level="debug", **job.log_context(), item=attempt.key, stage=report.stage)
        attempt.last_progress = now.monotonic
        elapsed = now.monotonic - attempt.started.monotonic
        attempt.progress = item_progress(report.stage, report.done, report.total, elapsed_s=elapsed)
        self._store.mark_changed(job)

    def _on_rendered(self, report: WorkSucceeded) -> None:
        attempt = self.attempts[report.token]
        job = self._store.jobs[attempt.job_id]
        attempt.result = report.result
        attempt.progress = item_progress("publish", 0, 1)
        self._publisher.publish(job, job.item(attempt.key), report.token, report.result)
        self._log("item_rendered", **job.log_context(), item=attempt.key, speed=report.result.get("speed"))

    def _on_published(self, token: str, now: ClockReading) -> None:
        attempt = self.attempts.pop(token)
        job = self._store.jobs[attempt.job_id]
        item = job.item(attempt.key).transition(State.SUCCEEDED, result=dict(attempt.result or {}), reason="")
        self._set_breaker(self.breaker.succeeded())
        self._died.clear()
        self._log(
            "item_published",
            **job.log_context(),
            item=item.key,
            seconds=round(now.monotonic - attempt.started.monotonic, 1),
            video_seconds=item.result.get("seconds"),
            speed=item.result.get("speed"),
            engine=item.result.get("engine"),
        )
        self._store.save(job.with_item(item).rollup(now.wall))

    def _on_failed(self, token: str, kind: ErrorKind, failure: Failure, now: ClockReading, trace: str = "") -> None:
        attempt = self.attempts.pop(token)
        self._publisher.discard(token)
        job = self._store.jobs[attempt.job_id]
        others_die = bool(self._died - {(job.id, attempt.key)})
        if policy.is_by_the_machine(failure.code):
            self._died.add((job.id, attempt.key))
        item = self._after_failure(job.item(attempt.key), kind, failure, now, others_die=others_die)
        self._set_breaker(self.breaker.failed(now.wall) if kind is ErrorKind.DEVICE else self.breaker.released())
        self._log_failure(job, item, failure, stage=attempt.progress.stage if attempt.progress else None, trace=trace)
        self._store.save(job.with_item(item).rollup(now.wall))

    def _log_failure(self, job: Job, item: Item, failure: Failure, *, stage: str | None = None, trace: str = "") -> None:
        """Log it, as an error where it is final, and where it is a mistake of the program, with the place of that."""
        event = "item_failed" if item.state is State.FAILED else "item_retrying"
        level = "error" if trace or item.state is State.FAILED else "warning"
        context = {**job.log_context(), "item": item.key, "attempt": item.attempt, "stage": stage}
        self._log(event, level=level, **context, error_code=failure.code, reason=failure.message, exception=trace or None)

    def _after_failure(self, item: Item, kind: ErrorKind, failure: Failure, now: ClockReading, *, others_die: bool = False) -> Item:
        retry, give_up = self._config.retry, self._until_idle
        return policy.after_failure(item, kind, failure, now.wall, retry, give_up=give_up, others_die=others_die)

    def _set_breaker(self, breaker: policy.Breaker) -> None:
        if (breaker.until is None) != (self.breaker.until is None):
            self._log("breaker_closed" if breaker.until is None else "breaker_opened", level="warning")
        self.breaker = breaker

    def worker_of(self, job_id: str) -> str | None:
        """Return the device that works on this job."""
        tokens = {token for token, attempt in self.attempts.items() if attempt.job_id == job_id}
        return next((view.worker for view in self._executor.workers() if view.token in tokens), None)

    # -- interventions ---------------------------------------------------------------------------------------------

    def cancel(self, job: Job, now: ClockReading) -> None:
        """Cancel the job: running attempts are ended, published results stay."""
        for token, attempt in list(self.attempts.items()):
            if attempt.job_id == job.id:
                del self.attempts[token]
                self.breaker = self.breaker.released()
                self._executor.cancel(token)
                self._publisher.discard(token)
        items = tuple(item if item.is_final else item.transition(State.CANCELLED, reason="Cancelled") for item in job.items)
        self._store.save(replace(job, items=items, reason="Cancelled").rollup(now.wall))

    def hold(self, job: Job, reason: str, now: ClockReading) -> None:
        """Start nothing more of this job; what runs is not disturbed."""
        if not job.on_hold:
            self._log("job_held", **job.log_context())
            self._store.save(replace(job, on_hold=True, reason=reason).rollup(now.wall))

    def release(self, job: Job, now: ClockReading) -> None:
        """Go on with a job that was held."""
        if job.on_hold:
            self._log("job_released", **job.log_context())
            self._store.save(replace(job, on_hold=False, reason="").rollup(now.wall))

    def interrupt(self, now: ClockReading) -> None:
        """Take every running attempt back into the queue (an orderly stop): it costs no attempt."""
        for token, attempt in list(self.attempts.items()):
            del self.attempts[token]
            self.breaker = self.breaker.released()
            self._publisher.discard(token)
            job = self._store.jobs[attempt.job_id]
            item = policy.after_interruption(job.item(attempt.key), self._config.retry, orderly=True)
            self._log("item_interrupted", **job.log_context(), item=item.key)
            self._store.save(job.with_item(item).rollup(now.wall))


def _published(item: Item, result: Mapping[str, object]) -> Item:
    """Return an item that is found to be published already, whatever state it was in."""
    return replace(item, state=State.SUCCEEDED, token="", not_before=0.0, reason="", failure=None, result=dict(result))


def not_waiting_for_share(item: Item, now: float) -> Item:
    """Return the item without the rest of its pause, where it waits for its inbox."""
    waits = item.state is State.WAITING and item.failure is not None and item.failure.code == "share_offline"
    return replace(item, not_before=min(item.not_before, now)) if waits else item
