"""Run one worker after the other on one device: start it, hand it orders, kill it when it hangs, start the next."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from heygem_daemon.core.error_catalog import ErrorKind
from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.core.job import Failure
from heygem_daemon.core.ports import Log
from heygem_daemon.core.work import WorkerMessage, WorkerReady, WorkerState, WorkerView, WorkFailed, WorkOrder, WorkSucceeded
from heygem_daemon.executors.worker_process import WorkerProcess
from heygem_daemon.worker.protocol import Heartbeat, ProtocolError, decode, encode_order

_BREAKING: Final = frozenset({ErrorKind.ENGINE, ErrorKind.DEVICE})
"""Kinds of failure after which the next attempt is made in a fresh worker."""
_KILLED: Final = "SIGKILL"
_LOGGED_GARBAGE: Final = 10
_MOST_GARBAGE: Final = 1000
"""Lines of one worker that are no reports: those that are logged, and those after which it is ended."""
_DYING_SECONDS: Final = 0.2
"""The pipes of a dying process close a moment before it counts as ended."""


@dataclass(frozen=True, kw_only=True)
class WorkerTimeouts:
    """How long to wait for what, in s.

    A worker that was not `ready` after `start`, or silent for `silence`, is killed. Its heartbeats come every 2 s while the work
    progresses; the longest step without progress is to hash a huge video on a slow share. After n deaths in a row without a finished
    order the next worker starts after `pause` x 2^(n-2), `longest_pause` at most; after the first death it starts at once.
    """

    start: float = 600.0
    silence: float = 600.0
    pause: float = 1.0
    longest_pause: float = 60.0

    def pause_after(self, deaths: int) -> float:
        return 0.0 if deaths < 2 else float(min(self.longest_pause, self.pause * 2 ** min(deaths - 2, 20)))


DEFAULT_TIMEOUTS: Final = WorkerTimeouts()


@dataclass(kw_only=True)
class Slot:
    """One worker after the other on one device. `poll` does everything; it never waits."""

    name: str
    device: str
    command: Sequence[str]
    log: Log
    timeouts: WorkerTimeouts
    environment: Mapping[str, str] | None
    clock: Callable[[], float]
    killed_for_memory: Callable[[], int]
    _process: WorkerProcess | None = field(default=None, init=False)
    _ready: WorkerReady | None = field(default=None, init=False)
    _order: WorkOrder | None = field(default=None, init=False)
    _deaths: int = field(default=0, init=False)
    _restart_at: float = field(default=0.0, init=False)
    _last_message_at: float = field(default=0.0, init=False)
    _submitted_at: float = field(default=0.0, init=False)
    _problem: str = field(default="", init=False)
    _is_stopped: bool = field(default=False, init=False)
    _is_outdated: bool = field(default=False, init=False)
    _is_retiring: bool = field(default=False, init=False)
    _recording: str = field(default="", init=False)
    _killed_before: int = field(default=0, init=False)
    _garbage: int = field(default=0, init=False)

    @property
    def is_free(self) -> bool:
        return self._ready is not None and self._order is None and not self._is_outdated and not self._is_retiring

    @property
    def is_working(self) -> bool:
        return self._order is not None

    @property
    def has_process(self) -> bool:
        return self._process is not None

    @property
    def is_starting(self) -> bool:
        """Whether its models are still being loaded."""
        return self._process is not None and self._ready is None

    @property
    def is_gone(self) -> bool:
        """Whether it was to end after its order, and has."""
        return self._is_retiring and self._process is None

    def knows(self, recording: str) -> bool:
        """Return whether the worker keeps what it computed of this recording, because its last order was about it."""
        return self._process is not None and self._recording == recording

    def working_seconds(self) -> float:
        """Return the s since its order was submitted."""
        return self.clock() - self._submitted_at

    @property
    def token(self) -> str | None:
        return self._order.token if self._order else None

    def set_command(self, command: Sequence[str]) -> None:
        """Start workers with this command line from now on; one that works on an order finishes that first."""
        if tuple(command) != tuple(self.command):
            self.command, self._is_outdated = tuple(command), self._process is not None

    def retire(self, *, is_wanted: bool = False) -> None:
        """End when the present order is done, and start nothing any more; or go on after all, if it is wanted again by then."""
        self._is_retiring = not is_wanted

    def wait_for(self, reason: str) -> None:
        """Note why no worker is started for the moment."""
        self._problem = reason

    def view(self) -> WorkerView:
        return WorkerView(
            worker=self.name,
            device=self._ready.device if self._ready else self.device,
            state=self._state(),
            pid=self._process.pid if self._process else None,
            models=dict(self._ready.models) if self._ready else {},
            token=self.token,
            problem=self._problem,
        )

    def wakeups(self) -> list[int]:
        if self._process is None:
            return []
        return [pipe.fileno() for pipe in (self._process.stdout, self._process.stderr) if pipe.is_open]

    def submit(self, order: WorkOrder) -> None:
        """Hand the order to the free worker."""
        if self._process is None or not self.is_free:
            raise RuntimeError(f"worker {self.name} is not free")
        self._order, self._recording = order, order.recording
        self._submitted_at = self._last_message_at = self.clock()
        self._killed_before = self.killed_for_memory()
        self._process.send(encode_order(order))

    def kill(self) -> None:
        """Kill the worker and forget its order; the next starts at once."""
        self._order = None
        self._discard_process()
        self._start()

    def poll(self) -> list[WorkerMessage]:
        """Start what should run, read what has arrived, notice deaths and time-outs; return the reports."""
        if (self._is_outdated or self._is_retiring) and self._order is None:
            self._discard_process()
        if self._process is None:
            self._start()
        process = self._process
        if process is None:
            return []
        process.flush()
        is_over = process.has_ended() or not process.stdout.is_open  # before reading: what was written before the death is not lost
        for line in process.log_lines():
            self.log("worker_output", level="debug", worker=self.name, line=line)
        reports = self._read_reports(process)
        if self._process is process:
            if (is_over or not process.stdout.is_open) and not (process.stdout.has_more and self._garbage <= _MOST_GARBAGE):
                reports += self._on_end(process)
            else:
                reports += self._check_timeouts(process)
        if self._process is None:
            self._start()
        return reports

    def terminate(self) -> None:
        """Ask the worker to end, and start no other."""
        self._is_stopped = True
        if self._process:
            self._process.close_stdin()
            self._process.terminate()

    def stop(self, seconds: float) -> None:
        """Wait `seconds` at most for the worker to end, then kill it."""
        self._order = None
        if self._process:
            self._process.wait_ended(seconds)
            self._discard_process()

    def _state(self) -> WorkerState:
        if self._is_stopped:
            return WorkerState.STOPPED
        if self._process is None:
            return WorkerState.BACKOFF
        if self._ready is None:
            return WorkerState.STARTING
        return WorkerState.BUSY if self._order else WorkerState.IDLE

    def _start(self) -> None:
        if self._is_stopped or self._is_retiring or self.clock() < self._restart_at:
            return
        try:
            self._process = WorkerProcess(self.command, self.environment)
        except OSError as problem:
            self._schedule_restart(f"it cannot be started: {problem}")
            return
        self._last_message_at = self._submitted_at = self.clock()
        self._killed_before, self._garbage = self.killed_for_memory(), 0
        self.log("worker_started", worker=self.name, device=self.device, pid=self._process.pid)

    def _read_reports(self, process: WorkerProcess) -> list[WorkerMessage]:
        reports: list[WorkerMessage] = []
        for line in process.stdout.lines():
            try:
                message = decode(line)
            except ProtocolError as problem:
                self._garbage += 1
                if self._garbage <= _LOGGED_GARBAGE:
                    self.log("worker_output", level="warning", worker=self.name, line=str(problem))
                continue
            self._last_message_at = self.clock()
            if isinstance(message, WorkerReady) or (not isinstance(message, Heartbeat) and message.token == self.token):
                reports.append(message)
                self._apply(message)
        return reports

    def _apply(self, report: WorkerMessage) -> None:
        if isinstance(report, WorkerReady):
            self._ready, self._problem = report, ""
        elif isinstance(report, WorkSucceeded | WorkFailed):
            self._order, self._deaths = None, 0
            if isinstance(report, WorkFailed) and report.kind in _BREAKING:
                self._discard_process()

    def _check_timeouts(self, process: WorkerProcess) -> list[WorkerMessage]:
        """Kill a worker whose order takes too long, that makes no progress any more, or whose lines make no sense."""
        if self._garbage > _MOST_GARBAGE:
            return self._on_death(f"{self._garbage} of its lines are no reports", process)
        now, order = self.clock(), self._order
        if order and order.limit_seconds and now - self._submitted_at > order.limit_seconds:
            self.log("worker_died", level="warning", worker=self.name, problem="out of time", token=order.token)
            self.kill()
            return [_failure(order, error("timed_out", limit=order.limit_seconds))]
        silence = self.timeouts.silence if self._ready else self.timeouts.start
        if now - self._last_message_at > silence:
            return self._on_death(f"no sign of life for {silence:.0f} s", process)
        return []

    def _on_end(self, process: WorkerProcess) -> list[WorkerMessage]:
        has_died = process.wait_ended(_DYING_SECONDS)  # else it closed its pipe, and it is we who kill it
        ended = process.kill_and_reap()
        if has_died and _KILLED in ended and self.killed_for_memory() > self._killed_before:
            return self._on_death(f"the system ended it for that: {ended}", process, code="memory_full")
        return self._on_death(ended, process)

    def _on_death(self, problem: str, process: WorkerProcess, *, code: str = "worker_died") -> list[WorkerMessage]:
        """Report the death, with the end of stderr, and plan the next start."""
        tail = process.stderr_tail()
        problem = f"{problem}; its last output: {tail}" if tail else problem
        order, self._order = self._order, None
        self.log("worker_died", level="error", worker=self.name, pid=process.pid, problem=problem)
        self._discard_process()
        self._schedule_restart(problem)
        return [_failure(order, error(code, problem=problem))] if order else []

    def _schedule_restart(self, problem: str) -> None:
        self._deaths += 1
        self._restart_at = self.clock() + self.timeouts.pause_after(self._deaths)
        self._problem = problem

    def _discard_process(self) -> None:
        """Kill the worker, if it lives, and empty the place."""
        if self._process:
            self._process.kill_and_reap()
        self._process, self._ready, self._is_outdated, self._recording = None, None, False, ""


def _failure(order: WorkOrder, problem: HeygemError) -> WorkFailed:
    return WorkFailed(token=order.token, kind=ErrorKind.ENGINE, failure=Failure.of(problem))
