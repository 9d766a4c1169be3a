"""Reading ahead changes nothing but the time."""

import threading
import time
from contextlib import closing

import pytest

from heygem_daemon.lipsync.prefetch import read_ahead


def count(to, seen=None, closed=None):
    try:
        for i in range(to):
            if seen is not None:
                seen.append(i)
            yield i
    finally:
        if closed is not None:
            closed.append(True)


@pytest.mark.parametrize("depth", [1, 3, 100])
def test_the_same_items_come_in_the_same_order(depth):
    assert list(read_ahead(count(50), depth)) == list(range(50))


def test_no_more_than_the_depth_is_produced_ahead():
    seen = []
    with closing(read_ahead(count(1000, seen), 4)) as items:
        assert next(items) == 0
        time.sleep(0.3)
        assert len(seen) <= 1 + 4 + 1


def test_the_producer_works_while_the_consumer_does():
    seen = []
    with closing(read_ahead(count(10, seen), 4)) as items:
        next(items)
        deadline = time.monotonic() + 5
        while len(seen) < 4:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_an_error_of_the_producer_comes_after_what_was_produced():
    def broken():
        yield 1
        raise ValueError("decoder")

    items = read_ahead(broken(), 2)
    assert next(items) == 1
    with pytest.raises(ValueError, match="decoder"):
        next(items)


def test_leaving_early_closes_the_producer_and_ends_its_thread():
    closed = []
    before = threading.active_count()
    with closing(read_ahead(count(1000, closed=closed), 2)) as items:
        next(items)
    assert closed == [True]
    assert threading.active_count() == before
