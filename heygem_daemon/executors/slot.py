"""The place of one worker: it starts one, feeds it, watches it, buries it, and starts the next."""

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.core.job import Failure
from heygem_daemon.core.work import WorkerMessage, WorkerReady, WorkFailed, WorkOrder, WorkSucceeded
from heygem_daemon.executors.worker_process import Child
from heygem_daemon.worker.protocol import Beat, ProtocolError, decode, encode_order

_BREAKING: Final = frozenset({"engine", "device"})
"""Kinds of failure after which the next attempt is made in a fresh worker."""


class _Log(Protocol):
    def __call__(self, event: str, /, *, level: str = "info", **fields: object) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to wait for what, in s.

    A worker that was not `ready` after `start`, or silent for `silence`, is killed. Its beats come every 2 s while the work moves;
    the longest step without a move is to hash a huge video on a slow share. After n deaths in a row without a finished order the
    next worker starts after `pause` x 2^(n-2), `longest_pause` at most; the first death costs no pause.
    """

    start: float = 600.0
    silence: float = 600.0
    pause: float = 1.0
    longest_pause: float = 60.0

    def after(self, deaths: int) -> float:
        return 0.0 if deaths < 2 else float(min(self.longest_pause, self.pause * 2 ** min(deaths - 2, 20)))


DEFAULT_PATIENCE: Final = Patience()


@dataclass(kw_only=True)
class Slot:
    """One worker after the other on one device. `tend` does everything; it never waits."""

    name: str
    device: str
    command: Sequence[str]
    log: _Log
    patience: Patience
    environment: Mapping[str, str] | None
    clock: Callable[[], float]
    _child: Child | None = field(default=None, init=False)
    _ready: WorkerReady | None = field(default=None, init=False)
    _order: WorkOrder | None = field(default=None, init=False)
    _deaths: int = field(default=0, init=False)
    _not_before: float = field(default=0.0, init=False)
    _heard: float = field(default=0.0, init=False)
    _since: float = field(default=0.0, init=False)
    _problem: str = field(default="", init=False)
    _is_stopped: bool = field(default=False, init=False)
    _is_outdated: bool = field(default=False, init=False)

    @property
    def is_free(self) -> bool:
        return self._ready is not None and self._order is None and not self._is_outdated

    def renew(self, command: Sequence[str]) -> None:
        """Have the worker started with this command line from now on; one that works on an order finishes that first."""
        if tuple(command) != tuple(self.command):
            self.command, self._is_outdated = tuple(command), self._child is not None

    @property
    def token(self) -> str | None:
        return self._order.token if self._order else None

    def describe(self) -> Mapping[str, Any]:
        return {
            "worker": self.name,
            "device": self._ready.device if self._ready else self.device,
            "state": self._state(),
            "pid": self._child.pid if self._child else None,
            "models": dict(self._ready.models) if self._ready else {},
            "token": self.token,
            "problem": self._problem,
        }

    def wakeups(self) -> list[int]:
        if self._child is None:
            return []
        return [pipe.fileno() for pipe in (self._child.stdout, self._child.stderr) if pipe.is_open]

    def give(self, order: WorkOrder) -> None:
        """Hand the order to the free worker."""
        if self._child is None or not self.is_free:
            raise RuntimeError(f"worker {self.name} is not free")
        self._order, self._since = order, self.clock()
        self._heard = self._since
        self._child.send(encode_order(order))

    def abandon(self) -> None:
        """Kill the worker and forget its order; the next starts at once."""
        self._order = None
        self._clear()
        self._start()

    def tend(self) -> list[WorkerMessage]:
        """Start what should run, read what was said, notice what went wrong; return the reports."""
        if self._is_outdated and self._order is None:
            self._clear()
        if self._child is None:
            self._start()
        child = self._child
        if child is None:
            return []
        child.flush()
        is_over = child.is_over() or not child.stdout.is_open  # asked before reading: what was said before the death is not lost
        for line in child.log_lines():
            self.log("worker_output", level="debug", worker=self.name, line=line)
        reports = self._heard_reports(child)
        if self._child is child:
            if is_over or not child.stdout.is_open:
                reports += self._died(child)
            else:
                reports += self._overdue(child)
        if self._child is None:
            self._start()
        return reports

    def ask_to_end(self) -> None:
        self._is_stopped = True
        if self._child:
            self._child.hang_up()
            self._child.signal(signal.SIGTERM)

    def end(self, seconds: float) -> None:
        """Wait `seconds` at most for the worker to end, then kill it."""
        self._order = None
        if self._child:
            self._child.wait_over(seconds)
            self._clear()

    def _state(self) -> str:
        if self._is_stopped:
            return "stopped"
        if self._child is None:
            return "cooling"
        if self._ready is None:
            return "starting"
        return "busy" if self._order else "idle"

    def _start(self) -> None:
        if self._is_stopped or self.clock() < self._not_before:
            return
        try:
            self._child = Child(self.command, self.environment)
        except OSError as problem:
            self._fail_to_live(f"it cannot be started: {problem}")
            return
        self._heard = self._since = self.clock()
        self.log("worker_started", worker=self.name, device=self.device, pid=self._child.pid)

    def _heard_reports(self, child: Child) -> list[WorkerMessage]:
        reports: list[WorkerMessage] = []
        for line in child.stdout.lines():
            try:
                message = decode(line)
            except ProtocolError as problem:
                self.log("worker_output", level="warning", worker=self.name, line=str(problem))
                continue
            self._heard = self.clock()
            if not isinstance(message, Beat) and self._is_ours(message):
                reports.append(message)
                self._take(message)
        return reports

    def _is_ours(self, report: WorkerMessage) -> bool:
        return isinstance(report, WorkerReady) or report.token == self.token

    def _take(self, report: WorkerMessage) -> None:
        if isinstance(report, WorkerReady):
            self._ready, self._problem = report, ""
        elif isinstance(report, WorkSucceeded | WorkFailed):
            self._order, self._deaths = None, 0
            if isinstance(report, WorkFailed) and report.kind in _BREAKING:
                self._clear()

    def _overdue(self, child: Child) -> list[WorkerMessage]:
        """Kill a worker that takes too long or does not move any more."""
        now, order = self.clock(), self._order
        if order and order.limit_seconds and now - self._since > order.limit_seconds:
            self.log("worker_died", level="warning", worker=self.name, problem="out of time", token=order.token)
            self.abandon()
            return [_failure(order, error("timed_out", limit=order.limit_seconds))]
        silence = self.patience.silence if self._ready else self.patience.start
        if now - self._heard > silence:
            said = child.last_words()
            return self._bereave(f"no sign of life for {silence:.0f} s" + (f"; last words: {said}" if said else ""), child)
        return []

    def _died(self, child: Child) -> list[WorkerMessage]:
        child.wait_over(0.2)  # the pipes of a dying process close a moment before it counts as dead
        how = child.bury()
        said = child.last_words()
        return self._bereave(f"{how}; last words: {said}" if said else how, child)

    def _bereave(self, problem: str, child: Child) -> list[WorkerMessage]:
        order, self._order = self._order, None
        self.log("worker_died", level="error", worker=self.name, pid=child.pid, problem=problem)
        self._clear()
        self._fail_to_live(problem)
        return [_failure(order, error("worker_died", problem=problem))] if order else []

    def _fail_to_live(self, problem: str) -> None:
        self._deaths += 1
        self._not_before = self.clock() + self.patience.after(self._deaths)
        self._problem = problem

    def _clear(self) -> None:
        """Kill the worker, if it lives, and empty the place."""
        if self._child:
            self._child.bury()
        self._child, self._ready, self._is_outdated = None, None, False


def _failure(order: WorkOrder, problem: HeygemError) -> WorkFailed:
    return WorkFailed(token=order.token, kind="engine", failure=Failure.of(problem))
