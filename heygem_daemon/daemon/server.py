"""The daemon: one thread, one tick. Events, signals, worker pipes and timers only wake it."""

import select
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ParamSpec

from heygem_daemon.core.errors import TransientError
from heygem_daemon.core.ports import Claims, Doorbell, Executor, InboxView, Inspector, Ledger, Log, Publisher, Retention, Scanner, Stop
from heygem_daemon.daemon.arrivals import Arrivals
from heygem_daemon.daemon.dispatch import Dispatch
from heygem_daemon.daemon.instant import Instant
from heygem_daemon.daemon.reporting import Reporting
from heygem_daemon.daemon.wishes import Wishes

Given = ParamSpec("Given")


@dataclass(frozen=True, kw_only=True)
class Pace:
    """All in s."""

    scan: float
    network_scan: float
    sweep: float = 3600.0
    grace: float = 20.0
    shortest: float = 0.05
    busy: float = 0.2


@dataclass(kw_only=True)
class Daemon:
    """Everything wired together. `run` until a signal, or until nothing is left to do."""

    inboxes: Sequence[str]
    scanner: Scanner
    claims: Claims
    doorbell: Doorbell
    inspector: Inspector
    ledger: Ledger
    executor: Executor
    publisher: Publisher
    retention: Retention
    arrivals: Arrivals
    dispatch: Dispatch
    wishes: Wishes
    reporting: Reporting
    log: Log
    pace: Pace
    history_seconds: float = 0.0
    views: dict[str, InboxView] = field(default_factory=dict)
    scans: dict[str, float] = field(default_factory=dict)
    _scan_at: dict[str, float] = field(default_factory=dict)
    _recovered: set[str] = field(default_factory=set)
    _sweep_at: float = 0.0
    _has_stumbled: bool = False

    def __post_init__(self) -> None:
        self.reporting.arriving = lambda: self.arrivals.statuses

    def run(self, stop: Stop, *, until_idle: bool = False) -> bool:
        """Work until `stop` is requested or, with `until_idle`, until nothing is left; return whether everything succeeded."""
        self.dispatch.recover(Instant.now())
        while not stop.requested:
            wait = self.tick(Instant.now())
            if until_idle and self.is_idle:
                break
            self._sleep(wait, stop)
        if not until_idle or stop.requested:
            self._wind_down(stop)
        self._close()
        return self.has_succeeded

    def tick(self, now: Instant) -> float:
        """Do everything that is due and return in how many s the next tick is.

        The inputs of a finished job are moved last, when its status stands: a crash in between finds them and tells the status again.
        """
        rang = self.doorbell.rang()
        self._has_stumbled = False
        for inbox in self.inboxes:
            if rang or now.monotonic >= self._scan_at.get(inbox, 0.0):
                self._guarded(self._scan, inbox, now)
        self._guarded(self.wishes.obey_requests, now)
        self._guarded(self.dispatch.collect, now)
        self._guarded(self.dispatch.start, now, self._closed_inboxes())
        self._guarded(self._sweep, now)
        self._guarded(self._report, now, "running")
        self._guarded(self.dispatch.books.settle)
        return 1.0 if self._has_stumbled else self._next(now)

    def _guarded(self, step: Callable[Given, None], *args: Given.args, **kwargs: Given.kwargs) -> None:
        """The one place where the daemon survives its own mistakes: logged with the traceback, tried again a second later.

        Step by step, so that what fails in one inbox or one file never keeps the workers from being heard.
        """
        try:
            step(*args, **kwargs)
        except Exception:  # noqa: BLE001 - the border of the tick; see the house rules
            self._has_stumbled = True
            self.log("tick_failed", level="error", exc_info=True)

    def _report(self, now: Instant, state: str) -> None:
        self.reporting.write(now, self.dispatch, self.views, self.scans, state)

    def _closed_inboxes(self) -> set[str]:
        """Return those of which nothing may be started: offline, paused, or not looked at yet."""
        return {inbox for inbox in self.inboxes if (view := self.views.get(inbox)) is None or not view.online or view.paused}

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left that can make progress by itself: held and paused jobs do not count, unless they run."""
        closed = self._closed_inboxes()
        online = {path for path, view in self.views.items() if view.online}
        alive = self.dispatch.attempts or [job for job in self.dispatch.jobs.values() if not job.held and job.inbox not in closed]
        unsettled = self.dispatch.books.is_settling or self.arrivals.is_moving(online)
        return not alive and not unsettled and len(self.views) == len(self.inboxes) and not self._has_stumbled

    @property
    def has_succeeded(self) -> bool:
        """Whether all that was dropped is done, without a failure."""
        is_done = not self.dispatch.jobs and self.dispatch.books.is_settled and not self.arrivals.is_stuck
        return is_done and not self.dispatch.books.unsuccessful

    # -- inboxes --------------------------------------------------------------------------------------------------

    def _scan(self, inbox: str, now: Instant) -> None:
        self._scan_at[inbox] = now.monotonic + self.pace.scan
        view = self.scanner.scan(inbox)
        if view.online and inbox not in self._recovered:
            self._recover_claims(inbox, now)
            view = self.scanner.scan(inbox)
        self._tell_changes(self.views.get(inbox), view)
        self.views[inbox] = view
        if not view.online:
            return
        self.scans[inbox] = now.wall
        if not view.network:
            self.doorbell.watch(inbox)
        is_recovered = inbox in self._recovered
        self._recovered.discard(inbox)  # what is claimed and, by a mistake or a share that went away, becomes no job, goes back
        self.arrivals.look(view.sightings, inbox, view.network, now, lambda job: self.dispatch.admit(job, now))
        self._recovered |= {inbox} if is_recovered else set()
        self.wishes.obey_files(view, now)
        self._scan_at[inbox] = now.monotonic + self._scan_pause(view, now)

    def _scan_pause(self, view: InboxView, now: Instant) -> float:
        if self.arrivals.is_behind:
            return 0.0
        if self.arrivals.is_inspecting:
            return self.pace.busy
        usual = self.pace.network_scan if view.network else self.pace.scan
        return max(min(usual, self.arrivals.next_settling(now)), self.pace.shortest)

    def _tell_changes(self, before: InboxView | None, after: InboxView) -> None:
        if before is None or before.online != after.online:
            event, level = ("inbox_online", "info") if after.online else ("inbox_offline", "warning")
            self.log(event, level=level, inbox=after.inbox, reason=after.reason or None, network=after.network)
        if after.online and after.paused != (before is not None and before.paused):
            self.log("inbox_paused" if after.paused else "inbox_resumed", inbox=after.inbox)

    def _recover_claims(self, inbox: str, now: Instant) -> None:
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

    # -- time -----------------------------------------------------------------------------------------------------

    def _next(self, now: Instant) -> float:
        soonest = min(self._scan_at.values(), default=now.monotonic + 1.0) - Instant.now().monotonic
        running = 0.25 if self.dispatch.attempts else 1.0
        return max(min(soonest, running), 0.0)

    def _sleep(self, seconds: float, stop: Stop) -> None:
        if self._has_stumbled:
            select.select([stop.wakeup], [], [], seconds)
            return
        readable, _, _ = select.select([stop.wakeup, self.doorbell.wakeup(), *self.executor.wakeups()], [], [], seconds)
        if self.doorbell.wakeup() in readable:
            # A copy rings hundreds of times a second; one look after a short pause sees them all.
            select.select([stop.wakeup], [], [], self.pace.shortest)

    def _sweep(self, now: Instant) -> None:
        if now.monotonic < self._sweep_at:
            return
        self._sweep_at = now.monotonic + self.pace.sweep
        counts = dict(self.retention.sweep(now.wall, list(self.dispatch.jobs)))
        if self.history_seconds:
            counts["history"] = self.ledger.forget(now.wall - self.history_seconds)
        if any(counts.values()):
            self.log("swept", deleted=counts)

    # -- the end --------------------------------------------------------------------------------------------------

    def _wind_down(self, stop: Stop) -> None:
        """Admit nothing more, let running items finish within the grace, take the others back into the queue."""
        self.log("daemon_stopping", running=len(self.dispatch.attempts))
        deadline = Instant.now().monotonic + self.pace.grace
        while self.dispatch.attempts and not stop.urgent and Instant.now().monotonic < deadline:
            now = Instant.now()
            self._guarded(self.dispatch.collect, now)
            self._guarded(self._report, now, "stopping")
            select.select(list(self.executor.wakeups()), [], [], 0.1)
        self.executor.stop(0.0 if self.dispatch.attempts else 2.0)
        self._guarded(self.dispatch.interrupt, Instant.now())
        self._guarded(self.dispatch.books.settle)

    def _close(self) -> None:
        self.executor.stop(2.0)
        self._guarded(self.reporting.finish, Instant.now(), self.dispatch, self.views, self.scans)
        self.inspector.close()
        self.doorbell.close()
        self.ledger.close()
        self.log("daemon_stopped")
