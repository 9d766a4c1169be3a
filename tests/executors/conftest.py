"""Executors with scripted workers, a log that remembers, and a clock that a test advances."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Protocol

import pytest

from heygem_daemon.executors.local import LocalExecutor, WorkerSetup, worker_command
from heygem_daemon.executors.slot import WorkerTimeouts
from heygem_daemon.executors.worker_plan import WorkerPlan
from heygem_daemon.lipsync.engines import NO_OPTIONS
from heygem_daemon.media.types import MediaLimits

ROOT: Final = Path(__file__).resolve().parents[2]
PLENTY: Final = 2**40
"""bytes of memory."""


class Lines:
    """A log that remembers."""

    def __init__(self) -> None:
        self.lines: list[dict[str, object]] = []

    def __call__(self, event: str, /, *, level: str = "info", **fields: object) -> None:
        self.lines.append({"event": event, "level": level, **fields})

    def of(self, event: str) -> list[dict[str, object]]:
        return [line for line in self.lines if line["event"] == event]


class Clock:
    """A clock that stands still until a test advances it: no time-out depends on the speed of the machine."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Memory:
    """Bytes of memory available, as a test sets them."""

    def __init__(self) -> None:
        self.available = PLENTY

    def __call__(self) -> int:
        return self.available


class Make(Protocol):
    def __call__(
        self,
        workers: int = 1,
        *,
        environment: dict[str, str] | None = None,
        clock: Clock | None = None,
        memory: Memory | None = None,
        killed: Callable[[], int] = lambda: 0,
        **timeouts: float,
    ) -> LocalExecutor: ...


def plan_of(workers: int) -> WorkerPlan:
    """Return so many workers on the CPU, of one thread each."""
    names = ["cpu", *(f"cpu-{number}" for number in range(2, workers + 1))]
    return WorkerPlan(workers=tuple((name, "cpu") for name in names), threads=1, reason="the test wants so")


@pytest.fixture
def log() -> Lines:
    return Lines()


def scripted_command(folder: Path) -> Callable[[str, str], tuple[str, ...]]:
    """Return (name, device) -> the command line of a worker with a scripted session."""
    setup = WorkerSetup(
        models=folder,
        cache=folder,
        threads=1,
        cache_bytes=0,
        limits=MediaLimits(),
        wav2lip=NO_OPTIONS,
        session="tests.executors.sessions:ScriptedSession",
    )
    return lambda name, device: (*worker_command(setup, name, device), "--heartbeat-seconds", "0.1")


@pytest.fixture
def make(tmp_path: Path, log: Lines) -> Iterator[Make]:
    """Make executors with scripted workers, and stop them in the end."""
    made: list[LocalExecutor] = []

    def make(
        workers: int = 1,
        *,
        environment: dict[str, str] | None = None,
        clock: Clock | None = None,
        memory: Memory | None = None,
        killed: Callable[[], int] = lambda: 0,
        **timeouts: float,
    ) -> LocalExecutor:
        executor = LocalExecutor(
            plan_of(workers),
            scripted_command(tmp_path),
            log=log,
            timeouts=WorkerTimeouts(**{"pause": 0.1, **timeouts}),
            environment={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
            clock=clock or time.monotonic,
            memory=memory or Memory(),
            killed=killed,
        )
        executor.start()
        made.append(executor)
        return executor

    yield make
    for executor in made:
        executor.stop(0.0)
