"""The example alerts: each fires where it should, and nothing fires while all is well. Judged by Prometheus' own promtool."""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from heygem_daemon.core.error_catalog import CATALOG, ErrorKind

PROMTOOL: Final = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool (Debian: prometheus) is not installed")

MINUTES: Final = 120
NOW: Final = f"0+60x{MINUTES}"
"""A time stamp that is always now: a sample a minute, from the time 0 on."""

WELL: Final[Mapping[str, str]] = {
    "heygem_running": "1+0x{m}",
    "heygem_paused": "0+0x{m}",
    "heygem_heartbeat_timestamp_seconds": NOW,
    "heygem_breaker_open": "0+0x{m}",
    'heygem_inbox_online{inbox="/in"}': "1+0x{m}",
    'heygem_inbox_last_scan_timestamp_seconds{inbox="/in"}': NOW,
    'heygem_disk_ok{path="/out"}': "1+0x{m}",
    'heygem_disk_free_bytes{path="/out"}': "9000+0x{m}",
    'heygem_disk_reserve_bytes{path="/out"}': "2000+0x{m}",
    'heygem_devices{state="cooling"}': "0+0x{m}",
    'heygem_queue_items{state="queued"}': "3+0x{m}",
    'heygem_queue_items{state="running"}': "1+0x{m}",
    'heygem_items_total{result="succeeded"}': "0+1x{m}",
    'heygem_items_total{result="failed"}': "0+0x{m}",
    'heygem_failures_total{code="device_lost"}': "0+0x{m}",
    'heygem_failures_total{code="no_face"}': "0+0x{m}",
    "heygem_tick_failures_total": "0+0x{m}",
    'heygem_hook_runs_total{hook="webhook",result="failed"}': "0+0x{m}",
}

HALTED: Final = f"0+60x60 3600+0x{MINUTES}"
"""A time stamp that stops after an hour."""

SCENES: Final[Mapping[str, tuple[Mapping[str, str | None], set[str]]]] = {
    "all is well": ({}, set()),
    "the daemon crashed or hangs": (
        {"heygem_heartbeat_timestamp_seconds": HALTED, 'heygem_inbox_last_scan_timestamp_seconds{inbox="/in"}': HALTED},
        {"HeygemSilent"},
    ),
    "the daemon was stopped, whatever its last values": (
        {
            "heygem_running": "0+0x{m}",
            "heygem_heartbeat_timestamp_seconds": HALTED,
            'heygem_inbox_last_scan_timestamp_seconds{inbox="/in"}': HALTED,
            'heygem_inbox_online{inbox="/in"}': "0+0x{m}",
            'heygem_disk_ok{path="/out"}': "0+0x{m}",
            'heygem_devices{state="cooling"}': "1+0x{m}",
            'heygem_queue_items{state="running"}': "0+0x{m}",
        },
        {"HeygemStopped"},
    ),
    "there are no metrics": (dict.fromkeys(WELL), {"HeygemAbsent"}),
    "an inbox is offline": (
        {'heygem_inbox_online{inbox="/in"}': "0+0x{m}", 'heygem_inbox_last_scan_timestamp_seconds{inbox="/in"}': HALTED},
        {"HeygemInboxOffline"},
    ),
    "an inbox is not looked at": ({'heygem_inbox_last_scan_timestamp_seconds{inbox="/in"}': HALTED}, {"HeygemInboxNotScanned"}),
    "outputs went away": (
        {'heygem_disk_ok{path="/out"}': "0+0x{m}", 'heygem_disk_free_bytes{path="/out"}': None},
        {"HeygemDiskFull"},
    ),
    "the disk fills up": ({'heygem_disk_free_bytes{path="/out"}': "3999+0x{m}"}, {"HeygemDiskLow"}),
    "the breaker is open": ({"heygem_breaker_open": "1+0x{m}", "heygem_paused": "1+0x{m}"}, {"HeygemBreakerOpen"}),
    "a worker keeps dying": ({'heygem_devices{state="cooling"}': "1+0x{m}"}, {"HeygemWorkerDown"}),
    "more fails than succeeds": (
        {'heygem_items_total{result="failed"}': "0+2x{m}", 'heygem_failures_total{code="no_face"}': "0+2x{m}"},
        {"HeygemFailuresRising"},
    ),
    "some fail, more succeed": ({'heygem_items_total{result="failed"}': "0+0.5x{m}"}, set()),
    "the engine fails once": ({'heygem_failures_total{code="device_lost"}': "0x90 1x{m}"}, {"HeygemEngineFailing"}),
    "what waits is not made": ({'heygem_queue_items{state="running"}': "0+0x{m}"}, {"HeygemStuck"}),
    "what waits is paused": ({'heygem_queue_items{state="running"}': "0+0x{m}", "heygem_paused": "1+0x{m}"}, set()),
    "the daemon makes a mistake": ({"heygem_tick_failures_total": "0x110 1x{m}"}, {"HeygemMistake"}),
    "a hook fails": ({'heygem_hook_runs_total{hook="webhook",result="failed"}': "0x90 1x{m}"}, {"HeygemHookFailing"}),
}


@pytest.fixture(scope="session")
def rules(root: Path) -> Path:
    return root / "config" / "heygem-alerts.yml"


def _series(changes: Mapping[str, str | None]) -> list[dict[str, str]]:
    values = {name: value.format(m=MINUTES) for name, value in {**WELL, **changes}.items() if value is not None}
    return [{"series": _on_a_server(name), "values": value} for name, value in values.items()]


def _on_a_server(name: str) -> str:
    server = 'instance="s:9100",job="node"'
    return f"{name[:-1]},{server}}}" if name.endswith("}") else f"{name}{{{server}}}"


def _test(name: str, changes: Mapping[str, str | None], firing: set[str]) -> dict[str, Any]:
    question = {
        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
        "eval_time": f"{MINUTES}m",
        "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in sorted(firing)],
    }
    return {"name": name, "interval": "1m", "input_series": _series(changes), "promql_expr_test": [question]}


@needs_promtool
def test_exactly_the_alerts_fire_that_should(rules: Path, tmp_path: Path) -> None:
    path = tmp_path / "scenes.yml"  # JSON is YAML
    tests = [_test(scene, changes, firing) for scene, (changes, firing) in SCENES.items()]
    path.write_text(json.dumps({"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": tests}))
    done = subprocess.run((str(PROMTOOL), "test", "rules", str(path)), capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_the_alerts_are_valid_rules(rules: Path) -> None:
    done = subprocess.run((str(PROMTOOL), "check", "rules", str(rules)), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_case(rules: Path) -> None:
    alerts = re.findall(r"- alert: (\w+)", rules.read_text(encoding="utf-8"))
    assert len(alerts) == len(set(alerts))
    assert set(alerts) == set().union(*(firing for _, firing in SCENES.values()))


def test_the_faults_of_the_server_are_those_of_the_table(rules: Path) -> None:
    (used,) = re.findall(r'code=~"([\w|]+)"', rules.read_text(encoding="utf-8"))
    faults = {code for code, row in CATALOG.items() if row.kind in {ErrorKind.ENGINE, ErrorKind.DEVICE}}
    assert set(used.split("|")) == faults - {"inputs_changed"}  # tried again like them, but done by whoever writes to the inputs
