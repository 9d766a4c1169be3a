"""The unit: start, status, reload of a changed configuration, stop."""

import statistics
import time
from collections.abc import Callable

import pytest

from tests.box.box import UNIT, Box

pytestmark = pytest.mark.box


def test_a_start_takes_less_than_three_seconds(service: Box, measurement: Callable[[str], None]) -> None:
    seconds = []
    for _ in range(3):
        service.run("systemctl", "restart", UNIT)
        times = service.show("ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic")
        seconds.append((int(times["ActiveEnterTimestampMonotonic"]) - int(times["ExecMainStartTimestampMonotonic"])) / 1e6)
    measurement(f"start to READY {statistics.median(seconds):.2f} s (three starts: {', '.join(f'{each:.2f}' for each in seconds)} s)")
    assert statistics.median(seconds) < 3


def test_systemctl_status_shows_a_status_line(service: Box) -> None:
    service.until(lambda: service.show("StatusText")["StatusText"], 10, "no status text")
    assert service.show("StatusText")["StatusText"] == "0 queued, 0 running, 1 inbox online"
    assert service.events("daemon_ready")[-1]["_SYSTEMD_UNIT"] == UNIT


def test_a_reload_logs_what_changed(service: Box) -> None:
    main, began = service.pid(), time.time()
    before = service.run("cat", "/etc/heygem/heygem.toml").stdout
    try:
        service.write("/etc/heygem/heygem.toml", before.replace("#done_days = 14.0", "done_days = 3.0"))
        service.run("systemctl", "reload", UNIT)
        reloads = service.until(lambda: service.events("config_reloaded", after=began), 10, "the reload was not logged")
        assert "done_days" in reloads[0]["MESSAGE"]
        assert "3" in reloads[0]["MESSAGE"]
    finally:
        service.write("/etc/heygem/heygem.toml", before)
        service.run("systemctl", "reload", UNIT)
    assert service.pid() == main


def test_a_stop_is_orderly(service: Box) -> None:
    began = time.time()
    service.run("systemctl", "stop", UNIT)
    assert service.show("Result", "ActiveState") == {"Result": "success", "ActiveState": "inactive"}
    assert service.events("daemon_stopped", after=began)
    assert service.status()["state"] == "stopped"
