"""Compile all kernels ahead of time: at set-up (`python -m heygem_daemon.lipsync.kernel_setup`), or in the first worker that lacks them."""

import fcntl
import importlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from heygem_daemon.lipsync.kernel_files import code_folder, is_complete, write_manifest

WARM_UPS: Final = ("heygem_daemon.lipsync.speech.high_pass", "heygem_daemon.lipsync.imaging.kernels.warm_up")
"""Modules with a function `warm_up()`, which compiles the kernels of its part for the types that they are called with in production."""
_LOCK: Final = "setup.lock"
_RETRY: Final = 0.25
"""Seconds between two attempts to get the lock."""


def compile_kernels(on_step: Callable[[], None] = lambda: None) -> float | None:
    """Compile the kernels whose machine code is missing, and keep it; return the seconds that took, or None where all of it was there.

    on_step: called before and after every compilation, and while another process compiles. Several processes may call this at once.
    """
    folder = code_folder()
    if is_complete(folder):
        return None
    start = time.monotonic()
    with _alone(folder, on_step):
        if is_complete(folder):
            return None
        _compile(on_step)
        _note_complete(folder)
    return time.monotonic() - start


def _compile(on_step: Callable[[], None]) -> None:
    from numba.core import event  # noqa: PLC0415  (numba is slow to import)

    class Steps(event.Listener):
        def on_start(self, event: Any) -> None:
            on_step()

        def on_end(self, event: Any) -> None:
            on_step()

    with event.install_listener("numba:compile", Steps()):
        for name in WARM_UPS:
            importlib.import_module(name).warm_up()


def _note_complete(folder: Path) -> None:
    from heygem_daemon.lipsync.compiled import file_names  # noqa: PLC0415  (numba is slow to import)

    with suppress(OSError):  # where nothing can be kept every process compiles again
        write_manifest(folder, file_names())


@contextmanager
def _alone(folder: Path, on_step: Callable[[], None]) -> Iterator[None]:
    """Wait until no other process compiles for `folder`. Where it cannot be written to, nobody waits."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / _LOCK, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError:
        yield
        return
    try:
        while not _is_locked(descriptor):
            on_step()
            time.sleep(_RETRY)
        yield
    finally:
        os.close(descriptor)


def _is_locked(descriptor: int) -> bool:
    """Return whether the lock is ours now; a file system without locks gives it to everybody."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def main() -> int:
    """Compile what is missing, and print nothing where nothing is. Return the exit status."""
    if not is_complete(code_folder()):
        sys.stdout.write("== the drawing loops, compiled for this CPU (up to a minute)\n")
        sys.stdout.flush()
        compile_kernels()
    return 0


if __name__ == "__main__":
    sys.exit(main())
