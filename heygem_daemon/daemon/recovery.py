"""Resume the work after a start: open jobs of the ledger, and claimed folders that a crash left in an inbox."""

from heygem_daemon.core import policy
from heygem_daemon.core.clock import ClockReading
from heygem_daemon.core.job import Item, Job, State
from heygem_daemon.core.ports import Claims, Log, Publisher
from heygem_daemon.daemon.job_store import JobStore


def recover_jobs(store: JobStore, publisher: Publisher, retry: policy.Policy, log: Log, now: ClockReading) -> None:
    """Load the queue from the ledger. What was running then was interrupted, unless it is published already."""
    for job in store.ledger.open_jobs():
        for item in job.items:
            if item.state is State.RUNNING:
                job = job.with_item(_recover_item(job, item, publisher, retry, log))  # noqa: PLW2901 - a job is a value
        store.save(job.rollup(now.wall))


def _recover_item(job: Job, item: Item, publisher: Publisher, retry: policy.Policy, log: Log) -> Item:
    published = publisher.published_result(job, item)
    publisher.discard(item.token)
    if published is not None:
        return item.transition(State.SUCCEEDED, result=dict(published))
    interrupted = policy.after_interruption(item, retry)
    log("item_interrupted", **job.log_context(), item=item.key, attempt=interrupted.attempt)
    return interrupted


def recover_claims(inbox: str, store: JobStore, claims: Claims, log: Log) -> None:
    """Put claimed folders that never became a job back into the inbox; have the inputs of finished jobs moved to _done or _failed.

    Raises TransientError when the share failed."""
    for job_id in claims.claimed(inbox):
        if store.contains(job_id):
            continue
        job = store.ledger.get(job_id)
        if job is None:
            claims.unclaim(inbox, job_id)
            log("drop_restored", job_id=job_id, inbox=inbox, reason="It was claimed without becoming a job")
        elif job.is_final:
            store.save(job)
