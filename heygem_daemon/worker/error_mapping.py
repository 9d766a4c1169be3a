"""Map every exception of a worker to a row of the error table."""

import errno
import shutil
from pathlib import Path
from typing import Final

from heygem_daemon.core.errors import HeygemError, error

_DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_TRANSIENT: Final = frozenset(
    {
        *(errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN),
        *(errno.ENETUNREACH, errno.EREMOTEIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ECONNRESET, errno.ECONNABORTED),
    }
)
"""Error numbers of a share, a disk or a file table that fails for the moment."""


def as_heygem_error(problem: BaseException, folder: Path) -> HeygemError:
    """Return `problem` as an error of the tree. `folder` is where the attempt writes, to name the disk that is full."""
    if isinstance(problem, HeygemError):
        return problem
    if isinstance(problem, OSError):
        return _system_error(problem, folder)
    if _is_device_memory(problem):
        return error("device_memory")
    if _is_device_lost(problem):
        return error("device_lost", problem=_describe(problem))
    return error("internal", problem="the server ran out of memory" if isinstance(problem, MemoryError) else _describe(problem))


def _system_error(problem: OSError, folder: Path) -> HeygemError:
    if problem.errno in _DISK_FULL:
        return _disk_full(folder)
    return error("io_error" if problem.errno in _TRANSIENT else "internal", problem=_describe(problem))


def _describe(problem: BaseException) -> str:
    """Return the class and the first line of the message."""
    lines = str(problem).strip().splitlines()
    name = type(problem).__name__
    return f"{name}: {lines[0][:200]}" if lines else name


def _disk_full(folder: Path) -> HeygemError:
    try:
        free = f"{shutil.disk_usage(folder).free / 2**20:.0f} MiB"
    except OSError:
        free = "nothing"
    return error("disk_full", free=free, needed="more", path=folder)


def _is_from_torch(problem: BaseException) -> bool:
    return any(kind.__module__.split(".")[0] == "torch" for kind in type(problem).__mro__)


def _is_device_memory(problem: BaseException) -> bool:
    # By name, so that nothing here has to import torch: torch.OutOfMemoryError, torch.cuda.OutOfMemoryError.
    if _is_from_torch(problem) and type(problem).__name__ == "OutOfMemoryError":
        return True
    return isinstance(problem, RuntimeError) and "CUDA error: out of memory" in str(problem)


def _is_device_lost(problem: BaseException) -> bool:
    if _is_from_torch(problem) and type(problem).__name__ == "AcceleratorError":
        return True
    return isinstance(problem, RuntimeError) and any(word in str(problem) for word in ("CUDA error", "CUDA driver", "cuDNN error"))
