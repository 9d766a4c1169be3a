"""Health, the system's state, statistics and the findings of `heygem check`."""

import json
import os
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from heygem_daemon.core.job import State
from heygem_daemon.core.status import DaemonStatus, DeviceStatus, DiskStatus
from heygem_daemon.settings import Settings
from heygem_daemon.web.app import create_app
from heygem_daemon.web.caller import Caller
from heygem_daemon.web.jobs import self_check
from heygem_daemon.web.jobs.api_system import devices_for
from heygem_daemon.web.jobs.job_record import record_of
from heygem_daemon.web.jobs.self_check import SelfCheck, command
from heygem_daemon.web.jobs.statistics import DAYS, by_code, by_day, by_engine, lately
from heygem_daemon.web.shares import Shares
from tests.web.site import Daemon, item_status, job_status, no_face, until

SYSTEM = "/api/v1/system"
MANAGER, ANNA = {"X-User": "manager"}, {"X-User": "anna"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def daemon(outputs: Path, inbox: Path, second_inbox: Path) -> Daemon:
    return Daemon(outputs, (inbox, second_inbox))


def test_health_needs_no_login_and_names_nothing(daemon: Daemon, people: httpx.Client, outputs: Path, inbox: Path) -> None:
    assert people.get("/api/v1/health").json()["daemon"] == "unknown"
    daemon.write(job_status("secret-lesson", State.RUNNING, owner="anna"))
    until(lambda: people.get("/api/v1/health").json()["status"] == "ok")
    answer = people.get("/api/v1/health")
    assert answer.status_code == 200
    assert answer.json()["heartbeat_age_s"] < 30
    for secret in ("secret-lesson", "anna", str(outputs), str(inbox)):
        assert secret not in answer.text
    daemon.beat(age=100)
    until(lambda: people.get("/api/v1/health").json() == {**people.get("/api/v1/health").json(), "status": "degraded", "daemon": "silent"})


def test_the_system_shows_inboxes_devices_and_disk(daemon: Daemon, client: httpx.Client, inbox: Path, second_inbox: Path) -> None:
    disk = DiskStatus(path="/srv/outputs", free=10**9, reserve=10**8, ok=True)
    daemon.beat(
        disk=disk,
        devices=(DeviceStatus(name="cuda:0", state="busy", device="cuda:0"),),
        breaker="The device failed 3 times in a row; the next item is a test.",
    )
    until(lambda: client.get(SYSTEM).json()["daemon"]["state"] == "running")
    until(lambda: all(each["online"] for each in client.get(SYSTEM).json()["inboxes"]))
    found = client.get(SYSTEM).json()
    assert [each["path"] for each in found["inboxes"]] == [str(inbox), str(second_inbox)]
    assert [device["name"] for device in found["devices"]] == ["cuda:0"]
    assert found["daemon"]["disk"]["free"] == 10**9
    assert len(found["days"]) == DAYS
    chinese = client.get(SYSTEM, headers={"Accept-Language": "zh"}).json()
    assert "计算设备已连续出错 3 次" in chinese["daemon"]["breaker"]


def test_an_inbox_that_cannot_be_used_says_why(daemon: Daemon, client: httpx.Client, inbox: Path) -> None:
    inbox.rename(inbox.with_name("away"))
    daemon.beat()
    until(lambda: not client.get(SYSTEM).json()["inboxes"][0]["online"] and client.get(SYSTEM).json()["inboxes"][0]["reason"])
    assert "not mounted" in client.get(SYSTEM).json()["inboxes"][0]["reason"]


def test_who_is_no_administrator_sees_no_paths_and_may_change_nothing(daemon: Daemon, people: httpx.Client, tmp_path: Path) -> None:
    daemon.beat(disk=DiskStatus(path=str(tmp_path / "outputs"), free=1, reserve=0, ok=True))
    until(lambda: people.get(SYSTEM, headers=ANNA).json()["daemon"]["disk"])
    assert str(tmp_path) not in people.get(SYSTEM, headers=ANNA).text
    assert str(tmp_path) in people.get(SYSTEM, headers=MANAGER).text
    for method, path in (("GET", f"{SYSTEM}/check"), ("POST", "/api/v1/queue/pause"), ("POST", "/api/v1/queue/resume")):
        answer = people.request(method, path, headers=ANNA, json={} if method == "POST" else None)
        assert (answer.status_code, answer.json()["code"]) == (403, "administrator_only")


@pytest.mark.anyio
async def test_what_a_worker_does_and_why_it_died_is_for_administrators(settings: Settings) -> None:
    index = create_app(settings).state.context.index
    known = {"name": "w0", "state": "idle", "device": "cuda:0", "models": {"rewrite": "ab12"}}
    device = DeviceStatus.model_validate({**known, "pid": 4711, "token": "t-12345", "problem": "no /srv/x"})
    now = datetime.now(UTC)
    index.daemon = DaemonStatus(version="1", state="running", pid=1, started=now, heartbeat=now, devices=(device,))
    assert [each.model_dump() for each in devices_for(index, Caller(name="anna", is_admin=False))] == [known]
    assert devices_for(index, Caller()) == [device]


def test_statistics_count_results_by_day_code_and_engine() -> None:
    now = datetime(2026, 11, 29, 0, 5).astimezone()  # just after midnight: ten minutes ago was yesterday
    mixed = job_status("mixed", State.PARTIAL, items=(item_status(), item_status(engine="wav2lip"), item_status(State.FAILED)))
    refused = job_status("refused", State.REJECTED, items=(), error=no_face())
    ended = ((mixed, 1), (refused, 10), (job_status("older"), 60 * 24 * 5), (job_status("ancient"), 60 * 24 * 31))
    jobs = [replace(record_of(status, status.output), finished=(now - timedelta(minutes=minutes)).timestamp()) for status, minutes in ended]
    assert [job.name for job in lately(jobs, now)] == ["mixed", "refused", "older"]
    days = {day.day: day for day in by_day(jobs, now)}
    assert list(days) == [(now - timedelta(days=number)).strftime("%Y-%m-%d") for number in range(DAYS - 1, -1, -1)]
    counted = {name: (day.succeeded, day.failed) for name, day in days.items() if day.succeeded or day.failed}
    assert counted == {"2026-11-24": (1, 0), "2026-11-28": (0, 1), "2026-11-29": (2, 1)}
    assert (days["2026-11-29"].video_seconds, days["2026-11-29"].work_seconds) == (20.0, 10.0)
    assert [(each.code, each.count) for each in by_code(jobs, "en")] == [("no_face", 2)]
    assert "{" not in by_code(jobs, "en")[0].message
    assert by_engine(jobs[:3]) == {"rewrite": 2, "wav2lip": 1}


# -- check -------------------------------------------------------------------------------------------------------------


def test_the_check_says_what_is_wrong_and_that_it_is_not_everything(client: httpx.Client, second_inbox: Path) -> None:
    (second_inbox / ".heygem-inbox").unlink()
    report = client.get(f"{SYSTEM}/check").json()
    assert report["complete"] is False
    assert report["findings"][0]["severity"] == "note"
    wrong = [each for each in report["findings"] if each["severity"] == "error"]
    assert [str(second_inbox) in each["what"] for each in wrong] == [True]
    assert f"heygem init-inbox {second_inbox}" in wrong[0]["fix"]


@pytest.mark.anyio
async def test_the_owner_of_the_state_folder_gets_the_whole_check(settings: Settings) -> None:
    settings.state.mkdir()
    if settings.state.stat().st_uid != os.geteuid():
        pytest.skip("not ours")
    asked: list[bool] = []

    def fake(_settings: Settings, *, complete: bool) -> tuple[str, ...]:
        asked.append(complete)
        return (sys.executable, "-c", f"print({json.dumps(json.dumps([{'severity': 'ok', 'what': 'fine', 'fix': ''}]))})")

    check = SelfCheck(settings, Shares(1.0), fake)
    report = await check.report("en")
    assert report.complete
    assert [each.what for each in report.findings] == ["fine"]
    assert (await check.report("en")).checked == report.checked
    assert asked == [True]


@pytest.mark.anyio
@pytest.mark.parametrize("script", ["print('[')", "raise SystemExit(3)", "print('[{}]')", "print('{}')"])
async def test_a_check_that_fails_is_a_finding(settings: Settings, script: str) -> None:
    check = SelfCheck(settings, Shares(1.0), lambda _settings, *, complete: (sys.executable, "-c", script))
    assert [each.severity for each in (await check.report("en")).findings] == ["note", "error"]


@pytest.mark.anyio
async def test_a_check_that_hangs_is_ended(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_check, "LIMIT_SECONDS", 0.5)
    check = SelfCheck(settings, Shares(1.0), lambda _settings, *, complete: (sys.executable, "-c", "import time; time.sleep(60)"))
    findings = (await check.report("en")).findings
    assert "stopped" in findings[-1].what


def test_the_check_is_about_the_folders_of_the_page(settings: Settings) -> None:
    words = command(settings, complete=False)
    assert "--guest" in words
    assert [words[place + 1] for place, word in enumerate(words) if word == "--inbox"] == [str(inbox.path) for inbox in settings.inboxes]
    assert words[words.index("--outputs") + 1] == str(settings.outputs)
    assert words.index("-P") < words.index("-m"), "modules would be loaded from the folder in which the page was started"
