"""The file for Prometheus: correct metrics, in the right form, readable for another user, and never disturbing the daemon."""

import os
import re
import resource
import shutil
import stat
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from heygem_daemon.core.status import DaemonStatus, DeviceStatus, DiskStatus, InboxStatus, QueueStatus
from heygem_daemon.service.counting_log import CountingLog, Counts
from heygem_daemon.service.metrics import SECONDS_BETWEEN_WRITES, PrometheusFile, exposition

STARTED: Final = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PROMTOOL: Final = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool (Debian: prometheus) is not installed")


def status(**changes: Any) -> DaemonStatus:
    fields: dict[str, Any] = {
        "version": "1.2.3",
        "state": "running",
        "pid": 7,
        "started": STARTED,
        "heartbeat": STARTED + timedelta(seconds=90),
        "queue": QueueStatus(queued=3, running=1, waiting=2),
        "inboxes": (
            InboxStatus(path="/srv/a", online=True, last_scan=STARTED + timedelta(seconds=89)),
            InboxStatus(path="/srv/b", online=False, reason="The marker is gone", paused=True),
        ),
        "disk": DiskStatus(path="/srv/outputs", free=5_000_000_000, reserve=2**31, ok=True, files_free=5000),
        "devices": (DeviceStatus(name="gpu0", state="busy"), DeviceStatus(name="gpu1", state="cooling")),
    }
    return DaemonStatus(**fields | changes)


def samples(text: bytes) -> dict[str, float]:
    """Return every sample by its name and labels as they are written, e.g. heygem_devices{state="busy"}."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            key = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert key not in found, "the collector refuses a file with a duplicate"
            found[key] = sample.value
    return found


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Problems:
    """A log that takes nothing but metrics_unwritable."""

    def __init__(self) -> None:
        self.reasons: list[object] = []

    def __call__(self, event: str, /, *, level: str = "info", **fields: object) -> None:
        assert (event, level) == ("metrics_unwritable", "warning")
        self.reasons.append(fields["reason"])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log() -> Problems:
    return Problems()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "node-exporter" / "heygem.prom"


@pytest.fixture
def monitor(path: Path, clock: Clock, log: Problems) -> PrometheusFile:
    path.parent.mkdir()
    return PrometheusFile(path, counting_log=CountingLog(log), log=log, clock=clock)


# -- its content --------------------------------------------------------------------------------------------------------


def test_the_file_has_the_state_of_the_daemon() -> None:
    found = samples(exposition(status(), Counts()))
    start = STARTED.timestamp()
    assert (
        found.items()
        >= {
            'heygem_build_info{version="1.2.3"}': 1,
            "heygem_running": 1,
            "heygem_paused": 0,
            "heygem_start_time_seconds": start,
            "heygem_heartbeat_timestamp_seconds": start + 90,
            'heygem_queue_items{state="queued"}': 3,
            'heygem_queue_items{state="running"}': 1,
            'heygem_queue_items{state="waiting"}': 2,
            'heygem_devices{state="busy"}': 1,
            'heygem_devices{state="cooling"}': 1,
            'heygem_devices{state="idle"}': 0,
            "heygem_breaker_open": 0,
            'heygem_inbox_online{inbox="/srv/a"}': 1,
            'heygem_inbox_online{inbox="/srv/b"}': 0,
            'heygem_inbox_paused{inbox="/srv/b"}': 1,
            'heygem_inbox_last_scan_timestamp_seconds{inbox="/srv/a"}': start + 89,
            'heygem_disk_free_bytes{path="/srv/outputs"}': 5_000_000_000,
            'heygem_disk_reserve_bytes{path="/srv/outputs"}': 2**31,
            'heygem_disk_ok{path="/srv/outputs"}': 1,
        }.items()
    )
    assert 'heygem_inbox_last_scan_timestamp_seconds{inbox="/srv/b"}' not in found


def test_the_file_has_the_counts() -> None:
    counts = Counts(video_seconds=12.5, work_seconds=50.0, worker_deaths=1, failed_ticks=2)
    counts.items.update(succeeded=4)
    counts.jobs.update(partial=1)
    counts.failures.update(no_face=2)
    counts.retries.update(disk_full=3)
    counts.hooks["webhook", "failed"] += 1
    found = samples(exposition(status(), counts))
    assert (
        found.items()
        >= {
            'heygem_items_total{result="succeeded"}': 4,
            'heygem_items_total{result="failed"}': 0,
            'heygem_jobs_total{state="partial"}': 1,
            'heygem_failures_total{code="no_face"}': 2,
            'heygem_retries_total{code="disk_full"}': 3,
            "heygem_video_seconds_total": 12.5,
            "heygem_work_seconds_total": 50.0,
            "heygem_worker_deaths_total": 1,
            "heygem_tick_failures_total": 2,
            'heygem_hook_runs_total{hook="webhook",result="failed"}': 1,
            'heygem_hook_runs_total{hook="command",result="failed"}': 0,
        }.items()
    )


def test_an_open_breaker_and_a_pause_are_reported() -> None:
    found = samples(exposition(status(state="paused", breaker="3 device failures in a row"), Counts()))
    assert (found["heygem_breaker_open"], found["heygem_paused"], found["heygem_running"]) == (1, 1, 1)


def test_unreachable_outputs_have_no_free_space_rather_than_none() -> None:
    found = samples(exposition(status(disk=DiskStatus(path="/o", free=None, reserve=1, ok=False)), Counts()))
    assert found['heygem_disk_ok{path="/o"}'] == 0
    assert 'heygem_disk_free_bytes{path="/o"}' not in found


def test_a_path_of_odd_bytes_is_shown_escaped() -> None:
    odd = os.fsdecode(b'/srv/\xff "x"\n')
    found = samples(exposition(status(inboxes=(InboxStatus(path=odd, online=True),)), Counts()))
    assert found['heygem_inbox_online{inbox="/srv/\\xff "x"\\x0a"}'] == 1


def test_an_unforeseen_state_of_a_device_is_counted_too() -> None:
    found = samples(exposition(status(devices=(DeviceStatus(name="x", state="melting"),)), Counts()))
    assert found['heygem_devices{state="melting"}'] == 1


def test_every_metric_has_a_help_text_and_a_type() -> None:
    lines = exposition(status(), Counts()).decode().splitlines()
    named = {re.split(r"[{ ]", line)[0] for line in lines if not line.startswith("#")}
    for kind in ("HELP", "TYPE"):
        assert {line.split()[2] for line in lines if line.startswith(f"# {kind} ") and len(line.split()) > 3} == named
    assert all(name.startswith("heygem_") for name in named)


@needs_promtool
def test_the_file_keeps_the_rules_of_prometheus() -> None:
    done = subprocess.run((str(PROMTOOL), "check", "metrics"), input=exposition(status(), Counts()), capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


# -- how it is written ---------------------------------------------------------------------------------------------------


def test_the_first_file_is_there_at_once_and_the_next_after_the_pause(monitor: PrometheusFile, path: Path, clock: Clock) -> None:
    def running() -> float:
        return samples(path.read_bytes())['heygem_queue_items{state="running"}']

    monitor.write(status(queue=QueueStatus(running=1)))
    assert running() == 1
    clock.now += SECONDS_BETWEEN_WRITES - 0.1
    monitor.write(status(queue=QueueStatus(running=2)))
    assert running() == 1
    clock.now += 0.1
    monitor.write(status(queue=QueueStatus(running=3)))
    assert running() == 3


def test_a_clean_stop_is_written_at_once(monitor: PrometheusFile, path: Path) -> None:
    monitor.write(status())
    monitor.write(status(state="stopped"))
    assert samples(path.read_bytes())["heygem_running"] == 0


def test_another_user_can_read_the_file_whatever_our_umask(monitor: PrometheusFile, path: Path) -> None:
    before = os.umask(0o077)
    try:
        monitor.write(status())
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_the_file_is_replaced_in_one_step_and_nothing_else_is_left(monitor: PrometheusFile, path: Path) -> None:
    path.write_text("old")
    reader = path.open()
    monitor.write(status())
    assert reader.read() == "old"
    reader.close()
    assert list(path.parent.iterdir()) == [path]


def test_a_half_written_file_of_a_crash_is_replaced(monitor: PrometheusFile, path: Path, log: Problems) -> None:
    victim = path.parent / "victim"
    victim.write_text("untouched")
    (path.parent / ".heygem.prom.tmp").symlink_to(victim)
    monitor.write(status())
    assert samples(path.read_bytes())["heygem_running"] == 1
    assert victim.read_text() == "untouched"
    assert log.reasons == []


def test_an_error_is_logged_once_and_again_after_it_was_over(monitor: PrometheusFile, path: Path, clock: Clock, log: Problems) -> None:
    def write() -> None:
        clock.now += SECONDS_BETWEEN_WRITES
        monitor.write(status())

    path.parent.rmdir()
    write()
    write()
    assert log.reasons == ["No such file or directory"]
    path.parent.mkdir()
    write()
    assert path.is_file()
    shutil.rmtree(path.parent)
    write()
    assert len(log.reasons) == 2


def test_a_file_that_cannot_be_written_to_its_end_leaves_the_old_one(monitor: PrometheusFile, path: Path, log: Problems) -> None:
    path.write_text("old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        monitor.write(status())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert log.reasons == ["File too large"]
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_an_impossible_path_is_an_error_like_any_other(log: Problems, clock: Clock) -> None:
    PrometheusFile(Path("/tmp/\0.prom"), counting_log=CountingLog(log), log=log, clock=clock).write(status())
    assert len(log.reasons) == 1


# -- what is written about it --------------------------------------------------------------------------------------------


def _names_in(text: str) -> Iterator[str]:
    return (name for name in re.findall(r"\bheygem_\w+", text) if name not in {"heygem_daemon", "heygem_alerts"})


def _all_names() -> set[str]:
    return {name.split("{")[0] for name in samples(exposition(status(), Counts()))}


def test_the_page_lists_every_metric_and_no_other(root: Path) -> None:
    page = (root / "docs" / "monitoring.md").read_text(encoding="utf-8")
    rows = {name for line in page.splitlines() if line.startswith("| `heygem_") for name in re.findall(r"`(heygem_\w+)", line)}
    assert rows == _all_names()
    assert set(_names_in(page)) <= _all_names()


def test_the_alerts_use_metrics_that_exist(root: Path) -> None:
    rules = (root / "config" / "heygem-alerts.yml").read_text(encoding="utf-8")
    used = set(_names_in(rules))
    assert len(used) > 8
    assert used <= _all_names()
