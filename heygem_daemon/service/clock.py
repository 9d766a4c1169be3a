"""The clocks of this computer."""

import time

from heygem_daemon.core.clock import ClockReading


class SystemClock:
    """The Clock that the product runs with."""

    def now(self) -> ClockReading:
        return ClockReading(monotonic=time.monotonic(), wall=time.time())
