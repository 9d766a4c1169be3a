"""One worker process seen from its parent: pipes that never block, a death that is seen at once, a kill that reaches all of it."""

import contextlib
import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import IO, Final, cast

_CHUNK: Final = 65536
_LONGEST_LINE: Final = 1 << 22
_LAST_WORDS: Final = 5
_WATCHED: Final = os.WEXITED | os.WNOHANG | os.WNOWAIT


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
                chunk = os.read(self._stream.fileno(), _CHUNK)
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


class Child:
    """A started process that leads a session of its own, so that its group holds it and its children and nobody else."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Raises OSError when it cannot be started."""
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            list(command), stdin=pipe, stdout=pipe, stderr=pipe, env=environment, start_new_session=True, bufsize=0
        )
        self._stdin = cast(IO[bytes], self._process.stdin)
        os.set_blocking(self._stdin.fileno(), False)
        self.stdout = LinePipe(cast(IO[bytes], self._process.stdout))
        self.stderr = LinePipe(cast(IO[bytes], self._process.stderr))
        self._outbox = b""
        self._last_words: deque[str] = deque(maxlen=_LAST_WORDS)

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, line: bytes) -> None:
        """Write `line`; what the pipe does not take now goes out with a later `flush`."""
        self._outbox += line
        self.flush()

    def flush(self) -> None:
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            while self._outbox:
                self._outbox = self._outbox[os.write(self._stdin.fileno(), self._outbox) :]

    def log_lines(self) -> list[str]:
        """Return the new lines of stderr; the latest are remembered for `last_words`."""
        lines = [line.decode("utf-8", "replace").rstrip() for line in self.stderr.lines()]
        self._last_words.extend(line for line in lines if line)
        return lines

    def last_words(self) -> str:
        return " | ".join(self._last_words)

    def is_over(self) -> bool:
        """Whether it has ended. It stays a zombie until `bury`, so its process group cannot become another's meanwhile."""
        if self._process.returncode is not None:
            return True
        try:
            return os.waitid(os.P_PID, self.pid, _WATCHED) is not None
        except ChildProcessError:  # somebody else reaped it
            return True

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole group."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def hang_up(self) -> None:
        """Close its stdin: no more orders."""
        with contextlib.suppress(OSError):
            self._stdin.close()

    def wait_over(self, seconds: float) -> bool:
        """Wait until it has ended, `seconds` at most; return whether it has."""
        deadline = time.monotonic() + seconds
        while not self.is_over():
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.005)
        return True

    def bury(self) -> str:
        """End what is left of the group, reap the leader, close the pipes; return in words how it ended."""
        self.signal(signal.SIGKILL)
        over = self.wait_over(1.0)
        self.log_lines()
        self.hang_up()
        self.stdout.close()
        self.stderr.close()
        if not over:  # in uninterruptible sleep, on a dead share for instance: the kernel ends it when that returns
            return "it does not react, not even to being killed"
        return ending(self._process.wait())


def ending(status: int) -> str:
    """Return the exit status (negative: a signal) in words."""
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
