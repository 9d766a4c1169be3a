"""Apply the requests of people to jobs that the command line leaves in the ledger; control_files.py has those beside the drops."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from heygem_daemon.core.clock import ClockReading
from heygem_daemon.core.errors import TransientError
from heygem_daemon.core.job import Item, Job, State
from heygem_daemon.core.ports import Claims, Ledger, Log, Publisher, StatusWriter
from heygem_daemon.daemon.dispatcher import Dispatcher
from heygem_daemon.daemon.job_store import JobStore

REQUESTS_PER_TICK: Final = 20
"""Each retry costs some fsyncs."""
CHANGES_PER_TICK: Final = 100
"""Jobs that requests may change in a tick; ten thousand can have one name."""
_VERBS: Final = frozenset({"cancel", "hold", "release"})


@dataclass(frozen=True, kw_only=True)
class RequestHandler:
    """Turns requests into calls of the dispatcher; what cannot be done is logged and forgotten."""

    store: JobStore
    dispatcher: Dispatcher
    ledger: Ledger
    claims: Claims
    publisher: Publisher
    status_writer: StatusWriter
    log: Log

    def apply_requests(self, now: ClockReading, *, has_time: Callable[[], bool] = lambda: True) -> None:
        """Do what the command line asks in the ledger; where that is much, or without time after the first, the rest in the next ticks.

        A request is deleted once it is done: after a crash in between it is done again, which changes nothing more."""
        done = 0
        changes_left = CHANGES_PER_TICK
        try:
            with self.store.together():
                for verb, target in self.ledger.requests(REQUESTS_PER_TICK):
                    if done and not has_time():
                        break
                    done += 1  # also where it fails: it must not fail in every tick
                    found = self._found(verb, target)
                    waiting = [job for job in found if _is_to_do(verb, job)]
                    applied = [self._apply(verb, job, now) for job in waiting[:changes_left]]
                    if len(waiting) > changes_left:
                        done -= 1
                        break
                    has_applied = all(applied) and bool(found)
                    if verb == "retry" and not has_applied and not self.publisher.answers():  # what is in it is known soon
                        done -= 1
                        break
                    changes_left -= len(waiting)
                    event, level = ("request_taken", "info") if has_applied else ("request_unknown", "warning")
                    self.log(event, level=level, verb=verb, target=target)
        finally:
            if done:
                self.ledger.remove_requests(done)

    def _found(self, verb: str, target: str) -> Sequence[Job]:
        """Return the open jobs of this id, name or output folder, or for a retry the newest job: a name may have been used again."""
        if verb == "retry":
            return self.ledger.find(target, 1)
        return [job for job in self.store.jobs.values() if target in (job.id, job.name, job.output)] if verb in _VERBS else []

    def _apply(self, verb: str, job: Job, now: ClockReading) -> bool:
        match verb:
            case "cancel":
                self.dispatcher.cancel(job, now)
            case "hold":
                self.dispatcher.hold(job, "Held back by hand", now)
            case "release":
                self.dispatcher.release(job, now)
            case _:
                return self._try_again(job, now)
        return True

    def _try_again(self, job: Job, now: ClockReading) -> bool:
        try:
            return self.retry(job, now)
        except TransientError as problem:
            self.log("job_waiting", level="warning", **job.log_context(), error_code=problem.code, reason=problem.message)
            return False

    def retry(self, job: Job, now: ClockReading) -> bool:
        """Take a finished job into the queue again, to make what it has not in outputs; return whether that could be done.

        Where somebody deleted its folder, and another job has that name by now, it gets a new one. Raises TransientError where outputs or
        the share failed."""
        if not job.is_final:
            return False
        output = self.status_writer.reserve_again(job.output, job.name, job.id)
        try:
            return self._begin_again(job, output, now)
        finally:
            if job.id not in self.store.jobs:
                self.status_writer.release_name(output, job.id)

    def _begin_again(self, job: Job, output: str, now: ClockReading) -> bool:
        missing = self.publisher.missing_results(job) if output == job.output else _made(job)
        if job.state is State.SUCCEEDED and not missing:
            return False
        if self.claims.restore(job) is None:
            return False
        self.log("job_retried", **job.log_context())
        if job.state is State.REJECTED or not job.items:
            return self.claims.unclaim(job.inbox, job.id)
        items = tuple(_requeue(item, is_missing=item.key in missing) for item in job.items)
        again = replace(job, output=output, items=items, reason="", failure=None, on_hold=False)
        self.dispatcher.enqueue([again.rollup(now.wall)], now)
        return True


def _is_to_do(verb: str, job: Job) -> bool:
    """Return whether a request would change an open job."""
    return {"hold": not job.on_hold, "release": job.on_hold}.get(verb, True)


def _made(job: Job) -> frozenset[str]:
    return frozenset(item.key for item in job.items if item.state is State.SUCCEEDED)


def _requeue(item: Item, *, is_missing: bool) -> Item:
    if item.state is State.SUCCEEDED:
        return item.made_anew() if is_missing else item
    return item.transition(State.QUEUED, attempt=0, backoff_count=0, not_before=0.0, reason="", failure=None)
