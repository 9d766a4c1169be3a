"""The parts through which a daemon meets the world: what the product runs with, and what a test may replace."""

import faulthandler
from collections.abc import Callable
from dataclasses import dataclass

from heygem_daemon.core.names import MARKER
from heygem_daemon.core.ports import (
    ChangeNotifier,
    Clock,
    ClockMemory,
    Executor,
    Hooks,
    InboxMemory,
    Inspector,
    JobLines,
    Ledger,
    MetricsExporter,
    Publisher,
    Retention,
    Scanner,
    ServiceNotifier,
    StatusWriter,
)
from heygem_daemon.executors.local import LocalExecutor
from heygem_daemon.intake.inspector import MediaInspector
from heygem_daemon.intake.scanner import FolderScanner
from heygem_daemon.intake.timeout_scanner import TimeoutScanner
from heygem_daemon.intake.watcher import WatchdogNotifier
from heygem_daemon.publishing.background_retention import BackgroundRetention
from heygem_daemon.publishing.outputs_thread import OutputsThread
from heygem_daemon.publishing.publish import FolderPublisher
from heygem_daemon.publishing.status_files import StatusFiles
from heygem_daemon.publishing.timed_outputs import TimedPublisher, TimedStatusWriter
from heygem_daemon.service.clock import SystemClock
from heygem_daemon.service.counting_log import CountingLog
from heygem_daemon.service.job_lines import JobLog
from heygem_daemon.service.log import StructLog
from heygem_daemon.service.notify import SystemdNotifier
from heygem_daemon.service.repeat_limiter import RepeatLimiter
from heygem_daemon.settings import Settings
from heygem_daemon.wiring.config_mapping import (
    clock_record,
    inbox_record,
    machine,
    media_limits,
    open_ledger,
    retention,
    worker_commands,
    worker_plan,
)
from heygem_daemon.wiring.observers import job_hooks, metrics_exporter


@dataclass(frozen=True, kw_only=True)
class Adapters:
    """One adapter for each port that a test may want to replace."""

    clock: Clock
    log: CountingLog
    ledger: Ledger
    scanner: Scanner
    inspector: Inspector
    executor: Executor
    publisher: Publisher
    retention: Retention
    clock_memory: ClockMemory
    inbox_memory: InboxMemory
    change_notifier: ChangeNotifier
    service_notifier: ServiceNotifier
    hooks: Hooks
    metrics_exporter: MetricsExporter
    job_lines: JobLines
    status_writer: StatusWriter
    apply: Callable[[Settings], None]
    """Hands new settings to those of the product's adapters that can change while the daemon works."""


def production_adapters(settings: Settings, log: StructLog) -> Adapters:
    """Return what the product runs with. No worker is started yet. Raises HeygemError when the ledger cannot be opened."""
    job_lines = JobLog(log)
    counting_log = CountingLog(RepeatLimiter(job_lines))
    ledger = open_ledger(settings, repair=True)
    if ledger.damaged is not None:
        counting_log("ledger_damaged", level="error", path=str(ledger.damaged))
    outputs = OutputsThread(settings.outputs, settings.intake.answer_seconds)
    folders = FolderScanner(MARKER)
    scanner = TimeoutScanner(folders, seconds=settings.intake.answer_seconds)
    folders.on_drop = scanner.progressed
    inspector = MediaInspector(
        media_limits(settings),
        cache=settings.cache,
        on_output=lambda line: counting_log("library_output", level="debug", source="the inspection", line=line),
    )
    on = machine(settings)
    sweeps = BackgroundRetention(retention(settings))
    plan = worker_plan(settings, on)
    executor = LocalExecutor(plan, worker_commands(settings, plan.threads), log=counting_log)

    def apply(changed: Settings) -> None:
        log.set_level(changed.log.level)
        scanner.seconds = outputs.seconds = changed.intake.answer_seconds
        inspector.limits = media_limits(changed)
        sweeps.retention = retention(changed)
        plan = worker_plan(changed, on)
        executor.set_plan(plan, worker_commands(changed, plan.threads))

    return Adapters(
        clock=SystemClock(),
        log=counting_log,
        ledger=ledger,
        scanner=scanner,
        inspector=inspector,
        executor=executor,
        publisher=TimedPublisher(FolderPublisher(settings.outputs), outputs),
        status_writer=TimedStatusWriter(StatusFiles(settings.outputs), outputs, settings.state),
        retention=sweeps,
        clock_memory=clock_record(settings),
        inbox_memory=inbox_record(settings),
        change_notifier=WatchdogNotifier(),
        service_notifier=SystemdNotifier(alarm=_dump_threads_later),
        hooks=job_hooks(settings, counting_log),
        metrics_exporter=metrics_exporter(settings, counting_log),
        job_lines=job_lines,
        apply=apply,
    )


def _dump_threads_later(seconds: float) -> None:
    """Write in so many s, unless called again, where every thread is: one that hangs in the kernel, on a dead share, takes no signal."""
    faulthandler.dump_traceback_later(seconds)
