"""The process that opens the files of drops, seen from the daemon: started when it is needed, ended when it is not.

It keeps NumPy and the content of foreign files out of the daemon, whose memory must stay small for months. What ends it costs a second
try, in a process of its own for each file that was under way: so only the file that ended it has the error.
"""

import itertools
import os
import select
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, cast

from heygem_daemon import processes
from heygem_daemon.core.errors import error
from heygem_daemon.intake.inspection_protocol import FileAnswer, FileRequest
from heygem_daemon.media.types import MediaLimits

COMMAND: Final = (sys.executable, "-P", "-m", "heygem_daemon.intake.inspection")
IDLE_SECONDS: Final = 20.0
"""s without a request after which the process is ended: it holds 45 MB."""
_STDERR: Final = 2
_REAP_SECONDS: Final = 5.0


class InspectionProcess:
    """Asks a process about files; may be used from many threads at once, each of which waits for its answer."""

    def __init__(self, cache: Path, command: Sequence[str] = COMMAND, idle_seconds: float = IDLE_SECONDS) -> None:
        """cache: the directory in which decoded recordings are kept for the workers."""
        self._command, self._idle_seconds = (*command, str(cache)), idle_seconds
        self._lock = threading.Lock()
        self._current: _Running | None = None
        self._alone: set[_Running] = set()
        self._is_closed = False

    def checked_seconds(self, inbox: str, path: Path, limits: MediaLimits, *, is_video: bool) -> float:
        """Return the length of a file in s. Raises HeygemError, `internal` where the file ended the process twice."""
        answer = self._ask(inbox, path, limits, is_video=is_video) or self._ask_alone(inbox, path, limits, is_video=is_video)
        if answer is None:
            raise error("internal", problem="the process that looked into the file was ended")
        return answer.result()

    def _ask(self, inbox: str, path: Path, limits: MediaLimits, *, is_video: bool) -> FileAnswer | None:
        """Return the answer, None where the process ended before it gave one."""
        with self._lock:
            if self._is_closed:
                return None
            if self._current is None or not self._current.is_open:
                self._current = self._start()
            answer = self._current.submit(inbox, path, limits, is_video=is_video)
        return answer.result()

    def _ask_alone(self, inbox: str, path: Path, limits: MediaLimits, *, is_video: bool) -> FileAnswer | None:
        """Return the answer of a process that is asked nothing else."""
        with self._lock:
            if self._is_closed:
                return None
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
            return _Running(self._command, self._idle_seconds)
        except (OSError, RuntimeError) as failed:  # the system's limit of tasks or of memory
            raise error("io_error", problem=f"no process could be started: {failed}") from failed

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

    def __init__(self, command: Sequence[str], idle_seconds: float) -> None:
        self._process: subprocess.Popen[bytes] = processes.start(command, stderr=_STDERR)
        self._stdin, self._stdout = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)
        self._idle_seconds = idle_seconds
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._waiting: dict[int, Future[FileAnswer | None]] = {}
        self.is_open = True
        self._reader = threading.Thread(target=self._read, name="answers of the inspection", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def submit(self, inbox: str, path: Path, limits: MediaLimits, *, is_video: bool) -> Future[FileAnswer | None]:
        """Send a request; its answer is None where the process ends before it gives one."""
        answer: Future[FileAnswer | None] = Future()
        with self._lock:
            if not self.is_open:
                answer.set_result(None)
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
        processes.kill_and_reap(self._process, _REAP_SECONDS)
        self._stdout.close()
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            future.set_result(None)
