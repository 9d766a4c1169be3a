"""What every Executor keeps to, whatever it runs orders on. A suite for an adapter inherits this and says how to make one.

The adapter is built with the session `tests.executors.sessions.Scripted`.
"""

import select
import time
from collections.abc import Callable

import pytest

from heygem_daemon.core.work import WorkerMessage, WorkerReady, WorkFailed, WorkOrder, WorkProgress, WorkSucceeded


def order(token: str, text: str | None = None, *, limit_seconds: float = 0.0) -> WorkOrder:
    return WorkOrder(
        token=token,
        job_id="job",
        item="item",
        recording=__file__,  # something that is there
        video=__file__,
        output="/out/result.mp4",
        thumbnail="/out/result.jpg",
        engine="rewrite",
        text=text,
        limit_seconds=limit_seconds,
    )


def collect(executor, until: Callable[[list[WorkerMessage]], bool], seconds: float = 20.0) -> list[WorkerMessage]:
    """Poll as the daemon does, woken by the descriptors or every 50 ms, until `until` holds for all that was reported."""
    reports: list[WorkerMessage] = []
    deadline = time.monotonic() + seconds
    while not until(reports):
        assert time.monotonic() < deadline, f"nothing more came; so far: {reports}"
        select.select(list(executor.wakeups()), [], [], 0.05)
        reports += executor.poll()
    return reports


def outcome_of(token: str) -> Callable[[list[WorkerMessage]], bool]:
    return lambda reports: any(isinstance(r, WorkSucceeded | WorkFailed) and r.token == token for r in reports)


def wait_free(executor, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not executor.free():
        assert time.monotonic() < deadline, f"no worker became free: {executor.devices()}"
        select.select(list(executor.wakeups()), [], [], 0.05)
        list(executor.poll())


def run(executor, work: WorkOrder, seconds: float = 20.0) -> list[WorkerMessage]:
    wait_free(executor)
    executor.submit(work)
    return [r for r in collect(executor, outcome_of(work.token), seconds) if not isinstance(r, WorkerReady)]


class ExecutorContract:
    """Needs a fixture `executor`."""

    def test_an_order_reports_progress_and_then_its_result_once(self, executor):
        reports = run(executor, order("t1"))
        assert [type(r) for r in reports] == [WorkProgress, WorkProgress, WorkSucceeded]
        assert {r.token for r in reports} == {"t1"}
        assert reports[-1].result["orders"] == 1
        assert list(executor.poll()) == []

    def test_the_session_lives_from_one_order_to_the_next(self, executor):
        run(executor, order("t1"))
        assert run(executor, order("t2"))[-1].result["orders"] == 2

    def test_a_worker_says_that_it_is_ready_before_its_first_report(self, executor):
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
    def test_a_failed_order_says_the_kind_and_the_code(self, executor, text, kind, code):
        report = run(executor, order("t1", text))[-1]
        assert isinstance(report, WorkFailed)
        assert (report.kind, report.failure.code) == (kind, code)
        assert report.failure.message
        assert report.failure.retryable == (kind != "input")

    def test_after_a_failure_the_next_order_succeeds(self, executor):
        run(executor, order("t1", "break it"))
        assert isinstance(run(executor, order("t2"))[-1], WorkSucceeded)

    def test_a_cancelled_order_reports_nothing_any_more(self, executor):
        wait_free(executor)
        executor.submit(order("t1", "sleep 0.3"))
        executor.cancel("t1")
        reports = run(executor, order("t2"))
        assert {r.token for r in reports} == {"t2"}

    def test_cancelling_an_unknown_order_does_nothing(self, executor):
        executor.cancel("nobody's")
        assert isinstance(run(executor, order("t1"))[-1], WorkSucceeded)

    def test_an_order_is_refused_when_nothing_is_free(self, executor):
        wait_free(executor)
        while executor.free():
            executor.submit(order("t1"))
        with pytest.raises(RuntimeError, match="free"):
            executor.submit(order("t2"))

    def test_the_wakeups_become_readable_when_there_is_something_to_poll(self, executor):
        wait_free(executor)
        executor.submit(order("t1"))
        readable, _, _ = select.select(list(executor.wakeups()), [], [], 10)
        assert readable

    def test_output_of_libraries_on_stdout_does_not_disturb_the_reports(self, executor):
        assert isinstance(run(executor, order("t1", "print noise"))[-1], WorkSucceeded)

    def test_an_order_of_a_megabyte_arrives_whole(self, executor):
        text = "succeed " + "ä" * 1_000_000
        assert run(executor, order("t1", text))[-1].result["characters"] == len(text)

    def test_the_workers_are_described_for_the_status(self, executor):
        run(executor, order("t1"))
        (worker,) = executor.devices()
        assert worker["state"] == "idle"
        assert worker["device"] == "scripted"
        assert worker["token"] is None

    def test_after_stop_nothing_is_free_and_nothing_is_reported(self, executor):
        run(executor, order("t1"))
        executor.stop(5.0)
        assert executor.free() == 0
        assert list(executor.poll()) == []
        assert list(executor.wakeups()) == []
        executor.stop(5.0)
