"""Call functions with a time limit, each in a process of its own: what touches a dead share may hang in the kernel as long as it is dead.

A called process outlives its caller: when `heygem check` is killed, the processes still clean up what they began to write.
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

_REAP_SECONDS: Final = 0.5
"""How long a killed process is waited for; one that hangs in the kernel ends when the kernel lets it."""


@dataclass(kw_only=True)
class _Call:
    """A process that executes one function; `received` collects the bytes of its result."""

    pid: int
    pipe: int
    received: bytearray = field(default_factory=bytearray)
    is_over: bool = False


def call_all(functions: Sequence[Callable[[], T]], seconds: float) -> list[T | None]:
    """Call all functions at once; return their results in order, None for those that did not return within `seconds`.

    What a function raises is raised here. Results must not be None themselves."""
    calls = [_begin(function) for function in functions]
    try:
        _receive(calls, time.monotonic() + seconds)
    finally:
        for call in calls:
            _end(call)
    return [_result(call) for call in calls]


def _begin(function: Callable[[], object]) -> _Call:
    read_end, write_end = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on forks beside threads; the functions take no lock of theirs
        pid = os.fork()
    if pid == 0:
        os.close(read_end)
        _execute(function, write_end)
    os.close(write_end)
    return _Call(pid=pid, pipe=read_end)


def _execute(function: Callable[[], object], write_end: int) -> NoReturn:
    """Send the result and exit, without what the parent would do at its exit (flush its buffers a second time).

    The standard streams are let go: whoever reads ours until their end must not wait for a process that hangs."""
    with suppress(BaseException):
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nothing, stream)
        try:
            content = pickle.dumps((function(), None))
        except Exception as problem:  # noqa: BLE001 - the caller raises it
            content = pickle.dumps((None, problem))
        with os.fdopen(write_end, "wb") as pipe:
            pipe.write(content)
    os._exit(0)


def _receive(calls: Sequence[_Call], deadline: float) -> None:
    with selectors.DefaultSelector() as selector:
        for call in calls:
            selector.register(call.pipe, selectors.EVENT_READ, call)
        while selector.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                content = os.read(key.fd, 65536)
                key.data.received += content
                if not content:
                    key.data.is_over = True
                    selector.unregister(key.fd)


def _end(call: _Call) -> None:
    os.close(call.pipe)
    if not call.is_over:
        os.kill(call.pid, signal.SIGKILL)
    deadline = time.monotonic() + _REAP_SECONDS
    while os.waitpid(call.pid, os.WNOHANG) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.005)


def _result(call: _Call) -> Any:
    if not call.is_over or not call.received:
        return None
    result, problem = pickle.loads(bytes(call.received))  # noqa: S301 - our own child wrote it
    if problem is not None:
        raise problem
    return result
