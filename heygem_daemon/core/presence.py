"""Judge by its traces whether a daemon runs: its status, the heartbeats beside it, the lock of its state folder, its process.

An old status proves nothing alone: outputs may be full, read-only or unreachable, or one step of the daemon may take long.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from heygem_daemon.core.status import DaemonStatus, Heartbeat


class Presence(StrEnum):
    """What the traces show."""

    RUNNING = "running"
    """It reports."""
    UNREPORTED = "unreported"
    """It works, but its status cannot be written."""
    BUSY = "busy"
    """Its process is there and has not reported for a while."""
    STOPPED = "stopped"
    """It ended in order."""
    GONE = "gone"
    """Nothing shows that it runs."""


@dataclass(frozen=True, kw_only=True)
class Traces:
    """What could be read. process: the daemon that holds the lock of the state folder or, where that cannot be found out, that wrote the
    status; 0 where it is not there. has_ended: its process would be seen if it were there. unreadable: why none of its traces can be read,
    "" where they can."""

    status: DaemonStatus | None = None
    beats: Sequence[Heartbeat] = ()
    process: int = 0
    has_ended: bool = False
    unreadable: str = ""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`sentence` describes it to an administrator; `since` is the time of the last status, None where there is none."""

    presence: Presence
    sentence: str
    since: datetime | None = None

    @property
    def is_there(self) -> bool:
        return self.presence in {Presence.RUNNING, Presence.UNREPORTED, Presence.BUSY}


def judge(traces: Traces, now: datetime) -> Verdict:
    """Return what these traces show at the time `now`."""
    status, beat = traces.status, max(traces.beats, key=lambda each: each.heartbeat, default=None)
    since = status.heartbeat if status is not None else None
    last = max((each for each in (since, beat.heartbeat if beat else None) if each is not None), default=None)
    if traces.has_ended and not traces.process:
        return _ended(status, beat, last, since)
    is_unwritable = beat is not None and bool(beat.unwritable) and (status is None or beat.heartbeat >= status.heartbeat)
    if status is not None and status.is_alive(now) and not is_unwritable and not _has_stopped(status, beat):
        return Verdict(presence=Presence.RUNNING, sentence=f"heygem {status.version} {status.state}", since=since)
    if beat is not None and beat.is_fresh(now) and beat.state != "stopped":
        return Verdict(presence=Presence.UNREPORTED, sentence=_unreported(beat, since), since=since)
    if traces.process:
        return Verdict(presence=Presence.BUSY, sentence=_busy(traces.process, last), since=since)
    if last is None and traces.unreadable:
        return Verdict(presence=Presence.GONE, sentence=f"whether heygem runs cannot be found out: {traces.unreadable}")
    return _ended(status, beat, last, since)


def _ended(status: DaemonStatus | None, beat: Heartbeat | None, last: datetime | None, since: datetime | None) -> Verdict:
    if _has_stopped(status, beat):
        return Verdict(presence=Presence.STOPPED, sentence=f"heygem is not running: it was stopped{_at(last)}", since=since)
    if last is None:
        return Verdict(presence=Presence.GONE, sentence="heygem is not running: no daemon has reported yet")
    return Verdict(presence=Presence.GONE, sentence=f"heygem is not running: its last sign of life is from {_time(last)}", since=since)


def _has_stopped(status: DaemonStatus | None, beat: Heartbeat | None) -> bool:
    """Return whether the newest of the two was written at an orderly end."""
    if beat is not None and (status is None or beat.heartbeat >= status.heartbeat):
        return beat.state == "stopped"
    return status is not None and status.state == "stopped"


def _unreported(beat: Heartbeat, since: datetime | None) -> str:
    running = f"heygem (process {beat.pid}) is running, but its status"
    if beat.unwritable:
        return f"{running} cannot be written{_since(beat.unwritable_since or since)}: {beat.unwritable}"
    return f"{running} cannot be read" if since is None else f"{running} is from {_time(since)}"


def _busy(process: int, last: datetime | None) -> str:
    reported = f"has not reported since {_time(last)}" if last else "has not reported yet"
    return (
        f"heygem (process {process}) is running, but {reported}: it is starting, or a step of it takes long, most often because a disk or "
        "a share does not answer. `journalctl -u heygem -e` shows more"
    )


def _since(start: datetime | None) -> str:
    return f" since {_time(start)}" if start else ""


def _at(last: datetime | None) -> str:
    return f" at {_time(last)}" if last else ""


def _time(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
