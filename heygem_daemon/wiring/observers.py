"""Who hears of the daemon besides its log: hooks and monitoring, each only where an administrator wants it."""

from pathlib import Path

from heygem_daemon.core.ports import Hooks, MetricsExporter
from heygem_daemon.core.status import DaemonStatus, JobStatus
from heygem_daemon.service.counting_log import CountingLog
from heygem_daemon.service.hooks import JobHooks
from heygem_daemon.service.metrics import PrometheusFile
from heygem_daemon.settings import Settings


class Nobody:
    """Hooks and MetricsExporter where nobody wants to hear."""

    def job_ended(self, status: JobStatus) -> None: ...

    def close(self, seconds: float) -> None: ...

    def write(self, status: DaemonStatus) -> None: ...


def job_hooks(settings: Settings, counting_log: CountingLog) -> Hooks:
    wanted = settings.hooks
    if not (wanted.command or wanted.webhook):
        return Nobody()
    return JobHooks(command=wanted.command, webhook=wanted.webhook, timeout_seconds=wanted.timeout_seconds, log=counting_log)


def metrics_exporter(settings: Settings, counting_log: CountingLog) -> MetricsExporter:
    path = settings.metrics.textfile
    return PrometheusFile(Path(path), counting_log=counting_log, log=counting_log) if path else Nobody()
