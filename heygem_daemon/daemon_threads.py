"""Threads that may hang for as long as a share is dead, without keeping the process from ending (as ThreadPoolExecutor would)."""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

T = TypeVar("T")
CANCELLED_KEPT: Final = 1000
"""Work that was cancelled in its line is taken out of it when there may be so much of it, and as much as there is else."""

_Task = tuple[Future[Any], Callable[[], Any]]


class DaemonThreadPool:
    """At most `threads` threads, for one place that may hang as a whole; each is started when it is first needed.

    Work waits in a line per owner, and the owners take turns: whoever asks for thousands of things delays another by one."""

    def __init__(self, name: str, threads: int) -> None:
        self._name = name
        self._max_threads = threads
        self._started = 0
        self._lines: OrderedDict[str, deque[_Task]] = OrderedDict()
        """Owner -> what waits, never nothing; the first owner has the next turn."""
        self._waiting = 0
        self._clean_at = CANCELLED_KEPT
        self._is_closed = False
        self._changed = threading.Condition()

    def submit(self, work: Callable[[], T], *, owner: str = "") -> Future[T]:
        """Run `work` when it is its owner's turn, in the order of the owner's calls; what is cancelled before costs no turn.

        Raises RuntimeError (the system's limit of tasks) only where no thread runs that could do the work."""
        future: Future[T] = Future()
        if self._started < self._max_threads:
            self._start_thread()
        with self._changed:
            self._lines.setdefault(owner, deque()).append((future, work))
            self._waiting += 1
            if self._waiting >= self._clean_at:
                self._remove_cancelled()
            self._changed.notify()
        return future

    def close(self) -> None:
        """Let the threads end when they have run everything submitted before."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _start_thread(self) -> None:
        try:
            threading.Thread(target=self._run, name=self._name, daemon=True).start()
        except RuntimeError:
            if not self._started:
                raise
        else:
            self._started += 1

    def _remove_cancelled(self) -> None:
        """Take out what was cancelled: of a drop that changes again and again all of its files are asked for each time."""
        for owner, line in list(self._lines.items()):
            left = deque(task for task in line if not task[0].cancelled())
            self._waiting -= len(line) - len(left)
            if left:
                self._lines[owner] = left
            else:
                del self._lines[owner]
        self._clean_at = 2 * self._waiting + CANCELLED_KEPT

    def _run(self) -> None:
        while (task := self._next()) is not None:
            future, work = task
            try:
                result = work()
            except BaseException as problem:  # noqa: BLE001 - raised again by future.result()
                future.set_exception(problem)
            else:
                future.set_result(result)
            del task, future, work  # what it was about is not kept while the next is waited for

    def _next(self) -> _Task | None:
        """Return what is to be done next, None where nothing will come any more."""
        with self._changed:
            while True:
                while self._lines:
                    owner, line = self._lines.popitem(last=False)
                    task = line.popleft()
                    self._waiting -= 1
                    is_wanted = task[0].set_running_or_notify_cancel()
                    if line:
                        self._lines[owner] = line
                        self._lines.move_to_end(owner, last=is_wanted)
                    if is_wanted:
                        return task
                if self._is_closed:
                    return None
                self._changed.wait()
