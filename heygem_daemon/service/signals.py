"""Signals wake the loop through a pipe and set a flag; nothing else happens in a handler."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopSignal:
    """`requested` turns true at the first SIGTERM or SIGINT; `urgent` at the second. `wakeup` is readable from then on."""

    def __init__(self) -> None:
        self.requested = False
        self.urgent = False
        self.wakeup, self._ring = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        self.urgent = self.requested
        self.requested = True
        os.write(self._ring, b"!")

    def close(self) -> None:
        os.close(self.wakeup)
        os.close(self._ring)


@contextmanager
def stop_signals() -> Iterator[StopSignal]:
    """Catch SIGTERM and SIGINT while the block runs."""
    stop = StopSignal()
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        stop.close()
