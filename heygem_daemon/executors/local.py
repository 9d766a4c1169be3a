"""One worker process per device of this machine, replaced when it dies."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from heygem_daemon.core.ports import Log
from heygem_daemon.core.work import WorkerMessage, WorkerView, WorkOrder
from heygem_daemon.executors.slot import DEFAULT_TIMEOUTS, Slot, WorkerTimeouts
from heygem_daemon.lipsync.engines import Wav2LipOptions
from heygem_daemon.media.types import MediaLimits


@dataclass(frozen=True, kw_only=True)
class WorkerSetup:
    """The options that every worker of this machine is started with."""

    models: Path
    cache: Path
    threads: int
    cache_bytes: int
    limits: MediaLimits
    wav2lip: Wav2LipOptions
    session: str | None = None


def worker_command(setup: WorkerSetup, name: str, device: str) -> tuple[str, ...]:
    """Return the command line of the worker called `name`."""
    command = (
        *(sys.executable, "-m", "heygem_daemon.worker", "--name", name, "--device", device),
        *("--models", str(setup.models), "--cache", str(setup.cache), "--threads", str(setup.threads)),
        *("--cache-bytes", str(setup.cache_bytes), "--limits", json.dumps(asdict(setup.limits))),
        *("--wav2lip", json.dumps(asdict(setup.wav2lip))),
    )
    return (*command, "--session", setup.session) if setup.session else command


class LocalExecutor:
    """An Executor with one worker per entry of `devices` ("cpu", "cuda:0", ...).

    command: (name, device) -> argument list. log: gets worker_started, worker_died and worker_output. environment: the workers'
    whole environment; None = ours. Nothing here waits, except `stop`, and a moment (a second at most) for a killed process to end.
    The kernel ends a worker with the thread that started it, so start and poll in a thread that lives as long as the daemon: the
    main one.
    """

    def __init__(
        self,
        devices: Sequence[str],
        command: Callable[[str, str], Sequence[str]],
        *,
        log: Log,
        timeouts: WorkerTimeouts = DEFAULT_TIMEOUTS,
        environment: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._is_stopped = False
        names = [f"{device}-{number}" if devices.count(device) > 1 else device for number, device in enumerate(devices)]
        self._slots = [
            Slot(
                name=name,
                device=device,
                command=tuple(command(name, device)),
                log=log,
                timeouts=timeouts,
                environment=environment,
                clock=clock,
            )
            for name, device in zip(names, devices, strict=True)
        ]

    def start(self) -> None:
        """Start the workers; one that is not running when `poll` comes is started then."""
        for slot in self._slots:
            slot.poll()

    def set_command(self, command: Callable[[str, str], Sequence[str]]) -> None:
        """Replace workers whose command line differs from this one, each when it is done with its order."""
        for slot in self._slots:
            slot.set_command(command(slot.name, slot.device))

    def free(self) -> int:
        return 0 if self._is_stopped else sum(slot.is_free for slot in self._slots)

    def submit(self, order: WorkOrder) -> None:
        """Raises RuntimeError when nothing is free."""
        slot = next((slot for slot in self._slots if slot.is_free and not self._is_stopped), None)
        if slot is None:
            raise RuntimeError("no free worker: ask free() first")
        slot.submit(order)

    def cancel(self, token: str) -> None:
        """Kill the worker that has this order with all its children, and start a fresh one in its place."""
        for slot in self._slots:
            if slot.token == token:
                slot.kill()

    def poll(self) -> Iterable[WorkerMessage]:
        if self._is_stopped:
            return []
        return [report for slot in self._slots for report in slot.poll()]

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
