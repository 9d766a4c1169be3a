"""Turn the settings into the values and adapters that the parts of the daemon are made with."""

import pwd
from collections.abc import Callable
from pathlib import Path

from heygem_daemon.clock_record import ClockRecord
from heygem_daemon.core import policy
from heygem_daemon.core.drop import DropLimits
from heygem_daemon.core.errors import error
from heygem_daemon.core.job import Job
from heygem_daemon.core.users import ROOT, UserRules
from heygem_daemon.daemon.candidate import CandidateRules
from heygem_daemon.daemon.runtime_config import Intervals, RuntimeConfig
from heygem_daemon.executors.local import WorkerSetup, worker_command
from heygem_daemon.executors.worker_plan import WorkerPlan, plan_workers
from heygem_daemon.intake.inbox_record import InboxRecord
from heygem_daemon.ledger.sqlite import SqliteLedger
from heygem_daemon.lipsync.engines import Wav2LipOptions, engine_names
from heygem_daemon.machine import Machine, read_machine
from heygem_daemon.media.types import MediaLimits
from heygem_daemon.publishing import published_index
from heygem_daemon.publishing.retention import FolderRetention
from heygem_daemon.settings import Settings


def check_engine(settings: Settings) -> None:
    """Raise HeygemError where the configuration names an unknown engine."""
    if settings.engine.name not in engine_names():
        raise error("unknown_engine", name=settings.engine.name, known=", ".join(engine_names()))


def media_limits(settings: Settings) -> MediaLimits:
    limits = settings.limits
    return MediaLimits(
        recording_seconds=limits.recording_seconds,
        video_seconds=limits.video_seconds,
        megapixels=limits.megapixels,
        still_megapixels=limits.still_megapixels,
        file_bytes=limits.file_bytes,
        streams=limits.streams,
        probe_seconds=limits.probe_seconds,
    )


def wav2lip_options(settings: Settings) -> Wav2LipOptions:
    chosen = settings.wav2lip
    return Wav2LipOptions(checkpoint=chosen.checkpoint, licence_confirmed=chosen.licence_confirmed, detail=chosen.detail)


def ledger_path(settings: Settings) -> Path:
    return settings.state / "ledger.sqlite3"


def open_ledger(settings: Settings, *, repair: bool = False) -> SqliteLedger:
    """Open the ledger, made if there was none; only the daemon may `repair` a damaged one. Raises HeygemError."""
    return SqliteLedger(ledger_path(settings), repair=repair)


def missing_results(settings: Settings, job: Job) -> frozenset[str]:
    """Return the keys of the published items of a job whose files are no longer in outputs."""
    return published_index.missing_results(settings.outputs, job)


def clock_record(settings: Settings) -> ClockRecord:
    """Return what the daemon keeps of the wall clock from one run to the next."""
    return ClockRecord(settings.state / "clock.json")


def inbox_record(settings: Settings) -> InboxRecord:
    """Return what the daemon keeps of its inboxes from one run to the next."""
    return InboxRecord(settings.state / "inboxes.json")


def retention(settings: Settings) -> FolderRetention:
    return FolderRetention(
        inboxes=[inbox.path for inbox in settings.inboxes],
        outputs=settings.outputs,
        done_days=settings.keep.done_days,
        failed_days=settings.keep.failed_days,
        staging_days=settings.keep.staging_days,
    )


def devices(settings: Settings) -> list[str]:
    return [device.strip() for device in settings.engine.device.split(",") if device.strip()]


def machine(settings: Settings) -> Machine:
    """Return what the workers may use of this machine; the cards only where they matter."""
    is_on_card = any(device != "cpu" for device in devices(settings))
    return read_machine(with_cards=is_on_card and settings.engine.items_at_once == "auto")


def worker_plan(settings: Settings, on: Machine) -> WorkerPlan:
    """Return which workers the daemon runs on this machine."""
    chosen = settings.engine
    return plan_workers(devices(settings), chosen.items_at_once, chosen.threads, on)


def worker_commands(settings: Settings, threads: int) -> Callable[[str, str], tuple[str, ...]]:
    """Return (name, device) -> the command line of that worker, which has so many threads."""
    setup = WorkerSetup(
        models=settings.weights,
        cache=settings.cache,
        threads=threads,
        cache_bytes=settings.keep.cache_bytes,
        limits=media_limits(settings),
        wav2lip=wav2lip_options(settings),
        hardware_codecs=settings.engine.hardware_codecs,
    )
    return lambda name, device: worker_command(setup, name, device)


def runtime_config(settings: Settings) -> RuntimeConfig:
    """Return what can be changed while the daemon works."""
    return RuntimeConfig(
        inboxes=tuple(str(inbox.path) for inbox in settings.inboxes),
        intervals=Intervals(
            scan=settings.intake.scan_seconds, network_scan=settings.intake.network_scan_seconds, grace=settings.stop.grace_seconds
        ),
        rules=_rules(settings),
        retry=policy.Policy(attempts=settings.retry.attempts, backoff=policy.Backoff(settings.retry.backoff_seconds)),
        breaker=policy.Breaker(threshold=settings.retry.breaker_failures, cool_down=settings.retry.breaker_seconds),
        options=settings.engine.render_options(),
        zip=settings.engine.zip,
        engines=tuple(engine_names()),
        item_seconds=settings.limits.item_seconds,
        outputs=str(settings.outputs),
        reserve_bytes=settings.disk.reserve_bytes,
        history_seconds=settings.keep.history_days * 86400,
    )


def _rules(settings: Settings) -> CandidateRules:
    return CandidateRules(
        settle_seconds=settings.intake.settle_seconds,
        network_settle_seconds=settings.intake.network_settle_seconds,
        incomplete_seconds=settings.intake.incomplete_seconds,
        limits=DropLimits(
            items=settings.limits.items,
            file_bytes=settings.limits.file_bytes,
            result_seconds=settings.limits.drop_hours * 3600,
            fit=settings.engine.fit,
        ),
        priorities={str(inbox.path): inbox.priority for inbox in settings.inboxes},
        users=user_rules(settings),
    )


def user_rules(settings: Settings) -> UserRules:
    """Return what users may do; a user whom this machine does not know is left out (`unknown_users` names them)."""
    chosen = settings.users
    return UserRules(
        highest_priority=chosen.highest_priority,
        cancel=chosen.cancel,
        hold=chosen.hold,
        retry=chosen.retry,
        prioritize=chosen.prioritize,
        pause=chosen.pause,
        waiting_drops=chosen.waiting_drops,
        waiting_bytes=chosen.waiting_bytes,
        admins=frozenset({ROOT, *(uid for name in chosen.admins if (uid := uid_of(name)) is not None)}),
        page=uid_of(chosen.page_user),
    )


def unknown_users(settings: Settings) -> list[str]:
    """Return the administrators of the configuration whom this machine does not know."""
    return [name for name in settings.users.admins if uid_of(name) is None]


def uid_of(name: str) -> int | None:
    """Return the number of a user of this machine, given by name or number; None of an unknown one."""
    if name.isascii() and name.isdigit():
        return int(name)
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None
