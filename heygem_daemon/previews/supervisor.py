"""Take requests, fork a process for each, answer; kill what takes too long, and what it leaves behind.

A request runs in a process of its own: what a hostile file does to it ends with it, and the libraries that it needs are loaded already.
"""

import os
import selectors
import signal
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.previews.confinement import adopt_orphans, confine, end_with_parent, orphans
from heygem_daemon.previews.protocol import PreviewAnswer, PreviewRequest, decode_request

Work = Callable[[PreviewRequest], Mapping[str, Any]]

ANSWER_BYTES: Final = 2**20
"""Of the longest answer that is taken from a process."""
_LINE_BYTES: Final = 65536
_CHECK_SECONDS: Final = 0.5


@dataclass(kw_only=True)
class _Running:
    request: PreviewRequest
    pid: int
    pipe: int
    deadline: float
    output: bytearray = field(default_factory=bytearray)
    is_late: bool = False


class Supervisor:
    """Serves the requests that arrive on the descriptor `source`, and writes the answers to `target`."""

    def __init__(self, work: Work, *, source: int, target: int, idle_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._work, self._source, self._target, self._idle_seconds, self._clock = work, source, target, idle_seconds, clock
        self._selector = selectors.DefaultSelector()
        self._waiting: deque[PreviewRequest] = deque()
        self._running: dict[int, _Running] = {}
        self._rest = b""
        self._is_open = True
        self._last_busy = clock()

    def serve(self) -> None:
        """Return when nobody has asked for `idle_seconds`, or at the end of the requests; what then still runs is killed."""
        adopt_orphans()
        self._selector.register(self._source, selectors.EVENT_READ)
        try:
            while self._is_open and not self._is_idle():
                for key, _ in self._selector.select(_CHECK_SECONDS):
                    if key.fd == self._source:
                        self._receive()
                    elif key.fd in self._running:  # not cancelled by a line that arrived at the same time
                        self._collect(self._running[key.fd])
                self._kill_late()
                self._start_waiting()
        finally:
            for each in list(self._running.values()):
                self._end(each)

    def _is_idle(self) -> bool:
        if self._running or self._waiting:
            self._last_busy = self._clock()
        return self._clock() - self._last_busy > self._idle_seconds

    def _receive(self) -> None:
        chunk = os.read(self._source, _LINE_BYTES)
        self._is_open = bool(chunk)
        self._last_busy = self._clock()
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            match decode_request(line):
                case int(number):
                    self._cancel(number)
                case request:
                    self._waiting.append(request)

    def _cancel(self, number: int) -> None:
        """Forget a request, and end it where it runs; it gets no answer."""
        self._waiting = deque(request for request in self._waiting if request.number != number)
        for each in list(self._running.values()):
            if each.request.number == number:
                self._end(each)

    def _start_waiting(self) -> None:
        for request in list(self._waiting):
            if not any(each.request.kind.is_slow == request.kind.is_slow for each in self._running.values()):
                self._waiting.remove(request)
                self._start(request)

    def _start(self, request: PreviewRequest) -> None:
        reading, writing = os.pipe()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            self._run_child(request, writing, parent)
        os.close(writing)
        self._running[reading] = _Running(request=request, pid=pid, pipe=reading, deadline=self._clock() + request.seconds)
        self._selector.register(reading, selectors.EVENT_READ)

    def _run_child(self, request: PreviewRequest, writing: int, parent: int) -> None:
        """Work on the request, write the answer, end this process without anything that belongs to its parent."""
        try:
            end_with_parent(parent)
            os.close(self._target)
            os.dup2(os.open(os.devnull, os.O_RDONLY), self._source)
            confine(request.seconds)
            answer = _answer(request, self._work)
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(answer.encode())
        except BaseException:  # noqa: BLE001  (the border of the process)
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(0)

    def _collect(self, running: _Running) -> None:
        chunk = os.read(running.pipe, _LINE_BYTES)
        running.output += chunk
        if not chunk or len(running.output) > ANSWER_BYTES:
            self._write(self._end(running))

    def _kill_late(self) -> None:
        for each in list(self._running.values()):
            if self._clock() > each.deadline:
                each.is_late = True
                self._write(self._end(each))

    def _end(self, running: _Running) -> PreviewAnswer:
        """End the process of a request and all that it started; return its answer, or why it has none."""
        self._selector.unregister(running.pipe)
        del self._running[running.pipe]
        os.close(running.pipe)
        with suppress(ProcessLookupError):
            os.kill(running.pid, signal.SIGKILL)  # it has closed its pipe: what is left of it is not needed
        os.waitpid(running.pid, 0)
        self._kill_orphans()
        if running.is_late:
            return _failed(running.request, error("timed_out", limit=running.request.seconds))
        try:
            return PreviewAnswer.decode(bytes(running.output))
        except (ValueError, TypeError):
            return _failed(running.request, error("internal", problem="the process that looked into the file was ended by it"))

    def _kill_orphans(self) -> None:
        while left := orphans({each.pid for each in self._running.values()}):
            for pid in left:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
                with suppress(ChildProcessError):
                    os.waitpid(pid, 0)

    def _write(self, answer: PreviewAnswer) -> None:
        line = memoryview(answer.encode())
        while line:
            line = line[os.write(self._target, line) :]


def _answer(request: PreviewRequest, work: Work) -> PreviewAnswer:
    """Return the answer to a request. Whatever a file makes the libraries raise becomes its error."""
    try:
        return PreviewAnswer(number=request.number, result=work(request))
    except HeygemError as problem:
        return _failed(request, problem)
    except MemoryError:
        return _failed(request, error("internal", problem="the file needs more memory than a preview may use"))
    except Exception as problem:  # noqa: BLE001  (the border: a damaged file can raise anything)
        traceback.print_exc()
        return _failed(request, error("internal", problem=f"{type(problem).__name__}: {problem}"[:300]))


def _failed(request: PreviewRequest, problem: HeygemError) -> PreviewAnswer:
    return PreviewAnswer(number=request.number, code=problem.code, message=problem.message)
