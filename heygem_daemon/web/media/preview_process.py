"""The child process that looks into media: started when it is needed, killed when it hangs, started again when it died."""

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from heygem_daemon.previews.protocol import PreviewAnswer, PreviewRequest, encode_cancel
from heygem_daemon.settings import Settings
from heygem_daemon.web.problems import WebProblem

MOST_WAITING: Final = 24
"""Requests that wait at a time; one more is refused (`preview_busy`)."""
GRACE_SECONDS: Final = 10.0
"""s beyond its own limit, which the child keeps, after which a request proves that the child hangs."""
WATCH_SECONDS: Final = 1.0
LONGEST_LINE: Final = 4 * 2**20
CLOSE_SECONDS: Final = 2.0
_LIMITS: Final = ("recording_seconds", "video_seconds", "megapixels", "still_megapixels", "file_bytes", "streams", "probe_seconds")

_log: Final = logging.getLogger(__name__)


@dataclass(kw_only=True)
class _Waiting:
    """A request without an answer yet."""

    request: PreviewRequest
    answer: "asyncio.Future[PreviewAnswer]"
    was_sent_again: bool = False


class PreviewProcess:
    """Sends requests to the child, one process for all of them. To be used within one event loop."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = tuple(command)
        self._child: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._waiting: dict[int, _Waiting] = {}
        self._number = 0
        self._last_answer = {False: 0.0, True: 0.0}
        """When the last answer to a quick and to a slow request came, or one was sent while none waited, by the clock of the loop."""
        self._starting = asyncio.Lock()
        self._is_closed = False

    @property
    def pid(self) -> int | None:
        """The id of the child that runs now."""
        return self._child.pid if self._child is not None and self._child.returncode is None else None

    async def ask(self, request: PreviewRequest) -> Mapping[str, Any]:
        """Return the result of a request, whose number is chosen here. Raises WebProblem (`preview_failed`, `preview_busy`).

        Whoever stops waiting ends the request."""
        if len(self._waiting) >= MOST_WAITING or self._is_closed:
            raise WebProblem("preview_busy", headers={"Retry-After": "3"})
        self._number += 1
        loop = asyncio.get_running_loop()
        waiting = _Waiting(request=replace(request, number=self._number), answer=loop.create_future())
        if not self._of_kind(request.kind.is_slow):
            self._last_answer[request.kind.is_slow] = loop.time()
        self._waiting[self._number] = waiting
        try:
            await self._send(waiting.request.encode())
            answer = await waiting.answer
        except asyncio.CancelledError:
            await self._cancel(waiting.request.number)
            raise
        finally:
            self._waiting.pop(waiting.request.number, None)
        if answer.result is None:
            raise WebProblem("preview_failed", error=answer.code, detail=answer.message)
        return answer.result

    def _of_kind(self, is_slow: bool) -> list[_Waiting]:
        return [each for each in self._waiting.values() if each.request.kind.is_slow == is_slow]

    async def _cancel(self, number: int) -> None:
        if number in self._waiting and self.pid is not None:
            with suppress(OSError, WebProblem):
                await self._write(encode_cancel(number))

    async def _send(self, line: bytes) -> None:
        async with self._starting:
            if self.pid is None:
                await self._start()
        await self._write(line)

    async def _write(self, line: bytes) -> None:
        child = self._child
        if child is None or child.stdin is None:
            return
        with suppress(ConnectionError):  # it ended meanwhile: `_read` notices, and sends the request to the next one
            child.stdin.write(line)
            await child.stdin.drain()

    async def _start(self) -> None:
        try:
            self._child = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=LONGEST_LINE,
                start_new_session=True,
            )
        except OSError as failed:
            raise WebProblem("preview_failed", error="internal", detail=str(failed)) from failed
        self._reading = asyncio.create_task(self._read(self._child))
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())

    async def _read(self, child: asyncio.subprocess.Process) -> None:
        """Take the answers of a child until it ends; then send what it did not answer to the next one, once."""
        assert child.stdout is not None  # noqa: S101  (a pipe, see `_start`)
        with suppress(ValueError, TypeError):  # a line without an end, or none of ours: its child is of no use any more
            while line := await child.stdout.readline():
                self._take(PreviewAnswer.decode(line))
        self._kill(child)
        await child.wait()
        await self._send_again()

    def _take(self, answer: PreviewAnswer) -> None:
        waiting = self._waiting.get(answer.number)
        if waiting is not None and not waiting.answer.done():
            self._last_answer[waiting.request.kind.is_slow] = asyncio.get_running_loop().time()
            waiting.answer.set_result(answer)

    async def _send_again(self) -> None:
        for waiting in list(self._waiting.values()):
            if waiting.answer.done():
                continue
            if waiting.was_sent_again or self._is_closed:
                waiting.answer.set_result(_lost(waiting.request))
                continue
            waiting.was_sent_again = True
            self._last_answer[waiting.request.kind.is_slow] = asyncio.get_running_loop().time()
            try:
                await self._send(waiting.request.encode())
            except WebProblem as problem:
                waiting.answer.set_exception(problem)

    async def _watch(self) -> None:
        """Kill a child that does not even answer that a request took too long."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if any(self._hangs(is_slow) for is_slow in (False, True)):
                _log.warning("the process for previews hangs and is killed")
                self._give_up()

    def _hangs(self, is_slow: bool) -> bool:
        longest = max((each.request.seconds for each in self._of_kind(is_slow)), default=None)
        return longest is not None and asyncio.get_running_loop().time() - self._last_answer[is_slow] > longest + GRACE_SECONDS

    def _give_up(self) -> None:
        for waiting in self._waiting.values():
            if not waiting.answer.done():
                waiting.answer.set_result(_lost(waiting.request))
        if self._child is not None:
            self._kill(self._child)

    @staticmethod
    def _kill(child: asyncio.subprocess.Process) -> None:
        """Kill the child with the requests that it has forked: they are its group, and die with it."""
        if child.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)

    async def close(self) -> None:
        """End the child, at first by the end of its requests, so that it can end what it has started."""
        self._is_closed = True
        if self._watching is not None:
            self._watching.cancel()
        child, self._child = self._child, None
        if child is None or child.returncode is not None:
            return
        assert child.stdin is not None  # noqa: S101
        child.stdin.close()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await child.wait()
        except TimeoutError:
            self._kill(child)
            await child.wait()
        if self._reading is not None:
            await self._reading


def _lost(request: PreviewRequest) -> PreviewAnswer:
    return PreviewAnswer(number=request.number, code="internal", message="The process that looked into the file ended.")


def preview_command(settings: Settings) -> tuple[str, ...]:
    """Return the command of the child. -P: a module of that name in the current folder is not loaded."""
    limits = settings.limits.model_dump()
    fields = json.dumps({name: limits[name] for name in _LIMITS})
    return (sys.executable, "-P", "-m", "heygem_daemon.previews", "--models", str(Path(settings.weights).absolute()), "--limits", fields)
