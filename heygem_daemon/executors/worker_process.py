"""One worker process seen from its parent: pipes that never block, a death that is noticed at once, a kill that reaches its children."""

import os
import signal
import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, Final, cast

from heygem_daemon import processes

_LONGEST_LINE: Final = 1 << 22
"""bytes. What is kept of a line that does not end."""
_BYTES_AT_ONCE: Final = 1 << 21
_LINES_AT_ONCE: Final = 500
"""Bytes and lines of one pipe that are taken at once: whoever writes without end keeps nobody from anything else."""
_LAST_PARTS: Final = 5
"""How many such parts of standard error are read of a worker that has ended: the last lines are shown."""
_SHOWN_BYTES: Final = 200
"""Bytes of a line without end that are given out as a line each time that the others are let go."""
_TAIL_LINES: Final = 5
_REAP_SECONDS: Final = 0.5


class LinePipe:
    """Whole lines out of a pipe, without waiting. `is_open` turns false at its end; `has_more`: whether the last call left something."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._whole: deque[bytes] = deque()
        self.is_open, self.has_more = True, False
        os.set_blocking(stream.fileno(), False)

    def fileno(self) -> int:
        return self._stream.fileno()

    def lines(self) -> list[bytes]:
        """Return complete lines that have arrived, some of them where they are many; the last, unfinished one at the end of the pipe."""
        taken = 0
        while self.is_open and taken < _BYTES_AT_ONCE and len(self._whole) < _LINES_AT_ONCE:
            try:
                chunk = os.read(self._stream.fileno(), processes.CHUNK_BYTES)
            except BlockingIOError:
                break
            taken += len(chunk)
            if not chunk:
                self.is_open = False
                self._whole.extend([self._joined()] if self._rest_bytes else [])
                break
            first, *others = chunk.split(b"\n")
            self._keep(first)
            for piece in others:
                self._whole.append(self._joined())
                self._keep(piece)
        lines = [self._whole.popleft() for _ in range(min(len(self._whole), _LINES_AT_ONCE))]
        self.has_more = bool(self._whole) or taken >= _BYTES_AT_ONCE
        return lines

    def _keep(self, piece: bytes) -> None:
        """Append to the line that has not ended; of a long one its end is kept."""
        self._rest.append(piece)
        self._rest_bytes += len(piece)
        if self._rest_bytes > 2 * _LONGEST_LINE:
            end = b"".join(self._rest)[-_LONGEST_LINE:]
            self._rest, self._rest_bytes = [end], len(end)
            self._whole.append(end[:_SHOWN_BYTES])

    def _joined(self) -> bytes:
        line = b"".join(self._rest)[-_LONGEST_LINE:]
        self._rest, self._rest_bytes = [], 0
        return line

    def close(self) -> None:
        self.is_open = False
        self._stream.close()


class WorkerProcess:
    """A started worker, which leads a process group that holds it and its children and nobody else."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Raises OSError when it cannot be started."""
        self._process: subprocess.Popen[bytes] = processes.start(command, environment=environment)
        self._stdin = cast(IO[bytes], self._process.stdin)
        os.set_blocking(self._stdin.fileno(), False)
        self.stdout = LinePipe(cast(IO[bytes], self._process.stdout))
        self.stderr = LinePipe(cast(IO[bytes], self._process.stderr))
        self._unsent = b""
        self._stderr_tail: deque[str] = deque(maxlen=_TAIL_LINES)

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, line: bytes) -> None:
        """Write `line`; what the pipe does not take now goes out with a later `flush`."""
        self._unsent += line
        self.flush()

    def flush(self) -> None:
        """Write what the pipe takes of the lines that are not sent yet."""
        with suppress(BlockingIOError, BrokenPipeError):
            while self._unsent:
                self._unsent = self._unsent[os.write(self._stdin.fileno(), self._unsent) :]

    def log_lines(self) -> list[str]:
        """Return the new lines of stderr; the latest are kept for `stderr_tail`."""
        lines = [line.decode("utf-8", "replace").rstrip() for line in self.stderr.lines()]
        self._stderr_tail.extend(line for line in lines if line)
        return lines

    def stderr_tail(self) -> str:
        return " | ".join(self._stderr_tail)

    def has_ended(self) -> bool:
        """Return whether it has ended. It stays a zombie until `kill_and_reap`, so that its process group is nobody else's meanwhile."""
        return processes.has_ended(self._process)

    def wait_ended(self, seconds: float) -> bool:
        """Wait at most `seconds` until it has ended; return whether it has."""
        return processes.wait_ended(self._process, seconds)

    def terminate(self) -> None:
        """Ask the worker and its children to end."""
        processes.signal_group(self._process, signal.SIGTERM)

    def close_stdin(self) -> None:
        """End the stream of orders."""
        with suppress(OSError):
            self._stdin.close()

    def kill_and_reap(self) -> str:
        """Kill what is left of the group, reap the worker, close the pipes; return in words how it ended."""
        status = processes.kill_and_reap(self._process, _REAP_SECONDS)
        for _ in range(_LAST_PARTS):
            self.log_lines()
        self.close_stdin()
        self.stdout.close()
        self.stderr.close()
        return describe_exit(status)


def describe_exit(status: int | None) -> str:
    """Return an exit status in words; it is negative for a signal, None for a process that does not end."""
    if status is None:  # in uninterruptible sleep, on a dead share for instance: the kernel ends it when that returns
        return "it does not react, not even to being killed"
    if status >= 0:
        return f"exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    hint = {
        "SIGKILL": ", by the kernel when memory ran out, or by hand",
        "SIGSEGV": ", a crash in native code",
        "SIGABRT": ", a crash in native code",
    }
    return f"killed by {name}{hint.get(name, '')}"
