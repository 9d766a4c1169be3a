"""Read one computed stream several times, one reader after the other, and compute it once."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")


class Replay(Generic[T]):
    """The parts of a stream without end, kept while they are read; every iteration begins at the first. Not for two threads at a time.

    make: starts the stream anew; it gives the same parts every time. limit: parts that are kept. The first reader who goes on beyond them
    takes the stream over; a later one goes on with a stream of its own, which is computed from its beginning. An error of the stream is
    raised to the reader, and the next one starts it anew.
    """

    def __init__(self, make: Callable[[], Iterator[T]], limit: int) -> None:
        self._make, self._limit = make, limit
        self._kept: list[T] = []
        self._source: Iterator[T] | None = None

    def __iter__(self) -> Iterator[T]:
        for i in range(self._limit):
            if i == len(self._kept):
                self._kept.append(self._next())
            yield self._kept[i]
        yield from self._rest()

    def _next(self) -> T:
        if self._source is None:
            self._source = islice(self._make(), len(self._kept), None)
        try:
            return next(self._source)
        except BaseException:
            self._source = None
            raise

    def _rest(self) -> Iterator[T]:
        source, self._source = self._source, None
        return islice(self._make(), self._limit, None) if source is None else source
