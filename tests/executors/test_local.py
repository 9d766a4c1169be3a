"""LocalExecutor keeps the contract, and survives whatever happens to its workers, with real processes and real signals."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from heygem_daemon.core.work import WorkerReady, WorkFailed, WorkSucceeded
from heygem_daemon.executors.local import LocalExecutor, WorkerSetup, worker_command
from heygem_daemon.executors.slot import Patience
from heygem_daemon.executors.worker_process import ending
from tests.executors.contract import ExecutorContract, collect, order, outcome_of, run, wait_free

ROOT = Path(__file__).resolve().parents[2]


class Lines:
    """A log that remembers."""

    def __init__(self):
        self.lines = []

    def __call__(self, event, /, *, level="info", **fields):
        self.lines.append({"event": event, "level": level, **fields})

    def of(self, event):
        return [line for line in self.lines if line["event"] == event]


@pytest.fixture
def log():
    return Lines()


@pytest.fixture
def make(tmp_path, log):
    """Make executors with scripted workers, and stop them in the end."""
    setup = WorkerSetup(models=tmp_path, cache=tmp_path, session="tests.executors.sessions:Scripted")
    made = []

    def make(devices=("cpu",), *, environment=(), beat="0.1", **patience):
        executor = LocalExecutor(
            devices,
            lambda name, device: (*worker_command(setup, name, device), "--beat-seconds", beat),
            log=log,
            patience=Patience(**{"pause": 0.1, **patience}),
            environment={**os.environ, "PYTHONPATH": str(ROOT), **dict(environment)},
        )
        made.append(executor)
        return executor

    yield make
    for executor in made:
        executor.stop(0.0)


@pytest.fixture
def executor(make):
    return make()


def is_alive(pid):
    """Whether the process exists and is not merely a zombie that its new parent has not reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_gone(pid, seconds=10.0):
    deadline = time.monotonic() + seconds
    while is_alive(pid):
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.02)


def read_soon(path, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not (path.exists() and path.read_text(encoding="ascii")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return path.read_text(encoding="ascii")


class TestLocalExecutor(ExecutorContract):
    """`executor` comes from the module."""


def test_a_worker_killed_in_the_middle_is_noticed_at_once_and_replaced(executor):
    wait_free(executor)
    executor.submit(order("t1", "hang"))
    collect(executor, lambda reports: len(reports) > 0)
    pid = executor.devices()[0]["pid"]
    os.kill(pid, signal.SIGKILL)
    start = time.monotonic()
    report = collect(executor, outcome_of("t1"))[-1]
    assert time.monotonic() - start < 1.0
    assert isinstance(report, WorkFailed)
    assert (report.kind, report.failure.code) == ("engine", "worker_died")
    assert "SIGKILL" in report.failure.message
    after = run(executor, order("t2"))[-1]
    assert isinstance(after, WorkSucceeded)
    assert after.result["pid"] != pid


@pytest.mark.parametrize(("text", "words"), [("exit 3", "exit status 3"), ("kill SIGSEGV", "SIGSEGV"), ("kill SIGABRT", "SIGABRT")])
def test_the_reason_of_a_death_is_readable(executor, text, words):
    report = run(executor, order("t1", text))[-1]
    assert report.failure.code == "worker_died"
    assert words in report.failure.message
    if text == "exit 3":
        assert "last words" in report.failure.message


def test_an_idle_worker_that_is_killed_is_replaced(executor):
    wait_free(executor)
    pid = executor.devices()[0]["pid"]
    os.kill(pid, signal.SIGKILL)
    collect(executor, lambda reports: any(isinstance(r, WorkerReady) for r in reports))
    assert executor.devices()[0]["pid"] != pid
    assert isinstance(run(executor, order("t1"))[-1], WorkSucceeded)


def test_a_hang_is_ended_by_the_limit_of_the_order(executor):
    wait_free(executor)
    pid = executor.devices()[0]["pid"]
    report = run(executor, order("t1", "hang", limit_seconds=0.5))[-1]
    assert (report.kind, report.failure.code) == ("engine", "timed_out")
    wait_gone(pid)


def test_a_hang_shows_as_silence(make, log):
    executor = make(silence=1.0)
    report = run(executor, order("t1", "hang"))[-1]
    assert report.failure.code == "worker_died"
    assert "no sign of life" in report.failure.message
    assert log.of("worker_died")


def test_an_idle_worker_is_not_taken_for_a_hanging_one(make):
    executor = make(silence=1.0)
    wait_free(executor)
    pid = executor.devices()[0]["pid"]
    deadline = time.monotonic() + 2.0
    while time.monotonic() < deadline:
        list(executor.poll())
        time.sleep(0.05)
    assert executor.devices()[0]["pid"] == pid


def test_a_stopped_process_shows_as_silence(make):
    executor = make(silence=1.0)
    wait_free(executor)
    os.kill(executor.devices()[0]["pid"], signal.SIGSTOP)
    executor.submit(order("t1"))
    assert collect(executor, outcome_of("t1"))[-1].failure.code == "worker_died"


@pytest.mark.parametrize("text", ["fail encode_failed", "fail device_memory", "break it"])
def test_after_an_engine_error_the_next_order_gets_a_fresh_worker(executor, text):
    wait_free(executor)
    pid = executor.devices()[0]["pid"]
    run(executor, order("t1", text))
    assert run(executor, order("t2"))[-1].result["pid"] != pid


def test_after_an_input_error_the_worker_stays(executor):
    wait_free(executor)
    pid = executor.devices()[0]["pid"]
    run(executor, order("t1", "fail no_face"))
    assert run(executor, order("t2"))[-1].result["pid"] == pid


def test_cancelling_kills_the_worker_and_its_children(executor, tmp_path):
    wait_free(executor)
    executor.submit(order("t1", f"child {tmp_path / 'pid'}"))
    child = int(read_soon(tmp_path / "pid"))
    worker = executor.devices()[0]["pid"]
    executor.cancel("t1")
    wait_gone(worker)
    wait_gone(child)


def test_the_children_of_a_killed_worker_are_killed(executor, tmp_path):
    wait_free(executor)
    executor.submit(order("t1", f"child {tmp_path / 'pid'}"))
    child = int(read_soon(tmp_path / "pid"))
    os.kill(executor.devices()[0]["pid"], signal.SIGKILL)
    collect(executor, outcome_of("t1"))
    wait_gone(child)


def test_stop_ends_busy_workers_and_their_children(make, tmp_path):
    executor = make()
    wait_free(executor)
    executor.submit(order("t1", f"child {tmp_path / 'pid'}"))
    child = int(read_soon(tmp_path / "pid"))
    worker = executor.devices()[0]["pid"]
    start = time.monotonic()
    executor.stop(10.0)
    assert time.monotonic() - start < 5.0
    wait_gone(worker)
    wait_gone(child)
    assert executor.devices()[0]["state"] == "stopped"


def test_a_worker_that_cannot_start_is_tried_again_after_growing_pauses(make, log):
    executor = make(environment={"SCRIPTED_START": "crash"})
    deadline = time.monotonic() + 20
    while len(log.of("worker_died")) < 3:
        assert time.monotonic() < deadline
        list(executor.poll())
        time.sleep(0.02)
    assert executor.free() == 0
    (worker,) = executor.devices()
    assert worker["state"] == "cooling"
    assert "exit status 7" in worker["problem"]
    assert "the model does not load" in worker["problem"]


def test_a_program_that_does_not_exist_is_a_worker_that_cannot_start(log):
    executor = LocalExecutor(["cpu"], lambda _name, _device: ("/does/not/exist",), log=log, patience=Patience(pause=0.01))
    list(executor.poll())
    assert executor.free() == 0
    assert "cannot be started" in executor.devices()[0]["problem"]
    executor.stop(0.0)


def test_the_pause_doubles_from_the_second_death_to_its_limit():
    patience = Patience(pause=1.0, longest_pause=5.0)
    assert [patience.after(deaths) for deaths in range(6)] == [0.0, 0.0, 1.0, 2.0, 4.0, 5.0]


def test_two_devices_work_at_the_same_time(make):
    executor = make(("cpu", "cpu"))
    deadline = time.monotonic() + 20
    while executor.free() < 2:
        assert time.monotonic() < deadline
        list(executor.poll())
        time.sleep(0.02)
    executor.submit(order("t1", "hang"))
    executor.submit(order("t2"))
    reports = collect(executor, outcome_of("t2"))
    assert isinstance(reports[-1], WorkSucceeded)
    assert [worker["worker"] for worker in executor.devices()] == ["cpu-0", "cpu-1"]
    assert [worker["state"] for worker in executor.devices()] == ["busy", "idle"]


def test_what_a_worker_writes_to_stderr_reaches_the_log(executor, log):
    run(executor, order("t1", "print hello"))
    deadline = time.monotonic() + 5
    while len(log.of("worker_output")) < 3:
        assert time.monotonic() < deadline, log.lines
        list(executor.poll())
        time.sleep(0.02)
    assert {line["line"] for line in log.of("worker_output")} == {"from python: hello", "from a child: hello", "from C: hello"}


def test_workers_end_when_their_parent_is_killed(tmp_path):
    """The parent is a process of its own here, so that it can be killed with SIGKILL."""
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from heygem_daemon.executors.local import LocalExecutor, WorkerSetup, worker_command\n"
        "from tests.executors.contract import order, wait_free\n"
        "path = Path(sys.argv[1])\n"
        "setup = WorkerSetup(models=path, cache=path, session='tests.executors.sessions:Scripted')\n"
        "executor = LocalExecutor(['cpu'], lambda n, d: worker_command(setup, n, d), log=lambda *a, **k: None)\n"
        "wait_free(executor)\n"
        "executor.submit(order('t1', f'child {path / \"child\"}'))\n"
        "(path / 'worker').write_text(str(executor.devices()[0]['pid']))\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT)
    try:
        worker, child = int(read_soon(tmp_path / "worker")), int(read_soon(tmp_path / "child"))
        assert is_alive(worker)
        assert is_alive(child)
    finally:
        parent.kill()
        parent.wait()
    wait_gone(worker)
    wait_gone(child)


def test_every_ending_has_words():
    assert ending(0) == "exit status 0"
    assert "memory" in ending(-9)
    assert ending(-200) == "killed by signal 200"
