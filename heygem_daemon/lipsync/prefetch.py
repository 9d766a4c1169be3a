"""Let a producer work while its consumer does, a bounded number of steps ahead."""

import queue
import threading
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Final, TypeVar

T = TypeVar("T")

_LOOK_SECONDS: Final = 0.1
_JOIN_SECONDS: Final = 5.0


@dataclass(frozen=True)
class _End:
    problem: BaseException | None


def read_ahead(source: Generator[T, None, None], depth: int) -> Generator[T, None, None]:
    """Yield what `source` yields; a thread keeps up to `depth` items ready. Its errors are raised here; closing this closes it."""
    ready: queue.Queue[T | _End] = queue.Queue(depth)
    is_unwanted = threading.Event()

    def put(item: T | _End) -> bool:
        while not is_unwanted.is_set():
            try:
                ready.put(item, timeout=_LOOK_SECONDS)
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
        except BaseException as problem:  # noqa: BLE001  (raised again in the consumer's thread)
            put(_End(problem))
        else:
            put(_End(None))

    thread = threading.Thread(target=produce, name="read ahead", daemon=True)
    thread.start()
    try:
        while not isinstance(item := ready.get(), _End):
            yield item
        if item.problem is not None:
            raise item.problem
    finally:
        is_unwanted.set()
        thread.join(_JOIN_SECONDS)
