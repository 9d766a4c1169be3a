"""Run ffmpeg and other external commands: the one place of this package that does.

What fails as the machine is sick raises what says so (`tool_ends`); what is returned can be judged by the file alone. A time limit is one
of processor time: a program that waits for a slow disk, or for its turn on a busy machine, gets PATIENCE times as long.

Every child has its own process group and is killed with it. Standard error is drained all the time and its tail kept. When
this process dies without warning the children end by themselves: one whose output we or another child read gets SIGPIPE at its next
write, one whose input we write sees the end of it, a captured one is a short inspection. (PR_SET_PDEATHSIG is not used: it follows the
thread that started the child, not the process.) A child stuck in the kernel on a dead network share outlives us until the share
answers.
"""

import errno
import fcntl
import json
import os
import resource
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from heygem_daemon import processes
from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.media import commands
from heygem_daemon.media.file_bytes import open_bytes
from heygem_daemon.media.formats import display_name
from heygem_daemon.media.tool_ends import Completed, end_error, how, machine_error
from heygem_daemon.processes import CHUNK_BYTES, Tail, kill_and_reap, printable

_OWN_LIMITS: Final = frozenset({signal.SIGXCPU, signal.SIGXFSZ, signal.SIGABRT})
"""Signals by which a command ends that has used up the processor time, the size of a file or the memory that it is allowed."""
STDERR_TAIL_BYTES: Final = 8192
PIPE_BYTES: Final = 2**20  # the largest pipe an unprivileged process may ask for; 64 KiB cost a third of the reading speed
STALL_SECONDS: Final = 300.0
FINISH_SECONDS: Final = 3600.0  # an mp4 of some hours is moved once more on the disk, to put its index first


PATIENCE: Final = 10.0
"""How many times longer than its processor time a captured command may take that waits for something."""
_PATIENCE: Final = ContextVar("patience", default=1.0)
COMPUTING: Final = 0.05
"""Processor time per s of wall clock from which a command that makes no progress is computing, and not waiting."""
TRIES: Final = 3
_PAUSE_SECONDS: Final = 0.5
"""How often a command is run whose end the file or the machine may have caused, and s in between."""
_CONTROL_SECONDS: Final = 20.0
_CAPACITY_SECONDS: Final = 120.0
"""s of processor time, and of wall clock (ffmpeg may hang where a thread gets no memory), that the video of our own may take; it
takes 6 s at 7680x4320."""
_OUR_VIDEO: Final = "a video of the server itself"
_READ_BYTES: Final = 256 * 2**20
"""Bytes at the beginning of a file that are read to find out whether it can be read."""
_BROKEN: Final = frozenset({errno.EACCES, errno.ENOEXEC, errno.ELIBBAD, errno.ENOTDIR, errno.ELOOP})
"""Error numbers of a program that can never be started; all others pass."""


@contextmanager
def patience(factor: float) -> Iterator[None]:
    """Let commands that are captured in this block, in this thread, wait `factor` times as long as usual."""
    token = _PATIENCE.set(factor)
    try:
        yield
    finally:
        _PATIENCE.reset(token)


def capture(
    command: Sequence[str],
    *,
    seconds: float,
    stdin: bytes | None = None,
    path: Path | None = None,
    limited: bool = False,
    section: str = "",
    tries: int = TRIES,
    is_asked_twice: bool = True,
) -> Completed:
    """Run `command` to its end, with `stdin` on its standard input, and return how it ended: by itself, as it says of the file `path`.

    seconds: of processor time. limited: the command is bounded, so that what its limits do to it is returned too. section: a key of the
    JSON object that it prints where it succeeds. tries: how often it is run at most where the file or the machine may be why it failed.
    is_asked_twice: what a failed or silent ffprobe says of a file counts only if it says it twice.
    Raises TransientError (`tool_killed`, `server_short`, `io_error`, `storage_slow`), SetupError (`ffmpeg_missing`, `tool_broken`);
    InputError: `file_too_costly`; `file_crashes_tool` where it crashes every time, and does not with a file of ours.
    """
    name = _name_of(path)
    needs_another = is_asked_twice and path is not None and _program(command) == "ffprobe"
    is_whole = is_suspect = False
    for attempt in range(tries):
        if is_suspect:
            pause()
        end = _run(command, seconds, stdin, name)
        if limited and end.signal_number in _OWN_LIMITS:
            return end
        if (problem := _limit_error(end, name) or machine_error(end, name)) is not None:
            raise problem
        if section:
            end = replace(end, answer=answered(end.stdout, section))
        is_whole = end.code != 0 or not section or end.answer is not None
        is_suspect = end_error(end, name) is not None or not is_whole
        is_final = attempt > 0 or not needs_another or (end.code == 0 and end.stdout != b"")
        if is_final and not is_suspect:
            return end
    _judge(end, path, tries)
    if not is_whole:
        raise error("tool_broken", program=end.program, problem="it ended without an error and without an answer")
    return end


def pause() -> None:
    """Wait before something is tried again where the file or the machine may be why it failed."""
    time.sleep(_PAUSE_SECONDS)


def answered(answer: bytes | bytearray, section: str) -> dict[str, Any] | None:
    """Return the JSON object of an answer, None where it is no whole one with this key: ffprobe prints one whatever is in the file, if it
    does not fail."""
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and section in found else None


def stream_error(
    end: Completed, name: str, path: Path | None = None, *, size: tuple[int, int] = commands.CONTROL_SIZE
) -> HeygemError | None:
    """Return the error of a stream that ended, None where only what it is about can be judged by that. It cannot be read again here, so
    what may be either costs an attempt: what a stream lacks that ends too early is not seen in it.

    size: width and height of its frames. Raises TransientError, SetupError where ffmpeg does not work, or the file `path` cannot be
    read."""
    if (known := _limit_error(end, name) or machine_error(end, name)) is not None:
        return known
    problem = end_error(end, name)
    if problem is None or end.has_crashed:
        return problem
    _judge(end, path, 1, size)
    return error("tool_crashed", program=end.program, name=name, how=end.last_error_line)


def _limit_error(end: Completed, name: str) -> HeygemError | None:
    """Return the error of a program that used up the processor time that this process and its children may use (previews.confinement)."""
    seconds, _ = resource.getrlimit(resource.RLIMIT_CPU)
    if end.signal_number != signal.SIGXCPU or seconds == resource.RLIM_INFINITY:
        return None
    return error("file_too_costly", name=name, seconds=seconds)


def _judge(end: Completed, path: Path | None, times: int, size: tuple[int, int] = commands.CONTROL_SIZE) -> None:
    """Raise where something else than the file may be why a command failed every time, and where it crashed."""
    require_working(end.program)
    if end.program in commands.CONTROLS and (end.has_crashed or end.is_starved):
        require_capacity(size)
    if end.has_crashed:
        raise error("file_crashes_tool", program=end.program, times=times, name=_name_of(path), how=how(end))
    if end.is_unreadable and path is not None:
        _require_readable(path)


def require_working(program: str) -> None:
    """Decode a file of our own. Raises TransientError, or SetupError (`tool_broken`), where ffmpeg or ffprobe cannot do that either: before
    a verdict on somebody's file."""
    command = commands.CONTROLS.get(program)
    if command is None:
        return
    end = _run(command, _CONTROL_SECONDS, commands.CONTROL_FILE, "a file of the server itself")
    problem = end_error(end, "a file of the server itself")
    if problem is not None and not end.has_crashed:
        raise problem
    if end.code != 0:
        raise error("tool_broken", program=program, problem=f"it was ended by {how(end)}" if end.has_crashed else end.last_error_line)
    if not end.stdout:
        raise error("tool_broken", program=program, problem="it ended without an error and without an answer")


def require_capacity(size: tuple[int, int] = commands.CONTROL_SIZE) -> None:
    """Make a video of our own with frames of about `size` (width, height) and decode it. Raises TransientError (`server_short`,
    `tool_killed` ...) where that fails: decoders that get too little memory or too few threads say what they say of damaged files."""
    coded = _capable(commands.control_video(size), None, size)
    _capable(commands.CONTROL_DECODING, coded, size)


def _capable(command: Sequence[str], stdin: bytes | None, size: tuple[int, int]) -> bytes:
    """Return what a command about our own video writes."""
    try:
        with patience(1 / PATIENCE):
            end = _run(command, _CAPACITY_SECONDS, stdin, _OUR_VIDEO)
    except HeygemError as failed:
        if failed.code not in {"file_too_costly", "storage_slow"}:
            raise
        problem = failed.message
    else:
        if (known := machine_error(end, _OUR_VIDEO)) is not None:
            raise known
        if end.code == 0:
            return end.stdout
        problem = end.last_error_line
    raise error("server_short", program="ffmpeg", problem=f"{_OUR_VIDEO}, {size[0]}x{size[1]}, cannot be decoded either: {problem}")


def _require_readable(path: Path) -> None:
    """Read the file. Raises TransientError (`io_error`) where that is not possible."""
    with open_bytes(path) as data:
        for place in range(0, min(data.size, _READ_BYTES), CHUNK_BYTES):
            data.at(place, CHUNK_BYTES)
        data.at(max(data.size - CHUNK_BYTES, 0), CHUNK_BYTES)


def _name_of(path: Path | None) -> str:
    return "its input" if path is None else display_name(path)


def _run(command: Sequence[str], seconds: float, stdin: bytes | None, name: str) -> Completed:
    """Run a command once. Raises what `capture` raises of its start and of its time."""
    process = _start(command, stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        stdout, stderr = _communicate(process, seconds, stdin, name, _program(command))
    except BaseException:
        kill_and_reap(process)
        process.communicate()
        raise
    text = printable(stderr[-STDERR_TAIL_BYTES:])
    return Completed(code=process.returncode, stdout=stdout, stderr=text, program=_program(command))


def _communicate(process: subprocess.Popen[bytes], seconds: float, stdin: bytes | None, name: str, program: str) -> tuple[bytes, bytes]:
    """Return what a command writes to its standard output and error. Raises InputError (`file_too_costly`) after `seconds` of processor
    time, TransientError (`storage_slow`) after PATIENCE times as many of wall clock."""
    began, rest = time.monotonic(), seconds
    while True:
        try:
            return process.communicate(stdin, timeout=rest)
        except subprocess.TimeoutExpired:
            used, passed = processes.cpu_seconds(process), time.monotonic() - began
        stdin = None  # it goes on with what was given the first time
        if used >= seconds:
            raise error("file_too_costly", name=name, seconds=seconds)
        longest = seconds * PATIENCE * _PATIENCE.get()
        if passed >= longest:
            raise error("storage_slow", program=program, name=name, seconds=passed)
        rest = min(max(seconds - used, seconds / 4), longest - passed)


def _program(command: Sequence[str]) -> str:
    """Return the name of the program of a command, as people know it."""
    if len(command) > 3 and tuple(command[1:3]) == ("-P", "-m"):
        return command[3].rpartition(".")[2].replace("_", " ")
    return Path(command[0]).name


class FfmpegProcess:
    """A running command that we read from or write to. Leaving the `with` block kills what still runs."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        stdin: int,
        stdout: int,
        stall_seconds: float | None = None,
        descriptors: Sequence[int] = (),
        path: Path | None = None,
    ) -> None:
        """stall_seconds: how long it may make no progress; None = STALL_SECONDS. path: the file that it is about.

        Raises TransientError (`server_short`), SetupError (`ffmpeg_missing`, `tool_broken`)."""
        self._process = _start(command, stdin=stdin, stdout=stdout, descriptors=descriptors)
        self._program, self._name = _program(command), _name_of(path)
        self._stall_seconds = STALL_SECONDS if stall_seconds is None else stall_seconds
        self._tail = Tail(STDERR_TAIL_BYTES)
        self._drain = threading.Thread(target=self._keep_tail, name=f"stderr of {command[0]}", daemon=True)
        try:
            self._drain.start()
        except RuntimeError as problem:
            kill_and_reap(self._process)
            for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
                if pipe is not None:
                    pipe.close()
            raise error("server_short", program=self._program, problem=str(problem)) from None

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
        """Wait for the end of the command. Raises what `_await` raises when it does not come within `seconds` (else: the stall limit)."""
        limit = self._stall_seconds if seconds is None else seconds
        self._require_progress(self._has_ended, limit)
        self._drain.join()
        return Completed(code=self._process.returncode, stdout=b"", stderr=self._tail.text, program=self._program)

    @property
    def errors(self) -> str:
        """The end of its standard error so far."""
        return self._tail.text

    def poll(self, seconds: float) -> Completed | None:
        """Wait at most `seconds`; return how the command ended, or None where it still runs."""
        return self.wait() if self._has_ended(seconds) else None

    def _has_ended(self, seconds: float) -> bool:
        """Wait at most `seconds`; return whether the command has ended."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _keep_tail(self) -> None:
        assert self._process.stderr is not None  # noqa: S101 (always a pipe, see _start)
        with self._process.stderr as pipe:
            while chunk := os.read(pipe.fileno(), CHUNK_BYTES):
                self._tail.append(chunk)

    def _await(self, pipe: IO[bytes], event: int) -> None:
        """Wait for the command to read or write. Raises TransientError (`storage_slow`) where it waits for too long for something itself,
        EngineError (`no_progress`) where it only computes; it is ended then."""
        poll = select.poll()
        poll.register(pipe, event)
        self._require_progress(lambda limit: bool(poll.poll(limit * 1000)), self._stall_seconds)

    def _require_progress(self, has_come: Callable[[float], bool], seconds: float) -> None:
        """Wait for something, `seconds` at most. In the second half of them it shows what the command does."""
        if has_come(seconds / 2):
            return
        used = processes.cpu_seconds(self._process)
        if has_come(seconds / 2):
            return
        is_computing = processes.cpu_seconds(self._process) - used > COMPUTING * seconds / 2
        self.kill()
        raise error("no_progress" if is_computing else "storage_slow", program=self._program, name=self._name, seconds=seconds)


class FfmpegReader(FfmpegProcess):
    """A command whose standard output we read. It waits when we do not: the pipe is all that is buffered."""

    def __init__(self, command: Sequence[str], *, stall_seconds: float | None = None, path: Path | None = None) -> None:
        super().__init__(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stall_seconds=stall_seconds, path=path)
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

    def __init__(self, command: Sequence[str], *, stall_seconds: float | None = None, path: Path | None = None) -> None:
        self.descriptor, writing = os.pipe()
        self._is_released = False
        try:
            _enlarge_pipe(writing)
            super().__init__(command, stdin=subprocess.DEVNULL, stdout=writing, stall_seconds=stall_seconds, path=path)
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

    def __init__(
        self, command: Sequence[str], *, stall_seconds: float | None = None, descriptors: Sequence[int] = (), path: Path | None = None
    ) -> None:
        super().__init__(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stall_seconds=stall_seconds, descriptors=descriptors, path=path
        )
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
    except OSError as problem:
        code = "tool_broken" if problem.errno in _BROKEN else "server_short"
        raise error(code, program=_program(command), problem=problem.strerror or str(problem)) from problem
    except (MemoryError, subprocess.SubprocessError) as problem:
        raise error("server_short", program=_program(command), problem=str(problem) or "memory") from problem


def _enlarge_pipe(pipe: int) -> None:
    with suppress(OSError):  # the user's limit of pipe memory is used up: the default size works too
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
