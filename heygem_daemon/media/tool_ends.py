"""Say why a program failed: whether the file that it read can be the cause, or only the machine that it runs on.

| how it ended                                              | cause    | what follows                                                  |
|-----------------------------------------------------------|----------|---------------------------------------------------------------|
| SIGKILL, SIGTERM, ... (memory ran out, a stop, a person)  | machine  | `tool_killed`: waits                                          |
| no descriptors, no room on the disk, the share is gone    | machine  | `server_short`, `io_error`: waits                             |
| it cannot be started                                      | machine  | `ffmpeg_missing`, `tool_broken`: waits for the administrator  |
| SIGSEGV, SIGABRT, ...; no memory, no threads; EIO         | either   | tried again (run.capture, intake), then judged with a control |
|                                                           |          | (of a stream, which costs an attempt: run.stream_error)       |
| anything else                                             | file     | the error of the file; where nothing at all was decoded or    |
|                                                           |          | encoded, after tries and a control (run.require_capacity)     |
"""

import errno
import os
import signal
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.core.storage import FULL, SHORT, UNREACHABLE

CRASHES: Final = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGTRAP, signal.SIGSYS})
"""Signals that a program causes itself: as a file made it do what it must not, or as it or the machine is broken. All others come from
outside."""
_SHELL_SIGNAL: Final = 128
"""A shell that stands between exits with this and the number of the signal."""
_FFMPEG_INTERRUPTED: Final = 255
"""ffmpeg ends what it has begun when it gets SIGTERM or SIGINT, says nothing, and exits with this."""
_NOT_STARTED: Final = frozenset({126, 127})
"""Exit codes of the dynamic linker (a library is missing) and of a shell."""


_STARVED: Final = frozenset({errno.ENOMEM, errno.EAGAIN})
"""Decoders say these two also of files that ask for more than they may have."""
_SHORT: Final = FULL | SHORT - _STARVED
_UNREACHABLE: Final = UNREACHABLE | {errno.EREMOTEIO, errno.EROFS, errno.EUCLEAN}
_UNREADABLE: Final = frozenset({errno.EIO})


@dataclass(frozen=True, kw_only=True)
class Completed:
    """How a command ended: `code` is negative for a signal; `stderr` is the end of its standard error; `program` its name; `answer` the
    JSON object that it printed, where it was asked for one."""

    code: int
    stdout: bytes
    stderr: str
    program: str = ""
    answer: Mapping[str, Any] | None = None

    @property
    def last_error_line(self) -> str:
        """The last line of standard error, or else the exit code in words."""
        lines = [line.strip() for line in self.stderr.splitlines() if line.strip()]
        return lines[-1] if lines else f"exit code {self.code}"

    @property
    def signal_number(self) -> int | None:
        """The number of the signal that ended it, also where a shell stands between; None where it ended by itself."""
        if self.code < 0:
            return -self.code
        if self.code == _FFMPEG_INTERRUPTED and self.program == "ffmpeg":
            return int(signal.SIGTERM)
        number = self.code - _SHELL_SIGNAL
        return number if 0 < number < signal.SIGRTMIN else None

    @property
    def has_crashed(self) -> bool:
        return self.signal_number in CRASHES

    @property
    def is_starved(self) -> bool:
        """Whether it failed for memory or threads, or says so."""
        return self.code != 0 and reported_number(self.stderr, _STARVED) is not None

    @property
    def is_unreadable(self) -> bool:
        """Whether it could not read its file, or says so."""
        return reported_number(self.stderr, _UNREADABLE) is not None


def machine_error(end: Completed, name: str) -> HeygemError | None:
    """Return the error of a program that did not fail by what is in the file `name`; None where that may be the cause."""
    if end.signal_number is not None and not end.has_crashed:
        return error("tool_killed", program=end.program, name=name, how=how(end))
    if end.code in _NOT_STARTED:
        return error("tool_broken", program=end.program, problem=end.last_error_line)
    if reported_number(end.stderr, _SHORT) is not None:
        return error("server_short", program=end.program, problem=end.last_error_line)
    if reported_number(end.stderr, _UNREACHABLE) is not None:
        return error("io_error", problem=f"{name}: {end.last_error_line}")
    return None


def end_error(end: Completed, name: str) -> HeygemError | None:
    """Return the error of a program that failed, also where the file `name` may be the cause; None where nothing else can be. It counts
    for the one who cannot try again: what may be the machine's waits, a crash costs an attempt."""
    known = machine_error(end, name)
    if known is not None:
        return known
    if end.has_crashed:
        return error("tool_crashed", program=end.program, name=name, how=how(end))
    if end.is_unreadable:
        return error("io_error", problem=f"{name}: {end.last_error_line}")
    if end.is_starved:
        return error("server_short", program=end.program, problem=end.last_error_line)
    return None


def how(end: Completed) -> str:
    """Return the name of the signal that ended a program."""
    number = end.signal_number
    try:
        return signal.Signals(number or 0).name
    except ValueError:
        return f"signal {number}"


def reported_number(stderr: str, numbers: Collection[int]) -> int | None:
    """Return the first of these error numbers with whose sentence of the system a line ends: a name or a title in the middle of one is
    none. None where there is no such line."""
    sentences = {number: os.strerror(number) for number in numbers}
    lines = [line.rstrip(" .") for line in stderr.splitlines()]
    return next((number for line in lines for number, words in sentences.items() if line.endswith(words)), None)
