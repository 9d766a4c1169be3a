"""Turn signals into flags and a readable pipe that wakes the main loop; a handler does nothing else."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopSignal:
    """`requested` turns true at the first SIGTERM or SIGINT; `urgent` at the second. `wakeup` is readable from then on.

    SIGHUP requests a reload of the configuration; it makes `wakeup` readable until the next call of `reload_requested`."""

    def __init__(self) -> None:
        self.requested = False
        self.urgent = False
        self._reload = False
        self.wakeup, self._write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._reload = True
        else:
            self.urgent = self.requested
            self.requested = True
        try:
            os.write(self._write_end, b"!")
        except BlockingIOError:  # full, so it is readable already
            return

    def reload_requested(self) -> bool:
        """Return whether SIGHUP came since the last call."""
        if not self._reload:
            return False
        os.read(self.wakeup, 4096)  # before the flag: a signal in between is seen by the next call
        self._reload = False
        if self.requested:  # its byte may be among those just read
            os.write(self._write_end, b"!")
        return True

    def close(self) -> None:
        os.close(self.wakeup)
        os.close(self._write_end)


@contextmanager
def stop_signals(*, is_last: bool = False) -> Iterator[StopSignal]:
    """Catch SIGTERM, SIGINT and SIGHUP while the block runs. is_last: the process ends after it, so one that comes then is ignored."""
    stop = StopSignal()
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if is_last else handler)
        stop.close()
