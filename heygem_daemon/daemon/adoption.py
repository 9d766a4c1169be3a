"""Make a job again from what the folders hold of it: its claimed inputs, its status file, and what is published of it."""

from dataclasses import dataclass, replace
from typing import Final

from heygem_daemon.core import drop, policy
from heygem_daemon.core.job import FINAL, TRANSITIONS, Failure, Item, Job, JobWarning, State, state_of
from heygem_daemon.core.job_options import JobOptions
from heygem_daemon.core.names import is_inside
from heygem_daemon.core.ports import Claims, Publisher
from heygem_daemon.core.status import ErrorStatus, ItemStatus, JobStatus, Metrics, unix_time
from heygem_daemon.daemon.candidate import CandidateRules

HELD: Final = "Held back"
"""How the reason of a job on hold begins, by hand or by a file."""


@dataclass(frozen=True, kw_only=True)
class Adoption:
    """Makes jobs again. What is published of the same content is done. Everything else is queued once more, or stays as its status says
    where the whole job was over."""

    claims: Claims
    publisher: Publisher

    def job(self, inbox: str, status: JobStatus, rules: CandidateRules, now: float) -> Job:
        """Return the job whose inputs lie in its claimed folder, not rolled up into another state than its items imply.

        Raises TransientError when they cannot be read."""
        claimed = self.claims.folder(inbox, status.job)
        found = self.claims.listing(claimed)
        entries, uid = found.entries, found.uid
        flat = self.claims.is_flat(claimed)
        plan = drop.plan(entries, job_toml=self.claims.job_toml(found.root, entries), flat=flat, limits=rules.limits)
        rejected = plan.rejected or plan.incomplete
        priority, lowered = rules.priority_of(inbox, uid, plan.options.priority)
        waits = status.waiting_for or ""
        job = Job(
            id=status.job,
            name=status.name,
            inbox=inbox,
            claimed=str(claimed),
            output=status.output,
            priority=priority,
            options=plan.options,
            dropped_by=rules.users.owner_of(uid, plan.options.owner),
            size=drop.total_bytes(entries),
            since=now,
            on_hold=waits.startswith(HELD),
            reason=waits if waits.startswith(HELD) else "",
            failure=Failure.of(rejected) if rejected else failure_of(status.error) if status.state is State.REJECTED else None,
            flat=flat,
            dropped_at=unix_time(status.times.dropped, now),
            queued_at=unix_time(status.times.queued, now),
            started_at=None if status.times.started is None else status.times.started.timestamp(),
            warnings=() if rejected else plan.warnings,
        )
        job = job if lowered is None else job.with_warning(lowered)
        sizes = {entry.path: entry.size for entry in entries}
        items = () if rejected else drop.items(plan, {})
        sized = tuple(replace(item, needs_bytes=policy.guess_bytes(sizes.get(item.video, 0))) for item in items)
        return self._with_items(replace(job, items=sized), status).rollup(now)

    def _with_items(self, job: Job, status: JobStatus) -> Job:
        """Return the job with its items in the states that they had, as far as that is known."""
        known = {item.key: item for item in status.items}
        published = self.publisher.published_results(job)
        made = tuple(
            replace(item, state=State.SUCCEEDED, result=dict(published[item.key]))
            if item.key in published
            else _unpublished(item, known.get(item.key), status)
            for item in job.items
        )
        is_cancelled = status.state is State.CANCELLED and not any(item.state is State.SUCCEEDED for item in made)
        return replace(job, items=made, reason=status.reason if is_cancelled else job.reason)


def _unpublished(item: Item, known: ItemStatus | None, status: JobStatus) -> Item:
    """Return an item that is not published; `known` is what the status of its job says of it, None where that does not name it."""
    if status.state not in FINAL or item.is_final:
        return item
    if known is None or known.state not in FINAL or known.state not in TRANSITIONS:
        state = State.CANCELLED if status.state is State.CANCELLED else State.FAILED
        return replace(item, state=state, failure=failure_of(status.error), reason=status.reason)
    return replace(item, state=known.state, failure=failure_of(known.error), reason=known.reason, result=result_of(known))


def finished_job(status: JobStatus, inbox: str, claimed: str) -> Job | None:
    """Return the job of a last status for the history, None where it cannot be one that a daemon wrote: its names lead elsewhere, or it is
    not over. `claimed` is where its inputs are put for a retry."""
    items = tuple(_finished_item(item) for item in status.items)
    is_over = status.state in FINAL and all(item is not None and item.is_final for item in items)
    if not is_over or not status.name or "/" in status.name:
        return None
    ended = status.times.finished or status.since
    job = Job(
        id=status.job,
        name=status.name,
        inbox=inbox,
        claimed=claimed,
        output=status.output,
        priority=status.priority,
        options=JobOptions(owner=status.owner, reference=status.reference, consent=status.consent),
        items=tuple(item for item in items if item is not None),
        state=status.state,
        since=status.since.timestamp(),
        reason=status.reason,
        failure=failure_of(status.error),
        dropped_at=unix_time(status.times.dropped, status.since.timestamp()),
        queued_at=None if status.times.queued is None else status.times.queued.timestamp(),
        started_at=None if status.times.started is None else status.times.started.timestamp(),
        finished_at=ended.timestamp(),
        warnings=tuple(JobWarning(code=each.code, message=each.message, hint=each.hint) for each in status.warnings),
    )
    return replace(job, state=state_of(job))


def _finished_item(known: ItemStatus) -> Item | None:
    """Return an item of a last status, with the names that its key gives its files; None where it names files elsewhere."""
    if not all(is_inside(path) for path in (known.key, known.recording, known.video)) or known.state not in TRANSITIONS:
        return None
    item = drop.item_of(known.key, known.recording, known.video)
    if (known.output or known.missing or item.output) != item.output:
        return None
    failure, result = failure_of(known.error), result_of(known)
    return replace(item, state=known.state, attempt=max(known.attempt, 0), reason=known.reason, failure=failure, result=result)


def result_of(known: ItemStatus) -> dict[str, object]:
    """Return the measurements on an item as the ledger keeps them."""
    measured = {name: getattr(known, name) for name in Metrics.model_fields}
    return {name: value for name, value in measured.items() if value not in (None, "", (), {})} | {"explained": known.explain is not None}


def failure_of(problem: ErrorStatus | None) -> Failure | None:
    """Return an error of a status file as the ledger keeps it."""
    if problem is None:
        return None
    return Failure(code=problem.code, message=problem.message, hint=problem.hint, retryable=problem.retryable)
