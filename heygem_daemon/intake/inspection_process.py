"""The process that opens the files of drops, seen from the daemon: started when it is needed, ended when it is not.

It keeps NumPy and the content of foreign files out of the daemon, whose memory must stay small for months. What ends it costs another
try, in a process of its own for each file that was under way: so only the file that made it crash has the error, and none where the system
ended it.
"""

import itertools
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Final, cast

from heygem_daemon import processes
from heygem_daemon.core.errors import error
from heygem_daemon.core.names import escape_name
from heygem_daemon.intake.inspection_protocol import FileAnswer, FileRequest
from heygem_daemon.media.tool_ends import Completed, how, machine_error
from heygem_daemon.media.types import MediaLimits

COMMAND: Final = (sys.executable, "-P", "-m", "heygem_daemon.intake.inspection")
IDLE_SECONDS: Final = 20.0
"""s without a request after which the process is ended: it holds 45 MB."""
_LINE_BYTES: Final = 2000
_REAP_SECONDS: Final = 5.0
_DYING_SECONDS: Final = 0.5
_TRIES_ALONE: Final = 2
_NAME: Final = "the inspection"
_CLOSED: Final = Completed(code=-signal.SIGTERM, stdout=b"", stderr="", program=_NAME)
"""How a process ended that we ended ourselves."""


class InspectionProcess:
    """Asks a process about files; may be used from many threads at once, each of which waits for its answer."""

    def __init__(
        self,
        cache: Path,
        command: Sequence[str] = COMMAND,
        idle_seconds: float = IDLE_SECONDS,
        on_output: Callable[[str], None] = lambda line: None,
    ) -> None:
        """cache: the directory in which decoded recordings are kept for the workers. on_output: gets what the process writes to standard
        error, in a thread."""
        self._on_output = on_output
        self._command, self._idle_seconds = (*command, str(cache)), idle_seconds
        self._lock = threading.Lock()
        self._current: _Running | None = None
        self._alone: set[_Running] = set()
        self._is_closed = False

    def checked_seconds(self, inbox: str, path: Path, limits: MediaLimits, *, is_video: bool) -> float:
        """Return the length of a file in s. Raises HeygemError: `file_crashes_tool` where the process crashed every time, TransientError
        (`tool_killed`) where something else ended it."""
        answer = self._ask(inbox, path, limits, is_video=is_video)
        for _ in range(_TRIES_ALONE):
            if isinstance(answer, FileAnswer):
                break
            answer = self._ask_alone(inbox, path, limits, is_video=is_video)
        if isinstance(answer, FileAnswer):
            return answer.result()
        name = escape_name(path.name)
        if answer.has_crashed:
            raise error("file_crashes_tool", program=answer.program, times=_TRIES_ALONE + 1, name=name, how=how(answer))
        raise machine_error(answer, name) or error("server_short", program=_NAME, problem=f"it ended with {answer.last_error_line}")

    def _ask(self, inbox: str, path: Path, limits: MediaLimits, *, is_video: bool) -> "FileAnswer | Completed":
        """Return the answer, or how the process ended before it gave one."""
        with self._lock:
            if self._is_closed:
                return _CLOSED
            if self._current is None or not self._current.is_open:
                self._current = self._start()
            answer = self._current.submit(inbox, path, limits, is_video=is_video)
        return answer.result()

    def _ask_alone(self, inbox: str, path: Path, limits: MediaLimits, *, is_video: bool) -> "FileAnswer | Completed":
        """Return the answer of a process that is asked nothing else."""
        with self._lock:
            if self._is_closed:
                return _CLOSED
            alone = self._start()
            self._alone.add(alone)
            answer = alone.submit(inbox, path, limits, is_video=is_video)
        try:
            return answer.result()
        finally:
            alone.close()
            with self._lock:
                self._alone.discard(alone)

    def _start(self) -> "_Running":
        try:
            return _Running(self._command, self._idle_seconds, self._on_output)
        except (OSError, RuntimeError) as failed:  # the system's limit of tasks or of memory
            raise error("server_short", program=_NAME, problem=f"no process could be started: {failed}") from failed

    @property
    def pid(self) -> int | None:
        """The id of the process, None while there is none."""
        with self._lock:
            return self._current.pid if self._current is not None and self._current.is_open else None

    def close(self) -> None:
        """End the process; who still waits gets no answer."""
        with self._lock:
            self._is_closed = True
            running = [*self._alone, *([self._current] if self._current is not None else [])]
        for each in running:
            each.close()
        for each in running:
            each.join()


class _Running:
    """One started process, and the thread that reads its answers and reaps it."""

    def __init__(self, command: Sequence[str], idle_seconds: float, on_output: Callable[[str], None]) -> None:
        self._process: subprocess.Popen[bytes] = processes.start(command)
        self._on_output = on_output
        threading.Thread(target=self._pass_on_output, name="output of the inspection", daemon=True).start()
        self._stdin, self._stdout = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)
        self._idle_seconds = idle_seconds
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._waiting: dict[int, Future[FileAnswer | Completed]] = {}
        self._end_state: Completed = _CLOSED
        self.is_open = True
        self._reader = threading.Thread(target=self._read, name="answers of the inspection", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _pass_on_output(self) -> None:
        """Pass on what libraries, and Python at a crash, write to standard error, line by line."""
        with suppress(OSError, ValueError), cast(IO[bytes], self._process.stderr) as stream:
            while line := stream.readline(_LINE_BYTES):
                if text := line.decode(errors="replace").strip():
                    self._on_output(text)

    def submit(self, inbox: str, path: Path, limits: MediaLimits, *, is_video: bool) -> Future["FileAnswer | Completed"]:
        """Send a request; its answer is how the process ended where it gives none before."""
        answer: Future[FileAnswer | Completed] = Future()
        with self._lock:
            if not self.is_open:
                answer.set_result(self._end_state)
                return answer
            request = FileRequest(number=next(self._numbers), inbox=inbox, path=str(path), is_video=is_video, limits=limits)
            self._waiting[request.number] = answer
            with suppress(BrokenPipeError):  # it has ended: the reader finds out
                # Not more than a thread of each inbox asks at once, which the pipe holds (64 KiB): the write does not wait.
                self._stdin.write(request.encode())
        return answer

    def close(self) -> None:
        """Close our end of the requests, at which the process ends."""
        with self._lock:
            self.is_open = False
            self._stdin.close()

    def join(self) -> None:
        """Wait until the process is reaped, unless it hangs in the kernel."""
        self._reader.join(_REAP_SECONDS)

    def _read(self) -> None:
        rest = b""
        try:
            while chunk := self._next_chunk():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._take(FileAnswer.decode(line))
        finally:
            self._end()

    def _next_chunk(self) -> bytes:
        """Return what the process wrote, b"" at its end; end it after a long time in which nobody asked."""
        poll = select.poll()
        poll.register(self._stdout, select.POLLIN)
        while not poll.poll(self._idle_seconds * 1000):
            self._close_if_idle()
        return os.read(self._stdout.fileno(), processes.CHUNK_BYTES)

    def _take(self, answer: FileAnswer) -> None:
        with self._lock:
            future = self._waiting.pop(answer.number)
        future.set_result(answer)

    def _close_if_idle(self) -> None:
        with self._lock:
            if not self._waiting and self.is_open:
                self.is_open = False
                self._stdin.close()

    def _end(self) -> None:
        """Reap the process, and answer those who wait."""
        self.close()
        processes.wait_ended(self._process, _DYING_SECONDS)  # its pipes close a moment before it counts as ended
        code = processes.kill_and_reap(self._process, _REAP_SECONDS)
        self._stdout.close()
        with self._lock:
            self._end_state = replace(_CLOSED, code=-signal.SIGKILL if code is None else code)
            waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            future.set_result(self._end_state)
