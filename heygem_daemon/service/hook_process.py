"""Run one hook program to its end or to its time limit, whatever it does.

Its input is a file, so it may leave it unread. Its output is read continuously, and only the end of it is kept. It has a process group
of its own, which is killed when the program has ended or its time is over: no background process of it stays.
"""

import os
import select
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO, Final

from heygem_daemon import processes
from heygem_daemon.processes import CHUNK_BYTES, Tail, has_ended, kill_and_reap

TAIL_BYTES: Final = 2048
POLL_SECONDS: Final = 0.05
REAP_SECONDS: Final = 1.0


@dataclass(frozen=True, kw_only=True)
class HookResult:
    """How a hook ended.

    `problem` is "" after success; `code` is None when it did not run or was killed at its limit; `output` is the end of its output."""

    problem: str
    code: int | None = None
    output: str = ""


def run(
    command: Sequence[str],
    *,
    stdin: bytes,
    environment: Mapping[str, str],
    seconds: float,
    stop: threading.Event,
    clock: Callable[[], float] = time.monotonic,
) -> HookResult:
    """Run `command` with the bytes `stdin` on its standard input, for at most `seconds`, and no longer once `stop` is set."""
    deadline = clock() + seconds
    try:
        with TemporaryFile() as file:
            file.write(stdin)
            file.seek(0)
            child = _start(command, file, environment)
    except (OSError, ValueError) as problem:  # ValueError: a NUL in a word
        return HookResult(problem=f"{command[0]} cannot be started: {getattr(problem, 'strerror', None) or problem}")
    reader = _OutputReader(child)
    try:
        kill_reason = reader.follow(deadline, stop, clock)
    finally:
        code = kill_and_reap(child, REAP_SECONDS)
        if child.stdout is not None:
            child.stdout.close()
    if kill_reason:
        return HookResult(
            problem=f"It took longer than {seconds:g} s" if kill_reason == "late" else "The daemon ended before it did", output=reader.text
        )
    return HookResult(problem=_describe_exit(code), code=code, output=reader.text)


def _start(command: Sequence[str], stdin: IO[bytes], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    child = processes.start(command, stdin=stdin, stderr=subprocess.STDOUT, environment=environment)
    assert child.stdout is not None  # noqa: S101 (always a pipe)
    os.set_blocking(child.stdout.fileno(), False)
    return child


class _OutputReader:
    """Reads a program's output until the program itself has ended: its children may hold the pipe open for ever."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        assert child.stdout is not None  # noqa: S101 (see _start)
        self._child = child
        self._pipe = child.stdout.fileno()
        self._is_open = True
        self._tail = Tail(TAIL_BYTES)

    def follow(self, deadline: float, stop: threading.Event, clock: Callable[[], float]) -> str:
        """Return "" when the program has ended, else why it must be killed: "late" or "stopped"."""
        while not has_ended(self._child):
            if stop.is_set():
                return "stopped"
            if clock() >= deadline:
                return "late"
            self._read_soon(stop)
        for _ in range(2**20 // CHUNK_BYTES):  # what still lies in the pipe, the largest of which holds 1 MiB
            self._read()
        return ""

    def _read_soon(self, stop: threading.Event) -> None:
        if not self._is_open:
            stop.wait(POLL_SECONDS)
            return
        poll = select.poll()
        poll.register(self._pipe, select.POLLIN)
        if poll.poll(POLL_SECONDS * 1000):
            self._read()

    def _read(self) -> None:
        with suppress(BlockingIOError):
            chunk = os.read(self._pipe, CHUNK_BYTES)
            self._is_open = bool(chunk)
            self._tail.append(chunk)

    @property
    def text(self) -> str:
        return self._tail.text.strip()


def _describe_exit(code: int | None) -> str:
    if not code:
        return ""
    return f"It was killed by signal {-code}" if code < 0 else f"It ended with code {code}"
