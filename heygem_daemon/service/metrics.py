"""Write metrics for Prometheus into one text file: gauges from the daemon's status, counters from the counted log events.

The file is for node_exporter's textfile collector: no port is opened, and no firewall has to be changed. prometheus_client's own
`write_to_textfile` is not used: it leaves the file's mode to our umask (the collector is another user), and every crash during it leaves
a file with another name behind.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from heygem_daemon.core.names import escape_name
from heygem_daemon.core.ports import Log
from heygem_daemon.core.status import DaemonStatus
from heygem_daemon.core.work import WorkerState
from heygem_daemon.service.counting_log import CountingLog, Counts

SECONDS_BETWEEN_WRITES: Final = 15.0
MODE: Final = 0o644

Samples = Mapping[tuple[str, ...], float]
"""Values by the values of their labels."""

DEVICE_STATES: Final = tuple(str(state) for state in WorkerState)


class PrometheusFile:
    """The `MetricsExporter` port: writes `path` anew at most every `SECONDS_BETWEEN_WRITES`, and once more when the daemon has stopped.

    Logs `metrics_unwritable` once per problem; a failure here never disturbs the daemon."""

    def __init__(self, path: Path, *, counting_log: CountingLog, log: Log, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._counting_log = counting_log
        self._log = log
        self._clock = clock
        self._due = float("-inf")
        self._last_problem = ""

    def write(self, status: DaemonStatus) -> None:
        now = self._clock()
        if now < self._due and status.state != "stopped":
            return
        self._due = now + SECONDS_BETWEEN_WRITES
        try:
            _replace(self._path, exposition(status, self._counting_log.counts()))
        except (OSError, ValueError) as problem:
            reason = str(getattr(problem, "strerror", None) or problem)
            if reason != self._last_problem:
                self._log("metrics_unwritable", level="warning", path=str(self._path), reason=reason)
            self._last_problem = reason
        else:
            self._last_problem = ""

    def withdraw(self) -> None:
        """Delete the file: old values would stay on the dashboards for ever."""
        with suppress(OSError):
            self._path.unlink()


def _replace(path: Path, content: bytes) -> None:
    """Replace `path` in one step, readable for all whatever the umask. Not synced: after a power cut it is out of date anyway."""
    temporary = path.with_name(f".{path.name}.tmp")  # not *.prom: the collector must never read half a file
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, MODE)
            file.write(content)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def exposition(status: DaemonStatus, counts: Counts) -> bytes:
    """Return the metrics in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_MetricsCollector(status, counts))
    return generate_latest(registry)


class _MetricsCollector(Collector):
    def __init__(self, status: DaemonStatus, counts: Counts) -> None:
        self._status = status
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        yield from _daemon_metrics(self._status)
        yield from _inbox_and_disk_metrics(self._status)
        yield from _result_metrics(self._counts)
        yield from _failure_metrics(self._counts)


def _daemon_metrics(status: DaemonStatus) -> Iterator[Metric]:
    yield _gauge("build_info", "The version that runs; always 1", {(status.version,): 1}, "version")
    is_running = status.state != "stopped"
    yield _gauge("running", "1 while the daemon runs, 0 after an orderly stop; a crash leaves 1 and an old heartbeat", is_running)
    yield _gauge("paused", "1 while every inbox is paused, or the breaker is open", status.state == "paused")
    yield _gauge("start_time_seconds", "When the daemon started, as unix time", status.started.timestamp())
    yield _gauge("heartbeat_timestamp_seconds", "When these values were measured, as unix time", status.heartbeat.timestamp())
    yield _gauge("queue_items", "Results of open jobs, by state", _by_label(status.queue.model_dump()), "state")
    devices = dict.fromkeys(DEVICE_STATES, 0) | Counter(device.state for device in status.devices)
    yield _gauge("devices", "Workers, by state; cooling: died, and is started again after a pause", _by_label(devices), "state")
    yield _gauge("breaker_open", "1 while the queue is paused after repeated device failures", status.breaker is not None)


def _inbox_and_disk_metrics(status: DaemonStatus) -> Iterator[Metric]:
    inboxes = {escape_name(inbox.path): inbox for inbox in status.inboxes}
    online = {path: inbox.online for path, inbox in inboxes.items()}
    paused = {path: inbox.paused for path, inbox in inboxes.items()}
    scans = {path: inbox.last_scan.timestamp() for path, inbox in inboxes.items() if inbox.last_scan is not None}
    yield _gauge("inbox_online", "1 if the inbox can be reached", _by_label(online), "inbox")
    yield _gauge("inbox_paused", "1 while PAUSE lies in the inbox", _by_label(paused), "inbox")
    yield _gauge("inbox_last_scan_timestamp_seconds", "When the inbox was last scanned, as unix time", _by_label(scans), "inbox")
    if status.disk is None:
        return
    outputs = (escape_name(status.disk.path),)
    if status.disk.free is not None:
        yield _gauge("disk_free_bytes", "Free space of outputs; absent while it cannot be reached", {outputs: status.disk.free}, "path")
    if status.disk.files_free is not None:
        yield _gauge(
            "disk_free_files", "Free inodes of outputs; absent where there is no limit of them", {outputs: status.disk.files_free}, "path"
        )
    yield _gauge("disk_reserve_bytes", "Nothing starts with less free space than this", {outputs: status.disk.reserve}, "path")
    meaning = "1 if outputs can be reached, can be written, and has inodes and more space than the reserve"
    yield _gauge("disk_ok", meaning, {outputs: status.disk.ok}, "path")


def _result_metrics(counts: Counts) -> Iterator[Metric]:
    yield _counter("items", "Attempts at results, by how they ended; failed: permanently", _by_label(counts.items), "result")
    yield _counter("jobs", "Jobs that ended, by state", _by_label(counts.jobs), "state")
    yield _counter("video_seconds", "Length of the published results", counts.video_seconds)
    yield _counter("work_seconds", "Time spent on the published results, each from its start to its publication", counts.work_seconds)


def _failure_metrics(counts: Counts) -> Iterator[Metric]:
    yield _counter("failures", "Results that failed permanently and refused drops, by error code", _by_label(counts.failures), "code")
    yield _counter("retries", "Attempts that failed and will be repeated, by error code", _by_label(counts.retries), "code")
    yield _counter("worker_deaths", "Workers that ended unexpectedly, or were killed for taking too long", counts.worker_deaths)
    yield _counter("tick_failures", "Rounds of the daemon in which a step failed because of an internal error", counts.failed_ticks)
    yield _counter("hook_runs", "Hooks that ended, by how", counts.hooks, "hook", "result")


def _by_label(values: Mapping[str, float]) -> Samples:
    return {(label,): value for label, value in values.items()}


def _gauge(name: str, text: str, values: float | Samples, *labels: str) -> Metric:
    return _with_samples(GaugeMetricFamily(f"heygem_{name}", text, labels=labels), values)


def _counter(name: str, text: str, values: float | Samples, *labels: str) -> Metric:
    return _with_samples(CounterMetricFamily(f"heygem_{name}", text, labels=labels), values)


def _with_samples(family: GaugeMetricFamily | CounterMetricFamily, values: float | Samples) -> Metric:
    for labels, value in values.items() if isinstance(values, Mapping) else [((), values)]:
        family.add_metric(labels, value)
    return family
