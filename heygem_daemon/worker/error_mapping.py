"""Map every exception of a worker to a row of the error table."""

import errno
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.core.storage import SHORT, UNREACHABLE
from heygem_daemon.disks import disk_error

_UNREACHABLE: Final = UNREACHABLE | {errno.EPERM}
"""EPERM is not among those of the programs: ffmpeg says "Operation not permitted" of whatever it has no number for (-1)."""
_NO_MEMORY: Final = ("can't allocate memory", "not enough memory", "std::bad_alloc", "Cannot allocate memory")
"""Words by which libraries in C++ (PyTorch, OpenCV) say that memory ran out."""
_NO_THREAD: Final = "can't start new thread"


def as_heygem_error(problem: BaseException, folder: Path) -> HeygemError:
    """Return `problem` as an error of the tree. `folder` is where the attempt writes, to name the disk that is full."""
    if isinstance(problem, HeygemError):
        return problem
    if isinstance(problem, OSError):
        return _system_error(problem, folder)
    for code, holds in _BY_WORDS.items():
        if holds(problem):
            return error(code, problem=_describe(problem), program="the worker")
    return error("internal", problem=_describe(problem))


def _system_error(problem: OSError, folder: Path) -> HeygemError:
    if problem.errno in SHORT:
        return error("server_short", program="the worker", problem=_describe(problem))
    if problem.errno in _UNREACHABLE:
        return error("io_error", problem=_describe(problem))
    return disk_error(problem, _place(problem, folder)) or error("internal", problem=_describe(problem))


def _describe(problem: BaseException) -> str:
    """Return the class and the first line of the message."""
    lines = str(problem).strip().splitlines()
    name = type(problem).__name__
    return f"{name}: {lines[0][:200]}" if lines else name


def _place(problem: OSError, folder: Path) -> Path:
    """Return the folder whose disk failed: that of the file in the error (the cache, the temporary folder), else that of the attempt."""
    named = problem.filename2 or problem.filename
    if not isinstance(named, str | bytes) or not os.fsdecode(named).startswith("/"):
        return folder
    path = Path(os.fsdecode(named))
    return path if path.is_dir() else path.parent


def _is_memory(problem: BaseException) -> bool:
    """Return whether the memory of the machine ran out, or that which the worker may use of it."""
    return isinstance(problem, MemoryError) or (isinstance(problem, Exception) and any(words in str(problem) for words in _NO_MEMORY))


def _is_from_torch(problem: BaseException) -> bool:
    return any(kind.__module__.split(".")[0] == "torch" for kind in type(problem).__mro__)


def _is_device_memory(problem: BaseException) -> bool:
    # By name, so that nothing here has to import torch: torch.OutOfMemoryError, torch.cuda.OutOfMemoryError.
    if _is_from_torch(problem) and type(problem).__name__ == "OutOfMemoryError":
        return True
    return isinstance(problem, RuntimeError) and "CUDA error: out of memory" in str(problem)


def _is_short_of_threads(problem: BaseException) -> bool:
    return isinstance(problem, RuntimeError) and _NO_THREAD in str(problem)


def _is_device_lost(problem: BaseException) -> bool:
    if _is_from_torch(problem) and type(problem).__name__ == "AcceleratorError":
        return True
    return isinstance(problem, RuntimeError) and any(word in str(problem) for word in ("CUDA error", "CUDA driver", "cuDNN error"))


_BY_WORDS: Final[Mapping[str, Callable[[BaseException], bool]]] = {
    "device_memory": _is_device_memory,
    "device_lost": _is_device_lost,
    "memory_full": _is_memory,
    "server_short": _is_short_of_threads,
}
