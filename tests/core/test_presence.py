"""What the traces of a daemon show: running, running without a status, busy, stopped, gone."""

from datetime import timedelta
from typing import Any

import pytest

from heygem_daemon.core.presence import Presence, Traces, judge
from heygem_daemon.core.status import DaemonStatus, Heartbeat, moment

NOW = moment(1_800_000_000.0)


def status(age: float, state: Any = "running") -> DaemonStatus:
    return DaemonStatus(version="1.2", state=state, pid=7, started=moment(0), heartbeat=NOW - timedelta(seconds=age))


def beat(age: float, state: Any = "running", unwritable: str = "") -> Heartbeat:
    since = NOW - timedelta(seconds=600) if unwritable else None
    heartbeat = NOW - timedelta(seconds=age)
    return Heartbeat(pid=7, outputs="/out", state=state, heartbeat=heartbeat, unwritable=unwritable, unwritable_since=since)


@pytest.mark.parametrize(
    ("traces", "presence", "words"),
    [
        (Traces(), Presence.GONE, "no daemon has reported yet"),
        (Traces(unreadable="/out: denied"), Presence.GONE, "whether heygem runs cannot be found out: /out: denied"),
        (Traces(status=status(600), unreadable="/out: denied"), Presence.GONE, "its last sign of life"),
        (Traces(process=8, unreadable="/out: denied"), Presence.BUSY, "has not reported yet"),
        (Traces(status=status(3)), Presence.RUNNING, "heygem 1.2 running"),
        (Traces(status=status(3), beats=(beat(1),)), Presence.RUNNING, "heygem 1.2 running"),
        (Traces(status=status(600), beats=(beat(2, unwritable="The disk is full."),)), Presence.UNREPORTED, "The disk is full."),
        (Traces(status=status(600), beats=(beat(2, unwritable="Full."),)), Presence.UNREPORTED, "since 2027-01-15"),
        (Traces(status=status(600), beats=(beat(700), beat(2))), Presence.UNREPORTED, "process 7"),
        (Traces(status=status(9), beats=(beat(2, unwritable="Full."),)), Presence.UNREPORTED, "Full."),
        (Traces(status=status(1), beats=(beat(2, unwritable="Full."),)), Presence.RUNNING, "heygem 1.2 running"),
        (Traces(beats=(beat(2),)), Presence.UNREPORTED, "its status cannot be read"),
        (Traces(beats=(beat(2, unwritable="Full."),)), Presence.UNREPORTED, "cannot be written since"),
        (Traces(status=status(40), beats=(beat(2),)), Presence.UNREPORTED, "its status is from"),
        (Traces(status=status(600), beats=(beat(600),), process=7), Presence.BUSY, "process 7"),
        (Traces(status=status(600, "stopped"), process=8), Presence.BUSY, "process 8"),
        (Traces(process=8), Presence.BUSY, "has not reported yet"),
        (Traces(status=status(600)), Presence.GONE, "its last sign of life is from"),
        (Traces(status=status(-600)), Presence.GONE, "its last sign of life is from"),
        (Traces(status=status(600, "stopped")), Presence.STOPPED, "it was stopped at"),
        (Traces(status=status(600), beats=(beat(3, "stopped"),)), Presence.STOPPED, "it was stopped at"),
        (Traces(status=status(3), beats=(beat(1, "stopped"),)), Presence.STOPPED, "it was stopped at"),
        (Traces(status=status(3), beats=(beat(4, "stopped"),)), Presence.RUNNING, "heygem 1.2 running"),
        (Traces(beats=(beat(3, "stopped"),)), Presence.STOPPED, "is not running"),
        (Traces(status=status(3), beats=(beat(1),), has_ended=True), Presence.GONE, "its last sign of life is from"),
        (Traces(beats=(beat(1, unwritable="Full."),), has_ended=True), Presence.GONE, "its last sign of life is from"),
        (Traces(status=status(3), beats=(beat(1, "stopped"),), has_ended=True), Presence.STOPPED, "it was stopped at"),
        (Traces(status=status(3), beats=(beat(1),), process=8, has_ended=True), Presence.RUNNING, "heygem 1.2 running"),
    ],
)
def test_the_traces_of_a_daemon_tell_whether_it_runs(traces: Traces, presence: Presence, words: str) -> None:
    found = judge(traces, NOW)
    assert found.presence is presence
    assert words in found.sentence
    assert found.is_there == (presence in {Presence.RUNNING, Presence.UNREPORTED, Presence.BUSY})
    assert found.since == (traces.status.heartbeat if traces.status else None)
