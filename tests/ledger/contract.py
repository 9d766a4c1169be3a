"""The contract of every ledger: the tests of an adapter inherit from LedgerContract and define a fixture `ledger`."""

import pytest

from heygem_daemon.core.job import Failure, Item, Job, State
from heygem_daemon.core.job_options import JobOptions
from heygem_daemon.core.ports import Ledger
from tests.core.making import failure, item, job

RICH = job(
    Item(
        key="zh/老师",
        recording="audios/caf\udce9\n.wav",
        video="videos/老师 \\ud800.mp4",
        output="zh/老师.mp4",
        thumbnail="thumbnails/zh/老师.jpg",
        state=State.WAITING,
        attempt=2,
        backoff_count=1,
        token="t",
        not_before=0.1 + 0.2,
        reason="It broke.",
        failure=Failure(code="disk_full", message="Voll – 满", hint="x", retryable=True),
        result={"frames": 3, "models": {"a": "b"}, "warnings": ["x"], "nested": {"list": [1, 2.5, None, True]}},
    ),
    item("b"),
    id="rich",
    name="第一课",
    inbox="/in\udcffbox",
    options=JobOptions(engine="rewrite", label=False, quality=0, text="你好"),
    state=State.WAITING,
    failure=failure("two_recordings"),
    on_hold=True,
    flat=True,
    queued_at=1.5,
)


def over(job_id: str, finished_at: float, state: State = State.SUCCEEDED) -> Job:
    return job(item(state=state), id=job_id, state=state, finished_at=finished_at)


class LedgerContract:
    def test_what_was_put_comes_back_as_it_was(self, ledger: Ledger) -> None:
        ledger.put(RICH)
        assert ledger.get("rich") == RICH

    def test_several_are_put_together(self, ledger: Ledger) -> None:
        ledger.put(RICH, job(item("a"), id="x"), job(item("a"), item("b"), id="y"))
        assert ledger.get("rich") == RICH
        assert [found.id for found in ledger.open_jobs()] == ["rich", "x", "y"]
        ledger.put()
        assert len(ledger.recent(9)) == 3

    def test_what_was_never_put_is_not_there(self, ledger: Ledger) -> None:
        assert ledger.get("nothing") is None
        assert ledger.get("nothing\udcff") is None
        assert list(ledger.open_jobs()) == []

    def test_putting_again_replaces_the_job_and_its_items(self, ledger: Ledger) -> None:
        ledger.put(job(item("a"), item("b"), item("c"), id="x"))
        changed = job(item("c"), item("a", State.RUNNING, attempt=1), id="x", name="renamed")
        ledger.put(changed)
        assert ledger.get("x") == changed
        assert len(ledger.recent(9)) == 1

    def test_a_metric_that_is_not_finite_becomes_none(self, ledger: Ledger) -> None:
        ledger.put(job(item(result={"mouth_correlation": float("nan"), "speed": float("inf"), "fps": 25.0}), id="x"))
        found = ledger.get("x")
        assert found is not None
        assert found.items[0].result == {"mouth_correlation": None, "speed": None, "fps": 25.0}

    def test_open_jobs_come_oldest_first_and_without_the_finished_ones(self, ledger: Ledger) -> None:
        for name in ("z", "m", "a"):
            ledger.put(job(item(), id=name))
        ledger.put(over("m", 5))
        ledger.put(job(item("a"), id="z", on_hold=True))
        assert [each.id for each in ledger.open_jobs()] == ["z", "a"]

    @pytest.mark.parametrize("state", [State.SUCCEEDED, State.PARTIAL, State.FAILED, State.REJECTED, State.CANCELLED])
    def test_a_job_in_a_final_state_is_not_open(self, ledger: Ledger, state: State) -> None:
        ledger.put(job(id="x", state=state))
        assert list(ledger.open_jobs()) == []

    def test_a_finished_job_can_be_opened_again(self, ledger: Ledger) -> None:
        ledger.put(over("x", 5, State.FAILED))
        ledger.put(job(item(), id="x"))
        assert [each.id for each in ledger.open_jobs()] == ["x"]
        assert ledger.forget(100, 9) == 0

    def test_a_job_is_found_by_id_name_or_output_newest_first(self, ledger: Ledger) -> None:
        ledger.put(job(item(), id="1", name="lesson", output="lesson"))
        ledger.put(job(item(), id="2", name="lesson", output="lesson-2"))
        ledger.put(job(item(), id="lesson", name="other", output="other"))
        assert [each.id for each in ledger.find("lesson")] == ["lesson", "2", "1"]
        assert [each.id for each in ledger.find("lesson", 2)] == ["lesson", "2"]
        assert [each.id for each in ledger.find("lesson-2")] == ["2"]
        assert list(ledger.find("les")) == []
        assert list(ledger.find("%")) == []

    def test_the_newest_jobs_come_first(self, ledger: Ledger) -> None:
        for number in range(5):
            ledger.put(job(item(), id=str(number)))
        assert [each.id for each in ledger.recent(2)] == ["4", "3"]
        assert list(ledger.recent(0)) == []
        assert list(ledger.recent(-1)) == []

    def test_the_jobs_that_ended_last_come_first_however_many_wait(self, ledger: Ledger) -> None:
        ledger.put(over("early", 10), over("late", 30), over("middle", 20))
        ledger.put(*(job(item(), id=str(number)) for number in range(50)))
        assert [each.id for each in ledger.finished(2)] == ["late", "middle"]
        assert [each.id for each in ledger.finished(9)] == ["late", "middle", "early"]
        assert list(ledger.finished(-1)) == []

    def test_the_oldest_jobs_are_forgotten_first_and_only_so_many_at_once(self, ledger: Ledger) -> None:
        ledger.put(*(over(str(number), 10 - number) for number in range(5)))
        assert ledger.forget(100, 2) == 2
        assert [each.id for each in ledger.recent(9)] == ["2", "1", "0"]
        assert ledger.forget(100, 0) == 0
        assert ledger.forget(100, 9) == 3

    def test_only_old_finished_jobs_are_forgotten(self, ledger: Ledger) -> None:
        for each in (over("old", 10), over("new", 20), over("undated", 0), job(item(), id="open"), job(item(), id="odd", finished_at=1.0)):
            ledger.put(each)
        ledger.put(job(item(state=State.FAILED), id="undated", state=State.FAILED))
        assert ledger.forget(20, 9) == 1
        assert ledger.get("old") is None
        assert [each.id for each in ledger.recent(9)] == ["odd", "open", "undated", "new"]
        ledger.put(job(item("b"), id="old"))
        assert [each.key for each in ledger.recent(1)[0].items] == ["b"]

    def test_requests_are_taken_once_in_order(self, ledger: Ledger) -> None:
        for request in (("retry", "b"), ("cancel", "a"), ("retry", "b"), ("pause", "/in\nbox")):
            ledger.request(*request)
        assert list(ledger.requests(9)) == [("retry", "b"), ("cancel", "a"), ("retry", "b"), ("pause", "/in\nbox")]
        assert list(ledger.requests(2)) == [("retry", "b"), ("cancel", "a")]
        ledger.remove_requests(3)
        assert list(ledger.requests(9)) == [("pause", "/in\nbox")]
        ledger.remove_requests(9)
        assert list(ledger.requests(9)) == []

    def test_a_ledger_at_work_is_healthy(self, ledger: Ledger) -> None:
        ledger.put(RICH)
        assert ledger.healthy()
