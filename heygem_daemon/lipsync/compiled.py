"""Functions that numba compiles to machine code, which is kept on disk (see kernel_files): the loops that neither numpy nor OpenCV has.

numba's own cache wants to write where it reads from, fails a call where it cannot, does not notice that a function called from another
file was changed, and mixes up two signatures that two processes compile at once. This one reads what root has compiled, takes a damaged
file for a missing one, depends on the sources of the functions called, and locks.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from numba import njit
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.core.runtime.nrt import rtsys

from heygem_daemon.lipsync.kernel_files import code_folder, source_stamp

Function = TypeVar("Function", bound=Callable[..., Any])

_NAMES: Final[list[str]] = []


def compiled_function(function: Function, **options: Any) -> Function:
    """Return the function compiled, once for each combination of types that it is called with; it releases the GIL meanwhile.

    options: of numba.njit, `fastmath` for instance. The module of the function is named in kernel_files.KERNEL_SOURCES; one that
    kernel_setup.WARM_UPS names compiles the function for the types of production.
    """
    compiled: Any = njit(nogil=True, **options)(function)
    compiled._cache = _KernelCache(function)  # type: ignore[no-untyped-call]  # as Dispatcher.enable_caching does
    _NAMES.append(compiled._cache._impl.filename_base)
    result: Function = compiled
    return result


def file_names() -> tuple[str, ...]:
    """Return how the names of the files of all kernels that were imported begin."""
    return tuple(_NAMES)


class _Locator(_CacheLocator):
    """The documented way to choose a folder (numba, Notes on Caching)."""

    def __init__(self, function: Callable[..., Any], file: str) -> None:
        self._file, self._line = Path(file), function.__code__.co_firstlineno

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> "_Locator":
        return cls(py_func, py_file)

    def get_cache_path(self) -> str:
        return str(code_folder())

    def get_source_stamp(self) -> str:
        return source_stamp(self._file)

    def get_disambiguator(self) -> str:
        return f"{self._file.parent.name}-{self._line}"


class _Impl(CompileResultCacheImpl):
    _locator_classes = [_Locator]  # noqa: RUF012  (for numba it is no variable of the class)


class _KernelCache(FunctionCache):
    _impl_class = _Impl

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the machine code for a signature, or None: where there is none, or the file is damaged.

        numba's own method first loads what compiling needs (.3 s of CPU time); machine code needs only the runtime for its arrays.
        """
        rtsys.initialize(target_context)
        try:
            with _locked(self.cache_path, fcntl.LOCK_SH):
                found = self._load_overload(sig, target_context)  # type: ignore[no-untyped-call]
        except Exception:  # noqa: BLE001  (pickle raises anything; whatever it is, to compile again repairs it)
            found = None
        if found is None:
            target_context.refresh()
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep machine code on disk, where that is possible."""
        with suppress(OSError):
            Path(self.cache_path).mkdir(parents=True, exist_ok=True)
            with _locked(self.cache_path, fcntl.LOCK_EX):
                super().save_overload(sig, data)  # type: ignore[no-untyped-call]


@contextmanager
def _locked(folder: str, kind: int) -> Iterator[None]:
    """Hold a lock on a folder: index and machine code are two files. Raises OSError where there is no such folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # a share may not have locks
            fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)
