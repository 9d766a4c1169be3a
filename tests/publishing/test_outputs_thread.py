"""A share that hangs holds a thread, never the daemon; what it did late is neither lost nor done twice."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import pytest

from heygem_daemon.core.errors import TransientError
from heygem_daemon.core.job import Item, Job
from heygem_daemon.core.publication import Published, StagingPaths
from heygem_daemon.core.status import Heartbeat, JobStatus, moment
from heygem_daemon.core.status_builder import candidate_status
from heygem_daemon.core.storage import Room
from heygem_daemon.publishing.outputs_thread import OutputsThread
from heygem_daemon.publishing.publish import FolderPublisher
from heygem_daemon.publishing.status_files import StatusFiles
from heygem_daemon.publishing.timed_outputs import TimedPublisher, TimedStatusWriter
from tests.publishing.test_publish import WorkerResult, work

T = TypeVar("T")

SECONDS = 0.2
LONG = 60.0
"""s in which no test sees outputs become offline."""


class FrozenStatusFiles(StatusFiles):
    """Status files on a share that hangs while `answers` is cleared."""

    def __init__(self, outputs: Path) -> None:
        super().__init__(outputs)
        self.answers = threading.Event()
        self.answers.set()

    def reserve_name(self, name: str, inbox: str = "") -> str:
        self.answers.wait()
        return super().reserve_name(name, inbox)

    def remove(self, output: str) -> None:
        self.answers.wait()
        super().remove(output)

    def write_job(self, status: JobStatus) -> None:
        self.answers.wait()
        super().write_job(status)

    def write_heartbeat(self, beat: Heartbeat) -> None:
        self.answers.wait()
        super().write_heartbeat(beat)


class FrozenPublisher(FolderPublisher):
    """A publisher whose rename hangs while `goes_on` is cleared."""

    def __init__(self, outputs: Path) -> None:
        super().__init__(outputs)
        self.goes_on = threading.Event()
        self.goes_on.set()

    def stage(self, job: Job, item: Item, token: str) -> StagingPaths:
        self.goes_on.wait()
        return super().stage(job, item, token)

    def poll(self) -> Iterable[Published]:
        self.goes_on.wait()
        return super().poll()


@pytest.fixture
def frozen(outputs: Path) -> Iterator[FrozenStatusFiles]:
    files = FrozenStatusFiles(outputs)
    yield files
    files.answers.set()


@pytest.fixture
def thread(outputs: Path) -> OutputsThread:
    return OutputsThread(outputs, SECONDS, typical=SECONDS / 2)


@pytest.fixture
def writer(frozen: FrozenStatusFiles, thread: OutputsThread, tmp_path: Path) -> TimedStatusWriter:
    return TimedStatusWriter(frozen, thread, tmp_path)


def status(reason: str = "copying") -> JobStatus:
    return candidate_status("lesson", "job-1", "lesson", since=0, dropped_at=0, reason=reason)


def answered(call: Callable[[], T]) -> T:
    """Return what a call returns as soon as outputs answers again."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return call()
        except TransientError:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_the_first_call_that_hangs_costs_a_moment_and_the_next_ones_nothing(
    writer: TimedStatusWriter, frozen: FrozenStatusFiles, thread: OutputsThread
) -> None:
    writer.write_job(status())
    frozen.answers.clear()
    began = time.monotonic()
    with pytest.raises(TransientError, match="has not answered yet"):
        writer.write_job(status("late"))
    wait_until(lambda: thread.hangs)
    for _ in range(100):
        with pytest.raises(TransientError, match="does not answer"):
            writer.write_job(status("refused"))
        assert not writer.append_log("lesson", ["a line"])
        assert writer.has_status("lesson")
    assert time.monotonic() - began < SECONDS * 50, "each call would cost it otherwise"


def test_outputs_is_used_again_as_soon_as_it_answers_and_the_newest_status_is_the_last(
    writer: TimedStatusWriter, frozen: FrozenStatusFiles, outputs: Path
) -> None:
    frozen.answers.clear()
    with pytest.raises(TransientError):
        writer.write_job(status("old"))
    frozen.answers.set()
    answered(lambda: writer.write_job(status("new")))
    assert JobStatus.read((outputs / "lesson/status.json").read_bytes()).reason == "new"


def test_a_name_that_is_reserved_too_late_is_that_of_the_next_call(writer: TimedStatusWriter, frozen: FrozenStatusFiles) -> None:
    frozen.answers.clear()
    with pytest.raises(TransientError):
        writer.reserve_name("lesson", "/in")
    frozen.answers.set()
    assert answered(lambda: writer.reserve_name("lesson", "/in")) == "lesson"
    assert writer.reserve_name("lesson", "/other") == "lesson-2"


def test_the_state_folder_gets_the_heartbeat_while_outputs_hangs(
    writer: TimedStatusWriter, frozen: FrozenStatusFiles, tmp_path: Path
) -> None:
    frozen.answers.clear()
    for pid in (1, 2):
        writer.write_heartbeat(Heartbeat(pid=pid, outputs="/out", state="running", heartbeat=moment(5)))
        assert Heartbeat.read((tmp_path / "heartbeat.json").read_bytes()).pid == pid


def test_a_result_whose_rename_hangs_is_published_once_later(outputs: Path, job: Job, rendered: Path, worker_result: WorkerResult) -> None:
    inner = FrozenPublisher(outputs)
    publisher = TimedPublisher(inner, OutputsThread(outputs, SECONDS))
    work(publisher, job, "t1", rendered)
    result: Mapping[str, Any] = worker_result
    assert publisher.room() is not None
    inner.goes_on.clear()
    publisher.publish(job, job.items[0], "t1", result)
    began = time.monotonic()
    while (waited := time.monotonic() - began) < 1.0:
        assert list(publisher.poll()) == []
        assert publisher.room() is None or waited < SECONDS * 2
    with pytest.raises(TransientError, match="does not answer"):
        publisher.stage(job, job.items[1], "t2")
    with pytest.raises(TransientError, match="does not answer"):
        publisher.published_result(job, job.items[0])
    inner.goes_on.set()
    found: list[Published] = []
    while time.monotonic() - began < 60 and not found:
        found += publisher.poll()
        time.sleep(0.01)
    assert found == [Published(token="t1", problem=None)]
    assert list(publisher.poll()) == []
    assert (outputs / "lesson-01/a.mp4").is_file()
    publisher.close()


def test_a_thread_of_outputs_does_not_keep_the_process_from_ending(outputs: Path) -> None:
    thread = OutputsThread(outputs, 0.05)
    with pytest.raises(TransientError):
        thread.call(threading.Event().wait)
    assert all(each.daemon for each in threading.enumerate() if each.name == f"outputs {outputs}")


# -- two limits of time: slow, and offline ----------------------------------------------------------------------------


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What the calls of a test wait for; open at its end."""
    made = threading.Event()
    yield made
    made.set()


def begun(thread: OutputsThread, gate: threading.Event, answer: str = "late") -> "Future[str]":
    """Let a call take until the gate opens."""
    is_running = threading.Event()

    def call() -> str:
        is_running.set()
        gate.wait(LONG)
        return answer

    future = thread.later(call)
    assert is_running.wait(LONG)
    return future


def test_a_call_that_takes_long_is_waited_for_a_moment_and_outputs_is_slow_but_not_offline(outputs: Path, gate: threading.Event) -> None:
    thread = OutputsThread(outputs, LONG, typical=0.2)
    assert (thread.is_slow, thread.hangs, thread.answers) == (False, False, True)
    with pytest.raises(TransientError, match="has not answered yet") as raised:
        thread.call(gate.wait, LONG)
    assert raised.value.code == "outputs_offline"
    wait_until(lambda: thread.is_slow)  # the call began a moment after it was asked for
    assert (thread.is_slow, thread.hangs, thread.answers) == (True, False, False)
    with pytest.raises(TransientError, match="has not answered yet"):
        thread.begin(int)
    gate.set()
    wait_until(lambda: thread.answers)
    assert answered(lambda: thread.call(int)) == 0


def test_a_call_that_takes_longer_than_outputs_may_take_makes_it_offline(outputs: Path, gate: threading.Event) -> None:
    thread = OutputsThread(outputs, 0.05, typical=0.01)
    begun(thread, gate)
    wait_until(lambda: thread.hangs)
    assert thread.answers, "what fails now is no matter of slowness"
    with pytest.raises(TransientError, match="does not answer"):
        thread.call(int)
    thread.seconds = LONG
    assert not thread.hangs, "another limit counts at once"


def test_a_late_answer_is_that_of_the_next_call_with_this_key(outputs: Path, gate: threading.Event) -> None:
    thread, asked = OutputsThread(outputs, LONG, typical=0.02), list[str]()

    def look(name: str) -> str:
        asked.append(name)
        gate.wait(LONG)
        return name

    for _ in range(3):
        with pytest.raises(TransientError):
            thread.ask("key", look, "first")
    gate.set()
    assert answered(lambda: thread.ask("key", look, "second")) == "first"
    assert answered(lambda: thread.ask("key", look, "third")) == "third"
    assert asked == ["first", "third"]


def test_a_late_answer_that_is_forgotten_or_old_is_nobodys(outputs: Path, gate: threading.Event) -> None:
    thread = OutputsThread(outputs, LONG, typical=0.02)
    with pytest.raises(TransientError):
        thread.ask("forgotten", lambda: gate.wait(LONG))
    thread.forget("forgotten")
    with pytest.raises(TransientError):
        thread.ask("old", str, keep=0.0)
    gate.set()
    assert answered(lambda: thread.ask("forgotten", lambda: "new")) == "new"


def test_waiting_for_a_call_again_and_again_leaves_nothing_behind(outputs: Path, gate: threading.Event) -> None:
    thread = OutputsThread(outputs, LONG, typical=0.005)
    future = begun(thread, gate)
    for _ in range(5):
        assert not thread.wait(future)
    left = vars(future)
    assert (left["_done_callbacks"], left["_waiters"]) == ([], [])


class SlowPublisher(FolderPublisher):
    """A publisher that answers after the gate opened, and counts what it is asked."""

    def __init__(self, outputs: Path, gate: threading.Event) -> None:
        super().__init__(outputs)
        self.gate, self.calls = gate, list[str]()

    def _asked(self, what: str) -> None:
        self.calls.append(what)
        self.gate.wait(LONG)

    def build_zip(self, job: Job) -> bool:
        self._asked("build_zip")
        return True

    def published_result(self, job: Job, item: Item) -> Mapping[str, Any] | None:
        self._asked("published_result")
        return super().published_result(job, item)

    def published_results(self, job: Job) -> Mapping[str, Mapping[str, Any]]:
        self._asked("published_results")
        return super().published_results(job)

    def missing_results(self, job: Job) -> frozenset[str]:
        self._asked("missing_results")
        return super().missing_results(job)

    def zip_name(self, job: Job) -> str | None:
        self._asked("zip_name")
        return super().zip_name(job)

    def room(self) -> Room | None:
        self._asked("room")
        return super().room()

    def publish(self, job: Job, item: Item, token: str, result: Mapping[str, Any]) -> None:
        self._asked("publish")
        super().publish(job, item, token, result)


def test_a_zip_that_is_ready_late_is_not_made_twice(outputs: Path, job: Job, gate: threading.Event) -> None:
    inner = SlowPublisher(outputs, gate)
    publisher = TimedPublisher(inner, OutputsThread(outputs, LONG, typical=0.02))
    assert [publisher.build_zip(job) for _ in range(3)] == [False, False, False]
    gate.set()
    wait_until(lambda: publisher.build_zip(job))
    assert inner.calls == ["build_zip"]


@pytest.mark.parametrize("question", ["published_result", "published_results", "missing_results", "zip_name"])
def test_what_outputs_does_not_answer_in_time_is_not_taken_for_nothing(
    outputs: Path, job: Job, gate: threading.Event, question: str
) -> None:
    inner = SlowPublisher(outputs, gate)
    publisher = TimedPublisher(inner, OutputsThread(outputs, LONG, typical=0.02))
    arguments = (job, job.items[0]) if question == "published_result" else (job,)
    for _ in range(2):
        with pytest.raises(TransientError, match="has not answered yet"):
            getattr(publisher, question)(*arguments)
        assert not publisher.answers()
    gate.set()
    answer = answered(lambda: getattr(publisher, question)(*arguments))
    assert answer == getattr(FolderPublisher(outputs), question)(*arguments)
    assert inner.calls == [question], "the late answer is one"


def test_the_room_is_the_last_one_known_while_outputs_is_slow_and_unknown_while_it_is_offline(outputs: Path, gate: threading.Event) -> None:
    inner, thread = SlowPublisher(outputs, gate), OutputsThread(outputs, LONG, typical=0.02)
    publisher = TimedPublisher(inner, thread)
    gate.set()
    known = answered(publisher.room)
    assert known is not None
    gate.clear()
    assert [publisher.room(), publisher.room()] == [known, known]
    thread.seconds = 0.0
    assert publisher.room() is None


def test_a_removed_status_is_waited_for(frozen: FrozenStatusFiles, outputs: Path, tmp_path: Path) -> None:
    patient = TimedStatusWriter(frozen, OutputsThread(outputs, LONG, typical=LONG), tmp_path)
    patient.write_job(status())
    frozen.answers.clear()
    threading.Timer(0.05, frozen.answers.set).start()
    patient.remove("lesson")
    assert not (outputs / "lesson").exists()


@pytest.mark.parametrize("hanging", ["publish", "poll"])
def test_what_is_discarded_while_outputs_hangs_does_not_appear_later(
    outputs: Path, job: Job, rendered: Path, worker_result: WorkerResult, gate: threading.Event, hanging: str
) -> None:
    thread, inner = OutputsThread(outputs, LONG, typical=0.02), SlowPublisher(outputs, gate)
    publisher = TimedPublisher(inner, thread)
    work(inner, job, "t1", rendered)
    if hanging == "publish":
        publisher.publish(job, job.items[0], "t1", worker_result)
        wait_until(lambda: inner.calls)
    else:
        gate.set()
        publisher.publish(job, job.items[0], "t1", worker_result)
        wait_until(lambda: inner._pending and inner._pending["t1"].verification.done())
        gate.clear()
        begun(thread, gate)
    assert list(publisher.poll()) == [], "this poll has its turn before the discard"
    publisher.discard("t1")
    gate.set()
    thread.later(int).result(LONG)
    assert list(publisher.poll()) == []
    assert not (outputs / "lesson-01").exists()
    assert os.listdir(outputs / ".heygem/staging") == []
    publisher.close()
