"""Make the folders of a daemon, and lock them against a second one."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from heygem_daemon.core.errors import error
from heygem_daemon.settings import Settings


class AlreadyRunningError(RuntimeError):
    """Another daemon uses the same state folder."""


@contextmanager
def only_instance(settings: Settings) -> Iterator[None]:
    """Make the folders, and hold state/daemon.lock: two daemons on one ledger would fight over every drop.

    Raises AlreadyRunningError, or HeygemError when a folder cannot be used."""
    _make_folders(settings)
    lock = _lock(settings.state)
    try:
        yield
    finally:
        os.close(lock)


def _make_folders(settings: Settings) -> None:
    for folder in (settings.outputs, settings.state, settings.cache):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise error("io_error", problem=f"{problem.strerror} ({folder})") from None


def _lock(state: Path) -> int:
    """Return the open descriptor that holds the lock."""
    try:
        descriptor = os.open(state / "daemon.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
    except OSError as problem:
        raise error("io_error", problem=f"{problem.strerror} ({problem.filename})") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise AlreadyRunningError(f"another daemon uses {state}; give this one its own --state, or stop that one") from None
    os.truncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor
