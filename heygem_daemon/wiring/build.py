"""Builds the daemon."""

import faulthandler
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

from heygem_daemon import __version__
from heygem_daemon.core.errors import error
from heygem_daemon.core.names import MARKER
from heygem_daemon.daemon.candidates import CandidateTracker
from heygem_daemon.daemon.dispatcher import Dispatcher
from heygem_daemon.daemon.main_loop import Daemon
from heygem_daemon.daemon.requests import RequestHandler
from heygem_daemon.daemon.status_reporter import Identity, StatusReporter
from heygem_daemon.executors.local import LocalExecutor
from heygem_daemon.intake.claims import FolderClaims
from heygem_daemon.intake.inspector import MediaInspector
from heygem_daemon.intake.scanner import FolderScanner
from heygem_daemon.intake.timeout_scanner import TimeoutScanner
from heygem_daemon.intake.watcher import WatchdogNotifier
from heygem_daemon.lipsync.engines import engine_names
from heygem_daemon.publishing.publish import FolderPublisher
from heygem_daemon.publishing.status_files import StatusFiles
from heygem_daemon.service.counting_log import CountingLog
from heygem_daemon.service.log import StructLog
from heygem_daemon.service.notify import SystemdNotifier
from heygem_daemon.settings import Settings
from heygem_daemon.wiring.config_mapping import devices, media_limits, open_ledger, retention, runtime_config, worker_commands
from heygem_daemon.wiring.observers import job_hooks, metrics_exporter
from heygem_daemon.wiring.reload import Reload


class AlreadyRunningError(RuntimeError):
    """Another daemon uses the same state folder."""


def build(settings: Settings, *, log: StructLog, until_idle: bool, read: Callable[[], Settings]) -> Daemon:
    """Return the daemon, its workers starting. `read` gives the settings anew when somebody asks for that.

    Raises AlreadyRunningError, or a HeygemError when a folder cannot be used."""
    if settings.engine.name not in engine_names():
        raise error("unknown_engine", name=settings.engine.name, known=", ".join(engine_names()))
    _make_folders(settings)
    _lock(settings.state)
    counting_log = CountingLog(log)
    ledger = open_ledger(settings, mend=True)
    if ledger.damaged is not None:
        counting_log("ledger_damaged", level="error", path=str(ledger.damaged))
    tuned = runtime_config(settings)
    executor = LocalExecutor(devices(settings), worker_commands(settings), log=counting_log)
    publisher = FolderPublisher(settings.outputs)
    claims, scanner = FolderClaims(MARKER), TimeoutScanner(FolderScanner(MARKER), seconds=settings.intake.answer_seconds)
    inspector = MediaInspector(media_limits(settings))
    status_writer = StatusFiles(settings.outputs)
    reporting = StatusReporter(
        status_writer=status_writer,
        ledger=ledger,
        executor=executor,
        publisher=publisher,
        hooks=job_hooks(settings, counting_log),
        metrics_exporter=metrics_exporter(settings, counting_log),
        log=counting_log,
        identity=_identity(settings),
    )
    dispatch = Dispatcher(
        ledger=ledger,
        executor=executor,
        publisher=publisher,
        claims=claims,
        log=counting_log,
        retry_policy=tuned.retry,
        breaker=tuned.breaker,
        defaults=tuned.defaults,
        until_idle=until_idle,
        on_change=reporting.changed,
        on_end=reporting.ended,
    )
    daemon = Daemon(
        runtime_config=tuned,
        scanner=scanner,
        claims=claims,
        change_notifier=WatchdogNotifier(),
        inspector=inspector,
        ledger=ledger,
        executor=executor,
        publisher=publisher,
        retention=retention(settings),
        arrivals=CandidateTracker(
            scanner=scanner,
            claims=claims,
            inspector=inspector,
            status_writer=status_writer,
            log=counting_log,
            rules=tuned.rules,
            until_idle=until_idle,
        ),
        dispatch=dispatch,
        wishes=RequestHandler(dispatch=dispatch, ledger=ledger, claims=claims, log=counting_log),
        reporting=reporting,
        service_notifier=SystemdNotifier(alarm=_tell_where_it_hangs),
        log=counting_log,
        reconfigure=Reload(
            settings=settings,
            read=read,
            counting_log=counting_log,
            log=log,
            executor=executor,
            scanner=scanner,
            inspector=inspector,
        ),
    )
    counting_log("daemon_started", version=__version__, inboxes=daemon.inboxes, outputs=str(settings.outputs), devices=devices(settings))
    return daemon


def _tell_where_it_hangs(seconds: float) -> None:
    """Write in so many s, unless asked again, where every thread is: one that hangs in the kernel, on a dead share, hears no signal."""
    faulthandler.dump_traceback_later(seconds)


def _make_folders(settings: Settings) -> None:
    for folder in (settings.outputs, settings.state, settings.cache):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise error("io_error", problem=f"{problem.strerror} ({folder})") from None


def _lock(state: Path) -> None:
    """Hold state/daemon.lock as long as this process lives: two daemons on one ledger would fight over every drop."""
    try:
        handle = os.open(state / "daemon.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
    except OSError as problem:
        raise error("io_error", problem=f"{problem.strerror} ({problem.filename})") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise AlreadyRunningError(f"another daemon uses {state}; give this one its own --state, or stop that one") from None
    os.truncate(handle, 0)
    os.write(handle, f"{os.getpid()}\n".encode())


def _identity(settings: Settings) -> Identity:
    return Identity(
        version=__version__,
        pid=os.getpid(),
        started=time.time(),
        outputs=str(settings.outputs),
        reserve_bytes=settings.disk.reserve_bytes,
    )
