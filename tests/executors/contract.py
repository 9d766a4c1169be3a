"""The contract of the Executor port. The suite of an adapter inherits it and provides the fixture `executor`.

The adapter is built with the session `tests.executors.sessions.ScriptedSession`.
"""

import select
import time
from collections.abc import Callable, Sequence
from typing import Final

import pytest

from heygem_daemon.core.ports import Executor
from heygem_daemon.core.render_options import RenderOptions
from heygem_daemon.core.work import WorkerMessage, WorkerReady, WorkerState, WorkFailed, WorkOrder, WorkProgress, WorkSucceeded

DEADLINE_SECONDS: Final = 60.0
"""How long a test waits before it fails; none passes by waiting this long."""


def order(token: str, text: str | None = None, *, limit_seconds: float = 0.0, recording: str = __file__) -> WorkOrder:
    """Return an order; its recording and its video are there."""
    return WorkOrder(
        token=token,
        job_id="job",
        item="item",
        recording=recording,
        video=__file__,
        output="/out/result.mp4",
        thumbnail="/out/result.jpg",
        explain="/out/result.png",
        script=None,
        options=RenderOptions(engine="rewrite", text=text),
        limit_seconds=limit_seconds,
    )


def collect(executor: Executor, until: Callable[[list[WorkerMessage]], bool], seconds: float = DEADLINE_SECONDS) -> list[WorkerMessage]:
    """Poll as the daemon does, woken by the descriptors or every 10 ms, until `until` holds for all reports so far."""
    reports: list[WorkerMessage] = []
    deadline = time.monotonic() + seconds
    while not until(reports):
        assert time.monotonic() < deadline, f"no further report; so far: {reports}"
        select.select(list(executor.wakeups()), [], [], 0.01)
        reports += executor.poll()
    return reports


def outcome_of(token: str) -> Callable[[list[WorkerMessage]], bool]:
    return lambda reports: any(isinstance(r, WorkSucceeded | WorkFailed) and r.token == token for r in reports)


def wait_free(executor: Executor, seconds: float = DEADLINE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not executor.free():
        assert time.monotonic() < deadline, f"no worker became free: {executor.workers()}"
        select.select(list(executor.wakeups()), [], [], 0.01)
        list(executor.poll())


def run(executor: Executor, work: WorkOrder, seconds: float = DEADLINE_SECONDS) -> list[WorkerMessage]:
    wait_free(executor)
    executor.submit(work)
    return [r for r in collect(executor, outcome_of(work.token), seconds) if not isinstance(r, WorkerReady)]


def succeeded(report: WorkerMessage) -> WorkSucceeded:
    assert isinstance(report, WorkSucceeded), report
    return report


def failed(report: WorkerMessage) -> WorkFailed:
    assert isinstance(report, WorkFailed), report
    return report


def tokens(reports: Sequence[WorkerMessage]) -> set[str]:
    return {report.token for report in reports if not isinstance(report, WorkerReady)}


class ExecutorContract:
    """The tests of every adapter; a subclass needs a fixture `executor`."""

    def test_an_order_reports_progress_and_then_its_result_once(self, executor: Executor) -> None:
        reports = run(executor, order("t1"))
        assert [type(r) for r in reports] == [WorkProgress, WorkProgress, WorkSucceeded]
        assert tokens(reports) == {"t1"}
        assert succeeded(reports[-1]).result["orders"] == 1
        assert list(executor.poll()) == []

    def test_the_session_lives_from_one_order_to_the_next(self, executor: Executor) -> None:
        run(executor, order("t1"))
        assert succeeded(run(executor, order("t2"))[-1]).result["orders"] == 2

    def test_a_worker_reports_that_it_is_ready_before_anything_else(self, executor: Executor) -> None:
        if executor.free():
            executor.submit(order("t1"))
            reports = collect(executor, outcome_of("t1"))
        else:
            reports = collect(executor, bool)
        assert isinstance(reports[0], WorkerReady)
        assert (reports[0].device, reports[0].models) == ("scripted", {"model": "abc"})

    @pytest.mark.parametrize(
        ("text", "kind", "code"),
        [
            ("fail no_face", "input", "no_face"),
            ("fail models_missing", "setup", "models_missing"),
            ("fail io_error", "transient", "io_error"),
            ("fail encode_failed", "engine", "encode_failed"),
            ("fail device_memory", "device", "device_memory"),
            ("full", "transient", "disk_full"),
            ("break it", "engine", "internal"),
        ],
    )
    def test_a_failed_order_reports_its_kind_and_its_code(self, executor: Executor, text: str, kind: str, code: str) -> None:
        report = run(executor, order("t1", text))[-1]
        assert isinstance(report, WorkFailed)
        assert (report.kind, report.failure.code) == (kind, code)
        assert report.failure.message
        assert report.failure.retryable == (kind != "input")

    def test_after_a_failure_the_next_order_succeeds(self, executor: Executor) -> None:
        run(executor, order("t1", "break it"))
        assert isinstance(run(executor, order("t2"))[-1], WorkSucceeded)

    def test_a_cancelled_order_reports_nothing_any_more(self, executor: Executor) -> None:
        wait_free(executor)
        executor.submit(order("t1", "sleep 0.3"))
        executor.cancel("t1")
        reports = run(executor, order("t2"))
        assert tokens(reports) == {"t2"}

    def test_cancelling_an_unknown_order_does_nothing(self, executor: Executor) -> None:
        executor.cancel("nobody's")
        assert isinstance(run(executor, order("t1"))[-1], WorkSucceeded)

    def test_an_order_is_refused_when_nothing_is_free(self, executor: Executor) -> None:
        wait_free(executor)
        while executor.free():
            executor.submit(order("t1"))
        with pytest.raises(RuntimeError, match="free"):
            executor.submit(order("t2"))

    def test_the_wakeups_become_readable_when_there_is_something_to_poll(self, executor: Executor) -> None:
        wait_free(executor)
        executor.submit(order("t1"))
        readable, _, _ = select.select(list(executor.wakeups()), [], [], DEADLINE_SECONDS)
        assert readable

    def test_output_of_libraries_on_stdout_does_not_disturb_the_reports(self, executor: Executor) -> None:
        assert isinstance(run(executor, order("t1", "print noise"))[-1], WorkSucceeded)

    def test_an_order_of_a_megabyte_arrives_whole(self, executor: Executor) -> None:
        text = "succeed " + "ä" * 1_000_000
        assert succeeded(run(executor, order("t1", text))[-1]).result["characters"] == len(text)

    def test_the_workers_are_described_for_the_status(self, executor: Executor) -> None:
        run(executor, order("t1"))
        worker = executor.workers()[0]
        assert worker.state is WorkerState.IDLE
        assert worker.device == "scripted"
        assert worker.token is None

    def test_after_stop_nothing_is_free_and_nothing_is_reported(self, executor: Executor) -> None:
        run(executor, order("t1"))
        executor.stop(5.0)
        assert executor.free() == 0
        assert list(executor.poll()) == []
        assert list(executor.wakeups()) == []
        executor.stop(5.0)
