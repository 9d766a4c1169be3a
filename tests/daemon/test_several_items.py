"""Several items at once, on workers of one device: order, fairness, publishing, retries, breaker, cancel and pause hold as for one."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from heygem_daemon.core.error_catalog import ErrorKind
from heygem_daemon.core.errors import error
from heygem_daemon.core.job import Failure
from heygem_daemon.core.ports import Executor
from heygem_daemon.core.work import Capacity, WorkerMessage, WorkerReady, WorkerState, WorkerView, WorkFailed, WorkOrder
from heygem_daemon.worker.loop import Session, work_on
from tests.daemon.harness import SETTLE, DaemonHarness


class ManualExecutor:
    """An Executor of several workers whose orders end when the test wants so. has_room: whether another order fits into memory."""

    def __init__(self, workers: int, session: Session) -> None:
        self._workers, self._session = workers, session
        self._reports: list[WorkerMessage] = [WorkerReady(worker=f"cpu-{number}", device="cpu") for number in range(workers)]
        self.orders: dict[str, WorkOrder] = {}
        self.has_room = True

    def start(self) -> None: ...

    def free(self) -> int:
        return self._workers - len(self.orders) if self.has_room or not self.orders else 0

    def capacity(self) -> Capacity:
        return Capacity(items_at_once=self._workers, reason="the test wants so" if self.has_room else "memory is short")

    def submit(self, order: WorkOrder) -> None:
        assert self.free() > 0
        self.orders[order.token] = order

    def cancel(self, token: str) -> None:
        self.orders.pop(token, None)

    def poll(self) -> Iterable[WorkerMessage]:
        reports, self._reports = self._reports, []
        return reports

    def wakeups(self) -> Sequence[int]:
        return ()

    def workers(self) -> Sequence[WorkerView]:
        tokens = [*self.orders, *[None] * self._workers][: self._workers]
        return [
            WorkerView(worker=f"cpu-{n}", device="cpu", state=WorkerState.BUSY if token else WorkerState.IDLE, token=token)
            for n, token in enumerate(tokens)
        ]

    def stop(self, grace_seconds: float) -> None:
        self.orders.clear()

    @property
    def running(self) -> list[str]:
        """The names of the items that are worked on, sorted."""
        return sorted(Path(order.video).stem for order in self.orders.values())

    def finish(self, item: str) -> None:
        """Do the work of the order for this item."""
        order = self._take(item)
        work_on(order, self._session, self._reports.append)

    def fail(self, item: str, code: str, kind: ErrorKind) -> None:
        """Let the order for this item fail."""
        problem = error(code, problem="as the test wants", device="cpu")
        self._reports.append(WorkFailed(token=self._take(item).token, kind=kind, failure=Failure.of(problem)))

    def _take(self, item: str) -> WorkOrder:
        token = next(token for token, order in self.orders.items() if Path(order.video).stem == item)
        return self.orders.pop(token)


@dataclass(kw_only=True)
class SeveralItems(DaemonHarness):
    """A daemon whose executor has two workers."""

    executor: ManualExecutor = field(init=False)

    def make_executor(self) -> Executor:
        self.executor = ManualExecutor(2, self.session)
        return self.executor

    def start(self, name: str, *videos: str, job_toml: str = "") -> None:
        """Drop it and wait until it is in the queue."""
        self.drop(name, job_toml, videos=tuple(f"{video}.mp4" for video in videos))
        self.until(lambda: self.events_named("job_queued", job=name))
        self.tick()

    def finish_item(self, item: str) -> None:
        """Let an item finish, and wait until it is published."""
        count = len(self.events_named("item_published"))
        self.executor.finish(item)
        self.until(lambda: self.has_events("item_published", count + 1), step=0.01)
        self.tick()


@pytest.fixture
def two(tmp_path: Path, film: Path, speech: Path) -> Iterator[SeveralItems]:
    made = SeveralItems(folder=tmp_path, film=film, speech=speech)
    yield made
    made.close()


def test_the_items_of_a_job_are_made_side_by_side_and_each_is_published_when_it_is_done(two: SeveralItems) -> None:
    two.start("lesson", "a", "b", "c")
    assert two.executor.running == ["a", "b"]
    two.finish_item("b")
    assert two.executor.running == ["a", "c"]
    assert (two.outputs / "lesson" / "b.mp4").exists()
    assert not (two.outputs / "lesson" / "a.mp4").exists()
    assert two.state("lesson") == "running"
    two.finish_item("c")
    two.finish_item("a")
    two.until(lambda: two.events_named("job_finished", job="lesson", state="succeeded"))


def test_an_urgent_job_gets_the_next_worker_and_first_come_is_first_served(two: SeveralItems) -> None:
    two.start("first", "a", "b", "c")
    two.start("second", "d")
    two.start("urgent", "e", job_toml="priority = 50\n")
    assert two.executor.running == ["a", "b"]
    for done, running in (("a", ["b", "e"]), ("b", ["c", "e"]), ("e", ["c", "d"])):
        two.finish_item(done)
        assert two.executor.running == running


def test_an_item_that_kills_its_worker_is_tried_again_while_the_other_goes_on(two: SeveralItems) -> None:
    two.start("lesson", "a", "b")
    for _ in range(3):
        two.executor.fail("a", "worker_died", ErrorKind.ENGINE)
        two.tick(1)
        two.tick(10)
        assert "b" in two.executor.running
    assert two.executor.running == ["b"]
    two.finish_item("b")
    two.until(lambda: two.events_named("job_finished", job="lesson", state="partial"))
    assert [item.attempt for item in two.status("lesson").items] == [3, 1]


@pytest.mark.parametrize("code", ["worker_died", "memory_full"])
def test_workers_that_die_one_after_another_condemn_no_item(two: SeveralItems, code: str) -> None:
    names = ("a", "b", "c", "d")
    two.start("lesson", *names)
    deaths = 0
    for _ in range(100):
        two.tick(10)
        for name in two.executor.running:
            two.executor.fail(name, code, ErrorKind.ENGINE)
            deaths += 1
    two.tick()
    assert deaths > 3 * len(names)
    assert all(item.state in {"waiting", "running"} for item in two.status("lesson").items)
    waiting = next(item for item in two.status("lesson").items if item.state == "waiting")
    assert "as the test wants" in waiting.reason
    for _ in range(30):
        two.tick(60)
        for name in two.executor.running:
            two.finish_item(name)
    two.until(lambda: two.events_named("job_finished", job="lesson", state="succeeded"))


def test_items_that_all_kill_their_workers_fail_in_the_end(two: SeveralItems) -> None:
    two.start("lesson", "a", "b")
    for _ in range(500):
        two.tick(60)
        for name in two.executor.running:
            two.executor.fail(name, "worker_died", ErrorKind.ENGINE)
        if two.events_named("job_finished", job="lesson", state="failed"):
            break
    two.until(lambda: two.events_named("job_finished", job="lesson", state="failed"))


def test_a_cancelled_job_frees_both_workers_for_the_next(two: SeveralItems) -> None:
    two.start("lesson", "a", "b", "c")
    two.start("next", "d", "e")
    (two.inbox / "lesson.cancel").touch()
    two.until(lambda: two.events_named("job_finished", job="lesson", state="cancelled"))
    two.tick()
    assert two.executor.running == ["d", "e"]


def test_a_pause_lets_both_items_finish_and_starts_nothing(two: SeveralItems) -> None:
    two.start("lesson", "a", "b", "c")
    (two.inbox / "PAUSE").touch()
    two.tick(2 * SETTLE)
    two.finish_item("a")
    two.finish_item("b")
    assert two.executor.running == []
    (two.inbox / "PAUSE").unlink()
    two.until(lambda: two.executor.running == ["c"])


def test_while_the_device_fails_only_one_item_is_tried_however_many_workers_are_free(two: SeveralItems) -> None:
    two.start("lesson", "a", "b", "c", "d")
    for item in ("a", "b"):
        two.executor.fail(item, "device_lost", ErrorKind.DEVICE)
    two.tick()
    assert two.events_named("breaker_opened")
    assert two.executor.running == []
    two.until(lambda: two.executor.running, step=30)
    assert len(two.executor.running) == 1
    two.tick(30)
    assert len(two.executor.running) == 1
    two.finish_item(two.executor.running[0])
    assert two.events_named("breaker_closed")
    two.tick()
    assert len(two.executor.running) == 2


def test_after_a_crash_both_items_start_again(two: SeveralItems) -> None:
    two.start("lesson", "a", "b")
    two.crash()
    two.until(lambda: two.executor.running == ["a", "b"])
    for item in ("a", "b"):
        two.finish_item(item)
    two.until(lambda: two.events_named("job_finished", job="lesson", state="succeeded"))


def test_while_memory_is_short_the_items_are_made_one_after_the_other_and_none_is_left(two: SeveralItems) -> None:
    two.executor.has_room = False
    two.start("lesson", "a", "b", "c")
    for item in ("a", "b", "c"):
        assert two.executor.running == [item]
        two.tick(5)
        assert two.daemon_status().items_reason == "memory is short"
        two.finish_item(item)
    two.until(lambda: two.events_named("job_finished", job="lesson", state="succeeded"))


def test_the_status_shows_how_many_items_are_made_at_once(two: SeveralItems) -> None:
    two.start("lesson", "a", "b")
    two.tick(10)
    status = two.daemon_status()
    assert (status.items_at_once, status.items_reason) == (2, "the test wants so")
    assert [device.state for device in status.devices] == ["busy", "busy"]
