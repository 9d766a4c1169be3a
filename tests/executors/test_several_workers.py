"""Several workers on one device keep the contract; memory, a changed plan and a recording decide which of them work."""

import os
import signal
from pathlib import Path

import pytest

from heygem_daemon.core.work import WorkerState, WorkSucceeded
from heygem_daemon.executors.local import LocalExecutor
from heygem_daemon.executors.memory_watch import GROWTH_SECONDS
from heygem_daemon.executors.worker_plan import IDLE_BYTES, ITEM_BYTES
from tests.executors.conftest import PLENTY, Clock, Lines, Make, Memory, plan_of, scripted_command
from tests.executors.contract import ExecutorContract, collect, failed, order, outcome_of, run, succeeded, tokens, wait_free
from tests.processes import wait_gone

ONE_MORE = ITEM_BYTES - IDLE_BYTES


@pytest.fixture
def executor(make: Make) -> LocalExecutor:
    return make(2)


@pytest.mark.slow
class TestTwoWorkersOnOneDevice(ExecutorContract):
    """`executor` comes from the module."""


def wait_all_free(executor: LocalExecutor, count: int) -> None:
    collect(executor, lambda _reports: sum(worker.state is WorkerState.IDLE for worker in executor.workers()) == count)


def pids(executor: LocalExecutor) -> list[int]:
    return [worker.pid for worker in executor.workers() if worker.pid is not None]


def test_the_death_of_one_worker_leaves_the_order_of_the_other_alone(executor: LocalExecutor) -> None:
    wait_all_free(executor, 2)
    executor.submit(order("t1", "hang"))
    executor.submit(order("t2", "sleep 0.5"))
    os.kill(pids(executor)[0], signal.SIGKILL)
    reports = collect(executor, lambda reports: outcome_of("t1")(reports) and outcome_of("t2")(reports))
    outcomes = [report for report in reports if outcome_of("t1")([report]) or outcome_of("t2")([report])]
    assert {type(report).__name__ for report in outcomes} == {"WorkFailed", "WorkSucceeded"}
    assert failed(next(report for report in outcomes if outcome_of("t1")([report]))).failure.code == "worker_died"


def test_cancelling_one_order_leaves_the_other_alone(executor: LocalExecutor) -> None:
    wait_all_free(executor, 2)
    executor.submit(order("t1", "hang"))
    executor.submit(order("t2", "sleep 0.3"))
    executor.cancel("t1")
    assert tokens(collect(executor, outcome_of("t2"))) == {"t2"}


def test_an_order_goes_to_the_worker_that_knows_its_recording(executor: LocalExecutor, tmp_path: Path) -> None:
    wait_all_free(executor, 2)
    other = (tmp_path / "other.wav").as_posix()
    Path(other).touch()
    executor.submit(order("t1", "sleep 0.2"))
    executor.submit(order("t2", recording=other))
    reports = collect(executor, lambda reports: outcome_of("t1")(reports) and outcome_of("t2")(reports))
    pid = {report.token: report.result["pid"] for report in reports if isinstance(report, WorkSucceeded)}
    assert pid["t1"] != pid["t2"]
    for number in range(3):
        assert succeeded(run(executor, order(f"a{number}", recording=other))[-1]).result["pid"] == pid["t2"]
        assert succeeded(run(executor, order(f"b{number}"))[-1]).result["pid"] == pid["t1"]


def test_while_memory_is_short_nothing_starts_beside_the_order_in_progress(make: Make, log: Lines) -> None:
    memory, clock = Memory(), Clock()
    executor = make(2, memory=memory, clock=clock)
    wait_all_free(executor, 2)
    executor.submit(order("t1", "hang"))
    clock.now += GROWTH_SECONDS
    memory.available = ONE_MORE - 1
    assert executor.free() == 0
    assert "memory" in executor.capacity().reason
    assert executor.free() == 0
    assert len(log.of("memory_low")) == 1
    memory.available = ONE_MORE
    assert executor.free() == 1
    assert executor.capacity().reason == "the test wants so"


def test_an_order_that_has_not_grown_to_its_size_yet_keeps_its_memory(make: Make) -> None:
    memory, clock = Memory(), Clock()
    executor = make(2, memory=memory, clock=clock)
    wait_all_free(executor, 2)
    executor.submit(order("t1", "hang"))
    memory.available = 2 * ONE_MORE - 1
    assert executor.free() == 0
    clock.now += GROWTH_SECONDS
    assert executor.free() == 1


def test_one_order_starts_however_little_memory_there_is(make: Make) -> None:
    memory = Memory()
    executor = make(2, memory=memory)
    wait_all_free(executor, 2)
    memory.available = 0
    for number in range(3):
        assert isinstance(run(executor, order(f"t{number}"))[-1], WorkSucceeded)


def test_one_worker_starts_however_little_memory_there_is_and_the_others_when_there_is_more(make: Make) -> None:
    memory = Memory()
    memory.available = ITEM_BYTES - 1
    executor = make(2, memory=memory)
    wait_free(executor)
    assert len(pids(executor)) == 1
    waiting = executor.workers()[1]
    assert waiting.state is WorkerState.BACKOFF
    assert "waits for memory" in waiting.problem
    memory.available = PLENTY
    wait_all_free(executor, 2)
    assert [worker.problem for worker in executor.workers()] == ["", ""]


def test_a_larger_plan_starts_workers_beside_the_one_that_works(make: Make, tmp_path: Path, log: Lines) -> None:
    executor = make()
    wait_free(executor)
    executor.submit(order("t1", "hang"))
    (busy,) = pids(executor)
    executor.set_plan(plan_of(2), scripted_command(tmp_path))
    assert isinstance(run(executor, order("t2"))[-1], WorkSucceeded)
    assert busy in pids(executor)
    assert executor.capacity().items_at_once == 2
    assert [line["items"] for line in log.of("workers_planned")] == [1, 2]


def test_a_smaller_plan_ends_a_worker_when_its_order_is_done(make: Make, tmp_path: Path) -> None:
    executor = make(2)
    wait_all_free(executor, 2)
    executor.submit(order("t1", "hang"))
    executor.submit(order("t2", "sleep 0.3"))
    first, second = pids(executor)
    executor.set_plan(plan_of(1), scripted_command(tmp_path))
    assert isinstance(collect(executor, outcome_of("t2"))[-1], WorkSucceeded)
    list(executor.poll())
    assert pids(executor) == [first]
    wait_gone(second)


def test_a_worker_that_was_to_end_goes_on_when_the_plan_wants_it_again(make: Make, tmp_path: Path) -> None:
    executor = make(2)
    wait_all_free(executor, 2)
    executor.submit(order("t1", "hang"))
    executor.submit(order("t2", "sleep 0.3"))
    before = pids(executor)
    for count in (1, 2):
        executor.set_plan(plan_of(count), scripted_command(tmp_path))
    collect(executor, outcome_of("t2"))
    wait_free(executor)
    assert pids(executor) == before


def test_a_worker_that_is_to_end_and_dies_is_not_started_again(make: Make, tmp_path: Path) -> None:
    executor = make(2)
    wait_all_free(executor, 2)
    executor.submit(order("t1", "hang"))
    executor.submit(order("t2", "hang"))
    first, second = pids(executor)
    executor.set_plan(plan_of(1), scripted_command(tmp_path))
    os.kill(second, signal.SIGKILL)
    assert failed(collect(executor, outcome_of("t2"))[-1]).failure.code == "worker_died"
    assert pids(executor) == [first]
