"""A signal sets a flag and wakes the loop, and leaves the process as it was afterwards."""

import os
import select
import signal

from heygem_daemon.service.signals import stop_signals


def test_sigterm_asks_to_stop_and_a_second_one_is_urgent() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_signals() as stop:
        assert not select.select([stop.wakeup], [], [], 0)[0]
        os.kill(os.getpid(), signal.SIGTERM)
        assert (stop.requested, stop.urgent) == (True, False)
        assert select.select([stop.wakeup], [], [], 0)[0]
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.urgent
    assert signal.getsignal(signal.SIGTERM) is before
