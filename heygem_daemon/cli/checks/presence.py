"""Read the traces of a daemon: its status, its heartbeats, the lock of the state folder, its process; without waiting for a dead share."""

import errno
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from heygem_daemon.bounded_reading import read_file_in
from heygem_daemon.cli.checks.timed_call import call_all
from heygem_daemon.core.names import HEARTBEAT, PRIVATE
from heygem_daemon.core.presence import Traces, Verdict, judge
from heygem_daemon.core.status import DaemonStatus, Heartbeat, moment
from heygem_daemon.machine import process_namespace, process_start
from heygem_daemon.settings import Settings

STATUS: Final = "status.json"
LOCKS: Final = Path("/proc/locks")
PROC: Final = Path("/proc")
MAX_HEARTBEAT: Final = 16 * 1024
TRIES: Final = 3
CLOCK_SECONDS: Final = 60.0
"""How far the clock of the wall may have been set since the start of the process."""


@dataclass(frozen=True, kw_only=True)
class FolderTraces:
    """What lies in outputs or in the state folder; the process that holds its lock, 0 for none that can be seen; why the folder cannot be
    looked into, "" where it can."""

    status: DaemonStatus | None = None
    beat: Heartbeat | None = None
    holder: int = 0
    problem: str = ""


def presence(settings: Settings, now: float) -> Verdict:
    """Return whether a daemon with these settings runs, at unix time `now`. One of the two folders that cannot be read counts as an empty
    one."""
    outputs, state, seconds = settings.outputs, settings.state, settings.intake.answer_seconds
    unanswered = FolderTraces(problem="it does not answer")
    shared, own = (found or unanswered for found in call_all([partial(_shared, outputs), partial(_own, state)], seconds))
    is_of_another = own.beat is not None and own.beat.outputs != str(outputs)
    beats = [beat for beat in (shared.beat, None if is_of_another else own.beat) if beat is not None]
    process = (0 if is_of_another else own.holder) or _writer(shared.status, beats)
    unreadable = f"{outputs}: {shared.problem}; {state}: {own.problem}" if shared.problem and own.problem else ""
    has_ended = _has_ended(shared.status, beats)
    traces = Traces(status=shared.status, beats=beats, process=process, has_ended=has_ended, unreadable=unreadable)
    return judge(traces, moment(now))


def _has_ended(status: DaemonStatus | None, beats: Sequence[Heartbeat]) -> bool:
    """Return whether the process that wrote the newest heartbeat, and the status, would be seen here if it were there."""
    newest = _newest(beats)
    if newest is None or not newest.namespace or (status is not None and status.pid != newest.pid):
        return False
    sees_all = (PROC / "1").exists()  # not so with hidepid of proc(5)
    return sees_all and newest.namespace == process_namespace() and not process_start(newest.pid)


def _newest(beats: Sequence[Heartbeat]) -> Heartbeat | None:
    return max(beats, key=lambda beat: beat.heartbeat, default=None)


def _writer(status: DaemonStatus | None, beats: Sequence[Heartbeat]) -> int:
    """Return the process that wrote the status, or the newest heartbeat, if it is still there; else 0."""
    newest = _newest(beats)
    written = [(each.pid, each.heartbeat.timestamp()) for each in (newest, status) if each is not None and each.state != "stopped"]
    return next((pid for pid, wrote in written if is_daemon(pid, wrote)), 0)


def is_daemon(pid: int, wrote: float, proc: Path = PROC) -> bool:
    """Return whether the process `pid` is a heygem that had started before unix time `wrote`: numbers of processes come again."""
    try:
        words = (proc / str(pid) / "cmdline").read_bytes().split(b"\0")
        ticks = int((proc / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()[19])
        boot = next(int(line.split()[1]) for line in (proc / "stat").read_text().splitlines() if line.startswith("btime "))
    except (OSError, ValueError, IndexError, StopIteration):
        return False
    return boot + ticks / os.sysconf("SC_CLK_TCK") <= wrote + CLOCK_SECONDS and any(b"heygem" in word for word in words)


def _shared(outputs: Path) -> FolderTraces:
    folder = outputs.resolve()  # a link to it is the administrator's; one in it is anybody's
    return FolderTraces(status=_status(folder), beat=_beat(folder / PRIVATE), problem=_problem(folder / STATUS))


def _own(state: Path) -> FolderTraces:
    return FolderTraces(beat=_beat(state.resolve()), holder=_holder(state), problem=_problem(state / HEARTBEAT))


def _problem(path: Path) -> str:
    """Return why a file cannot be read; "" where it can, or is not there."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as problem:
        return problem.strerror or str(problem)
    return "" if os.access(path, os.R_OK) else os.strerror(errno.EACCES)


def _status(outputs: Path) -> DaemonStatus | None:
    try:
        return DaemonStatus.read(read_file_in(outputs, STATUS))
    except (OSError, ValueError, RecursionError):
        return None


def _beat(folder: Path) -> Heartbeat | None:
    """Return the heartbeat in a folder, None where there is none. One that is read while it is written in its place is read again."""
    for _ in range(TRIES):
        with suppress(OSError, ValueError, RecursionError):
            return Heartbeat.read(read_file_in(folder, HEARTBEAT, MAX_HEARTBEAT))
    return None


def _holder(state: Path) -> int:
    """Return which process holds the lock, from the kernel's table: trying the lock could keep a daemon that starts now from it."""
    try:
        found = (state / "daemon.lock").stat()
        named = (state / "daemon.lock").read_text(encoding="ascii", errors="replace").strip()
        rows = [line.split() for line in LOCKS.read_text(encoding="ascii").splitlines()]
    except OSError:
        return 0
    held = {(row[4], row[5].rpartition(":")[2]) for row in rows if row[1:4] == ["FLOCK", "ADVISORY", "WRITE"]}
    # Not by the device: that of a file on btrfs or an overlay is another one than in the table.
    return int(named) if (named, str(found.st_ino)) in held else 0
