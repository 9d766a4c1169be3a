"""Bound a process that opens files of strangers: memory, processor time, size of what it writes, its end together with its parent."""

import ctypes
import os
import resource
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

from heygem_daemon.processes import prefer_for_memory

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36

MEMORY_BYTES: Final = 4 * 2**30
"""Address space of a request, and of each ffmpeg of it, in bytes. On two cores 0.5 GB is enough for 1080x1920 HEVC, 1.5 GB for 8K H.264."""
FILE_BYTES: Final = 2 * 2**30
"""Of the largest file that a request may write."""
OPEN_FILES: Final = 256
CORES: Final = 4
"""Most processors that a request uses; the memory of decoders grows with their number."""
NICENESS: Final = 10
"""The results of jobs come first."""
OOM_SCORE: Final = 800
"""The memory of a job is taken last."""


def adopt_orphans() -> None:
    """Become the parent of every process below whose own parent dies, so that none outlives the request that it was started for."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_with_parent(parent: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Let the kernel send a signal when the parent's thread that started us ends."""
    _prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os._exit(1)


def confine(seconds: float) -> None:
    """Bound this process and its children for good; each may use `seconds` of every processor that it has."""
    cores = sorted(os.sched_getaffinity(0))[-CORES:]
    os.sched_setaffinity(0, cores)
    used = resource.getrusage(resource.RUSAGE_SELF)
    # The hard limit of the time stays: the decoder of stills, a child, sets one of its own.
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime + seconds * len(cores)) + 1, hard))
    for limit, value in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_FSIZE, FILE_BYTES), (resource.RLIMIT_NOFILE, OPEN_FILES)):
        _, most = resource.getrlimit(limit)
        lowered = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(limit, (lowered, lowered))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(NICENESS)
    prefer_for_memory(OOM_SCORE)


def orphans(known: set[int]) -> list[int]:
    """Return our child processes that are none of `known`: what a request left behind."""
    with suppress(OSError):
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")
        return [int(child) for child in children.split() if int(child) not in known]
    return []


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
