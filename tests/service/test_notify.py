"""The service manager gets what it needs, no more often than it wants, and the daemon never waits for it."""

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from heygem_daemon.core.ports import ServiceNotifier
from heygem_daemon.service.notify import SystemdNotifier
from heygem_daemon.service.systemd import notify


class Manager:
    """The other end of $NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def received(self) -> list[str]:
        messages = []
        try:
            while True:
                messages.append(self._socket.recv(65536).decode())
        except BlockingIOError:
            return messages

    def close(self) -> None:
        self._socket.close()
        if not self.address.startswith("@"):
            Path(self.address).unlink(missing_ok=True)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    with closing(Manager(str(tmp_path / "notify"))) as listening:
        yield listening


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _notifier(manager: Manager, clock: Clock, **environment: str) -> SystemdNotifier:
    return SystemdNotifier({"NOTIFY_SOCKET": manager.address, **environment}, clock=clock)


def test_ready_is_sent_once(manager: Manager, clock: Clock) -> None:
    notifier: ServiceNotifier = _notifier(manager, clock)
    notifier.ready()
    notifier.ready()
    assert manager.received() == ["READY=1"]


def test_a_reload_sends_its_start_time_and_ends_with_ready(manager: Manager, clock: Clock) -> None:
    notifier = _notifier(manager, clock)
    notifier.ready()
    notifier.reloading()
    notifier.ready()
    assert manager.received() == ["READY=1", "RELOADING=1\nMONOTONIC_USEC=1000000000", "READY=1"]


def test_two_reloads_at_the_same_moment_both_end(manager: Manager, clock: Clock) -> None:
    notifier = _notifier(manager, clock)
    for _ in range(2):
        notifier.reloading()
        notifier.ready()
    assert [message.partition("\n")[0] for message in manager.received()] == ["RELOADING=1", "READY=1"] * 2


def test_the_end_is_announced(manager: Manager, clock: Clock) -> None:
    notifier = _notifier(manager, clock)
    notifier.stopping()
    assert manager.received() == ["STOPPING=1"]


def test_a_status_line_goes_out_when_it_changed(manager: Manager, clock: Clock) -> None:
    notifier = _notifier(manager, clock)
    notifier.status("idle")
    clock.now += 10
    notifier.status("idle")
    clock.now += 10
    notifier.status("1 running")
    assert manager.received() == ["STATUS=idle", "STATUS=1 running"]


def test_of_many_status_lines_in_a_second_the_last_one_follows(manager: Manager, clock: Clock) -> None:
    notifier = _notifier(manager, clock)
    for percent in range(10):
        notifier.status(f"{percent} %")
        clock.now += 0.05
    assert manager.received() == ["STATUS=0 %"]
    clock.now += 0.6
    notifier.alive()
    assert manager.received() == ["STATUS=9 %"]


def test_a_status_line_that_came_back_in_time_is_not_repeated(manager: Manager, clock: Clock) -> None:
    notifier = _notifier(manager, clock)
    for line in ("idle", "busy", "idle"):
        notifier.status(line)
    clock.now += 5
    notifier.alive()
    assert manager.received() == ["STATUS=idle"]


def test_a_name_cannot_add_a_message(manager: Manager, clock: Clock) -> None:
    _notifier(manager, clock).status("1 running: a\nWATCHDOG=trigger\udcff")
    assert manager.received() == ["STATUS=1 running: a\\x0aWATCHDOG=trigger\\xff"]


def test_a_long_status_line_stays_below_what_systemd_takes(manager: Manager, clock: Clock) -> None:
    _notifier(manager, clock).status("课" * 5000)
    (message,) = manager.received()
    assert 400 < len(message.encode()) < 4096


def test_signs_of_life_are_sent_four_times_per_watchdog_time_at_most(manager: Manager, clock: Clock) -> None:
    notifier = _notifier(manager, clock, WATCHDOG_USEC="20000000", WATCHDOG_PID=str(os.getpid()))
    assert notifier.watchdog_seconds == 20.0
    for _ in range(201):
        notifier.alive()
        clock.now += 0.1
    assert manager.received() == ["WATCHDOG=1"] * 5


@pytest.mark.parametrize(
    "environment", [{}, {"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "0"}]
)
def test_without_a_watchdog_of_ours_no_sign_of_life_is_sent(manager: Manager, clock: Clock, environment: dict[str, str]) -> None:
    notifier = _notifier(manager, clock, **environment)
    notifier.alive()
    assert notifier.watchdog_seconds is None
    assert manager.received() == []


def test_without_a_manager_nothing_happens() -> None:
    notifier = SystemdNotifier({})
    for call in (notifier.ready, notifier.alive, notifier.reloading, notifier.stopping):
        call()
    notifier.status("idle")


def test_what_a_manager_missed_is_sent_when_it_is_back(manager: Manager, clock: Clock) -> None:
    notifier = _notifier(manager, clock, WATCHDOG_USEC="20000000")
    manager.close()
    notifier.ready()
    notifier.status("idle")
    notifier.alive()
    with closing(Manager(manager.address)) as back:
        notifier.alive()
        assert back.received() == ["READY=1", "STATUS=idle", "WATCHDOG=1"]


def test_a_manager_that_does_not_read_blocks_nothing(manager: Manager, clock: Clock) -> None:
    taken = 0
    while notify(manager.address, "STATUS=full") and taken < 10_000:
        taken += 1
    assert 0 < taken < 10_000
    notifier = _notifier(manager, clock)
    notifier.ready()
    manager.received()
    notifier.alive()
    assert manager.received() == ["READY=1"]


def test_an_abstract_address_is_understood(clock: Clock) -> None:
    with closing(Manager(f"@heygem-test-{os.getpid()}")) as manager:
        _notifier(manager, clock).ready()
        assert manager.received() == ["READY=1"]


def test_a_foreign_kind_of_address_is_left_alone() -> None:
    assert not notify("vsock:2:1234", "READY=1")
    assert not notify("", "READY=1")


def test_each_sign_of_life_sets_the_alarm_before_the_watchdog_time_ends(manager: Manager, clock: Clock) -> None:
    alarms: list[float] = []
    watched = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "60000000"}
    notifier = SystemdNotifier(watched, clock=clock, alarm=alarms.append)
    for _ in range(20):
        notifier.alive()
        clock.now += 1
    assert manager.received() == ["WATCHDOG=1"] * 2
    assert alarms == [45.0] * 2


def test_a_short_watchdog_time_sets_no_alarm(manager: Manager, clock: Clock) -> None:
    """A pause of a second is no hang, and to write where running threads are may end the process."""
    alarms: list[float] = []
    SystemdNotifier({"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "400000"}, clock=clock, alarm=alarms.append).alive()
    assert manager.received() == ["WATCHDOG=1"]
    assert alarms == []


def test_without_a_watchdog_no_alarm_is_set(manager: Manager, clock: Clock) -> None:
    alarms: list[float] = []
    SystemdNotifier({"NOTIFY_SOCKET": manager.address}, clock=clock, alarm=alarms.append).alive()
    assert alarms == []
