"""The counting log counts the events of a log and passes every one on."""

import threading
from typing import Any

import pytest

from heygem_daemon.core.error_catalog import CATALOG
from heygem_daemon.core.job import FINAL, State
from heygem_daemon.service.counting_log import HOOK_RESULTS, ITEM_RESULTS, OTHER, CountingLog, Counts
from heygem_daemon.service.events import EVENTS


class Lines:
    """A log that remembers."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def __call__(self, event: str, /, *, level: str = "info", **fields: object) -> None:
        self.lines.append((event, level, fields))


def ignore(_event: str, /, *, level: str = "info", **_fields: object) -> None:
    assert level


def test_every_event_is_passed_on_unchanged() -> None:
    lines = Lines()
    counting_log = CountingLog(lines)
    counting_log("item_failed", level="error", job_id="j1", error_code="no_face")
    counting_log("drop_seen", job="课程")
    assert lines.lines == [("item_failed", "error", {"job_id": "j1", "error_code": "no_face"}), ("drop_seen", "info", {"job": "课程"})]


def test_the_ends_of_attempts_are_counted_by_how_they_ended() -> None:
    counting_log = CountingLog(ignore)
    for event, times in {"item_published": 4, "item_failed": 3, "item_retrying": 2, "item_interrupted": 1, "item_started": 9}.items():
        for _ in range(times):
            counting_log(event)
    assert counting_log.counts().items == {"succeeded": 4, "failed": 3, "retried": 2, "interrupted": 1}


def test_an_attempt_that_is_repeated_and_fails_in_the_end_is_one_failure() -> None:
    counting_log = CountingLog(ignore)
    counting_log("item_retrying", error_code="worker_died")
    counting_log("item_retrying", error_code="worker_died")
    counting_log("item_failed", error_code="worker_died")
    counting_log("job_finished", state=State.FAILED)
    counts = counting_log.counts()
    assert +counts.failures == {"worker_died": 1}
    assert +counts.retries == {"worker_died": 2}


def test_a_refused_drop_is_one_failure_and_any_other_end_of_a_job_none() -> None:
    counting_log = CountingLog(ignore)
    counting_log("job_finished", state=State.REJECTED, error_code="no_videos")
    counting_log("job_finished", state=State.PARTIAL, error_code="no_face")
    counting_log("job_finished", state=State.SUCCEEDED)
    counts = counting_log.counts()
    assert +counts.failures == {"no_videos": 1}
    assert counts.jobs == {"succeeded": 1, "partial": 1, "failed": 0, "rejected": 1, "cancelled": 0}


@pytest.mark.parametrize("code", ["a-word-of-some-library", None, "../../etc"])
def test_an_unknown_code_makes_no_series_of_its_own(code: str | None) -> None:
    counting_log = CountingLog(ignore)
    counting_log("item_failed", error_code=code)
    counting_log("item_retrying", error_code=code)
    counts = counting_log.counts()
    assert (+counts.failures, +counts.retries) == ({OTHER: 1}, {OTHER: 1})
    assert counts.failures.keys() == {*CATALOG, OTHER}


def test_the_length_of_results_and_the_time_they_took_add_up() -> None:
    counting_log = CountingLog(ignore)
    counting_log("item_published", seconds=40.0, video_seconds=10.5, speed=0.26)
    counting_log("item_published", seconds=20, video_seconds=None)
    counting_log("item_published", seconds="long", video_seconds=float("nan"))
    counts = counting_log.counts()
    assert (counts.work_seconds, counts.video_seconds) == (60.0, 10.5)


def test_dead_workers_failed_ticks_and_hooks_are_counted() -> None:
    counting_log = CountingLog(ignore)
    counting_log("worker_died", level="error", worker="cpu")
    counting_log("tick_failed", level="error", exc_info=True)
    counting_log("hook_finished", level="debug", hook="command")
    counting_log("hook_failed", level="warning", hook="webhook")
    counts = counting_log.counts()
    assert (counts.worker_deaths, counts.failed_ticks) == (1, 1)
    assert +counts.hooks == {("command", "succeeded"): 1, ("webhook", "failed"): 1}


def test_what_can_be_foreseen_is_there_from_the_start() -> None:
    counts = Counts()
    assert counts.jobs.keys() == {str(state) for state in FINAL}
    assert counts.items.keys() == {"succeeded", "failed", "retried", "interrupted"}
    assert len(counts.hooks) == 4
    assert not any((+counts.jobs, +counts.items, +counts.hooks, +counts.failures, +counts.retries))


def test_every_event_that_is_counted_exists() -> None:
    assert {*ITEM_RESULTS, *HOOK_RESULTS, "job_finished", "worker_died", "tick_failed"} <= EVENTS.keys()


def test_what_was_read_does_not_change_afterwards() -> None:
    counting_log = CountingLog(ignore)
    before = counting_log.counts()
    counting_log("item_published")
    assert before.items["succeeded"] == 0


def test_no_event_of_several_threads_is_lost() -> None:
    counting_log = CountingLog(ignore)

    def work() -> None:
        for _ in range(5_000):
            counting_log("item_published", seconds=1.0)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = counting_log.counts()
    assert (counts.items["succeeded"], counts.work_seconds) == (20_000, 20_000.0)
