"""Threads that may hang: they work in order, pass on every exception, and keep no process from ending."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from heygem_daemon.daemon_threads import CANCELLED_KEPT, DaemonThreadPool

TIMEOUT_SECONDS = 60.0
"""In s; only a test that fails waits for so long."""


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    gate = threading.Event()
    yield gate
    gate.set()


@pytest.fixture
def pool() -> Iterator[DaemonThreadPool]:
    with closing(DaemonThreadPool("test of turns", threads=1)) as pool:
        yield pool


def test_one_thread_works_in_the_order_of_the_calls() -> None:
    pool, done = DaemonThreadPool("test", threads=1), list[int]()
    futures = [pool.submit(lambda number=number: done.append(number)) for number in range(10)]  # type: ignore[misc]
    for future in futures:
        future.result(TIMEOUT_SECONDS)
    assert done == list(range(10))
    pool.close()


def test_an_exception_is_raised_by_the_result_and_the_thread_goes_on() -> None:
    pool = DaemonThreadPool("test", threads=1)
    with pytest.raises(ZeroDivisionError):
        pool.submit(lambda: 1 // 0).result(TIMEOUT_SECONDS)
    assert pool.submit(lambda: "next").result(TIMEOUT_SECONDS) == "next"
    pool.close()


def test_a_future_that_is_cancelled_before_its_turn_is_skipped(gate: threading.Event) -> None:
    pool, done = DaemonThreadPool("test", threads=1), list[str]()
    pool.submit(lambda: gate.wait(TIMEOUT_SECONDS))
    skipped = pool.submit(lambda: done.append("skipped"))
    last = pool.submit(lambda: done.append("last"))
    assert skipped.cancel()
    gate.set()
    last.result(TIMEOUT_SECONDS)
    assert done == ["last"]
    pool.close()


def test_no_more_threads_are_started_than_allowed(gate: threading.Event) -> None:
    pool = DaemonThreadPool("test of the limit", threads=2)
    futures = [pool.submit(lambda: gate.wait(TIMEOUT_SECONDS)) for _ in range(5)]
    assert [thread.name for thread in threading.enumerate()].count("test of the limit") == 2
    gate.set()
    assert all(future.result(TIMEOUT_SECONDS) for future in futures)
    pool.close()


def test_closing_ends_the_threads_after_what_was_submitted(gate: threading.Event) -> None:
    pool = DaemonThreadPool("test of the end", threads=1)
    future = pool.submit(lambda: gate.wait(TIMEOUT_SECONDS))
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "test of the end")
    pool.close()
    gate.set()
    thread.join(TIMEOUT_SECONDS)
    assert not thread.is_alive()
    assert future.result(TIMEOUT_SECONDS)


def refuse(_thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_thread_that_cannot_be_started_is_started_by_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, done = DaemonThreadPool("test", threads=1), list[str]()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            pool.submit(lambda: done.append("refused"))
    pool.submit(lambda: done.append("accepted")).result(TIMEOUT_SECONDS)
    assert done == ["accepted"]
    pool.close()


def test_where_a_second_thread_cannot_be_started_the_first_does_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = DaemonThreadPool("test", threads=2)
    pool.submit(lambda: "first").result(TIMEOUT_SECONDS)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert pool.submit(lambda: "second").result(TIMEOUT_SECONDS) == "second"
    pool.close()


# -- owners --------------------------------------------------------------------------------------------------------------


def hold(pool: DaemonThreadPool, gate: threading.Event) -> None:
    """Keep the only thread busy until the gate opens."""
    is_held = threading.Event()

    def work() -> bool:
        is_held.set()
        return gate.wait(TIMEOUT_SECONDS)

    pool.submit(work, owner="first")
    assert is_held.wait(TIMEOUT_SECONDS)


def noting(done: list[str], name: str) -> Callable[[], None]:
    return lambda: done.append(name)


def test_owners_take_turns_and_the_work_of_one_is_done_in_order(pool: DaemonThreadPool, gate: threading.Event) -> None:
    done: list[str] = []
    hold(pool, gate)
    futures = [pool.submit(noting(done, f"many {number}"), owner="many") for number in range(1000)]
    futures += [pool.submit(noting(done, f"few {number}"), owner="few") for number in range(2)]
    gate.set()
    for future in futures:
        future.result(TIMEOUT_SECONDS)
    assert done[:5] == ["many 0", "few 0", "many 1", "few 1", "many 2"]
    assert done[5:] == [f"many {number}" for number in range(3, 1000)]


def test_what_is_cancelled_costs_no_turn(pool: DaemonThreadPool, gate: threading.Event) -> None:
    done: list[str] = []
    hold(pool, gate)
    skipped = pool.submit(noting(done, "skipped"), owner="a")
    futures = [pool.submit(noting(done, owner), owner=owner) for owner in ("b", "a")]
    assert skipped.cancel()
    gate.set()
    for future in futures:
        future.result(TIMEOUT_SECONDS)
    assert done == ["a", "b"]


def test_what_is_cancelled_again_and_again_is_not_kept(pool: DaemonThreadPool, gate: threading.Event) -> None:
    done: list[str] = []
    hold(pool, gate)
    last = pool.submit(noting(done, "last"), owner="b")
    for _ in range(5 * CANCELLED_KEPT):
        assert pool.submit(noting(done, "skipped"), owner="a").cancel()
        assert sum(map(len, pool._lines.values())) <= 2 * CANCELLED_KEPT
    gate.set()
    last.result(TIMEOUT_SECONDS)
    assert done == ["last"]
