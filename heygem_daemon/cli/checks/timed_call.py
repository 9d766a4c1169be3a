"""Questions to the disk, each in a process of its own: whatever touches a dead share may hang in the kernel for as long as it is dead.

A process that was asked outlives its asker: killed half-way, `heygem check` still cleans up what it had begun to write.
"""

import os
import pickle
import selectors
import signal
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, TypeVar

T = TypeVar("T")

_LAST_WORDS: Final = 0.5
"""s. How long a killed process is waited for; one that hangs in the kernel dies when the kernel lets it."""


@dataclass(kw_only=True)
class _Asked:
    """A process with a question; `told` collects the bytes of its answer."""

    pid: int
    pipe: int
    told: bytearray = field(default_factory=bytearray)
    is_over: bool = False


def ask_all(questions: Sequence[Callable[[], T]], seconds: float) -> list[T | None]:
    """Ask all questions at once; return the answers in their order, None for those that did not come within `seconds`.

    What a question raises is raised here. Answers must not be None themselves."""
    asked = [_begin(question) for question in questions]
    try:
        _listen(asked, time.monotonic() + seconds)
    finally:
        for each in asked:
            _end(each)
    return [_answer(each) for each in asked]


def _begin(question: Callable[[], object]) -> _Asked:
    answer, told = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on forks beside threads; a question takes no lock of theirs
        pid = os.fork()
    if pid == 0:
        os.close(answer)
        _reply(question, told)
    os.close(told)
    return _Asked(pid=pid, pipe=answer)


def _reply(question: Callable[[], object], told: int) -> NoReturn:
    """Answer and end, without what the parent would do at its end (flush its buffers a second time)."""
    with suppress(BaseException):
        try:
            content = pickle.dumps((question(), None))
        except Exception as problem:  # noqa: BLE001 - the asker raises it
            content = pickle.dumps((None, problem))
        with os.fdopen(told, "wb") as pipe:
            pipe.write(content)
    os._exit(0)


def _listen(asked: Sequence[_Asked], deadline: float) -> None:
    with selectors.DefaultSelector() as selector:
        for each in asked:
            selector.register(each.pipe, selectors.EVENT_READ, each)
        while selector.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                content = os.read(key.fd, 65536)
                key.data.told += content
                if not content:
                    key.data.is_over = True
                    selector.unregister(key.fd)


def _end(asked: _Asked) -> None:
    os.close(asked.pipe)
    if not asked.is_over:
        os.kill(asked.pid, signal.SIGKILL)
    give_up = time.monotonic() + _LAST_WORDS
    while os.waitpid(asked.pid, os.WNOHANG) == (0, 0) and time.monotonic() < give_up:
        time.sleep(0.005)


def _answer(asked: _Asked) -> Any:
    if not asked.is_over or not asked.told:
        return None
    answer, problem = pickle.loads(bytes(asked.told))  # noqa: S301 - our own child wrote it
    if problem is not None:
        raise problem
    return answer
