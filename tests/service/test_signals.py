"""A signal sets a flag and wakes the loop, and leaves the process as it was afterwards."""

import os
import select
import signal

from heygem_daemon.service.signals import stop_signals


def test_sigterm_requests_a_stop_and_a_second_one_is_urgent() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_signals() as stop:
        assert not select.select([stop.wakeup], [], [], 0)[0]
        os.kill(os.getpid(), signal.SIGTERM)
        assert (stop.requested, stop.urgent) == (True, False)
        assert select.select([stop.wakeup], [], [], 0)[0]
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.urgent
    assert signal.getsignal(signal.SIGTERM) is before


def test_sighup_requests_the_configuration_once_and_does_not_stop() -> None:
    with stop_signals() as stop:
        assert not stop.reload_requested()
        os.kill(os.getpid(), signal.SIGHUP)
        assert select.select([stop.wakeup], [], [], 0)[0]
        assert stop.reload_requested()
        assert not stop.reload_requested()
        assert not stop.requested
        assert not select.select([stop.wakeup], [], [], 0)[0]


def test_a_requested_stop_is_not_lost_behind_a_reload() -> None:
    with stop_signals() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.reload_requested()
        assert stop.requested
        assert select.select([stop.wakeup], [], [], 0)[0]


def test_a_thousand_signals_do_not_block() -> None:
    with stop_signals() as stop:
        for _ in range(70_000):
            stop(signal.SIGHUP, None)
        assert stop.reload_requested()
