"""Make the hooks and the metrics exporter, each only where an administrator has configured it."""

from pathlib import Path

from heygem_daemon.core.ports import Hooks, Log, MetricsExporter
from heygem_daemon.core.status import DaemonStatus, JobStatus
from heygem_daemon.service.counting_log import CountingLog
from heygem_daemon.service.hooks import JobHooks
from heygem_daemon.service.metrics import PrometheusFile
from heygem_daemon.settings import Settings


class NullHooks:
    """Hooks where none are configured."""

    def job_ended(self, status: JobStatus) -> None: ...

    def close(self, seconds: float) -> None: ...


class NullMetrics:
    """A MetricsExporter where no file is configured."""

    def write(self, status: DaemonStatus) -> None: ...

    def withdraw(self) -> None: ...


def job_hooks(settings: Settings, log: Log) -> Hooks:
    chosen = settings.hooks
    if not (chosen.command or chosen.webhook):
        return NullHooks()
    return JobHooks(
        command=chosen.command,
        webhook=chosen.webhook,
        secret_file=chosen.secret_file,
        timeout_seconds=chosen.timeout_seconds,
        log=log,
    )


def metrics_exporter(settings: Settings, log: CountingLog) -> MetricsExporter:
    path = settings.metrics.textfile
    return PrometheusFile(Path(path), counting_log=log, log=log) if path else NullMetrics()
