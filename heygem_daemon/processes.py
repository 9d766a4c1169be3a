"""Start child processes in sessions of their own, end them with their whole process group, reap them, keep the tail of their output.

A child is never reaped before its group was killed: until then its id belongs to nobody else, and killing the group is safe.
"""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

CHUNK_BYTES: Final = 65536
_POLL_SECONDS: Final = 0.005
OOM_SCORE: Final = 500
"""proc_pid_oom_score_adj(5): as if it used half of all memory more than it does."""


def start(
    command: Sequence[str],
    *,
    stdin: int | IO[bytes] = subprocess.PIPE,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
    environment: Mapping[str, str] | None = None,
    descriptors: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start `command` as the leader of a new session and process group, with unbuffered pipes.

    environment: the whole environment of the child; None = ours. descriptors: ours that it inherits under the same numbers. Raises OSError,
    or ValueError for a NUL in a word."""
    return subprocess.Popen(
        list(command),
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=environment,
        bufsize=0,
        start_new_session=True,
        pass_fds=descriptors,
    )


def has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Return whether the process has ended, without reaping it."""
    if process.returncode is not None:
        return True
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # somebody else reaped it
        return True


def wait_ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait at most `seconds` until the process has ended, without reaping it; return whether it has."""
    deadline = time.monotonic() + seconds
    while not has_ended(process):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to every process of the group. Do nothing once the leader is reaped."""
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):  # PermissionError: all that is left of the group has other rights
            os.killpg(process.pid, number)


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """Return the processor time in s that the processes of the group, and those that they have waited for, have used; 0 once it is
    reaped."""
    if process.returncode is not None:
        return 0.0
    ticks = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError, ValueError, IndexError):
                fields = Path("/proc", name, "stat").read_bytes().rpartition(b")")[2].split()
                ticks += sum(map(int, fields[11:15])) if int(fields[2]) == process.pid else 0
    return ticks / os.sysconf("SC_CLK_TCK")


def prefer_for_memory(score: int = OOM_SCORE) -> None:
    """Let the out-of-memory killer choose this process and its children before the daemon, whose end would stop every job."""
    with suppress(OSError):  # a container may forbid it
        Path("/proc/self/oom_score_adj").write_text(str(score), encoding="ascii")


def kill_and_reap(process: subprocess.Popen[bytes], seconds: float | None = None) -> int | None:
    """Kill the whole group and return the exit status of its leader, negative for a signal.

    Return None when the leader is not gone within `seconds`: in uninterruptible sleep, on a share that hangs for instance, it ends
    when the kernel lets it."""
    signal_group(process, signal.SIGKILL)
    try:
        return process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return None


class Tail:
    """The last bytes of an output."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = b""

    def append(self, chunk: bytes) -> None:
        self._bytes = (self._bytes + chunk)[-self._limit :]

    @property
    def text(self) -> str:
        return printable(self._bytes)


def printable(raw: bytes) -> str:
    """Decode UTF-8; replace what is not valid, and every control character but the newline."""
    decoded = raw.decode("utf-8", "replace")
    return "".join(char if char.isprintable() or char == "\n" else " " for char in decoded)
