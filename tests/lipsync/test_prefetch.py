"""Prefetching changes nothing but the time; a bounded tee gives the same stream to two readers."""

import gc
import threading
import time
import weakref
from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import islice

import pytest

from heygem_daemon.lipsync.prefetch import bounded_tee, read_ahead


class Item:
    """An object whose end of life can be observed."""


def count(to: int, seen: list[int] | None = None, closed: list[bool] | None = None) -> Generator[int, None, None]:
    try:
        for i in range(to):
            if seen is not None:
                seen.append(i)
            yield i
    finally:
        if closed is not None:
            closed.append(True)


@pytest.mark.parametrize("depth", [1, 3, 100])
def test_the_same_items_come_in_the_same_order(depth: int) -> None:
    assert list(read_ahead(count(50), depth)) == list(range(50))


def test_no_more_than_the_depth_is_produced_ahead() -> None:
    seen: list[int] = []
    with closing(read_ahead(count(1000, seen), 4)) as items:
        assert next(items) == 0
        time.sleep(0.3)
        assert len(seen) <= 1 + 4 + 1


def test_the_producer_works_while_the_consumer_does() -> None:
    seen: list[int] = []
    with closing(read_ahead(count(10, seen), 4)) as items:
        next(items)
        deadline = time.monotonic() + 60
        while len(seen) < 4:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_an_error_of_the_producer_comes_after_what_was_produced() -> None:
    def broken() -> Generator[int, None, None]:
        yield 1
        raise ValueError("decoder")

    items = read_ahead(broken(), 2)
    assert next(items) == 1
    with pytest.raises(ValueError, match="decoder"):
        next(items)


def test_leaving_early_closes_the_producer_and_ends_its_thread() -> None:
    closed: list[bool] = []
    before = threading.active_count()
    with closing(read_ahead(count(1000, closed=closed), 2)) as items:
        next(items)
    assert closed == [True]
    assert threading.active_count() == before


def test_both_readers_get_every_item_in_order() -> None:
    first, second = bounded_tee(iter(range(5)))
    seen = [next(first), next(first), next(second)]
    assert seen == [0, 1, 0]
    assert (list(second), list(first)) == ([1, 2, 3, 4], [2, 3, 4])


def test_an_empty_stream_is_empty_for_both_readers() -> None:
    first, second = bounded_tee(iter(()))
    assert (list(first), list(second)) == ([], [])


def test_the_source_is_read_only_on_demand() -> None:
    source = iter(range(9))
    first, second = bounded_tee(source)
    assert list(islice(first, 3)) == list(islice(second, 3)) == [0, 1, 2]
    assert next(source) == 3


def test_an_item_is_kept_until_both_readers_have_taken_it_and_no_longer() -> None:
    alive: list[weakref.ref[Item]] = []

    def items() -> Iterator[Item]:
        for _ in range(40):
            item = Item()
            alive.append(weakref.ref(item))
            yield item
            del item

    def alive_count() -> int:
        gc.collect()
        return sum(each() is not None for each in alive)

    first, second = bounded_tee(items())
    for _ in range(30):
        next(first)
    assert alive_count() in {30, 31}  # the last one may still be on its way
    for _ in range(29):
        next(second)
    assert alive_count() <= 2


def test_an_error_of_the_source_reaches_the_reader_that_caused_the_read() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    first, second = bounded_tee(broken())
    assert next(second) == 1
    with pytest.raises(OSError, match="disk"):
        next(second)
    assert next(first) == 1
