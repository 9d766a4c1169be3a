"""The lines about each job are kept, in bounds, in the words of the journal, and passed on unchanged."""

import json
import threading
from typing import Any

import pytest

from heygem_daemon.service import job_lines
from heygem_daemon.service.job_lines import JobLog
from heygem_daemon.service.log import UnknownEventError


class Next:
    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, event: str, /, *, level: str = "info", **fields: object) -> None:
        if event == "no_such_event":
            raise UnknownEventError(event)
        self.lines.append((event, {"level": level, **fields}))


@pytest.fixture
def following() -> Next:
    return Next()


@pytest.fixture
def log(following: Next) -> JobLog:
    return JobLog(following)


def test_every_line_is_passed_on_and_those_about_a_job_are_kept(log: JobLog, following: Next) -> None:
    log("daemon_stopped")
    log("job_queued", job_id="a", job="lesson", items=2, priority=0)
    log("item_stage", level="debug", job_id="a", job="lesson", item="x", stage="render")
    log("job_waiting", level="warning", job_id="b", job="other", error_code="disk_full", reason=None)
    assert [event for event, _ in following.lines] == ["daemon_stopped", "job_queued", "item_stage", "job_waiting"]
    assert log.pending() == ["a", "b"]
    (line,) = map(json.loads, log.take("a"))
    assert (line["level"], line["event"], line["message"]) == ("info", "job_queued", "lesson: queued, 2 results to make, priority 0")
    assert log.take("a") == []
    (line,) = map(json.loads, log.take("b"))
    assert (line["level"], line["message"]) == ("warning", "other: waits")


def test_names_are_shown_escaped_and_a_sentence_is_one_line(log: JobLog) -> None:
    log("drop_warning", level="warning", job_id="a", job="a\u202eb", reason="x\udce9\ny", error_code="file_ignored")
    (line,) = log.take("a")
    assert json.loads(line)["message"] == "a\\u202eb: x\\xe9 y"
    assert "\n" not in line


def test_an_exception_is_named_without_its_traceback(log: JobLog) -> None:
    try:
        raise ValueError("a\nb")
    except ValueError:
        log("hook_failed", level="warning", job_id="a", job="lesson", hook="command", reason="x", exc_info=True)
    assert json.loads(log.take("a")[0])["message"] == "lesson: hook command failed: x: ValueError: a b"


def test_of_too_many_lines_the_newest_are_kept_and_of_too_many_jobs_too(log: JobLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_lines, "JOBS", 2)
    for number in range(job_lines.LINES_PER_JOB + 5):
        log("job_queued", job_id="a", job=str(number))
    kept = log.take("a")
    assert len(kept) == job_lines.LINES_PER_JOB
    assert json.loads(kept[0])["message"].startswith("5:")
    for job_id in ("a", "b", "c"):
        log("job_queued", job_id=job_id, job="x")
    assert log.pending() == ["b", "c"]


def test_lines_that_could_not_be_written_come_before_later_ones(log: JobLog) -> None:
    log("job_queued", job_id="a", job="first")
    taken = log.take("a")
    log("job_queued", job_id="a", job="second")
    log.put_back("a", taken)
    assert [json.loads(line)["message"] for line in log.take("a")] == ["first: queued", "second: queued"]


def test_an_event_that_does_not_exist_still_raises(log: JobLog) -> None:
    with pytest.raises(UnknownEventError):
        log("no_such_event", job_id="a")
    assert log.pending() == []


def test_lines_may_come_from_any_thread(log: JobLog) -> None:
    def write() -> None:
        for _ in range(50):
            log("job_queued", job_id="a", job="lesson")

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(log.take("a")) == 200
