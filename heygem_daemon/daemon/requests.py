"""Apply the requests of people to jobs that the command line leaves in the ledger; control_files.py has those beside the drops."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from heygem_daemon.core.clock import ClockReading
from heygem_daemon.core.errors import TransientError
from heygem_daemon.core.job import Item, Job, State
from heygem_daemon.core.ports import Claims, Ledger, Log
from heygem_daemon.daemon.dispatcher import Dispatcher
from heygem_daemon.daemon.job_store import JobStore


@dataclass(frozen=True, kw_only=True)
class RequestHandler:
    """Turns requests into calls of the dispatcher; what cannot be done is logged and forgotten."""

    store: JobStore
    dispatcher: Dispatcher
    ledger: Ledger
    claims: Claims
    log: Log

    def apply_requests(self, now: ClockReading) -> None:
        """Take the requests that the command line left in the ledger."""
        for verb, target in self.ledger.take_requests():
            applied = sum(self._apply(verb, job, now) for job in self._targets(verb, self.ledger.find(target)))
            event, level = ("request_taken", "info") if applied else ("request_unknown", "warning")
            self.log(event, level=level, verb=verb, target=target)

    def _targets(self, verb: str, found: Sequence[Job]) -> Sequence[Job]:
        """Return the open jobs among those found, or for a retry the newest: a name may have been used again."""
        return found[:1] if verb == "retry" else [self.store.jobs[job.id] for job in found if job.id in self.store.jobs]

    def _apply(self, verb: str, job: Job, now: ClockReading) -> bool:
        match verb:
            case "cancel":
                self.dispatcher.cancel(job, now)
            case "hold":
                self.dispatcher.hold(job, "Held back by hand", now)
            case "release":
                self.dispatcher.release(job, now)
            case "retry":
                return self.retry(job, now)
            case _:
                return False
        return True

    def retry(self, job: Job, now: ClockReading) -> bool:
        """Take a finished job into the queue again; return whether that could be done."""
        if not job.is_final or job.state is State.SUCCEEDED:
            return False
        try:
            if self.claims.restore(job) is None:
                return False
            self.log("job_retried", **job.log_context())
            if job.state is State.REJECTED or not job.items:
                return self.claims.unclaim(job.inbox, job.id)
        except TransientError as problem:
            self.log("job_waiting", level="warning", **job.log_context(), error_code=problem.code, reason=problem.message)
            return False
        items = tuple(_requeue(item) for item in job.items)
        self.dispatcher.enqueue([replace(job, items=items, reason="", on_hold=False).rollup(now.wall)], now)
        return True


def _requeue(item: Item) -> Item:
    if item.state is State.SUCCEEDED:
        return item
    return item.transition(State.QUEUED, attempt=0, backoff_count=0, not_before=0.0, reason="", failure=None)
