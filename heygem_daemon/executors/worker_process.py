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
_TAIL_LINES: Final = 5
_REAP_SECONDS: Final = 1.0


class LinePipe:
    """Whole lines out of a pipe, without waiting. `is_open` turns false at its end."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._rest = b""
        self.is_open = True
        os.set_blocking(stream.fileno(), False)

    def fileno(self) -> int:
        return self._stream.fileno()

    def lines(self) -> list[bytes]:
        """Return the complete lines that have arrived; the last, unfinished one at the end of the pipe."""
        lines: list[bytes] = []
        while self.is_open:
            try:
                chunk = os.read(self._stream.fileno(), processes.CHUNK_BYTES)
            except BlockingIOError:
                break
            if not chunk:
                self.is_open = False
                lines += [self._rest] if self._rest else []
                break
            *whole, self._rest = (self._rest + chunk).split(b"\n")
            lines += whole
            self._rest = self._rest[-_LONGEST_LINE:]
        return lines

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
