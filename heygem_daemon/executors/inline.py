"""Run work orders in the process of the caller, without isolation or parallelism."""

import os
from collections.abc import Callable, Iterable, Sequence

from heygem_daemon.core.work import Capacity, WorkerMessage, WorkerReady, WorkerState, WorkerView, WorkOrder
from heygem_daemon.worker.loop import Session, work_on


class InlineExecutor:
    """An Executor whose `submit` returns when the order is done; its reports wait for `poll`.

    The session is made at the first order. A hang hangs the caller and a crash ends it: this is for tests and experiments, the
    daemon uses LocalExecutor.
    """

    def __init__(self, session_factory: Callable[[], Session]) -> None:
        self._factory = session_factory
        self._session: Session | None = None
        self._reports: list[WorkerMessage] = []
        self._is_stopped = False
        self._wakeup = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def start(self) -> None:
        """Nothing runs between two calls, so there is nothing to start."""

    def free(self) -> int:
        """Return 1 when the next order can be taken, which is after the reports of the last one were polled."""
        return 0 if self._is_stopped or self._reports else 1

    def capacity(self) -> Capacity:
        return Capacity(items_at_once=1, reason="in the process of the caller")

    def submit(self, order: WorkOrder) -> None:
        """Raises RuntimeError when nothing is free."""
        if not self.free():
            raise RuntimeError("no free worker: ask free() first")
        session = self._session
        if session is None:
            session = self._session = self._factory()
            self._report(WorkerReady(worker="inline", device=session.device(), models=session.models()))
        work_on(order, session, self._report)

    def cancel(self, token: str) -> None:
        """Throw away its reports, if any wait."""
        self._reports = [report for report in self._reports if getattr(report, "token", None) != token]

    def poll(self) -> Iterable[WorkerMessage]:
        reports, self._reports = self._reports, []
        if reports and not self._is_stopped:
            os.eventfd_read(self._wakeup)
        return reports

    def wakeups(self) -> Sequence[int]:
        return () if self._is_stopped else (self._wakeup,)

    def workers(self) -> Sequence[WorkerView]:
        device = self._session.device() if self._session else "not loaded"
        return (WorkerView(worker="inline", device=device, state=WorkerState.STOPPED if self._is_stopped else WorkerState.IDLE),)

    def stop(self, grace_seconds: float) -> None:
        """Take no more orders. Nothing runs between two calls, so there is nothing to wait for."""
        if not self._is_stopped:
            self._is_stopped = True
            self._reports.clear()
            os.close(self._wakeup)

    def _report(self, report: WorkerMessage) -> None:
        self._reports.append(report)
        os.eventfd_write(self._wakeup, 1)
