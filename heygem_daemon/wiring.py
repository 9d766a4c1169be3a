"""Settings in, a wired daemon out: the one place that knows every adapter."""

import fcntl
import os
import time
from pathlib import Path

from heygem_daemon import __version__
from heygem_daemon.core import policy
from heygem_daemon.core.drop import DropLimits
from heygem_daemon.core.errors import error
from heygem_daemon.core.names import MARKER
from heygem_daemon.core.ports import Log
from heygem_daemon.daemon.arrivals import ArrivalRules, Arrivals
from heygem_daemon.daemon.dispatch import Defaults, Dispatch
from heygem_daemon.daemon.reporting import Identity, Reporting
from heygem_daemon.daemon.server import Daemon, Pace
from heygem_daemon.daemon.wishes import Wishes
from heygem_daemon.executors.local import LocalExecutor, WorkerSetup, worker_command
from heygem_daemon.intake.claims import FolderClaims
from heygem_daemon.intake.doorbell import WatchdogDoorbell
from heygem_daemon.intake.inspector import MediaInspector
from heygem_daemon.intake.scanner import FolderScanner
from heygem_daemon.ledger.sqlite import SqliteLedger
from heygem_daemon.lipsync.engines import engine_names
from heygem_daemon.lipsync.wav2lip.options import Wav2LipOptions
from heygem_daemon.media.types import MediaLimits
from heygem_daemon.publishing.publish import FolderPublisher
from heygem_daemon.publishing.retention import FolderRetention
from heygem_daemon.publishing.status_files import StatusFiles
from heygem_daemon.settings import Settings


class AlreadyRunningError(RuntimeError):
    """Another daemon uses the same state folder."""


def media_limits(settings: Settings) -> MediaLimits:
    limits = settings.limits
    return MediaLimits(
        recording_seconds=limits.recording_seconds,
        video_seconds=limits.video_seconds,
        megapixels=limits.megapixels,
        file_bytes=limits.file_bytes,
        streams=limits.streams,
        probe_seconds=limits.probe_seconds,
    )


def wav2lip_options(settings: Settings) -> Wav2LipOptions:
    chosen = settings.wav2lip
    return Wav2LipOptions(checkpoint=chosen.checkpoint, licence_confirmed=chosen.licence_confirmed, detail=chosen.detail)


def ledger_path(settings: Settings) -> Path:
    return settings.state / "ledger.sqlite3"


def open_ledger(settings: Settings, *, mend: bool = False) -> SqliteLedger:
    """Open the ledger, made if there was none; only the daemon may `mend` a damaged one. Raises HeygemError."""
    return SqliteLedger(ledger_path(settings), mend=mend)


def retention(settings: Settings) -> FolderRetention:
    return FolderRetention(
        inboxes=[inbox.path for inbox in settings.inboxes],
        outputs=settings.outputs,
        done_days=settings.keep.done_days,
        failed_days=settings.keep.failed_days,
        staging_days=settings.keep.staging_days,
    )


def build(settings: Settings, *, log: Log, until_idle: bool) -> Daemon:
    """Return the daemon, its workers starting; raises AlreadyRunningError, or a HeygemError when a folder cannot be used."""
    if settings.engine.name not in engine_names():
        raise error("unknown_engine", name=settings.engine.name, known=", ".join(engine_names()))
    _make_folders(settings)
    _lock(settings.state)
    ledger = open_ledger(settings, mend=True)
    if ledger.damaged is not None:
        log("ledger_damaged", level="error", path=str(ledger.damaged))
    setup = WorkerSetup(
        models=settings.weights,
        cache=settings.cache,
        threads=settings.engine.threads,
        cache_bytes=settings.keep.cache_bytes,
        limits=media_limits(settings),
        wav2lip=wav2lip_options(settings),
    )
    devices = [device.strip() for device in settings.engine.device.split(",") if device.strip()]
    executor = LocalExecutor(devices, lambda name, device: worker_command(setup, name, device), log=log)
    publisher = FolderPublisher(settings.outputs)
    claims, scanner = FolderClaims(MARKER), FolderScanner(MARKER)
    inspector = MediaInspector(media_limits(settings))
    board = StatusFiles(settings.outputs)
    reporting = Reporting(board=board, ledger=ledger, executor=executor, publisher=publisher, log=log, identity=_identity(settings))
    dispatch = Dispatch(
        ledger=ledger,
        executor=executor,
        publisher=publisher,
        claims=claims,
        log=log,
        policy_=policy.Policy(attempts=settings.retry.attempts, backoff=policy.Backoff(settings.retry.backoff_seconds)),
        breaker=policy.Breaker(threshold=settings.retry.breaker_failures, cool_down=settings.retry.breaker_seconds),
        defaults=_defaults(settings),
        impatient=until_idle,
        on_change=reporting.changed,
    )
    arrivals = Arrivals(
        scanner=scanner, claims=claims, inspector=inspector, board=board, log=log, rules=_rules(settings), impatient=until_idle
    )
    daemon = Daemon(
        inboxes=[str(inbox.path) for inbox in settings.inboxes],
        scanner=scanner,
        claims=claims,
        doorbell=WatchdogDoorbell(),
        inspector=inspector,
        ledger=ledger,
        executor=executor,
        publisher=publisher,
        retention=retention(settings),
        arrivals=arrivals,
        dispatch=dispatch,
        wishes=Wishes(dispatch=dispatch, ledger=ledger, claims=claims, log=log),
        reporting=reporting,
        log=log,
        pace=Pace(scan=settings.intake.scan_seconds, network_scan=settings.intake.network_scan_seconds, grace=settings.stop.grace_seconds),
        history_seconds=settings.keep.history_days * 86400,
    )
    log("daemon_started", version=__version__, inboxes=daemon.inboxes, outputs=str(settings.outputs), devices=devices)
    return daemon


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


def _rules(settings: Settings) -> ArrivalRules:
    return ArrivalRules(
        settle_seconds=settings.intake.settle_seconds,
        network_settle_seconds=settings.intake.network_settle_seconds,
        incomplete_seconds=settings.intake.incomplete_seconds,
        limits=DropLimits(items=settings.limits.items, file_bytes=settings.limits.file_bytes),
        priorities={str(inbox.path): inbox.priority for inbox in settings.inboxes},
    )


def _defaults(settings: Settings) -> Defaults:
    engine = settings.engine
    return Defaults(
        engine=engine.name,
        fit=engine.fit,
        face=engine.face,
        quality=engine.quality,
        visible_label=engine.visible_label,
        zip=engine.zip,
        explain=engine.explain,
        item_seconds=settings.limits.item_seconds,
        reserve_bytes=settings.disk.reserve_bytes,
        outputs=str(settings.outputs),
        engines=tuple(engine_names()),
    )
