"""Inboxes and owners take turns; the order that is shown in advance is the one in which things start."""

from collections import Counter, defaultdict
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heygem_daemon.core.job import Item, Job, State
from heygem_daemon.core.policy import choose
from heygem_daemon.core.turns import NO_TURNS, Turns, queue_key, start_order
from tests.core.making import item, job

NOW = 100.0
READY = (State.QUEUED, State.INTERRUPTED, State.WAITING)


def drops(owner: str, count: int, first: int = 0, **changes: object) -> list[Job]:
    """Return jobs of one item each, queued one after the other."""
    return [job(item(), id=f"{owner}{number}", dropped_by=owner, queued_at=float(first + number), **changes) for number in range(count)]


def play(jobs: list[Job], turns: Turns = NO_TURNS) -> list[tuple[Job, Item]]:
    """Start one item after the other until none is left; return them with their jobs as they were at the beginning."""
    now = {each.id: each for each in jobs}
    started: list[tuple[Job, Item]] = []
    while (chosen := choose(now.values(), NOW, turns)) is not None:
        changed, which = chosen
        now[changed.id] = changed.with_item(which.transition(State.RUNNING)).rollup(NOW)
        turns = turns.after(changed)
        started.append((next(each for each in jobs if each.id == changed.id), which))
    return started


def test_a_thousand_drops_of_one_owner_delay_another_by_one_start() -> None:
    jobs = [*drops("uid 1", 1000), *drops("uid 2", 1, first=5000)]
    turns = NO_TURNS.after(jobs[0])
    chosen = choose(jobs[1:], NOW, turns)
    assert chosen is not None
    assert chosen[0].id == "uid 20"


def test_owners_take_turns_and_the_jobs_of_each_are_first_in_first_out() -> None:
    jobs = [*drops("a", 3), *drops("b", 2, first=50), *drops("c", 1, first=90)]
    assert [each.id for each, _ in play(jobs)] == ["a0", "b0", "c0", "a1", "b1", "a2"]


def test_a_drop_with_many_videos_does_not_keep_the_turn() -> None:
    jobs = [job(item("v0"), item("v1"), item("v2"), id="long", dropped_by="a", queued_at=1.0), *drops("b", 2, first=2)]
    assert [each.id for each, _ in play(jobs)] == ["long", "b0", "long", "b1", "long"]


def test_within_one_owner_nothing_changes() -> None:
    jobs = drops("uid 65534", 5)
    assert [each.id for each, _ in play(jobs[::-1])] == [each.id for each in jobs]


def test_a_higher_priority_goes_before_any_turn() -> None:
    jobs = [*drops("a", 2, priority=1), *drops("b", 1)]
    assert [each.id for each, _ in play(jobs, NO_TURNS.after(jobs[0]))] == ["a0", "a1", "b0"]


def test_what_cannot_start_has_no_place_in_the_order() -> None:
    waiting = job(item(state=State.WAITING, not_before=NOW + 1), id="later", state=State.WAITING)
    held = job(item(), id="held", on_hold=True)
    over = job(item(state=State.SUCCEEDED), id="over", state=State.SUCCEEDED)
    (ready,) = drops("a", 1)
    assert start_order([waiting, held, over, ready], NOW) == [ready]
    assert start_order([], NOW) == []


@pytest.mark.parametrize(("times", "key"), [({"dropped_at": 7.0}, 7.0), ({"dropped_at": 7.0, "queued_at": 9.0}, 9.0)])
def test_jobs_queue_by_the_time_they_were_queued(times: dict[str, float], key: float) -> None:
    assert queue_key(job(item(), id="x", **times)) == (key, "x")


ITEMS = st.lists(
    st.tuples(st.sampled_from([*READY, State.RUNNING, State.SUCCEEDED]), st.sampled_from([0.0, 0.0, 2 * NOW])), min_size=1, max_size=4
)
JOBS = st.lists(
    st.tuples(st.sampled_from("AB"), st.sampled_from("abc"), st.integers(-1, 1), st.booleans(), st.integers(0, 9), ITEMS), max_size=14
)


def made(rows: list[tuple[str, str, int, bool, int, list[tuple[State, float]]]]) -> list[Job]:
    return [
        job(
            *(item(f"v{place}", state=state, not_before=wait) for place, (state, wait) in enumerate(items)),
            id=f"j{number}",
            inbox=inbox,
            dropped_by=owner,
            priority=priority,
            on_hold=on_hold and number % 3 == 0,
            queued_at=float(queued),
        ).rollup(0)
        for number, (inbox, owner, priority, on_hold, queued, items) in enumerate(rows)
    ]


@given(JOBS, st.lists(st.tuples(st.sampled_from("AB"), st.sampled_from("abc")), max_size=6))
def test_the_order_that_is_shown_is_the_one_in_which_jobs_start(
    rows: list[tuple[str, str, int, bool, int, list[tuple[State, float]]]], history: list[tuple[str, str]]
) -> None:
    jobs = made(rows)
    turns = NO_TURNS
    for inbox, owner in history:
        turns = turns.after(job(inbox=inbox, dropped_by=owner))
    first_starts = list(dict.fromkeys(each.id for each, _ in play(jobs, turns)))
    assert [each.id for each in start_order(jobs, NOW, turns)] == first_starts


@given(JOBS)
def test_all_that_can_start_does_once_and_never_before_what_is_more_urgent(
    rows: list[tuple[str, str, int, bool, int, list[tuple[State, float]]]],
) -> None:
    jobs = made(rows)
    able = {(each.id, part.key) for each in jobs if not each.on_hold and not each.is_final for part in each.items if part.is_ready(NOW)}
    started = play(jobs)
    assert {(each.id, part.key) for each, part in started} == able
    assert len(started) == len(able)
    priorities = [each.priority for each, _ in started]
    assert priorities == sorted(priorities, reverse=True)


@given(st.lists(st.tuples(st.sampled_from("AB"), st.sampled_from("abcd")), min_size=1, max_size=30))
def test_nobody_starves_and_among_owners_with_work_nobody_gets_two_turns_more(owners: list[tuple[str, str]]) -> None:
    """A job with n of its owner before it starts within n + 1 rounds: (n + 1) x inboxes x owners turns at most."""
    jobs = [
        job(item(), id=f"j{number:02}", inbox=inbox, dropped_by=owner, queued_at=float(number))
        for number, (inbox, owner) in enumerate(owners)
    ]
    per_inbox: dict[str, set[str]] = defaultdict(set)
    for inbox, owner in owners:
        per_inbox[inbox].add(owner)
    bound = len(per_inbox) * max(len(found) for found in per_inbox.values())
    before: Counter[tuple[str, str]] = Counter()
    rank: dict[str, int] = {}
    for each in jobs:
        rank[each.id] = before[each.inbox, each.dropped_by]
        before[each.inbox, each.dropped_by] += 1
    left, taken = Counter(before), Counter[tuple[str, str]]()
    for turn, (each, _) in enumerate(play(jobs)):
        assert turn < (rank[each.id] + 1) * bound
        taken[each.inbox, each.dropped_by] += 1
        left[each.inbox, each.dropped_by] -= 1
        rivals = [taken[who] for who in left if left[who] and who[0] == each.inbox]
        assert taken[each.inbox, each.dropped_by] <= min(rivals, default=99) + 1


def test_a_job_that_runs_keeps_its_turns_for_its_other_items() -> None:
    running = job(item("v0", State.RUNNING), item("v1"), item("v2"), id="running", dropped_by="a", state=State.RUNNING, queued_at=1.0)
    jobs = [running, *drops("a", 1, first=2), *drops("b", 3, first=3)]
    assert [each.id for each in start_order(jobs, NOW)] == ["running", "b0", "b1", "a0", "b2"]
    assert replace(running, on_hold=True) not in start_order([replace(running, on_hold=True)], NOW)
