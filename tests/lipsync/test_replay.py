"""A computed stream is read several times and computed once, as far as it is kept."""

from collections.abc import Iterator
from itertools import islice

import pytest

from heygem_daemon.lipsync.replay import Replay


class Counting:
    """A stream of the whole numbers that counts how many were computed, and fails once at `broken`."""

    def __init__(self, broken: int = -1) -> None:
        self.computed = 0
        self.broken = broken

    def __call__(self) -> Iterator[int]:
        number = 0
        while True:
            if number == self.broken:
                self.broken = -1
                raise OSError("a part cannot be read")
            self.computed += 1
            yield number
            number += 1


def first(replay: Replay[int], count: int) -> list[int]:
    return list(islice(replay, count))


def test_every_reader_gets_the_stream_from_its_beginning_and_it_is_computed_once() -> None:
    source = Counting()
    replay = Replay(source, 10)
    assert [first(replay, count) for count in (3, 7, 5)] == [list(range(3)), list(range(7)), list(range(5))]
    assert source.computed == 7


def test_two_readers_may_take_turns() -> None:
    source = Counting()
    replay = Replay(source, 10)
    one, other = iter(replay), iter(replay)
    assert [next(one), next(one), next(other), next(one), next(other), next(other), next(other)] == [0, 1, 0, 2, 1, 2, 3]
    assert source.computed == 4


def test_the_first_reader_beyond_the_limit_goes_on_and_later_ones_compute_it_again() -> None:
    source = Counting()
    replay = Replay(source, 4)
    assert first(replay, 9) == list(range(9))
    assert source.computed == 9
    assert first(replay, 4) == list(range(4))
    assert source.computed == 9
    assert first(replay, 9) == list(range(9))
    assert source.computed == 18


def test_an_error_is_raised_and_the_next_reader_begins_anew() -> None:
    replay = Replay(Counting(broken=2), 10)
    with pytest.raises(OSError, match="cannot be read"):
        first(replay, 4)
    assert first(replay, 4) == list(range(4))
