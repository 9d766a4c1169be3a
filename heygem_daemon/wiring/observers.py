"""Who hears of the daemon besides its log: hooks and monitoring, each only where an administrator wants it."""

from pathlib import Path

from heygem_daemon.core.ports import Hooks, MetricsExporter
from heygem_daemon.core.status import DaemonStatus, JobStatus
from heygem_daemon.service.counting_log import Tally
from heygem_daemon.service.hooks import JobHooks
from heygem_daemon.service.metrics import PrometheusFile
from heygem_daemon.settings import Settings


class Nobody:
    """Hooks and MetricsExporter where nobody wants to hear."""

    def job_ended(self, status: JobStatus) -> None: ...

    def close(self, seconds: float) -> None: ...

    def write(self, status: DaemonStatus) -> None: ...


def job_hooks(settings: Settings, tally: Tally) -> Hooks:
    wanted = settings.hooks
    if not (wanted.command or wanted.webhook):
        return Nobody()
    return JobHooks(command=wanted.command, webhook=wanted.webhook, timeout_seconds=wanted.timeout_seconds, log=tally)


def metrics_exporter(settings: Settings, tally: Tally) -> MetricsExporter:
    path = settings.metrics.textfile
    return PrometheusFile(Path(path), tally=tally, log=tally) if path else Nobody()
