import pytest
from hypothesis import given
from hypothesis import strategies as st

from heygem_daemon.core.error_catalog import ErrorKind
from heygem_daemon.core.job import Item, State
from heygem_daemon.core.policy import (
    DEATHS_FORGIVEN,
    Backoff,
    Breaker,
    Policy,
    admission,
    after_failure,
    after_interruption,
    choose,
    estimate_bytes,
    guess_bytes,
    is_by_the_machine,
)
from heygem_daemon.core.storage import Room, human_bytes
from heygem_daemon.core.turns import NO_TURNS
from tests.core.making import failure, item, job

POLICY = Policy(attempts=3, backoff=Backoff((30.0, 120.0, 600.0)))
CLOSED = Breaker(threshold=3, cool_down=300.0)


def running(attempt: int = 1, backoff_count: int = 0) -> Item:
    return item(state=State.RUNNING, attempt=attempt, backoff_count=backoff_count, token="t")


# -- after a failure --------------------------------------------------------------------------------------------------


def test_wrong_input_fails_at_once() -> None:
    failed = after_failure(running(), ErrorKind.INPUT, failure("no_face"), 100, POLICY)
    assert (failed.state, failed.token, failed.reason) == (State.FAILED, "", "It broke.")
    assert failed.failure == failure("no_face")


@pytest.mark.parametrize("kind", [ErrorKind.TRANSIENT, ErrorKind.SETUP])
def test_a_transient_error_costs_no_attempt_and_its_waits_grow(kind: ErrorKind) -> None:
    waits, waiting = [], item()
    for _ in range(5):
        waiting = waiting.transition(State.RUNNING, attempt=waiting.attempt + 1, token="t")
        waiting = after_failure(waiting, kind, failure("disk_full"), 1000, POLICY)
        waits.append(waiting.not_before - 1000)
        assert (waiting.state, waiting.attempt, waiting.token) == (State.WAITING, 0, "")
    assert waits == [30, 120, 600, 600, 600]
    assert not waiting.is_ready(1599)
    assert waiting.is_ready(1600)


def test_what_could_not_even_start_keeps_its_attempts() -> None:
    waiting = after_failure(item(state=State.WAITING, attempt=1), ErrorKind.TRANSIENT, failure(), 0, POLICY)
    assert waiting.attempt == 1


def test_an_item_that_may_not_wait_fails_unless_an_attempt_is_left() -> None:
    assert after_failure(running(), ErrorKind.TRANSIENT, failure("disk_full"), 0, POLICY, give_up=True).state is State.FAILED
    assert after_failure(running(), ErrorKind.ENGINE, failure("encode_failed"), 0, POLICY, give_up=True).state is State.WAITING


@pytest.mark.parametrize(
    ("kind", "code", "attempts"),
    [(ErrorKind.ENGINE, "encode_failed", 2), (ErrorKind.ENGINE, "worker_died", 3), (ErrorKind.DEVICE, "device_memory", 3)],
)
def test_the_attempts_at_a_breaking_item_are_bounded(kind: ErrorKind, code: str, attempts: int) -> None:
    for attempt in range(1, attempts):
        waiting = after_failure(running(attempt, backoff_count=2), kind, failure(code), 100, POLICY)
        assert (waiting.state, waiting.attempt, waiting.backoff_count) == (State.WAITING, attempt, 0)
        assert waiting.reason == f"Attempt {attempt} of {attempts} failed, trying again: It broke."
    assert after_failure(running(attempts), kind, failure(code), 100, POLICY).state is State.FAILED


def test_a_device_gets_a_pause_and_a_worker_does_not() -> None:
    assert after_failure(running(), ErrorKind.DEVICE, failure(), 100, POLICY).not_before == 110
    assert after_failure(running(), ErrorKind.ENGINE, failure(), 100, POLICY).not_before == 100


def test_where_memory_ran_out_the_item_is_tried_three_times_with_a_pause() -> None:
    waiting = after_failure(running(2), ErrorKind.ENGINE, failure("memory_full"), 100, POLICY)
    assert (waiting.state, waiting.not_before) == (State.WAITING, 110)
    assert after_failure(running(3), ErrorKind.ENGINE, failure("memory_full"), 100, POLICY).state is State.FAILED


def test_a_second_death_of_a_worker_lets_other_items_go_first() -> None:
    assert after_failure(running(1), ErrorKind.ENGINE, failure("worker_died"), 100, POLICY).not_before == 100
    assert after_failure(running(2), ErrorKind.ENGINE, failure("worker_died"), 100, POLICY).not_before == 110


def test_deaths_of_workers_cost_no_attempt_while_others_die_too_some_times_in_a_row() -> None:
    def died(backoff_count: int, code: str = "worker_died", *, give_up: bool = False) -> Item:
        item = running(3, backoff_count=backoff_count)
        return after_failure(item, ErrorKind.ENGINE, failure(code), 100, POLICY, give_up=give_up, others_die=True)

    for backoff_count in range(DEATHS_FORGIVEN):
        waiting = died(backoff_count)
        assert (waiting.state, waiting.attempt, waiting.backoff_count) == (State.WAITING, 2, backoff_count + 1)
    assert died(DEATHS_FORGIVEN).state is State.FAILED
    assert died(0, "encode_failed").state is State.FAILED
    assert died(0, give_up=True).state is State.FAILED
    assert [is_by_the_machine(code) for code in ("worker_died", "memory_full", "encode_failed")] == [True, True, False]


def test_a_shutdown_gives_the_attempt_back_and_a_crash_does_not() -> None:
    assert after_interruption(running(1), POLICY, orderly=True).attempt == 0
    crashed = after_interruption(running(2), POLICY)
    assert (crashed.state, crashed.attempt, crashed.token) == (State.INTERRUPTED, 2, "")
    assert crashed.is_ready(0)
    gone = after_interruption(running(3), POLICY)
    assert (gone.state, gone.failure and gone.failure.code) == (State.FAILED, "worker_died")


def test_the_last_wait_repeats() -> None:
    assert [Backoff((1, 2)).after(backoff_count) for backoff_count in range(4)] == [1, 2, 2, 2]


# -- breaker ----------------------------------------------------------------------------------------------------------


def test_the_breaker_opens_after_device_failures_in_a_row() -> None:
    breaker = Breaker(threshold=2, cool_down=60)
    assert breaker.allows(0)
    assert breaker.describe(0) is None
    breaker = breaker.failed(10).succeeded().failed(20)
    assert breaker.allows(20)
    breaker = breaker.failed(30)
    assert breaker.until == 90
    assert not breaker.allows(89)
    assert breaker.describe(40) == "The device failed 2 times in a row; the queue is paused for another 50 s."


def test_after_the_cool_down_one_probe_decides() -> None:
    opened = Breaker(threshold=1, cool_down=60).failed(0)
    assert opened.allows(60)
    assert opened.describe(60) == "The device failed 1 times in a row; the next item is a test."
    probing = opened.started()
    assert not probing.allows(60)
    assert "one item is being tried" in (probing.describe(60) or "")
    assert probing.succeeded() == Breaker(threshold=1, cool_down=60)
    assert probing.failed(70).until == 130
    assert probing.released().allows(60)


def test_a_start_while_closed_is_no_probe() -> None:
    assert CLOSED.started() == CLOSED


# -- choice -----------------------------------------------------------------------------------------------------------


def test_no_item_is_chosen_where_none_is_ready() -> None:
    assert choose([], 0) is None
    assert choose([job(item(state=State.SUCCEEDED), state=State.SUCCEEDED), job(item(), on_hold=True), job(item(not_before=5))], 4) is None


def test_priority_goes_first_then_first_in_first_out() -> None:
    jobs = [
        job(item(), id="late", queued_at=9.0),
        job(item(), id="early", dropped_at=5.0),
        job(item(), id="urgent", priority=1, queued_at=99.0),
    ]
    order = []
    while chosen := choose(jobs, 100):
        order.append(chosen[0].id)
        jobs.remove(chosen[0])
    assert order == ["urgent", "early", "late"]


def test_inboxes_of_equal_priority_take_turns() -> None:
    flood = [job(item(), id=f"a{number}", inbox="/a", queued_at=float(number)) for number in range(3)]
    jobs = [*flood, job(item(), id="b", inbox="/b", queued_at=50.0)]
    assert choose(jobs, 100, NO_TURNS.after(flood[0]))[0].id == "b"  # type: ignore[index]
    assert choose(jobs, 100, NO_TURNS.after(flood[0]).after(jobs[-1]))[0].id == "a0"  # type: ignore[index]


def test_the_next_item_of_a_running_job_may_run_beside_it() -> None:
    chosen = choose([job(item("a", State.RUNNING), item("b", not_before=200.0), item("c"), state=State.RUNNING)], 100)
    assert chosen is not None
    assert chosen[1].key == "c"


JOBS = st.builds(
    lambda number, inbox, priority, on_hold, state, wait: job(
        item(state=state, not_before=wait), id=str(number), inbox=inbox, priority=priority, on_hold=on_hold, queued_at=float(number)
    ).rollup(0),
    st.integers(0, 10**6),
    st.sampled_from(["/a", "/b"]),
    st.integers(-1, 1),
    st.booleans(),
    st.sampled_from([State.QUEUED, State.WAITING, State.RUNNING, State.INTERRUPTED, State.SUCCEEDED, State.FAILED]),
    st.sampled_from([0.0, 200.0]),
)


@given(st.lists(JOBS, max_size=8))
def test_the_choice_is_ready_and_nothing_ready_is_more_urgent(jobs: list) -> None:  # type: ignore[type-arg]
    able = [each for each in jobs if not each.on_hold and each.items[0].is_ready(100)]
    chosen = choose(jobs, 100)
    assert (chosen is None) == (not able)
    if chosen is not None:
        assert chosen[0] in able
        assert chosen[0].priority == max(each.priority for each in able)


# -- disk -------------------------------------------------------------------------------------------------------------


def test_there_is_room_when_the_reserve_stays_untouched() -> None:
    assert admission(Room(free=30), 10, 20, "/outputs") is None
    assert admission(Room(free=30, files=5000), 10, 20, "/outputs") is None
    problem = admission(Room(free=int(1.5e9)), int(1e9), int(2e9), "/outputs")
    assert problem is not None
    assert problem.code == "disk_full"
    assert problem.message == "There is not enough free disk space in /outputs: 1.5 GB free, 3.0 GB needed."
    assert "/outputs" in problem.hint


def test_nothing_starts_without_inodes_or_on_a_read_only_disk_and_the_reason_is_the_right_one() -> None:
    problem = admission(Room(free=int(140e6), files=3), 0, 1, "/outputs")
    assert problem is not None
    assert problem.code == "inodes_full"
    assert problem.message == "No more files can be made in /outputs: its file system has no free inodes left, though 140.0 MB are free."
    read_only = admission(Room(free=int(140e6), is_read_only=True), 0, 1, "/outputs")
    assert read_only is not None
    assert (read_only.code, "/outputs is on a file system that is read-only" in read_only.message) == ("read_only", True)


def test_the_estimate_follows_the_source_and_the_speech() -> None:
    ten_megabit = 1_250_000
    minute = estimate_bytes(ten_megabit * 10, 10.0, 60.0)
    assert 60 * ten_megabit < minute < 10 * 60 * ten_megabit
    assert estimate_bytes(ten_megabit * 10, 10.0, 120.0) > minute
    assert estimate_bytes(5_000_000, 0.0, 600.0) < 1e9
    assert estimate_bytes(10**12, 1.0, 60.0) < 1e9


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_960, "1.0 MB"), (1_500_000_000, "1.5 GB"), (64 * 10**12, "64.0 TB")],
)
def test_sizes_have_decimal_units(count: int, words: str) -> None:
    assert human_bytes(count) == words


def test_without_lengths_a_result_is_taken_to_be_as_long_as_its_video() -> None:
    assert guess_bytes(0) == 64e6
    assert guess_bytes(10**6) == estimate_bytes(10**6, 1.0, 1.0) - 24_000
