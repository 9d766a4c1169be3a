"""One stream for two readers."""

import gc
import weakref
from collections.abc import Iterator
from itertools import islice

import pytest

from heygem_daemon.lipsync.fork import forked


class Item:
    """Something that can be watched going away."""


def test_both_see_everything_in_order() -> None:
    here, there = forked(iter(range(5)))
    seen = [next(here), next(here), next(there)]
    assert seen == [0, 1, 0]
    assert (list(there), list(here)) == ([1, 2, 3, 4], [2, 3, 4])


def test_of_an_empty_stream_both_see_nothing() -> None:
    here, there = forked(iter(()))
    assert (list(here), list(there)) == ([], [])


def test_nothing_is_taken_before_somebody_asks() -> None:
    source = iter(range(9))
    here, there = forked(source)
    assert list(islice(here, 3)) == list(islice(there, 3)) == [0, 1, 2]
    assert next(source) == 3


def test_an_item_is_kept_until_both_have_seen_it_and_not_a_moment_longer() -> None:
    alive: list[weakref.ref[Item]] = []

    def items() -> Iterator[Item]:
        for _ in range(40):
            item = Item()
            alive.append(weakref.ref(item))
            yield item
            del item

    def held() -> int:
        gc.collect()
        return sum(each() is not None for each in alive)

    here, there = forked(items())
    for _ in range(30):
        next(here)
    assert held() in {30, 31}  # the last one may still be on its way
    for _ in range(29):
        next(there)
    assert held() <= 2


def test_what_goes_wrong_in_the_stream_reaches_who_asked() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    here, there = forked(broken())
    assert next(there) == 1
    with pytest.raises(OSError, match="disk"):
        next(there)
    assert next(here) == 1
