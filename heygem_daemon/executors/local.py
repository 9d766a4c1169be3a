"""The worker processes of this machine, one or several per device, replaced when they die."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from heygem_daemon.core.ports import Log
from heygem_daemon.core.work import Capacity, WorkerMessage, WorkerView, WorkOrder
from heygem_daemon.executors.memory_watch import MemoryWatch
from heygem_daemon.executors.slot import DEFAULT_TIMEOUTS, Slot, WorkerTimeouts
from heygem_daemon.executors.worker_plan import WorkerPlan
from heygem_daemon.lipsync.engines import Wav2LipOptions
from heygem_daemon.machine import killed_for_memory, memory_available
from heygem_daemon.media.card_codecs import HardwareCodecs
from heygem_daemon.media.types import MediaLimits

Command = Callable[[str, str], Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class WorkerSetup:
    """The options that every worker of this machine is started with."""

    models: Path
    cache: Path
    threads: int
    cache_bytes: int
    limits: MediaLimits
    wav2lip: Wav2LipOptions
    hardware_codecs: HardwareCodecs = "auto"
    session: str | None = None


def worker_command(setup: WorkerSetup, name: str, device: str) -> tuple[str, ...]:
    """Return the command line of the worker called `name`."""
    command = (
        *(sys.executable, "-m", "heygem_daemon.worker", "--name", name, "--device", device),
        *("--models", str(setup.models), "--cache", str(setup.cache), "--threads", str(setup.threads)),
        *("--cache-bytes", str(setup.cache_bytes), "--limits", json.dumps(asdict(setup.limits))),
        *("--wav2lip", json.dumps(asdict(setup.wav2lip)), "--hardware-codecs", setup.hardware_codecs),
    )
    return (*command, "--session", setup.session) if setup.session else command


class LocalExecutor:
    """An Executor with the workers of a plan: one or several on each device.

    command: (name, device) -> argument list. log: gets workers_planned, worker_started, worker_died, worker_output and memory_low.
    environment: the workers' whole environment; None = ours. memory: returns the bytes of memory available now;
    killed: how many processes the kernel has ended for it. Nothing here waits, except
    `stop`, and a moment (a second at most) for a killed process to end.
    The kernel ends a worker with the thread that started it, so start and poll in a thread that lives as long as the daemon: the
    main one.
    """

    def __init__(
        self,
        plan: WorkerPlan,
        command: Command,
        *,
        log: Log,
        timeouts: WorkerTimeouts = DEFAULT_TIMEOUTS,
        environment: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        memory: Callable[[], int] = memory_available,
        killed: Callable[[], int] = killed_for_memory,
    ) -> None:
        self._log, self._timeouts, self._environment, self._clock = log, timeouts, environment, clock
        self._killed_for_memory = killed
        self._memory = MemoryWatch(available=memory, log=log, clock=clock)
        self._plan, self._is_stopped = plan, False
        self._slots = [self._slot(name, device, command) for name, device in plan.workers]

    def start(self) -> None:
        """Start the workers; one that is not running when `poll` comes is started then."""
        self._log_plan()
        for slot in self._slots:
            if self._may_have_process(slot):
                slot.poll()

    def set_plan(self, plan: WorkerPlan, command: Command) -> None:
        """Go on with the workers of `plan`; one that is too many, or has another command line from now on, ends when its order is done."""
        is_changed = plan != self._plan
        self._plan = plan
        present, wanted = {slot.name for slot in self._slots}, dict(plan.workers)
        for slot in self._slots:
            slot.retire(is_wanted=slot.name in wanted)
            slot.set_command(command(slot.name, slot.device))
        self._slots += [self._slot(name, device, command) for name, device in plan.workers if name not in present]
        if is_changed:
            self._log_plan()

    def capacity(self) -> Capacity:
        return Capacity(items_at_once=self._plan.items, reason=self._memory.shortage or self._plan.reason)

    def free(self) -> int:
        """Return how many workers are free; 0 while the next order does not fit into memory beside those in progress."""
        free = 0 if self._is_stopped else sum(slot.is_free for slot in self._slots)
        working = [slot.working_seconds() for slot in self._slots if slot.is_working]
        if not working:
            self._memory.forget()
        return free if free and (not working or self._memory.has_room(working)) else 0

    def submit(self, order: WorkOrder) -> None:
        """Hand the order to a free worker, if possible to one that has just worked on the same recording.

        Raises RuntimeError when nothing is free."""
        free = [slot for slot in self._slots if slot.is_free and not self._is_stopped]
        if not free:
            raise RuntimeError("no free worker: ask free() first")
        max(free, key=lambda slot: slot.knows(order.recording)).submit(order)

    def cancel(self, token: str) -> None:
        """Kill the worker that has this order with all its children, and start a fresh one in its place."""
        for slot in self._slots:
            if slot.token == token:
                slot.kill()

    def poll(self) -> Iterable[WorkerMessage]:
        if self._is_stopped:
            return []
        reports = [report for slot in self._slots if self._may_have_process(slot) for report in slot.poll()]
        self._slots = [slot for slot in self._slots if not slot.is_gone]
        return reports

    def wakeups(self) -> Sequence[int]:
        return [descriptor for slot in self._slots for descriptor in slot.wakeups()]

    def workers(self) -> Sequence[WorkerView]:
        return [slot.view() for slot in self._slots]

    def stop(self, grace_seconds: float) -> None:
        """Ask all workers to end, wait `grace_seconds` for them together, then kill. Unfinished orders report nothing any more."""
        self._is_stopped = True
        deadline = self._clock() + grace_seconds
        for slot in self._slots:
            slot.terminate()
        for slot in self._slots:
            slot.stop(max(0.0, deadline - self._clock()))

    def _slot(self, name: str, device: str, command: Command) -> Slot:
        return Slot(
            name=name,
            device=device,
            command=tuple(command(name, device)),
            log=self._log,
            timeouts=self._timeouts,
            environment=self._environment,
            clock=self._clock,
            killed_for_memory=self._killed_for_memory,
        )

    def _may_have_process(self, slot: Slot) -> bool:
        """Return whether the worker runs, or may be started: one always, the others while there is memory for them."""
        others = [each for each in self._slots if each is not slot and each.has_process]
        if slot.has_process or not others or self._memory.has_room_for_worker(sum(each.is_starting for each in others)):
            return True
        slot.wait_for(self._memory.shortage)
        return False

    def _log_plan(self) -> None:
        plan = self._plan
        workers = [name for name, _ in plan.workers]
        self._log("workers_planned", items=plan.items, workers=workers, threads=plan.threads, reason=plan.reason)
