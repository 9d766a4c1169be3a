"""Run ffmpeg and other external commands: the one place of this package that does.

Every child has its own process group and is killed with it. Standard error is drained all the time and its tail kept. When
this process dies without warning the children end by themselves: one whose output we or another child read gets SIGPIPE at its next
write, one whose input we write sees the end of it, a captured one is a short inspection. (PR_SET_PDEATHSIG is not used: it follows the
thread that started the child, not the process.) A child stuck in the kernel on a dead network share outlives us until the share
answers.
"""

import fcntl
import os
import select
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Final, Self

from heygem_daemon import processes
from heygem_daemon.core.errors import error
from heygem_daemon.processes import CHUNK_BYTES, Tail, kill_and_reap, printable

STDERR_TAIL_BYTES: Final = 8192
PIPE_BYTES: Final = 2**20  # the largest pipe an unprivileged process may ask for; 64 KiB cost a third of the reading speed
STALL_SECONDS: Final = 300.0
FINISH_SECONDS: Final = 3600.0  # an mp4 of some hours is moved once more on the disk, to put its index first


@dataclass(frozen=True, kw_only=True)
class Completed:
    """How a command ended: `code` is negative for a signal; `stderr` is the end of its standard error."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def last_error_line(self) -> str:
        """The last line of standard error, or else the exit code in words."""
        lines = [line.strip() for line in self.stderr.splitlines() if line.strip()]
        return lines[-1] if lines else f"exit code {self.code}"


def capture(command: Sequence[str], *, seconds: float, stdin: bytes | None = None) -> Completed:
    """Run `command` to its end, with `stdin` on its standard input.

    Raises `ffmpeg_missing`, or `timed_out` after `seconds` of wall clock (the group is killed).
    """
    process = _start(command, stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        stdout, stderr = process.communicate(stdin, timeout=seconds)
    except BaseException as problem:
        kill_and_reap(process)
        process.communicate()
        if isinstance(problem, subprocess.TimeoutExpired):
            raise error("timed_out", limit=seconds) from None
        raise
    return Completed(code=process.returncode, stdout=stdout, stderr=printable(stderr[-STDERR_TAIL_BYTES:]))


class FfmpegProcess:
    """A running command that we read from or write to. Leaving the `with` block kills what still runs."""

    def __init__(
        self, command: Sequence[str], *, stdin: int, stdout: int, stall_seconds: float = STALL_SECONDS, descriptors: Sequence[int] = ()
    ) -> None:
        self._process = _start(command, stdin=stdin, stdout=stdout, descriptors=descriptors)
        self._stall_seconds = stall_seconds
        self._tail = Tail(STDERR_TAIL_BYTES)
        self._drain = threading.Thread(target=self._keep_tail, name=f"stderr of {command[0]}", daemon=True)
        self._drain.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()

    def kill(self) -> None:
        """End the whole process group at once and close our ends. Does nothing the second time."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        kill_and_reap(self._process)
        self._drain.join()

    def wait(self, seconds: float | None = None) -> Completed:
        """Wait for the end of the command. Raises `timed_out` when it does not come within `seconds` (else: the stall limit)."""
        limit = self._stall_seconds if seconds is None else seconds
        try:
            code = self._process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            self.kill()
            raise error("timed_out", limit=limit) from None
        self._drain.join()
        return Completed(code=code, stdout=b"", stderr=self._tail.text)

    @property
    def errors(self) -> str:
        """The end of its standard error so far."""
        return self._tail.text

    def poll(self, seconds: float) -> Completed | None:
        """Wait at most `seconds`; return how the command ended, or None where it still runs."""
        return self.wait() if processes.wait_ended(self._process, seconds) else None

    def _keep_tail(self) -> None:
        assert self._process.stderr is not None  # noqa: S101 (always a pipe, see _start)
        with self._process.stderr as pipe:
            while chunk := os.read(pipe.fileno(), CHUNK_BYTES):
                self._tail.append(chunk)

    def _await(self, pipe: IO[bytes], event: int) -> None:
        poll = select.poll()
        poll.register(pipe, event)
        if not poll.poll(self._stall_seconds * 1000):
            self.kill()
            raise error("timed_out", limit=self._stall_seconds)


class FfmpegReader(FfmpegProcess):
    """A command whose standard output we read. It waits when we do not: the pipe is all that is buffered."""

    def __init__(self, command: Sequence[str], *, stall_seconds: float = STALL_SECONDS) -> None:
        super().__init__(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stall_seconds=stall_seconds)
        assert self._process.stdout is not None  # noqa: S101
        self._pipe = self._process.stdout
        _enlarge_pipe(self._pipe.fileno())

    def read_into(self, buffer: memoryview) -> int:
        """Fill `buffer`; return the number of bytes, less than its size only at the end of the output."""
        done = 0
        while done < len(buffer):
            self._await(self._pipe, select.POLLIN)
            got = os.readv(self._pipe.fileno(), [buffer[done:]])
            if got == 0:
                break
            done += got
        return done


class FfmpegSource(FfmpegProcess):
    """A command whose standard output another command reads, which inherits `descriptor`; `release` closes our copy of it.

    It ends when the other one does, by SIGPIPE, and the other one reads to the end of its output: neither needs us for that.
    """

    def __init__(self, command: Sequence[str], *, stall_seconds: float = STALL_SECONDS) -> None:
        self.descriptor, writing = os.pipe()
        self._is_released = False
        try:
            _enlarge_pipe(writing)
            super().__init__(command, stdin=subprocess.DEVNULL, stdout=writing, stall_seconds=stall_seconds)
        except BaseException:
            self.release()
            raise
        finally:
            os.close(writing)

    def release(self) -> None:
        """Close our copy of the descriptor: from now on it belongs to the command that reads it. Does nothing the second time."""
        if not self._is_released:
            self._is_released = True
            os.close(self.descriptor)

    def kill(self) -> None:
        self.release()
        super().kill()


class FfmpegWriter(FfmpegProcess):
    """A command whose standard input we write. descriptors: ours that it inherits."""

    def __init__(self, command: Sequence[str], *, stall_seconds: float = STALL_SECONDS, descriptors: Sequence[int] = ()) -> None:
        super().__init__(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stall_seconds=stall_seconds, descriptors=descriptors)
        assert self._process.stdin is not None  # noqa: S101
        self._pipe = self._process.stdin
        _enlarge_pipe(self._pipe.fileno())
        os.set_blocking(self._pipe.fileno(), False)

    def write(self, data: memoryview) -> None:
        """Write all of `data` (bytes). Raises BrokenPipeError when the command has ended."""
        done = 0
        while done < len(data):
            self._await(self._pipe, select.POLLOUT)
            with suppress(BlockingIOError):
                done += os.write(self._pipe.fileno(), data[done:])

    def finish(self) -> Completed:
        """Close the input and wait for the command to end."""
        with suppress(BrokenPipeError):
            self._pipe.close()
        return self.wait(FINISH_SECONDS)


def _start(command: Sequence[str], *, stdin: int, stdout: int, descriptors: Sequence[int] = ()) -> subprocess.Popen[bytes]:
    try:
        return processes.start(command, stdin=stdin, stdout=stdout, descriptors=descriptors)
    except FileNotFoundError:
        raise error("ffmpeg_missing", program=command[0]) from None


def _enlarge_pipe(pipe: int) -> None:
    with suppress(OSError):  # the user's limit of pipe memory is used up: the default size works too
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
