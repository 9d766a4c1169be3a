import pytest
from hypothesis import given
from hypothesis import strategies as st

from heygem_daemon.core.errors import error
from heygem_daemon.core.job import FINAL, TRANSITIONS, Failure, IllegalTransitionError, State
from tests.core.making import failure, item, job


def states(*each: State, **changes: object) -> State:
    return job(*(item(str(number), state) for number, state in enumerate(each)), **changes).rollup(1).state


def test_a_transition_that_the_table_does_not_have_is_refused() -> None:
    with pytest.raises(IllegalTransitionError, match="teacher-a: succeeded -> queued"):
        item(state=State.SUCCEEDED).transition(State.QUEUED)
    assert item().transition(State.RUNNING, reason="why").reason == "why"


def test_the_table_knows_every_state_an_item_can_reach() -> None:
    assert {state for moves in TRANSITIONS.values() for state in moves} | {State.QUEUED} == set(TRANSITIONS)


def test_a_published_item_never_changes_its_state() -> None:
    assert TRANSITIONS[State.SUCCEEDED] == frozenset()


@pytest.mark.parametrize(
    ("items", "implied"),
    [
        ((State.QUEUED, State.RUNNING, State.SUCCEEDED), State.RUNNING),
        ((State.QUEUED, State.FAILED), State.QUEUED),
        ((State.WAITING, State.QUEUED), State.QUEUED),
        ((State.WAITING, State.SUCCEEDED), State.WAITING),
        ((State.INTERRUPTED, State.WAITING), State.INTERRUPTED),
        ((State.SUCCEEDED, State.SUCCEEDED), State.SUCCEEDED),
        ((State.SUCCEEDED, State.FAILED), State.PARTIAL),
        ((State.SUCCEEDED, State.CANCELLED), State.PARTIAL),
        ((State.FAILED, State.CANCELLED), State.FAILED),
        ((State.CANCELLED, State.CANCELLED), State.CANCELLED),
    ],
)
def test_the_state_of_a_job_follows_from_its_items(items: tuple[State, ...], implied: State) -> None:
    assert states(*items) is implied


def test_a_job_on_hold_waits_unless_it_runs_or_is_over() -> None:
    assert states(State.QUEUED, on_hold=True) is State.WAITING
    assert states(State.RUNNING, State.QUEUED, on_hold=True) is State.RUNNING
    assert states(State.SUCCEEDED, on_hold=True) is State.SUCCEEDED


def test_a_job_without_items_keeps_its_state() -> None:
    assert states() is State.QUEUED
    assert states(failure=failure()) is State.REJECTED


def test_a_failure_of_the_job_ends_all_of_its_items() -> None:
    refused = job(item("a"), item("b", State.WAITING), item("c", State.RUNNING, token="t"), failure=failure("unknown_engine")).rollup(3)
    assert refused.state is State.REJECTED
    assert {(each.state, each.failure, each.token) for each in refused.items} == {(State.FAILED, failure("unknown_engine"), "")}
    assert refused.finished_at == 3
    assert refused.rollup(4) == refused
    partly = job(item("a", State.SUCCEEDED), item("b"), failure=failure("unknown_engine")).rollup(3)
    assert (partly.state, partly.items[0].failure, partly.items[1].state) == (State.PARTIAL, None, State.FAILED)


def test_a_published_item_whose_file_was_deleted_is_made_anew() -> None:
    again = item("a", State.SUCCEEDED, attempt=2, result={"frames": 10}, failure=failure()).made_anew()
    assert again == item("a")


def test_times_follow_the_state() -> None:
    begun = job(item(state=State.RUNNING)).rollup(10)
    assert (begun.since, begun.started_at, begun.finished_at) == (10, 10, None)
    over = begun.with_item(item(state=State.SUCCEEDED)).rollup(20)
    assert (over.since, over.started_at, over.finished_at) == (20, 10, 20)
    assert over.is_final
    assert over.rollup(30) == over
    again = over.with_item(item(state=State.RUNNING)).rollup(40)
    assert (again.started_at, again.finished_at) == (10, None)


@given(
    st.lists(st.sampled_from(sorted(TRANSITIONS)), max_size=5),
    st.booleans(),
    st.booleans(),
    st.sampled_from(sorted(State)),
)
def test_the_items_of_a_job_that_is_over_are_over(items: list[State], has_failed: bool, on_hold: bool, before: State) -> None:
    made = [item(str(number), state) for number, state in enumerate(items)]
    over = job(*made, state=before, on_hold=on_hold, failure=failure() if has_failed else None).rollup(1)
    assert not over.items or over.is_final == all(each.is_final for each in over.items)
    assert not has_failed or over.is_final
    assert over.rollup(2) == over


def test_items_are_found_and_replaced_by_key() -> None:
    both = job(item("a"), item("b"))
    assert both.item("b").key == "b"
    assert [each.state for each in both.with_item(item("b", State.RUNNING)).items] == [State.QUEUED, State.RUNNING]
    with pytest.raises(KeyError):
        both.item("c")


def test_an_item_is_ready_when_it_waits_for_nothing() -> None:
    assert item(not_before=5.0).is_ready(5)
    assert not item(not_before=5.0).is_ready(4)
    assert not item(state=State.RUNNING).is_ready(5)
    assert {state for state in TRANSITIONS if item(state=state).is_final} == FINAL & set(TRANSITIONS)


def test_a_failure_keeps_the_fields_of_its_error() -> None:
    remembered = Failure.of(error("audio_silent", name="speech.wav"))
    assert remembered.code == "audio_silent"
    assert remembered.message == "The recording speech.wav is silent from beginning to end."
    assert remembered.hint
    assert not remembered.retryable


def test_a_job_gives_the_log_its_id_and_name() -> None:
    assert job().log_context() == {"job_id": "20261122-231500-lesson-01-k3f9", "job": "lesson-01"}
