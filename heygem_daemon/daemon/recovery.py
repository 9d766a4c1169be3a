"""Resume the work after a start: open jobs of the ledger, and claimed folders that a crash left in an inbox."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from heygem_daemon.core import policy
from heygem_daemon.core.clock import ClockReading
from heygem_daemon.core.errors import TransientError
from heygem_daemon.core.job import Item, Job, State
from heygem_daemon.core.ports import Claims, Log, Publisher
from heygem_daemon.daemon.dispatcher import not_waiting_for_share
from heygem_daemon.daemon.job_store import JobStore


def recover_jobs(store: JobStore, publisher: Publisher, retry: policy.Policy, log: Log, now: ClockReading) -> None:
    """Load the queue from the ledger. What was running then was interrupted, unless it is published already.

    Only the jobs that this changes are written, all of them at once: thousands may wait."""
    changed: list[Job] = []
    for found in store.ledger.open_jobs():
        job = found
        for item in found.items:
            if item.state is State.RUNNING:
                job = job.with_item(_recover_item(job, item, publisher, retry, log))
        recovered = job.rollup(now.wall)
        store.load(recovered)
        if recovered != found:
            changed.append(recovered)
    store.save(*changed)


def _recover_item(job: Job, item: Item, publisher: Publisher, retry: policy.Policy, log: Log) -> Item:
    is_known = True
    try:
        published = publisher.published_result(job, item)
    except TransientError:  # outputs does not answer: it is asked again before the item starts, and may have been done
        published, is_known = None, False
    publisher.discard(item.token)
    if published is not None:
        return item.transition(State.SUCCEEDED, result=dict(published))
    interrupted = policy.after_interruption(item, retry, orderly=not is_known)
    log("item_interrupted", **job.log_context(), item=item.key, attempt=interrupted.attempt)
    return interrupted


def recover_claims(
    claimed: Sequence[str], store: JobStore, has_time: Callable[[], bool], *, inbox: str, watched: Collection[str]
) -> tuple[Sequence[str], Sequence[str]]:
    """Have the inputs of finished jobs moved to _done or _failed, and jobs of an inbox that is no longer watched go on in this one, where
    their claimed folders are: it was renamed, or mounted elsewhere. Return which of the ids of claimed folders the ledger does not know,
    and those for which there was no time after the first: a crash may leave thousands.

    Raises TransientError when the ledger does not answer."""
    unknown: list[str] = []
    moved: list[Job] = []
    left: Sequence[str] = ()
    for place, job_id in enumerate(claimed):
        if place and not has_time():
            left = claimed[place:]
            break
        known = store.known(job_id)
        job = known or store.ledger.get(job_id)
        if job is None:
            unknown.append(job_id)
        elif job.inbox not in watched:
            moved.append(_moved(job, inbox, store.claims))
            store.log("job_moved", level="warning", **job.log_context(), before=job.inbox, inbox=inbox)
        elif known is None and job.is_final:
            store.load(job)
    store.save(*moved)
    return unknown, left


def _moved(job: Job, inbox: str, claims: Claims) -> Job:
    """Return the job with its inputs in this inbox; what waited for the former one need not wait."""
    items = tuple(not_waiting_for_share(item, 0.0) for item in job.items)
    return replace(job, inbox=inbox, claimed=str(claims.folder(inbox, job.id)), items=items)
