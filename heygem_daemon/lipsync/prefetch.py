"""Run a producer a bounded number of items ahead of its consumer, and read one stream twice."""

import queue
import threading
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Final, TypeVar

T = TypeVar("T")

READ_AHEAD: Final = 4
"""Frames decoded ahead of their consumer: one of 4K has 12 MB."""
_POLL_SECONDS: Final = 0.1
_JOIN_SECONDS: Final = 5.0


@dataclass(frozen=True)
class _End:
    error: BaseException | None


def read_ahead(source: Generator[T, None, None], depth: int) -> Generator[T, None, None]:
    """Yield the items of `source`; a thread keeps up to `depth` of them ready. Its errors are raised here; closing this closes it."""
    ready: queue.Queue[T | _End] = queue.Queue(depth)
    is_closed = threading.Event()

    def put(item: T | _End) -> bool:
        while not is_closed.is_set():
            try:
                ready.put(item, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False

    def produce() -> None:
        try:
            with closing(source):
                for item in source:
                    if not put(item):
                        return
        except BaseException as error:  # noqa: BLE001  (raised again in the consumer's thread)
            put(_End(error))
        else:
            put(_End(None))

    thread = threading.Thread(target=produce, name="read ahead", daemon=True)
    thread.start()
    try:
        while not isinstance(item := ready.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        is_closed.set()
        thread.join(_JOIN_SECONDS)


def bounded_tee(source: Iterator[T]) -> tuple[Iterator[T], Iterator[T]]:
    """Return two iterators over everything `source` yields.

    An item that one has taken is kept until the other takes it, and no longer: itertools.tee keeps up to 57 items more, which of
    4K frames are 700 MB.
    """
    first: deque[T] = deque()
    second: deque[T] = deque()

    def branch(own: deque[T], other: deque[T]) -> Iterator[T]:
        while True:
            if own:
                yield own.popleft()
                continue
            try:
                item = next(source)
            except StopIteration:
                return
            other.append(item)
            yield item
            del item

    return branch(first, second), branch(second, first)
