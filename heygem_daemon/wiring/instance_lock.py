"""Make the folders of a daemon, and keep a second one from them.

The lock of the state folder is certain. A daemon with another state folder would take the claimed jobs of this one for its own; so each
leaves in outputs and in its inboxes which process it is. Nothing is held open there, which would keep an administrator from unmounting a
share or making it read-only. Only a process of this machine can be known to be alive, and where the file cannot be read and
written in time, or is not our own, the daemon goes without.
"""

import fcntl
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final

from heygem_daemon.bounded_reading import read_file_in
from heygem_daemon.core.errors import error
from heygem_daemon.core.names import MARKER, PRIVATE
from heygem_daemon.daemon_threads import DaemonThreadPool
from heygem_daemon.machine import process_namespace, process_start
from heygem_daemon.settings import Settings


class AlreadyRunningError(RuntimeError):
    """Another daemon uses the same state folder, outputs or inbox."""


INSTANCE: Final = "daemon.json"
"""In PRIVATE of outputs and of each inbox: the daemon that works there, or did last."""
ANSWER_SECONDS: Final = 1.0
"""s for which outputs and the inboxes are waited for."""
_MAX_BYTES: Final = 64 * 1024
_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def only_instance(settings: Settings) -> Iterator[None]:
    """Make the folders, hold state/daemon.lock, and leave .heygem/daemon.json in outputs and each inbox: two daemons on one of them would
    fight over every drop.

    Raises AlreadyRunningError, or HeygemError when a folder cannot be used."""
    _make_folders(settings)
    lock = _lock(settings.state)
    try:
        with _announced(settings):
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
        raise _already_running(state) from None
    os.truncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor


def _already_running(folder: Path) -> AlreadyRunningError:
    return AlreadyRunningError(f"another daemon uses {folder}; give this one its own --state, --outputs and --inbox, or stop that one")


@dataclass(frozen=True, kw_only=True)
class _Instance:
    """A daemon: its state folder, its process with what tells it from others of the same number."""

    state: str
    pid: int
    namespace: str
    started: int

    def is_there(self) -> bool:
        """Return whether it surely works on."""
        return bool(self.namespace) and self.namespace == process_namespace() and self.started == process_start(self.pid) != 0


@contextmanager
def _announced(settings: Settings) -> Iterator[None]:
    """Raises AlreadyRunningError."""
    state, pid = str(settings.state.resolve()), os.getpid()
    own = _Instance(state=state, pid=pid, namespace=process_namespace(), started=process_start(pid))
    folders = {settings.outputs: "", **{inbox.path: MARKER for inbox in settings.inboxes}}
    taken = _ask_all({folder: partial(_announce, folder, marker, own) for folder, marker in folders.items()})
    if taken:
        raise _already_running(taken[0])
    try:
        yield
    finally:
        _ask_all({folder: partial(_withdraw, folder, own) for folder in folders})


def _ask_all(questions: Mapping[Path, Callable[[], bool]]) -> list[Path]:
    """Return the folders whose question is answered with yes in time. A thread asks each, which a dead share may hold for ever."""
    answers: dict[Future[bool], Path] = {}
    for folder, question in questions.items():
        thread = DaemonThreadPool(f"instance {folder}", threads=1)
        answers[thread.submit(question)] = folder
        thread.close()
    wait(answers, ANSWER_SECONDS)
    return [folder for answer, folder in answers.items() if answer.done() and not answer.exception() and answer.result()]


def _announce(folder: Path, marker: str, own: _Instance) -> bool:
    """Return whether another daemon works in a folder; else leave there that this one does. Raises OSError."""
    (folder / marker).stat()  # without it a folder is no inbox, or its share is not mounted
    private = folder / PRIVATE
    private.mkdir(exist_ok=True)
    if private.is_symlink():
        return False
    with os.fdopen(os.open(private / INSTANCE, _FLAGS, 0o600), "r+b", buffering=0) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():  # else anybody may have written it
            return False
        with suppress(OSError):  # a share without locks
            fcntl.flock(file, fcntl.LOCK_EX)  # of two that start at once one is the first
        found = _parsed(file.read(_MAX_BYTES))
        if found is not None and found.state != own.state and found.is_there():
            return True
        file.seek(0)
        file.truncate()
        file.write(json.dumps(asdict(own)).encode())
    return False


def _withdraw(folder: Path, own: _Instance) -> bool:
    """Delete what `_announce` left. Raises OSError."""
    if _parsed(read_file_in(folder, f"{PRIVATE}/{INSTANCE}", _MAX_BYTES)) == own:
        (folder / PRIVATE / INSTANCE).unlink()
    return False


def _parsed(content: bytes) -> _Instance | None:
    try:
        found = _Instance(**json.loads(content))
    except (ValueError, TypeError, RecursionError):
        return None
    return found if isinstance(found.pid, int) and found.pid > 0 else None
