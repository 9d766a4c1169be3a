"""The clock of this computer."""

import time

from heygem_daemon.service.clock import SystemClock


def test_a_reading_has_the_monotonic_and_the_wall_clock() -> None:
    before = (time.monotonic(), time.time())
    reading = SystemClock().now()
    assert before[0] <= reading.monotonic <= time.monotonic()
    assert abs(reading.wall - before[1]) < 60
