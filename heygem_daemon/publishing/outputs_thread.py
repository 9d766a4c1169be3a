"""A thread for everything that touches outputs: a share that hangs holds the thread, for as long as it is dead, and never the daemon.

Two limits of time: the daemon waits `typical` s at most for a call and then goes on without its answer, and outputs counts as offline when
one call has taken `seconds`. In between outputs is slow: nothing is concluded from what it has not answered yet.
"""

import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.core.names import escape_name
from heygem_daemon.daemon_threads import DaemonThreadPool

T = TypeVar("T")

TYPICAL_SECONDS: Final = 0.6
"""A call takes some ms on a local disk; the daemon waits this long for one before it goes on without."""
KEPT_SECONDS: Final = 60.0
"""An answer that came too late is still one for so long."""


@dataclass(frozen=True, kw_only=True)
class _Late:
    """A call that took too long; `until` (monotonic) its answer is one for the next caller."""

    future: "Future[Any]"
    until: float


class OutputsThread:
    """Calls what touches outputs, with a limit of time. While a call takes long no other is waited for; outputs is used again by itself
    when the call returns. `seconds` may be exchanged while it works."""

    def __init__(self, outputs: Path, seconds: float, *, typical: float = TYPICAL_SECONDS) -> None:
        self.seconds = seconds
        self._outputs = outputs
        self._typical = typical
        self._thread = DaemonThreadPool(f"outputs {outputs}", threads=1)
        self._began: float | None = None
        self._missed_at = float("-inf")
        self._late: dict[Hashable, _Late] = {}

    @property
    def is_slow(self) -> bool:
        """Whether a call takes long."""
        return self._busy_seconds() >= min(self._typical, self.seconds)

    @property
    def hangs(self) -> bool:
        """Whether a call takes so long that outputs counts as offline."""
        return self._busy_seconds() >= self.seconds

    @property
    def answers(self) -> bool:
        """Whether no call has been waited for in vain just now, or outputs counts as offline: a TransientError is then none of slowness."""
        return self.hangs or not (self.is_slow or time.monotonic() - self._missed_at < self._typical)

    def _busy_seconds(self) -> float:
        began = self._began
        return 0.0 if began is None else time.monotonic() - began

    def call(self, work: Callable[..., T], *arguments: Any) -> T:
        """Return what `work` returns, or raise what it raises. Raises TransientError (`outputs_offline`) where it takes too long: it may
        still happen, but before everything that is called later."""
        future = self.begin(work, *arguments)
        if self.wait(future):
            return future.result()
        future.cancel()  # where its turn has not come
        raise self.unanswered()

    def ask(self, key: Hashable, work: Callable[..., T], *arguments: Any, keep: float = KEPT_SECONDS) -> T:
        """Do the same as `call`, but give an answer that comes too late to the next call with this `key`, for `keep` s: where every call
        takes long each has its answer at last."""
        late = self._late.pop(key, None)
        is_answer = late is not None and time.monotonic() < late.until
        future: Future[T] = late.future if late is not None and is_answer else self.begin(work, *arguments)
        if self.wait(future):
            return future.result()
        now = time.monotonic()
        self._late = {each: late for each, late in self._late.items() if now < late.until}
        self._late[key] = _Late(future=future, until=now + keep)
        raise self.unanswered()

    def forget(self, key: Hashable) -> None:
        """Take no late answer with this key: it would be an old one."""
        self._late.pop(key, None)

    def begin(self, work: Callable[..., T], *arguments: Any) -> "Future[T]":
        """Have it done after all that was called before. Raises TransientError (`outputs_offline`) where something takes long already."""
        if self.is_slow:
            raise self.unanswered()
        return self.later(work, *arguments)

    def later(self, work: Callable[..., T], *arguments: Any) -> "Future[T]":
        """Have it done after all that was called before, without waiting."""
        return self._thread.submit(partial(self._do, partial(work, *arguments)))

    def _do(self, work: Callable[[], T]) -> T:
        self._began = time.monotonic()
        try:
            return work()
        finally:
            self._began = None

    def wait(self, future: "Future[Any]") -> bool:
        """Wait for it, unless something takes long already; return whether it is done."""
        if not future.done() and not self.is_slow:
            wait([future], min(self._typical, self.seconds))
        if not future.done():
            self._missed_at = time.monotonic()
        return future.done()

    def unanswered(self) -> HeygemError:
        """Return the error of a call that takes too long."""
        self._missed_at = time.monotonic()
        problem = "it does not answer (its share, its disk or the network hangs)" if self.hangs else "it has not answered yet"
        return error("outputs_offline", path=escape_name(str(self._outputs)), problem=problem)
