"""The daemon: one thread, one tick. Events, signals, worker pipes and timers only wake it."""

import select
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import ParamSpec

from heygem_daemon.core.errors import TransientError
from heygem_daemon.core.ports import (
    ChangeNotifier,
    Claims,
    Executor,
    InboxScan,
    Inspector,
    Ledger,
    Log,
    Publisher,
    Retention,
    Scanner,
    ServiceNotifier,
    StopSignal,
)
from heygem_daemon.daemon.candidates import CandidateTracker
from heygem_daemon.daemon.clock import ClockReading
from heygem_daemon.daemon.dispatcher import Dispatcher
from heygem_daemon.daemon.health import Health
from heygem_daemon.daemon.requests import RequestHandler
from heygem_daemon.daemon.runtime_config import Intervals, RuntimeConfig
from heygem_daemon.daemon.status_line import headline
from heygem_daemon.daemon.status_reporter import StatusReporter

Given = ParamSpec("Given")


@dataclass(kw_only=True)
class Daemon:
    """Everything wired together. `run` until a signal, or until nothing is left to do."""

    config: RuntimeConfig
    scanner: Scanner
    claims: Claims
    change_notifier: ChangeNotifier
    inspector: Inspector
    ledger: Ledger
    executor: Executor
    publisher: Publisher
    retention: Retention
    arrivals: CandidateTracker
    dispatch: Dispatcher
    wishes: RequestHandler
    reporting: StatusReporter
    service_notifier: ServiceNotifier
    log: Log
    reconfigure: Callable[["Daemon"], None]
    """Reads the configuration again and calls `adopt`."""
    health: Health = field(default_factory=Health)
    views: dict[str, InboxScan] = field(default_factory=dict)
    scans: dict[str, float] = field(default_factory=dict)
    _scan_at: dict[str, float] = field(default_factory=dict)
    _recovered: set[str] = field(default_factory=set)
    _sweep_at: float = 0.0
    _ledger_at: float = 0.0
    _headline_at: float = 0.0
    _started: ClockReading = field(default_factory=ClockReading.now)
    _is_ready: bool = False
    _is_unwell: bool = False
    _step_failed: bool = False

    def __post_init__(self) -> None:
        self.reporting.arriving = lambda: self.arrivals.statuses

    @property
    def inboxes(self) -> Sequence[str]:
        return self.config.inboxes

    @property
    def pace(self) -> Intervals:
        return self.config.pace

    def run(self, stop: StopSignal, *, until_idle: bool = False) -> bool:
        """Work until `stop` is requested or, with `until_idle`, until nothing is left; return whether everything succeeded."""
        self.dispatch.recover(ClockReading.now())
        while not stop.requested:
            if stop.reload_requested():
                self._reload()
            wait = self.tick(ClockReading.now())
            if until_idle and self.is_idle:
                break
            self._sleep(wait, stop)
        if not until_idle or stop.requested:
            self._shutdown(stop)
        self._close()
        return self.has_succeeded

    def tick(self, now: ClockReading) -> float:
        """Do everything that is due and return in how many s the next tick is.

        The inputs of a finished job are moved last, when its status stands: a crash in between finds them and tells the status again.
        """
        changed = self.change_notifier.changed()
        self._step_failed = False
        for inbox in self.inboxes:
            if changed or now.monotonic >= self._scan_at.get(inbox, 0.0):
                self._run_step("inbox", self._scan, inbox, now)
        self._run_step("requests", self.wishes.apply_requests, now)
        self._run_step("workers", self.dispatch.collect, now)
        self._run_step("attempts", self.dispatch.cancel_stalled, self._offline_inboxes(), now)
        self._run_step("queue", self.dispatch.start, now, self._closed_inboxes())
        self._run_step("sweep", self._sweep, now)
        self._run_step("status files", self._report, now, "running")
        self._run_step("inputs", self.dispatch.books.settle, self._offline_inboxes())
        self._run_step("ledger", self._look_at_ledger, now)
        self._tell_supervisor(now)
        return 1.0 if self._step_failed else self._next(now)

    def _run_step(self, part: str, step: Callable[Given, None], *args: Given.args, **kwargs: Given.kwargs) -> None:
        """The one place where the daemon survives its own mistakes: logged with the traceback, tried again a second later.

        Step by step, so that what fails in one inbox or one file never keeps the workers from being heard.
        """
        self.health.tried(part, ClockReading.now().monotonic)
        try:
            step(*args, **kwargs)
        except Exception:  # noqa: BLE001 - the border of the tick; see the house rules
            self._step_failed = True
            self.log("tick_failed", level="error", part=part, exc_info=True)
        else:
            self.health.succeeded(part, ClockReading.now().monotonic)

    def _report(self, now: ClockReading, state: str) -> None:
        self.reporting.write(now, self.dispatch, self.views, self.scans, state)

    def _closed_inboxes(self) -> set[str]:
        """Return those of which nothing may be started: offline, paused, or not looked at yet."""
        return {inbox for inbox in self.inboxes if (view := self.views.get(inbox)) is None or not view.online or view.paused}

    def _offline_inboxes(self) -> set[str]:
        """Return those that must not be touched: a frozen share would hold us."""
        return {inbox for inbox in self.inboxes if (view := self.views.get(inbox)) is None or not view.online}

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left that can make progress by itself: held and paused jobs do not count, unless they run."""
        closed = self._closed_inboxes()
        online = {path for path, view in self.views.items() if view.online}
        alive = self.dispatch.attempts or [job for job in self.dispatch.jobs.values() if not job.on_hold and job.inbox not in closed]
        unsettled = self.dispatch.books.is_settling or self.arrivals.has_active(online)
        return not alive and not unsettled and len(self.views) == len(self.inboxes) and not self._step_failed

    @property
    def has_succeeded(self) -> bool:
        """Whether all that was dropped is done, without a failure."""
        is_done = not self.dispatch.jobs and self.dispatch.books.is_settled and not self.arrivals.has_blocked
        return is_done and not self.dispatch.books.unsuccessful

    # -- inboxes --------------------------------------------------------------------------------------------------

    def _scan(self, inbox: str, now: ClockReading) -> None:
        self._scan_at[inbox] = now.monotonic + self.pace.scan
        self.health.tried("scan", ClockReading.now().monotonic)
        view = self.scanner.scan(inbox)
        if view is not None:
            self.health.succeeded("scan", ClockReading.now().monotonic)
        if view is not None and view.online and inbox not in self._recovered:
            self._recover_claims(inbox, now)
            view = self.scanner.scan(inbox)
        if view is None:
            self._scan_at[inbox] = now.monotonic + self.pace.busy
            return
        self._tell_changes(self.views.get(inbox), view)
        self.views[inbox] = view
        if not view.online:
            return
        self.scans[inbox] = now.wall
        if not view.network:
            self.change_notifier.watch(inbox)
        is_recovered = inbox in self._recovered
        self._recovered.discard(inbox)  # what is claimed and, by a mistake or a share that went away, becomes no job, goes back
        self.arrivals.look(view.drops, inbox, view.network, now, lambda job: self.dispatch.admit(job, now))
        self._recovered |= {inbox} if is_recovered else set()
        self.wishes.apply_control_files(view, now)
        self._scan_at[inbox] = now.monotonic + self._scan_pause(view, now)

    def _scan_pause(self, view: InboxScan, now: ClockReading) -> float:
        if self.arrivals.has_backlog:
            return 0.0
        if self.arrivals.is_inspecting:
            return self.pace.busy
        usual = self.pace.network_scan if view.network else self.pace.scan
        return max(min(usual, self.arrivals.next_settling(now)), self.pace.shortest)

    def _tell_changes(self, before: InboxScan | None, after: InboxScan) -> None:
        if before is None or before.online != after.online:
            event, level = ("inbox_online", "info") if after.online else ("inbox_offline", "warning")
            self.log(event, level=level, inbox=after.inbox, reason=after.reason or None, network=after.network)
        if after.online and after.paused != (before is not None and before.paused):
            self.log("inbox_paused" if after.paused else "inbox_resumed", inbox=after.inbox)

    def _recover_claims(self, inbox: str, now: ClockReading) -> None:
        """Settle what a crash left in .heygem/claimed: unknown claims go back to the inbox, finished ones to _done or _failed."""
        try:
            for job_id in self.claims.claimed(inbox):
                if self.dispatch.books.knows(job_id):
                    continue
                job = self.ledger.get(job_id)
                if job is None:
                    self.claims.unclaim(inbox, job_id)
                    self.log("drop_restored", job_id=job_id, inbox=inbox, reason="It was claimed without becoming a job")
                elif job.is_final:
                    self.dispatch.admit(job, now)
        except TransientError as problem:
            self.log("inbox_offline", level="warning", inbox=inbox, reason=problem.message)
        else:
            self._recovered.add(inbox)

    # -- who watches over us ---------------------------------------------------------------------------------------

    def _look_at_ledger(self, now: ClockReading) -> None:
        """Raises RuntimeError when the ledger does not answer or its file is gone. A full disk is no illness."""
        if now.monotonic < self._ledger_at:
            return
        self._ledger_at = now.monotonic + self.pace.ledger
        if not self.ledger.healthy():
            raise RuntimeError("the ledger does not answer, or its file is no longer the one that was opened")

    def _tell_supervisor(self, now: ClockReading) -> None:
        if not self._is_ready and all(inbox in self.views for inbox in self.inboxes):
            self._is_ready = True
            self.service_notifier.ready()
            seconds = round(ClockReading.now().monotonic - self._started.monotonic, 2)
            self.log("daemon_ready", seconds=seconds, inboxes=len(self.inboxes))
        if now.monotonic >= self._headline_at:
            self._headline_at = now.monotonic + self.pace.headline
            self.service_notifier.status(headline(self.dispatch, self.views, len(self.arrivals.statuses)))
        ailing = self.health.ailing(ClockReading.now().monotonic)
        if not ailing:
            self.service_notifier.alive()
        elif not self._is_unwell:
            self.log("daemon_unwell", level="error", reason="; ".join(ailing))
        self._is_unwell = bool(ailing)

    def _reload(self) -> None:
        self.service_notifier.reloading()
        self._run_step("configuration", self.reconfigure, self)
        if self._is_ready:  # else the first look at the inboxes says so
            self.service_notifier.ready()

    def adopt(self, config: RuntimeConfig) -> None:
        """Go on with these values. Drops of inboxes that are no longer watched are forgotten, their jobs go on."""
        for inbox in set(self.inboxes) - set(config.inboxes):
            self.views.pop(inbox, None)
            self.scans.pop(inbox, None)
            self.arrivals.forget(inbox)
        self.config = config
        self.arrivals.rules = config.rules
        self.dispatch.adopt(retry_policy=config.retry, breaker=config.breaker, defaults=config.defaults)
        self.reporting.identity = replace(self.reporting.identity, reserve_bytes=config.defaults.reserve_bytes)
        self._scan_at.clear()

    # -- time -----------------------------------------------------------------------------------------------------

    def _next(self, now: ClockReading) -> float:
        soonest = min(self._scan_at.values(), default=now.monotonic + 1.0) - ClockReading.now().monotonic
        running = 0.25 if self.dispatch.attempts else 1.0
        return max(min(soonest, running), 0.0)

    def _sleep(self, seconds: float, stop: StopSignal) -> None:
        if self._step_failed:
            select.select([stop.wakeup], [], [], seconds)
            return
        readable, _, _ = select.select([stop.wakeup, self.change_notifier.wakeup(), *self.executor.wakeups()], [], [], seconds)
        if self.change_notifier.wakeup() in readable:
            # A copy rings hundreds of times a second; one look after a short pause sees them all.
            select.select([stop.wakeup], [], [], self.pace.shortest)

    def _sweep(self, now: ClockReading) -> None:
        if now.monotonic < self._sweep_at:
            return
        self._sweep_at = now.monotonic + self.pace.sweep
        counts = dict(self.retention.sweep(now.wall, list(self.dispatch.jobs)))
        if self.config.history_seconds:
            counts["history"] = self.ledger.forget(now.wall - self.config.history_seconds)
        if any(counts.values()):
            self.log("swept", deleted=counts)

    # -- the end --------------------------------------------------------------------------------------------------

    def _shutdown(self, stop: StopSignal) -> None:
        """Admit nothing more, let running items finish within the grace, take the others back into the queue."""
        self.service_notifier.stopping()
        self.log("daemon_stopping", running=len(self.dispatch.attempts))
        deadline = ClockReading.now().monotonic + self.pace.grace
        while self.dispatch.attempts and not stop.urgent and ClockReading.now().monotonic < deadline:
            now = ClockReading.now()
            self._run_step("workers", self.dispatch.collect, now)
            self._run_step("status files", self._report, now, "stopping")
            self._tell_supervisor(now)
            select.select(list(self.executor.wakeups()), [], [], 0.1)
        self.executor.stop(0.0 if self.dispatch.attempts else 2.0)
        self._run_step("queue", self.dispatch.interrupt, ClockReading.now())
        self._run_step("inputs", self.dispatch.books.settle, self._offline_inboxes())

    def _close(self) -> None:
        self.executor.stop(2.0)
        self._run_step("status files", self.reporting.finish, ClockReading.now(), self.dispatch, self.views, self.scans)
        self.reporting.hooks.close(self.pace.hooks)
        self.inspector.close()
        self.change_notifier.close()
        self.ledger.close()
        self.log("daemon_stopped")
