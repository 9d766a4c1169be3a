"""The main loop of a worker: take an order, work on it, report, take the next."""

import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

from heygem_daemon.core.error_catalog import ErrorKind
from heygem_daemon.core.errors import HeygemError, error, trace_of
from heygem_daemon.core.job import Failure
from heygem_daemon.core.names import escape_name
from heygem_daemon.core.work import WorkerMessage, WorkerReady, WorkFailed, WorkOrder, WorkProgress, WorkSucceeded
from heygem_daemon.machine import killed_for_memory
from heygem_daemon.media.file_state import identity
from heygem_daemon.worker.error_mapping import as_heygem_error

_NOT_THE_INPUTS: Final = frozenset({ErrorKind.TRANSIENT, ErrorKind.SETUP, ErrorKind.DEVICE})
OnStep = Callable[[str, int, int], None]
"""stage, done, total"""


class Session(Protocol):
    """The object that does the work; it lives as long as its worker and keeps the models."""

    def device(self) -> str:
        """Return the name of the device that it computes on."""
        ...

    def models(self) -> Mapping[str, str]:
        """Return name -> sha256 of the model files in use."""
        ...

    def run(self, order: WorkOrder, on_step: OnStep) -> Mapping[str, Any]:
        """Work on one order; return the metrics for its status. Raises anything."""
        ...


@runtime_checkable
class PreparedSession(Session, Protocol):
    """A session that loads before its worker is announced what the first order should not wait for."""

    def prepare(self, on_step: Callable[[], None]) -> None:
        """Load it. on_step: called while that progresses, so that a long preparation does not look like a hang."""
        ...


class Liveness(Protocol):
    """Where the loop reports that it progresses, or waits for an order (process.HeartbeatThread)."""

    def progress(self) -> None: ...

    def idle(self) -> None: ...


def work_on(
    order: WorkOrder, session: Session, on_report: Callable[[WorkerMessage], None], *, killed: Callable[[], int] = killed_for_memory
) -> None:
    """Work on one order and report progress and the outcome. Raises nothing but Terminated and KeyboardInterrupt.

    killed: returns how many processes the kernel has ended so far as memory ran out."""

    def on_step(stage: str, done: int, total: int) -> None:
        on_report(WorkProgress(token=order.token, stage=stage, done=done, total=total))

    before, killed_before = _identities(order), killed()
    try:
        result = session.run(order, on_step)
    except Exception as problem:  # noqa: BLE001  (the border of an item: whatever happens inside becomes its failure)
        report = failed(order, problem)
        cause = _outer_cause(order, report, before, ran_out=killed() > killed_before)
        on_report(report if cause is None else replace(report, kind=cause.kind, failure=Failure.of(cause)))
    else:
        on_report(WorkSucceeded(token=order.token, result=result))


def _outer_cause(order: WorkOrder, report: WorkFailed, before: list[tuple[int, int] | None], *, ran_out: bool) -> HeygemError | None:
    """Return the error behind that of a report, None where it says itself why the attempt failed.

    The inputs are looked at only where that may matter: on a share that answers nobody the report would never be sent."""
    if report.failure.code == "tool_killed" and ran_out:  # as often as it is tried, perhaps: it must not wait for ever
        return error("memory_full", problem=report.failure.message)
    if report.kind in _NOT_THE_INPUTS or (None not in before and _identities(order) == before):
        return None
    return error("share_offline", path=escape_name(str(Path(order.recording).parent)))


def _identities(order: WorkOrder) -> list[tuple[int, int] | None]:
    """Return device and inode of the inputs: a file that looks broken may be on a share that went away, or was mounted anew meanwhile."""
    return [identity(Path(path)) for path in (order.recording, order.video)]


def failed(order: WorkOrder, problem: BaseException) -> WorkFailed:
    """Return the report of a failed attempt; write an exception that is no HeygemError to stderr with its traceback."""
    known = as_heygem_error(problem, Path(order.output).parent)
    if known is not problem:
        print(f"job {order.job_id}, item {order.item}:", file=sys.stderr)  # noqa: T201  (stderr is the worker's log)
        traceback.print_exception(problem, file=sys.stderr)
    trace = trace_of(problem) if known is not problem and known.code == "internal" else known.trace
    return WorkFailed(token=order.token, kind=known.kind, failure=Failure.of(known), trace=trace)


def serve(name: str, session: Session, orders: Iterable[WorkOrder], on_report: Callable[[WorkerMessage], None], liveness: Liveness) -> None:
    """Announce the worker, then work on `orders` until they end."""

    def report(message: WorkerMessage) -> None:
        liveness.progress()
        on_report(message)

    report(WorkerReady(worker=name, device=session.device(), models=session.models()))
    liveness.idle()
    for order in orders:
        liveness.progress()
        work_on(order, session, report)
        liveness.idle()
