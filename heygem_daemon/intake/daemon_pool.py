"""Threads that may hang for as long as a share is dead, without keeping the process from ending (as ThreadPoolExecutor would)."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


class DaemonThreadPool:
    """So many threads for one thing that may hang as a whole; started when they are needed first."""

    def __init__(self, name: str, threads: int) -> None:
        self._name = name
        self._max_threads = threads
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._started = 0

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Have `work` done, in the order of the calls; a future that is cancelled before its turn is passed over."""
        future: Future[T] = Future()

        def task() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = work()
            except BaseException as problem:  # noqa: BLE001 - it belongs to whoever asks for the result
                future.set_exception(problem)
            else:
                future.set_result(result)

        self._tasks.put(task)
        if self._started < self._max_threads:
            self._started += 1
            threading.Thread(target=self._run, name=self._name, daemon=True).start()
        return future

    def close(self) -> None:
        """Let the threads end when they have done what was asked before."""
        for _ in range(self._started):
            self._tasks.put(None)

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()
