"""Outputs that takes longer for every call than the daemon waits, but not so long that it is offline: nothing fails or is put off of it."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from time import sleep
from typing import Any, TypeVar

import pytest

from heygem_daemon.core.job import State
from heygem_daemon.core.status import Heartbeat
from heygem_daemon.publishing.outputs_thread import OutputsThread
from tests.daemon.harness import TIMEOUT_SECONDS, DaemonHarness

T = TypeVar("T")

TYPICAL_SECONDS = 0.005


class SlowOutputs(OutputsThread):
    """Outputs each of whose calls takes twice as long as the daemon waits for one."""

    def later(self, work: Callable[..., T], *arguments: Any) -> "Future[T]":
        return super().later(partial(_slowly, work, *arguments))


def _slowly(work: Callable[..., T], *arguments: Any) -> T:
    sleep(2 * TYPICAL_SECONDS)
    return work(*arguments)


class SlowHarness(DaemonHarness):
    def make_outputs_thread(self) -> OutputsThread:
        return SlowOutputs(self.outputs, TIMEOUT_SECONDS, typical=TYPICAL_SECONDS)


@pytest.fixture(params=[False, True], ids=["as a service", "until idle"])
def slow(request: pytest.FixtureRequest, tmp_path: Path, film: Path, speech: Path) -> Iterator[SlowHarness]:
    made = SlowHarness(folder=tmp_path, film=film, speech=speech, until_idle=request.param)
    yield made
    made.close()


def assert_nothing_failed(slow: SlowHarness) -> None:
    for event in ("item_retrying", "item_failed", "item_late", "item_interrupted", "queue_blocked", "job_bundle_failed", "tick_failed"):
        assert slow.events_named(event) == []
    assert [event for event in slow.events_named("status_unwritable") if "job_id" not in event] == []
    assert Heartbeat.read((slow.folder / "state/heartbeat.json").read_bytes()).unwritable == ""
    assert [status.state for status in slow.observers.ended] == [State.SUCCEEDED]


def test_a_job_is_done_at_the_first_attempt_with_its_zip(slow: SlowHarness) -> None:
    slow.drop("lesson", "zip = true\n", videos=("a.mp4", "b.mp4"))
    slow.until(lambda: slow.observers.ended and slow.daemon.is_idle)
    assert_nothing_failed(slow)
    assert [(item.state, item.attempt, item.backoff_count) for item in slow.job("lesson").items] == [(State.SUCCEEDED, 1, 0)] * 2
    assert len(slow.session.orders) == 2
    assert {"a.mp4", "b.mp4", "lesson.zip"} <= {path.name for path in (slow.outputs / "lesson").iterdir()}
    assert slow.observers.ended[0].links["zip"] == "lesson.zip"
    assert slow.daemon.has_succeeded


def test_a_retry_makes_what_somebody_deleted(slow: SlowHarness) -> None:
    slow.drop("lesson")
    slow.until(lambda: slow.observers.ended and slow.daemon.is_idle)
    (slow.outputs / "lesson/a.mp4").unlink()
    slow.ledger.request("retry", "lesson")
    slow.until(lambda: len(slow.events_named("job_finished")) == 2)
    assert slow.events_named("request_unknown") == []
    assert (slow.outputs / "lesson/a.mp4").is_file()


def test_after_a_crash_an_item_that_may_be_published_costs_no_attempt(slow: SlowHarness) -> None:
    (slow.inbox / "PAUSE").touch()
    slow.drop("lesson")
    slow.until(lambda: slow.daemon.store.jobs)
    job = slow.job("lesson")
    slow.ledger.put(job.with_item(job.items[0].transition(State.RUNNING, token="t1", attempt=1)).rollup(slow.now.wall))
    slow.crash()
    (slow.inbox / "PAUSE").unlink()
    slow.until(lambda: slow.observers.ended)
    (item,) = slow.job("lesson").items
    assert (item.state, item.attempt) == (State.SUCCEEDED, 1)
