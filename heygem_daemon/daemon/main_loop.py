"""The main loop of the daemon: one thread calls one tick. Events, signals, worker pipes and timers only wake it."""

import select
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, ParamSpec

from heygem_daemon.core.clock import ClockReading
from heygem_daemon.core.ports import (
    ChangeNotifier,
    Clock,
    Executor,
    Inspector,
    Ledger,
    Log,
    Publisher,
    ServiceNotifier,
    StopSignal,
)
from heygem_daemon.daemon.candidates import CandidateTracker
from heygem_daemon.daemon.dispatcher import Dispatcher
from heygem_daemon.daemon.health import Health
from heygem_daemon.daemon.inboxes import Inboxes
from heygem_daemon.daemon.job_store import JobStore
from heygem_daemon.daemon.recovery import recover_jobs
from heygem_daemon.daemon.requests import RequestHandler
from heygem_daemon.daemon.runtime_config import RuntimeConfig
from heygem_daemon.daemon.status_reporter import StatusReporter
from heygem_daemon.daemon.sweeps import Sweeps

Arguments = ParamSpec("Arguments")

READY_SECONDS: Final = 0.5
"""s after the start for which READY waits for the answers of all inboxes."""
REQUEST_SECONDS: Final = 0.2
"""s after which no further requests are applied in a tick: a retry looks for its inputs among all that are archived."""
FINALIZE_SECONDS: Final = 0.3
"""s after which no further inputs are archived in a tick; on slow storage each takes long."""
SLOW_SECONDS: Final = 1.0
"""s that one step of a tick may take; a longer one is logged, for it holds up all others."""


@dataclass(kw_only=True)
class Daemon:
    """Everything wired together. `run` works until a signal, or until nothing is left to do."""

    config: RuntimeConfig
    clock: Clock
    change_notifier: ChangeNotifier
    inspector: Inspector
    ledger: Ledger
    executor: Executor
    publisher: Publisher
    sweeps: Sweeps
    store: JobStore
    candidates: CandidateTracker
    dispatcher: Dispatcher
    requests: RequestHandler
    inboxes: Inboxes
    reporter: StatusReporter
    service_notifier: ServiceNotifier
    log: Log
    health: Health
    reconfigure: Callable[["Daemon"], None]
    """Reads the configuration again and calls `apply`."""
    _started: ClockReading = field(init=False)
    _ledger_at: float = 0.0
    _status_line_at: float = 0.0
    _is_ready: bool = False
    _is_unwell: bool = False
    _step_failed: bool = False

    def __post_init__(self) -> None:
        self._started = self.clock.now()

    def run(self, stop: StopSignal, *, until_idle: bool = False) -> bool:
        """Work until `stop` is requested or, with `until_idle`, until nothing is left; return whether everything succeeded."""
        self.recover()
        while not stop.requested:
            if stop.reload_requested():
                self._reload()
            wait = self.tick(self.clock.now())
            if until_idle and self.is_idle:
                break
            self._sleep(wait, stop)
        if not until_idle or stop.requested:
            self._shutdown(stop)
        self.close()
        return self.has_succeeded

    def recover(self) -> None:
        """Take up the jobs that the ledger holds; call it once, before the first tick."""
        recover_jobs(self.store, self.publisher, self.config.retry, self.log, self.clock.now())
        self.reporter.status_writer.keep_names({job.output: job.id for job in self.store.jobs.values()})
        self.inboxes.former.watch(self.config.inboxes)

    def tick(self, now: ClockReading) -> float:
        """Do everything that is due and return in how many s the next tick is.

        The inputs of a finished job are moved last, after its status was written: after a crash in between the job is found and its status
        is written again.
        """
        self._step_failed = False
        for inbox in self.inboxes.due(now):
            self._run_step("inbox", self.inboxes.scan, inbox, now)
        self._run_step("requests", self._apply_requests, now)
        self._run_step("workers", self.dispatcher.collect, now)
        self._run_step("attempts", self.dispatcher.cancel_stalled, self.inboxes.offline, now)
        self._run_step("queue", self.dispatcher.start, now, self.inboxes.closed)
        self._run_step("sweep", self.sweeps.step, now, lambda: list(self.store.jobs), self.inboxes.online, is_ready=self._may_sweep)
        self._run_step("former jobs", self.inboxes.former.step, self.inboxes.scans, now)
        self._run_step("status files", self.reporter.write, now, "running")
        self._run_step("inputs", self._finalize_jobs)
        self._run_step("ledger", self._check_ledger, now)
        self._notify_service(now)
        return 1.0 if self._step_failed else self._seconds_to_next_tick()

    def _run_step(self, part: str, step: Callable[Arguments, None], *args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        """Run one step. Here alone the daemon survives its own mistakes: logged with the traceback, tried again a second later.

        Step by step, so that what fails in one inbox or one file never keeps the reports of workers from being read.
        """
        self.health.tried(part)
        began = self.clock.now().monotonic
        try:
            step(*args, **kwargs)
        except Exception:  # noqa: BLE001 - the border of the tick; see the house rules
            self._step_failed = True
            self.log("tick_failed", level="error", part=part, exc_info=True)
        else:
            self.health.succeeded(part)
        seconds = self.clock.now().monotonic - began
        if seconds > SLOW_SECONDS:
            self.log("tick_slow", level="warning", part=part, seconds=round(seconds, 1))

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left that can make progress by itself: held and paused jobs do not count, unless they run."""
        closed = self.inboxes.closed
        active = self.dispatcher.attempts or any(not job.on_hold and job.inbox not in closed for job in self.store.jobs.values())
        unsettled = self.store.finalizing or self.candidates.has_active(self.inboxes.online) or self.inboxes.former.is_active
        return not active and not unsettled and self.inboxes.all_scanned and not self._step_failed

    @property
    def has_succeeded(self) -> bool:
        """Whether all that was dropped is done, without a failure."""
        is_done = not self.store.jobs and self.store.all_finalized and not self.candidates.has_blocked
        return is_done and not self.store.failed_count

    def _apply_requests(self, now: ClockReading) -> None:
        until = self.clock.now().monotonic + REQUEST_SECONDS
        self.requests.apply_requests(now, has_time=lambda: self.clock.now().monotonic < until)

    def _finalize_jobs(self) -> None:
        until = self.clock.now().monotonic + FINALIZE_SECONDS
        for job in self.store.finalize(self.inboxes.offline, has_time=lambda: self.clock.now().monotonic < until):
            self.reporter.job_ended(job, self.clock.now())

    # -- health ---------------------------------------------------------------------------------------------------

    def _check_ledger(self, now: ClockReading) -> None:
        """Raises RuntimeError when the ledger does not answer or its file is gone. A full disk is no such failure."""
        if now.monotonic < self._ledger_at:
            return
        self._ledger_at = now.monotonic + self.config.intervals.ledger
        if not self.ledger.healthy():
            raise RuntimeError("the ledger does not answer, or its file is no longer the one that was opened")

    def _notify_service(self, now: ClockReading) -> None:
        is_looking = self.inboxes.all_begun and now.monotonic - self._started.monotonic >= READY_SECONDS
        if not self._is_ready and (self.inboxes.all_scanned or is_looking):
            self._is_ready = True
            self.service_notifier.ready()
            seconds = round(self.clock.now().monotonic - self._started.monotonic, 2)
            self.log("daemon_ready", seconds=seconds, inboxes=len(self.config.inboxes))
        if now.monotonic >= self._status_line_at:
            self._status_line_at = now.monotonic + self.config.intervals.status_line
            self.service_notifier.status(self.reporter.status_line(now))
        failing = self.health.failing()
        if not failing:
            self.service_notifier.alive()
        elif not self._is_unwell:
            self.log("daemon_unwell", level="error", reason="; ".join(failing))
        self._is_unwell = bool(failing)

    # -- new configuration ----------------------------------------------------------------------------------------

    def _reload(self) -> None:
        self.service_notifier.reloading()
        self._run_step("configuration", self.reconfigure, self)
        if self._is_ready:  # else the first scan of all inboxes does
            self.service_notifier.ready()

    def apply(self, config: RuntimeConfig) -> None:
        """Go on with these values."""
        self.config = config
        self.inboxes.apply(config)
        self.candidates.rules = config.rules
        self.dispatcher.apply(config)
        self.store.zips = config.zip
        self.sweeps.interval, self.sweeps.history_seconds = config.intervals.sweep, config.history_seconds
        self.reporter.identity = replace(self.reporter.identity, reserve_bytes=config.reserve_bytes)

    # -- time -----------------------------------------------------------------------------------------------------

    def _seconds_to_next_tick(self) -> float:
        now = self.clock.now()
        if self.dispatcher.has_more:
            return 0.0
        longest = min(0.25 if self.dispatcher.attempts else 1.0, self.inboxes.former.rest(now))
        return max(min(self.inboxes.next_due(now) - now.monotonic, longest), 0.0)

    def _sleep(self, seconds: float, stop: StopSignal) -> None:
        if self._step_failed:
            select.select([stop.wakeup], [], [], seconds)
            return
        readable, _, _ = select.select([stop.wakeup, self.change_notifier.wakeup(), *self.executor.wakeups()], [], [], seconds)
        if self.change_notifier.wakeup() in readable:
            # A copy causes hundreds of events a second; one scan after a short pause sees them all.
            select.select([stop.wakeup], [], [], self.config.intervals.shortest)

    @property
    def _may_sweep(self) -> bool:
        """Whether READY was sent, and it is known which inboxes are online: they alone are swept."""
        return self._is_ready and self.inboxes.all_scanned

    # -- the end --------------------------------------------------------------------------------------------------

    def _shutdown(self, stop: StopSignal) -> None:
        """Take nothing more in, let running items finish within the grace, take the others back into the queue."""
        self.service_notifier.stopping()
        self.log("daemon_stopping", running=len(self.dispatcher.attempts))
        deadline = self.clock.now().monotonic + self.config.intervals.grace
        while self.dispatcher.attempts and not stop.urgent and self.clock.now().monotonic < deadline:
            now = self.clock.now()
            self._run_step("workers", self.dispatcher.collect, now)
            self._run_step("status files", self.reporter.write, now, "stopping")
            self._notify_service(now)
            select.select(list(self.executor.wakeups()), [], [], 0.1)
        self.executor.stop(0.0 if self.dispatcher.attempts else 2.0)
        self._run_step("queue", self.dispatcher.interrupt, self.clock.now())
        self._run_step("inputs", self._finalize_jobs)

    def close(self) -> None:
        """Stop the workers, write the last status, close everything."""
        self.executor.stop(2.0)
        self._run_step("status files", self.reporter.finish, self.clock.now())
        self.reporter.hooks.close(self.config.intervals.hooks)
        self._run_step("status files", self.reporter.write_logs, self.clock.now())
        self.inboxes.former.close()
        self.sweeps.close()
        self.publisher.close()
        self.inspector.close()
        self.change_notifier.close()
        self.ledger.close()
        self.log("daemon_stopped")
