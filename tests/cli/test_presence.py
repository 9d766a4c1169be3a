"""`heygem status` tells apart: running, running without room for its status, busy, not running; as the service and as somebody else."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from functools import partial
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from heygem_daemon.cli.checks import presence
from heygem_daemon.cli.commands import jobs
from heygem_daemon.core.presence import Presence
from heygem_daemon.core.status import DaemonStatus, Heartbeat, JobStatus, moment
from heygem_daemon.machine import process_namespace, process_start
from heygem_daemon.publishing.outputs_thread import OutputsThread
from heygem_daemon.publishing.status_files import StatusFiles
from heygem_daemon.publishing.timed_outputs import TimedStatusWriter
from heygem_daemon.settings import load
from tests.cli.checks.conftest import dead_share
from tests.cli.runner import Result, heygem
from tests.shares.people import ALICE, as_person, needs_root

__all__ = ["dead_share"]

HOLD = """
import fcntl, os, sys
lock = os.open(sys.argv[2], os.O_RDWR | os.O_CREAT, 0o660)
fcntl.flock(lock, fcntl.LOCK_EX)
os.truncate(lock, 0)
os.write(lock, f"{os.getpid()}\\n".encode())
print("ready", flush=True)
sys.stdin.read()
"""
"""A process named heygem that holds the lock, as a daemon does whose tick takes long."""


@pytest.fixture
def site() -> Iterator[Path]:
    """outputs and state, in a folder that everybody may pass through; the state folder is the service's own."""
    with TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        (root / "outputs").mkdir()
        (root / "state").mkdir(mode=0o700)
        yield root


@contextmanager
def held(site: Path) -> Iterator[int]:
    """Let a process hold the lock of the state folder; yield its number."""
    command = (sys.executable, "-c", HOLD, "heygem", str(site / "state/daemon.lock"))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process.pid
        finally:
            process.stdin.close()
            process.wait(10)


def write_status(site: Path, pid: int, age: float, state: str = "running") -> None:
    wrote = moment(time.time() - age)
    status = DaemonStatus.model_validate(
        {"version": "1", "state": state, "pid": pid, "started": wrote, "heartbeat": wrote, "queue": {"queued": 5}}
    )
    (site / "outputs/status.json").write_text(status.to_json(), encoding="utf-8")


def write_beat(site: Path, pid: int, age: float, unwritable: str = "", namespace: str = "") -> None:
    wrote = moment(time.time() - age)
    since = moment(time.time() - 600) if unwritable else None
    beat = Heartbeat(
        pid=pid,
        namespace=namespace,
        outputs=str(site / "outputs"),
        state="running",
        heartbeat=wrote,
        unwritable=unwritable,
        unwritable_since=since,
    )
    outputs = OutputsThread(site / "outputs", 60.0)
    TimedStatusWriter(StatusFiles(site / "outputs"), outputs, site / "state").write_heartbeat(beat)


def status(site: Path, *arguments: str) -> Result:
    return heygem("status", "--outputs", str(site / "outputs"), "--state", str(site / "state"), *arguments)


def test_a_daemon_that_cannot_write_its_status_runs_and_the_reason_is_shown(site: Path) -> None:
    write_status(site, 1, age=600)
    write_beat(site, 1, age=2, unwritable="There is not enough free disk space.")
    found = status(site)
    assert found.code == 5
    assert "is running, but its status cannot be written since" in " ".join(found.stdout.split())
    assert "not enough free disk space" in " ".join(found.stdout.split())
    assert "The following is from" in found.stdout
    assert status(site, "--json").code == 5
    assert "cannot be written" in status(site, "--json").stderr


def test_a_heartbeat_in_the_state_folder_is_enough_where_outputs_is_not_there(site: Path) -> None:
    write_beat(site, 1, age=2, unwritable="Results cannot be written.")
    (site / "outputs").rename(site / "away")
    found = status(site)
    assert (found.code, "Results cannot be written" in " ".join(found.stdout.split())) == (5, True)


def test_a_daemon_that_holds_its_lock_and_has_not_reported_is_busy(site: Path) -> None:
    with held(site) as pid:
        write_status(site, pid, age=600)
        write_beat(site, pid, age=500)
        found = status(site)
        assert (found.code, f"(process {pid}) is running, but has not reported since" in " ".join(found.stdout.split())) == (5, True)
    found = status(site)
    assert (found.code, "heygem is not running: its last sign of life" in " ".join(found.stdout.split())) == (1, True)


def test_a_daemon_that_was_killed_a_moment_ago_is_not_called_running(site: Path) -> None:
    with held(site) as pid:
        write_status(site, pid, age=2)
        write_beat(site, pid, age=1, namespace=process_namespace())
        assert status(site).code == 0
    found = status(site)
    assert (found.code, "heygem is not running: its last sign of life" in " ".join(found.stdout.split())) == (1, True)
    write_beat(site, pid, age=1, namespace="another computer")
    assert status(site).code == 0


def test_a_killed_daemon_whose_end_nobody_has_taken_note_of_is_not_called_running(site: Path) -> None:
    with held(site) as pid:
        write_status(site, pid, age=2)
        write_beat(site, pid, age=1, namespace=process_namespace())
        os.kill(pid, signal.SIGKILL)
        while process_start(pid):
            time.sleep(0.01)
        assert Path(f"/proc/{pid}").exists()
        assert status(site).code == 1


def test_a_daemon_that_is_starting_is_not_called_absent(site: Path) -> None:
    with held(site) as pid:
        found = status(site)
        assert (found.code, f"(process {pid}) is running, but has not reported yet" in " ".join(found.stdout.split())) == (5, True)
        write_status(site, 1, age=600, state="stopped")
        assert status(site).code == 5


def test_the_lock_of_a_daemon_with_other_outputs_proves_nothing(site: Path) -> None:
    with held(site) as pid:
        write_beat(site, pid, age=2)
        (site / "other").mkdir()
        assert heygem("status", "--outputs", str(site / "other"), "--state", str(site / "state")).code == 1


@needs_root
def test_somebody_who_may_not_look_into_the_state_folder_sees_a_busy_daemon_by_its_process(site: Path) -> None:
    with held(site) as pid:
        write_status(site, pid, age=0)
        settings = load(None, {"outputs": site / "outputs", "state": site / "state"})
        later = time.time() + 100  # when this status will be old
        assert as_person(ALICE, lambda: presence.presence(settings, later).presence) is Presence.BUSY
    assert presence.presence(settings, later).presence is Presence.GONE


@needs_root
@pytest.mark.parametrize("hidden", ["folder", "file"])
def test_somebody_who_may_look_nowhere_reads_that_it_cannot_be_found_out(site: Path, hidden: str) -> None:
    with held(site) as pid:
        write_status(site, pid, age=0)
        (site / "outputs" if hidden == "folder" else site / "outputs/status.json").chmod(0)
        settings = load(None, {"outputs": site / "outputs", "state": site / "state"})
        sentence = as_person(ALICE, lambda: presence.presence(settings, time.time()).sentence)
        places = f"{site}/outputs: Permission denied; {site}/state: Permission denied"
        assert sentence == f"whether heygem runs cannot be found out: {places}"


@needs_root
@pytest.mark.parametrize("command", [partial(jobs.send_request, verb="retry", target="lesson"), jobs.sweep])
def test_a_command_of_somebody_who_may_not_look_into_the_state_folder_names_it(site: Path, command: Callable[..., int]) -> None:
    settings = load(None, {"outputs": site / "outputs", "state": site / "state"})

    def act() -> tuple[int, str]:
        with redirect_stderr(StringIO()) as shown:
            return int(command(settings)), shown.getvalue()

    code, shown = as_person(ALICE, act)
    assert (code, f"{site}/state: Permission denied" in shown) == (1, True)


def test_the_number_of_a_process_that_is_younger_than_the_status_is_that_of_another_one(site: Path) -> None:
    with held(site) as pid:
        assert presence.is_daemon(pid, time.time())
        assert not presence.is_daemon(pid, time.time() - 3600)
    assert not presence.is_daemon(1, time.time())
    assert not presence.is_daemon(os.getpid() + 10**7, time.time())


def test_a_dead_share_does_not_hold_the_command(site: Path, dead_share: Path) -> None:
    write_beat(site, 1, age=2)
    began = time.monotonic()
    result = heygem(
        "status", "--outputs", str(dead_share), "--state", str(site / "state"), environment={"HEYGEM_INTAKE__ANSWER_SECONDS": "1"}
    )
    assert time.monotonic() - began < 10
    assert (result.code, "does not answer" in " ".join(result.stdout.split())) == (1, True)


def test_a_job_of_a_daemon_that_is_gone_is_shown_as_old(site: Path) -> None:
    job = {"job": "j", "name": "n", "output": "n", "state": "running", "since": moment(0).isoformat()}
    write_status(site, 1, age=600)
    (site / "outputs/n").mkdir()
    for state, is_shown in (("running", True), ("succeeded", False)):
        text = JobStatus.model_validate({**job, "state": state}).to_json()
        (site / "outputs/n/status.json").write_text(text, encoding="utf-8")
        assert ("is not running" in status(site, "n").stdout) == is_shown
