"""Build the models of status.json from jobs, items and candidates."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from heygem_daemon.core.errors import HeygemError
from heygem_daemon.core.job import FINAL, Failure, Item, Job, State, state_of
from heygem_daemon.core.names import escape_name
from heygem_daemon.core.status import (
    ErrorStatus,
    ItemStatus,
    JobStatus,
    JobSummary,
    Metrics,
    ProgressStatus,
    QueueStatus,
    TimesStatus,
    WarningStatus,
    moment,
)

STAGES: Final[Mapping[str, float]] = {"analyse": 0.15, "harvest": 0.1, "calibrate": 0.1, "render": 0.6, "verify": 0.04, "publish": 0.01}
"""The stages of an item in order, with roughly the fraction of the time each takes for a presenter not seen before: they pace the bar."""

RECENT: Final = 20
"""How many finished jobs the daemon's own status lists."""

ETA_FROM: Final = 0.02
"""The fraction that must be done before the time left is estimated."""


def _moment(unix: float | None) -> datetime | None:
    return None if unix is None else moment(unix)


def item_progress(stage: str, done: int, total: int, *, elapsed_s: float | None = None) -> ProgressStatus:
    """Return the progress of an item that has done `done` of `total` steps of `stage`; a stage not in STAGES counts as 0 %."""
    part = min(max(done / total, 0.0), 1.0) if total > 0 else 0.0
    before = 0.0
    for name, weight in STAGES.items():
        if name == stage:
            fraction = before + weight * part
            return ProgressStatus(stage=stage, done=done, total=total, percent=_percent(fraction), eta_s=_eta(fraction, elapsed_s))
        before += weight
    return ProgressStatus(stage=stage, done=done, total=total, percent=0.0)


def _percent(fraction: float) -> float:
    return round(min(max(fraction, 0.0), 1.0) * 100, 1)


def _eta(fraction: float, elapsed_s: float | None) -> float | None:
    """Return the time left in s, extrapolated linearly; None before ETA_FROM, where a guess would be far too long."""
    if elapsed_s is None or not ETA_FROM <= fraction < 1.0:
        return None
    return round(elapsed_s * (1 - fraction) / fraction, 1)


def job_status(
    job: Job,
    *,
    now: float,
    position: int | None = None,
    progress: Mapping[str, ProgressStatus] | None = None,
    waiting_for: str | None = None,
    worker: str | None = None,
    links: Mapping[str, str] | None = None,
    missing: Collection[str] = (),
) -> JobStatus:
    """Return the status of a claimed job at unix time `now`. progress: item key -> progress, for the running items; missing: the keys of
    the published items whose files are no longer there."""
    running = progress or {}
    return JobStatus(
        job=job.id,
        name=job.name,
        output=job.output,
        state=job.state,
        since=moment(job.since),
        reason=job.reason,
        waiting_for=waiting_for,
        inbox=escape_name(job.inbox),
        owner=job.options.owner,
        reference=job.options.reference,
        consent=job.options.consent,
        priority=job.priority,
        position=position,
        progress=_job_progress(job, now, running),
        items=tuple(_item_status(item, running.get(item.key), is_missing=item.key in missing) for item in job.items),
        times=TimesStatus(
            dropped=moment(job.dropped_at),
            queued=_moment(job.queued_at),
            started=_moment(job.started_at),
            finished=_moment(job.finished_at),
        ),
        error=ErrorStatus.of(job.failure) if job.failure else None,
        warnings=tuple(WarningStatus.of(each) for each in job.warnings),
        worker=worker,
        links=dict(links or {}),
    )


def _job_progress(job: Job, now: float, running: Mapping[str, ProgressStatus]) -> ProgressStatus | None:
    """Return the progress over all items, each with the same weight: their lengths are not known before they are opened."""
    if not job.items:
        return None
    done = sum(item.is_final for item in job.items)
    moving = [running[item.key] for item in job.items if item.state is State.RUNNING and item.key in running]
    fraction = (done + sum(each.percent for each in moving) / 100) / len(job.items)
    elapsed = None if job.started_at is None or job.is_final else max(now - job.started_at, 0.0)
    stage = moving[0].stage if moving else str(job.state)
    return ProgressStatus(stage=stage, done=done, total=len(job.items), percent=_percent(fraction), eta_s=_eta(fraction, elapsed))


def _item_status(item: Item, progress: ProgressStatus | None, *, is_missing: bool) -> ItemStatus:
    published = item.state is State.SUCCEEDED and not is_missing
    return ItemStatus(
        **Metrics.of(item.result).model_dump(),
        key=item.key,
        recording=_escape_path(item.recording),
        video=_escape_path(item.video),
        state=item.state,
        attempt=item.attempt,
        reason=item.reason,
        output=item.output if published else None,
        missing=item.output if item.state is State.SUCCEEDED and is_missing else None,
        thumbnail=item.thumbnail if published else None,
        explain=item.explain if published and item.result.get("explained") is True else None,
        progress=progress if item.state is State.RUNNING else None,
        error=ErrorStatus.of(item.failure) if item.failure else None,
    )


def _escape_path(path: str) -> str:
    return "/".join(escape_name(part) for part in path.split("/"))


def candidate_status(
    name: str,
    job_id: str,
    output: str,
    *,
    since: float,
    dropped_at: float,
    reason: str,
    waiting_for: str = "settling",
    state: State = State.SETTLING,
    problem: HeygemError | None = None,
    inbox: str = "",
    owner: str | None = None,
    reference: str | None = None,
    priority: int = 0,
) -> JobStatus:
    """Return the status of a drop that is not claimed yet: still being copied, or incomplete (`problem` is what is missing)."""
    return JobStatus(
        job=job_id,
        name=escape_name(name),
        output=output,
        state=state,
        since=moment(since),
        reason=reason,
        waiting_for=waiting_for,
        inbox=escape_name(inbox),
        owner=owner,
        reference=reference,
        priority=priority,
        times=TimesStatus(dropped=moment(dropped_at)),
        error=ErrorStatus.of(Failure.of(problem)) if problem else None,
    )


def with_missing(status: JobStatus, missing: Collection[str]) -> JobStatus:
    """Return the status of a job with what was found about the files of its published items: those of the keys `missing` are gone, the
    others are there."""
    return status.model_copy(update={"items": tuple(_with_its_file(item, is_missing=item.key in missing) for item in status.items)})


def _with_its_file(item: ItemStatus, *, is_missing: bool) -> ItemStatus:
    file = item.output or item.missing
    if file is None or is_missing == (item.missing is not None):
        return item
    return item.model_copy(update={"output": None if is_missing else file, "missing": file if is_missing else None})


def concluded(status: JobStatus, failure: Failure, now: float) -> JobStatus:
    """Return the last status of a job that ended at unix time `now` because nobody works on it any more: its published items stay, and
    the others failed."""
    problem = ErrorStatus.of(failure)
    items = tuple(item if item.state in FINAL else _failed_status(item, problem) for item in status.items)
    is_partial = any(item.state is State.SUCCEEDED for item in items)
    ended = moment(now)
    return status.model_copy(
        update={
            "state": State.PARTIAL if is_partial else State.FAILED,
            "since": ended,
            "reason": failure.message,
            "waiting_for": None,
            "position": None,
            "progress": None,
            "worker": None,
            "items": items,
            "times": status.times.model_copy(update={"finished": ended}),
            "error": problem,
        }
    )


def _failed_status(item: ItemStatus, problem: ErrorStatus) -> ItemStatus:
    return item.model_copy(update={"state": State.FAILED, "reason": problem.message, "progress": None, "error": problem})


def as_shown(job: Job, now: float, *, is_blocked: bool) -> Job:
    """Return an open job in the states that people are shown; the ledger keeps those that follow from its own life.

    is_blocked: whether its circumstances (its inbox, the disk, the devices) keep it from starting."""
    if job.is_final:
        return job
    waits = job.on_hold or is_blocked
    items = tuple(_item_as_shown(item, now, waits=waits) for item in job.items)
    shown = replace(job, items=items)
    return replace(shown, state=state_of(shown)) if items else shown


def shown_state(item: Item, now: float, *, waits: bool) -> State:
    """Return the state in which an item is shown and counted at unix time `now`, everywhere: what could start but for the circumstances
    of its job (`waits`) waits, and what has waited long enough is queued."""
    if item.state is State.RUNNING or item.is_final:
        return item.state
    if waits:
        return State.WAITING
    return State.QUEUED if item.state is State.WAITING and item.is_ready(now) else item.state


def _item_as_shown(item: Item, now: float, *, waits: bool) -> Item:
    state = shown_state(item, now, waits=waits)
    if state is item.state:
        return item
    is_over = item.state is State.WAITING and item.failure is not None and item.reason == item.failure.message
    return replace(item, state=state, reason="" if is_over else item.reason)


def queue_status(jobs: Iterable[Job], *, now: float, is_blocked: Callable[[Job], bool] = lambda _: False) -> QueueStatus:
    """Return the numbers of open items, each counted in the state that `as_shown` gives it; an interrupted one is queued."""
    counts = {State.QUEUED: 0, State.RUNNING: 0, State.WAITING: 0}
    for job in jobs:
        waits = job.on_hold or is_blocked(job)
        for item in job.items:
            if not item.is_final:
                state = shown_state(item, now, waits=waits)
                counts[State.QUEUED if state is State.INTERRUPTED else state] += 1
    return QueueStatus(queued=counts[State.QUEUED], running=counts[State.RUNNING], waiting=counts[State.WAITING])


def summaries(open_jobs: Sequence[JobStatus], finished: Sequence[JobStatus]) -> tuple[JobSummary, ...]:
    """Return the job list of the daemon's status: all open jobs, then the newest finished ones (`finished` comes newest first)."""
    return tuple(JobSummary.of(status) for status in (*open_jobs, *finished[:RECENT]))
