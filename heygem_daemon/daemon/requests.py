"""What people ask of jobs: control files beside the drops, and the command line through the ledger."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

from heygem_daemon.core.errors import TransientError
from heygem_daemon.core.job import Item, Job, State
from heygem_daemon.core.names import escape_name
from heygem_daemon.core.ports import Claims, InboxScan, Ledger, Log
from heygem_daemon.daemon.clock import ClockReading
from heygem_daemon.daemon.dispatcher import Dispatcher


@dataclass(frozen=True, kw_only=True)
class RequestHandler:
    """Turns wishes into calls of Dispatcher; what cannot be granted is logged and forgotten."""

    dispatch: Dispatcher
    ledger: Ledger
    claims: Claims
    log: Log

    def apply_control_files(self, view: InboxScan, now: ClockReading) -> None:
        """Follow NAME.cancel and NAME.hold for drops of this inbox that are jobs already."""
        wanted = {(kind, escape_name(name)): name for name, kind in view.controls}
        for job in [job for job in self.dispatch.jobs.values() if job.inbox == view.inbox]:
            if ("cancel", job.name) in wanted:
                self.dispatch.cancel(job, now)
                with suppress(TransientError):
                    self.claims.clear_control(view.inbox, wanted["cancel", job.name], "cancel")
            elif ("hold", job.name) in wanted and not job.on_hold:
                self.dispatch.hold(replace(job, reason=f"Held back by {job.name}.hold"), True, now)
            elif job.on_hold and job.reason.endswith(".hold") and ("hold", job.name) not in wanted:
                self.dispatch.hold(replace(job, reason=""), False, now)

    def apply_requests(self, now: ClockReading) -> None:
        """Take the wishes that the command line left in the ledger."""
        for verb, target in self.ledger.take_requests():
            jobs = self.ledger.find(target)
            granted = sum(self._apply(verb, job, now) for job in self._targets(verb, jobs))
            event, level = ("request_taken", "info") if granted else ("request_unknown", "warning")
            self.log(event, level=level, verb=verb, target=target)

    def _targets(self, verb: str, jobs: Iterable[Job]) -> list[Job]:
        """A name may have been used again: the open jobs are meant, or for a retry the newest."""
        found = list(jobs)
        return found[:1] if verb == "retry" else [self.dispatch.jobs[job.id] for job in found if job.id in self.dispatch.jobs]

    def _apply(self, verb: str, job: Job, now: ClockReading) -> bool:
        match verb:
            case "cancel":
                self.dispatch.cancel(job, now)
            case "hold":
                self.dispatch.hold(replace(job, reason="Held back by hand"), True, now)
            case "release":
                self.dispatch.hold(replace(job, reason=""), False, now)
            case "retry":
                return self._retry(job, now)
            case _:
                return False
        return True

    def _retry(self, job: Job, now: ClockReading) -> bool:
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
        items = tuple(_requeued(item) for item in job.items)
        self.dispatch.admit(replace(job, items=items, reason="", on_hold=False).rollup(now.wall), now)
        return True


def _requeued(item: Item) -> Item:
    if item.state is State.SUCCEEDED:
        return item
    return item.transition(State.QUEUED, attempt=0, backoff_count=0, not_before=0.0, reason="", failure=None)
