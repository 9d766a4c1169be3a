"""LocalExecutor keeps the contract, and survives whatever happens to its workers, with real processes and real signals."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from heygem_daemon.core.work import WorkerMessage, WorkerReady, WorkerState, WorkSucceeded
from heygem_daemon.executors import slot
from heygem_daemon.executors.local import LocalExecutor
from heygem_daemon.executors.slot import WorkerTimeouts
from heygem_daemon.executors.worker_process import describe_exit
from tests.executors.conftest import ROOT, Clock, Lines, Make, plan_of, scripted_command
from tests.executors.contract import ExecutorContract, collect, failed, order, outcome_of, run, succeeded, wait_free
from tests.processes import is_alive, read_line_soon, wait_gone


@pytest.fixture
def executor(make: Make) -> LocalExecutor:
    return make()


def pid_of(executor: LocalExecutor) -> int:
    pid = executor.workers()[0].pid
    assert pid is not None
    return pid


def pass_time(clock: Clock, step: float, until: Callable[[list[WorkerMessage]], bool]) -> Callable[[list[WorkerMessage]], bool]:
    """Return a condition for `collect` that advances the clock before every poll but the first, until `until` holds."""

    def check(reports: list[WorkerMessage]) -> bool:
        if until(reports):
            return True
        clock.now += step
        return False

    return check


class TestLocalExecutor(ExecutorContract):
    """`executor` comes from the module."""


def test_a_worker_killed_in_the_middle_is_noticed_without_a_time_out_and_replaced(make: Make) -> None:
    executor = make(clock=Clock())
    wait_free(executor)
    executor.submit(order("t1", "hang"))
    collect(executor, lambda reports: len(reports) > 0)
    pid = pid_of(executor)
    os.kill(pid, signal.SIGKILL)
    report = failed(collect(executor, outcome_of("t1"))[-1])
    assert (report.kind, report.failure.code) == ("engine", "worker_died")
    assert "SIGKILL" in report.failure.message
    after = succeeded(run(executor, order("t2"))[-1])
    assert after.result["pid"] != pid


@pytest.mark.parametrize(("text", "words"), [("exit 3", "exit status 3"), ("kill SIGSEGV", "SIGSEGV"), ("kill SIGABRT", "SIGABRT")])
def test_the_reason_of_a_death_is_readable(executor: LocalExecutor, text: str, words: str) -> None:
    report = failed(run(executor, order("t1", text))[-1])
    assert report.failure.code == "worker_died"
    assert words in report.failure.message
    if text == "exit 3":
        assert "the end of stderr" in report.failure.message


def test_an_idle_worker_that_is_killed_is_replaced(executor: LocalExecutor) -> None:
    wait_free(executor)
    pid = pid_of(executor)
    os.kill(pid, signal.SIGKILL)
    collect(executor, lambda reports: any(isinstance(report, WorkerReady) for report in reports))
    assert pid_of(executor) != pid
    assert isinstance(run(executor, order("t1"))[-1], WorkSucceeded)


def test_a_hang_is_ended_by_the_limit_of_the_order(make: Make) -> None:
    clock = Clock()
    executor = make(clock=clock)
    wait_free(executor)
    pid = pid_of(executor)
    executor.submit(order("t1", "hang", limit_seconds=0.5))
    clock.now += 0.4
    assert len(collect(executor, bool)) == 1
    clock.now += 0.2
    report = failed(collect(executor, outcome_of("t1"))[-1])
    assert (report.kind, report.failure.code) == ("engine", "timed_out")
    wait_gone(pid)


def test_a_hang_shows_as_silence(make: Make, log: Lines) -> None:
    clock = Clock()
    executor = make(clock=clock, silence=1.0)
    wait_free(executor)
    executor.submit(order("t1", "hang"))
    report = failed(collect(executor, pass_time(clock, 0.6, outcome_of("t1")))[-1])
    assert report.failure.code == "worker_died"
    assert "no sign of life" in report.failure.message
    assert log.of("worker_died")


def test_an_idle_worker_is_not_taken_for_a_hanging_one(make: Make) -> None:
    clock = Clock()
    executor = make(clock=clock, silence=1.0)
    wait_free(executor)
    pid, slot = pid_of(executor), executor._slots[0]
    for _ in range(4):
        begun = clock.now = clock.now + 0.6
        deadline = time.monotonic() + 60
        while slot._last_message_at < begun:
            assert time.monotonic() < deadline, "no heartbeat came"
            assert list(executor.poll()) == []
            time.sleep(0.01)
    assert pid_of(executor) == pid


def test_a_stopped_process_shows_as_silence(make: Make) -> None:
    clock = Clock()
    executor = make(clock=clock, silence=1.0)
    wait_free(executor)
    os.kill(pid_of(executor), signal.SIGSTOP)
    executor.submit(order("t1"))
    assert failed(collect(executor, pass_time(clock, 0.6, outcome_of("t1")))[-1]).failure.code == "worker_died"


@pytest.mark.parametrize("text", ["fail encode_failed", "fail device_memory", "break it"])
def test_after_an_engine_error_the_next_order_gets_a_fresh_worker(executor: LocalExecutor, text: str) -> None:
    wait_free(executor)
    pid = pid_of(executor)
    run(executor, order("t1", text))
    assert succeeded(run(executor, order("t2"))[-1]).result["pid"] != pid


def test_after_an_input_error_the_worker_stays(executor: LocalExecutor) -> None:
    wait_free(executor)
    pid = pid_of(executor)
    run(executor, order("t1", "fail no_face"))
    assert succeeded(run(executor, order("t2"))[-1]).result["pid"] == pid


def test_cancelling_kills_the_worker_and_its_children(executor: LocalExecutor, tmp_path: Path) -> None:
    wait_free(executor)
    executor.submit(order("t1", f"child {tmp_path / 'pid'}"))
    child = int(read_line_soon(tmp_path / "pid"))
    worker = pid_of(executor)
    executor.cancel("t1")
    wait_gone(worker)
    wait_gone(child)


def test_the_children_of_a_killed_worker_are_killed(executor: LocalExecutor, tmp_path: Path) -> None:
    wait_free(executor)
    executor.submit(order("t1", f"child {tmp_path / 'pid'}"))
    child = int(read_line_soon(tmp_path / "pid"))
    os.kill(pid_of(executor), signal.SIGKILL)
    collect(executor, outcome_of("t1"))
    wait_gone(child)


def test_stop_ends_busy_workers_and_their_children_long_before_the_grace_is_over(make: Make, tmp_path: Path) -> None:
    executor = make()
    wait_free(executor)
    executor.submit(order("t1", f"child {tmp_path / 'pid'}"))
    child = int(read_line_soon(tmp_path / "pid"))
    worker = pid_of(executor)
    start = time.monotonic()
    executor.stop(60.0)
    assert time.monotonic() - start < 30.0
    wait_gone(worker)
    wait_gone(child)
    assert executor.workers()[0].state is WorkerState.STOPPED


def test_a_worker_that_cannot_start_is_tried_again_after_growing_pauses(make: Make, log: Lines) -> None:
    clock = Clock()
    executor = make(environment={"SCRIPTED_START": "crash"}, clock=clock, pause=1.0)
    collect(executor, lambda _reports: len(log.of("worker_died")) == 2)
    clock.now += 0.9
    assert list(executor.poll()) == []
    assert executor.workers()[0].state is WorkerState.BACKOFF
    clock.now += 0.1
    collect(executor, lambda _reports: len(log.of("worker_died")) == 3)
    assert executor.free() == 0
    (worker,) = executor.workers()
    assert worker.state == "cooling"
    assert "exit status 7" in worker.problem
    assert "the model does not load" in worker.problem


def test_a_program_that_does_not_exist_is_a_worker_that_cannot_start(log: Lines) -> None:
    executor = LocalExecutor(plan_of(1), lambda _name, _device: ("/does/not/exist",), log=log, timeouts=WorkerTimeouts(pause=0.01))
    list(executor.poll())
    assert executor.free() == 0
    assert "cannot be started" in executor.workers()[0].problem
    executor.stop(0.0)


def test_the_pause_doubles_from_the_second_death_to_its_limit() -> None:
    timeouts = WorkerTimeouts(pause=1.0, longest_pause=5.0)
    assert [timeouts.pause_after(deaths) for deaths in range(6)] == [0.0, 0.0, 1.0, 2.0, 4.0, 5.0]


def test_two_workers_work_at_the_same_time(make: Make) -> None:
    executor = make(2)
    collect(executor, lambda _reports: executor.free() == 2)
    executor.submit(order("t1", "hang"))
    executor.submit(order("t2"))
    reports = collect(executor, outcome_of("t2"))
    assert isinstance(reports[-1], WorkSucceeded)
    assert [worker.worker for worker in executor.workers()] == ["cpu", "cpu-2"]
    assert [worker.state for worker in executor.workers()] == ["busy", "idle"]


def test_what_a_worker_writes_to_stderr_reaches_the_log(executor: LocalExecutor, log: Lines) -> None:
    run(executor, order("t1", "print hello"))
    collect(executor, lambda _reports: len(log.of("worker_output")) >= 3)
    assert {line["line"] for line in log.of("worker_output")} == {"from python: hello", "from a child: hello", "from C: hello"}


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    """The parent is a process of its own here, so that it can be killed with SIGKILL."""
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from heygem_daemon.executors.local import LocalExecutor\n"
        "from tests.executors.conftest import plan_of, scripted_command\n"
        "from tests.executors.contract import order, wait_free\n"
        "path = Path(sys.argv[1])\n"
        "executor = LocalExecutor(plan_of(1), scripted_command(path), log=lambda *a, **k: None)\n"
        "wait_free(executor)\n"
        "executor.submit(order('t1', f'child {path / \"child\"}'))\n"
        "(path / 'worker').write_text(f'{executor.workers()[0].pid}\\n')\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT)
    try:
        worker, child = int(read_line_soon(tmp_path / "worker")), int(read_line_soon(tmp_path / "child"))
        assert is_alive(worker)
        assert is_alive(child)
    finally:
        parent.kill()
        parent.wait()
    wait_gone(worker)
    wait_gone(child)


def test_every_exit_status_is_described() -> None:
    assert describe_exit(0) == "exit status 0"
    assert "memory" in describe_exit(-9)
    assert describe_exit(-200) == "killed by signal 200"
    assert "does not react" in describe_exit(None)


def test_a_changed_command_replaces_an_idle_worker(make: Make, tmp_path: Path) -> None:
    executor = make()
    wait_free(executor)
    pid, command = pid_of(executor), scripted_command(tmp_path)
    executor.set_plan(plan_of(1), command)
    assert executor.free() == 1
    executor.set_plan(plan_of(1), lambda name, device: (*command(name, device), "--threads", "2"))
    assert executor.free() == 0
    wait_free(executor)
    assert pid_of(executor) != pid


def test_a_worker_that_the_kernel_ended_for_memory_is_not_called_a_mystery(make: Make) -> None:
    killed = itertools.chain([4, 4], itertools.repeat(5))
    executor = make(clock=Clock(), killed=lambda: next(killed))
    wait_free(executor)
    executor.submit(order("t1", "kill SIGKILL"))
    report = failed(collect(executor, outcome_of("t1"))[-1])
    assert (report.kind, report.failure.code) == ("engine", "memory_full")
    assert "SIGKILL" in report.failure.message


def test_memory_that_ran_out_before_the_order_is_not_why_its_worker_died(make: Make) -> None:
    count = [4]
    executor = make(clock=Clock(), killed=lambda: count[0])
    wait_free(executor)
    count[0] = 5
    executor.submit(order("t1", "kill SIGKILL"))
    assert failed(collect(executor, outcome_of("t1"))[-1]).failure.code == "worker_died"


def test_a_worker_that_closed_its_pipe_and_that_we_end_was_not_ended_for_memory(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slot, "_DYING_SECONDS", 0.1)
    count = itertools.count(4)
    executor = make(clock=Clock(), killed=lambda: next(count))
    wait_free(executor)
    executor.submit(order("t1", "mute"))
    report = failed(collect(executor, outcome_of("t1"))[-1])
    assert report.failure.code == "worker_died"
    assert "SIGKILL" in report.failure.message


def test_a_worker_that_somebody_ends_while_it_starts_is_not_put_down_to_the_memory_of_other_days(make: Make) -> None:
    executor = make(clock=Clock(), killed=lambda: 4, environment={"SCRIPTED_START": "kill"})
    collect(executor, lambda _: bool(executor.workers()[0].problem))
    assert "SIGKILL" in executor.workers()[0].problem
    assert "the system ended it" not in executor.workers()[0].problem


def test_a_worker_that_writes_nothing_but_garbage_is_ended_and_its_lines_are_not_all_logged(make: Make, log: Lines) -> None:
    executor = make()
    wait_free(executor)
    pid = pid_of(executor)
    executor.submit(order("t1", "garbage 3000"))
    report = failed(collect(executor, outcome_of("t1"))[-1])
    assert report.failure.code == "worker_died"
    assert "are no reports" in report.failure.message
    assert len([line for line in log.of("worker_output") if line["level"] == "warning"]) <= 10
    wait_gone(pid)
