"""Places in the queue are found again when something changed, and of very many jobs not at every tick."""

import pytest

from heygem_daemon.core.clock import ClockReading
from heygem_daemon.core.job import Job, State
from heygem_daemon.core.turns import NO_TURNS, Turns, start_order
from heygem_daemon.daemon.queue_places import LATEST, SMALL_QUEUE, QueuePlaces
from tests.core.making import item, job


def waiting(count: int, **changes: object) -> list[Job]:
    return [job(item(), id=f"j{number:04}", queued_at=float(number), **changes) for number in range(count)]


def update(places: QueuePlaces, jobs: list[Job], seconds: float, *, changed: bool = False, closed: tuple[str, ...] = ()) -> dict[str, int]:
    now = ClockReading(monotonic=seconds, wall=1000.0 + seconds)
    return dict(places.update(jobs, now, closed=closed, turns=NO_TURNS, changed=changed))


def test_jobs_of_a_closed_inbox_stand_behind_the_others() -> None:
    jobs = [*waiting(2, inbox="/a"), job(item(), id="b", inbox="/b", queued_at=9.0)]
    places = QueuePlaces()
    assert update(places, jobs, 0) == {"j0000": 1, "b": 2, "j0001": 3}
    assert update(places, jobs, 0, closed=("/a",)) == {"b": 1, "j0000": 2, "j0001": 3}


def test_running_jobs_have_no_place() -> None:
    running = job(item("v0", State.RUNNING), item("v1"), id="running", state=State.RUNNING, queued_at=0.0)
    assert update(QueuePlaces(), [running, *waiting(1)], 0) == {"j0000": 1}


def test_nothing_is_computed_while_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[float] = []

    def counted(jobs: list[Job], now: float, turns: Turns) -> list[Job]:
        calls.append(now)
        return start_order(jobs, now, turns)

    monkeypatch.setattr("heygem_daemon.daemon.queue_places.start_order", counted)
    places, jobs = QueuePlaces(), waiting(3)
    for second in range(60):
        update(places, jobs, second)
    assert len(calls) == 2  # the open inboxes and the closed ones, once
    update(places, jobs, 60, changed=True)
    assert len(calls) == 4


def test_a_back_off_that_ends_is_noticed() -> None:
    jobs = [job(item(state=State.WAITING, not_before=1002.0), id="later", state=State.WAITING)]
    places = QueuePlaces()
    assert update(places, jobs, 0) == {}
    assert update(places, jobs, LATEST) == {"later": 1}


def test_of_very_many_jobs_the_places_are_a_moment_old() -> None:
    places, jobs = QueuePlaces(), waiting(SMALL_QUEUE + 800)
    assert len(update(places, jobs, 0)) == 1000
    assert len(update(places, jobs[1:], 0.05, changed=True)) == 1000
    assert len(update(places, jobs[1:], 0.11)) == 999
