"""Threads that may hang for as long as a share is dead, without keeping the process from ending (as ThreadPoolExecutor would)."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


class DaemonThreadPool:
    """At most `threads` threads, for one inbox that may hang as a whole; each is started when it is first needed."""

    def __init__(self, name: str, threads: int) -> None:
        self._name = name
        self._max_threads = threads
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._started = 0

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Run `work` in the order of the calls; a future that is cancelled before its turn is skipped."""
        future: Future[T] = Future()

        def task() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = work()
            except BaseException as problem:  # noqa: BLE001 - raised again by future.result()
                future.set_exception(problem)
            else:
                future.set_result(result)

        if self._started < self._max_threads:
            self._start_thread()
        self._tasks.put(task)
        return future

    def _start_thread(self) -> None:
        """Start one more thread. Raises RuntimeError (the system's limit of tasks) only where none runs that could do the work."""
        try:
            threading.Thread(target=self._run, name=self._name, daemon=True).start()
        except RuntimeError:
            if not self._started:
                raise
        else:
            self._started += 1

    def close(self) -> None:
        """Let the threads end when they have run everything submitted before."""
        for _ in range(self._started):
            self._tasks.put(None)

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()
