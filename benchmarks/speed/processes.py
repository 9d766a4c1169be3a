"""Measure what a process and its children cost: CPU seconds, wall-clock seconds, memory."""

import resource
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psutil

MIB: Final = 2**20
SAMPLE_SECONDS: Final = 0.2
"""Between two samples of the memory of a tree of processes."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """wall, cpu: s; peak: MiB, the largest resident memory of the process itself; tree: MiB, the largest sum over it and its children."""

    wall: float
    cpu: float
    peak: float = 0.0
    tree: float = 0.0


@dataclass(kw_only=True)
class Meter:
    """A context manager that measures the block in this process. wall, own, children: s; own is the CPU time of this process.

    Children are counted whether they have ended or not; one that outlives its parent is not.
    """

    wall: float = 0.0
    own: float = 0.0
    children: float = 0.0

    @property
    def cpu(self) -> float:
        return self.own + self.children

    def __enter__(self) -> Self:
        self.wall, self.own, self.children = time.monotonic(), time.process_time(), children_cpu_seconds()
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self.wall, self.own = time.monotonic() - self.wall, time.process_time() - self.own
        self.children = children_cpu_seconds() - self.children


def children_cpu_seconds() -> float:
    """Return the CPU seconds of the children of this process: of those that have ended, and so far of those that live."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime + sum(tree_cpu_seconds(child) for child in psutil.Process().children())


def tree_cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU seconds of a process and of its children, ended or not; 0 for one that is gone."""
    with suppress(psutil.Error):
        times = process.cpu_times()
        return float(sum(times[:4])) + sum(tree_cpu_seconds(child) for child in process.children())
    return 0.0


def peak_mib(pid: int | str = "self") -> float:
    """Return the largest resident memory that a process has had, in MiB; 0 for one that is gone.

    Not `ru_maxrss`, which a child takes over from the parent that started it.
    """
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1024
    return 0.0


@dataclass(kw_only=True)
class MemoryWatch:
    """A context manager that samples the memory of a process tree. peak, tree: see Cost."""

    pid: int
    peak: float = 0.0
    tree: float = 0.0
    _is_over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self._is_over.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            self._sample()
            if self._is_over.wait(SAMPLE_SECONDS):
                return

    def _sample(self) -> None:
        with suppress(psutil.Error):
            process = psutil.Process(self.pid)
            self.peak = max(self.peak, peak_mib(self.pid))
            self.tree = max(self.tree, sum(_resident_mib(each) for each in (process, *process.children(recursive=True))))


def _resident_mib(process: psutil.Process) -> float:
    with suppress(psutil.Error):
        return float(process.memory_info().rss) / MIB
    return 0.0


def measure_command(command: Sequence[str], *, stdin: str = "") -> tuple[Cost, str]:
    """Run a command to its end; return its cost and its standard output. Raises CalledProcessError.

    stdin: what it reads. Its standard error is shown if it fails.
    """
    before, start = children_cpu_seconds(), time.monotonic()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            with MemoryWatch(pid=process.pid) as watch:
                output, errors = process.communicate(stdin)
        except BaseException:
            process.kill()
            raise
    wall, cpu = time.monotonic() - start, children_cpu_seconds() - before
    if process.returncode:
        sys.stderr.write(errors)
        raise subprocess.CalledProcessError(process.returncode, list(command))
    return Cost(wall=wall, cpu=cpu, peak=watch.peak, tree=watch.tree), output
