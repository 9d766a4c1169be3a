"""status.json, schema 1: what anybody may read about the daemon and its jobs, and how it is built from them.

Writers are strict (an unknown field is a mistake of ours), readers are tolerant (`read` skips what a newer version added).
Times are ISO 8601 in the server's time zone, with its offset. The models are the source of the published JSON Schema.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.json_schema import models_json_schema

from heygem_daemon.core.errors import HeygemError
from heygem_daemon.core.job import FINAL, Failure, Item, Job, State
from heygem_daemon.core.names import escape_name

STAGES: Final[Mapping[str, float]] = {"analyse": 0.15, "harvest": 0.1, "calibrate": 0.1, "render": 0.6, "verify": 0.04, "publish": 0.01}
"""The stages of an item in order, with a rough share of the time each takes for a presenter not seen before; they only pace the bar."""

RECENT: Final = 20
"""Finished jobs that the daemon's own status lists."""


def _allow_more_fields(schema: dict[str, Any]) -> None:
    schema.pop("additionalProperties", None)


class _Model(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True, json_schema_extra=_allow_more_fields
    )

    def to_json(self) -> str:
        """Return the text of a status file."""
        return self.model_dump_json(indent=2) + "\n"

    @classmethod
    def read(cls, text: str | bytes) -> Self:
        """Parse a status file, skipping unknown fields; ValueError where it is none."""
        return cls.model_validate_json(text, extra="ignore")


class ErrorStatus(_Model):
    """One row of the table of errors, filled in."""

    code: str
    message: str
    hint: str = ""
    retryable: bool = False

    @classmethod
    def of(cls, failure: Failure) -> Self:
        return cls(code=failure.code, message=failure.message, hint=failure.hint, retryable=failure.retryable)


class ProgressStatus(_Model):
    """How far something is: `percent` over the whole of it, `done` of `total` steps of the present stage (of a job: items)."""

    stage: str
    done: int
    total: int
    percent: float = Field(ge=0, le=100)
    eta_s: float | None = None


class TimesStatus(_Model):
    dropped: AwareDatetime | None = None
    queued: AwareDatetime | None = None
    started: AwareDatetime | None = None
    finished: AwareDatetime | None = None


class Figures(_Model):
    """What was measured on a finished item; None where it was not."""

    frames: int | None = None
    fps: float | None = None
    frame_rate: str | None = Field(default=None, description="exact, e.g. 24000/1001")
    width: int | None = None
    height: int | None = None
    seconds: float | None = None
    engine: str | None = None
    models: dict[str, str] = Field(default_factory=dict, description="model name to sha256")
    licence: str = Field(default="", description="of the engine's weights, where it restricts the use of the result")
    speed: float | None = Field(default=None, description="seconds of video made per second of work")
    elapsed_s: float | None = None
    sync_offset_ms: float | None = None
    mouth_correlation: float | None = None
    closure_rate: float | None = Field(default=None, description="share of the lip closures asked for that the picture shows")
    warnings: tuple[str, ...] = ()


class ItemStatus(Figures):
    """One recording x one video."""

    key: str
    recording: str
    video: str
    state: State
    attempt: int = 0
    reason: str = ""
    output: str | None = Field(default=None, description="the result beside this file, once it is published")
    thumbnail: str | None = None
    explain: str | None = Field(default=None, description="the picture of what was asked and obtained, where one was wanted")
    progress: ProgressStatus | None = None
    error: ErrorStatus | None = None


class JobStatus(_Model):
    """outputs/<output>/status.json. `job` is the job's id, `output` its folder in outputs."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    job: str
    name: str
    output: str
    state: State
    since: AwareDatetime
    reason: str = ""
    waiting_for: str | None = None
    priority: int = 0
    position: int | None = Field(default=None, description="1 = next in the queue")
    progress: ProgressStatus | None = None
    items: tuple[ItemStatus, ...] = ()
    times: TimesStatus = TimesStatus()
    error: ErrorStatus | None = None
    worker: str | None = None
    links: dict[str, str] = Field(default_factory=dict, description="further files beside this one, e.g. zip")


class QueueStatus(_Model):
    """Numbers of open items."""

    queued: int = 0
    running: int = 0
    waiting: int = 0


class JobSummary(_Model):
    job: str
    name: str
    output: str
    state: State
    since: AwareDatetime
    reason: str = ""
    waiting_for: str | None = None
    priority: int = 0
    position: int | None = None
    percent: float | None = None
    eta_s: float | None = None

    @classmethod
    def of(cls, status: JobStatus) -> Self:
        """Return the line of the daemon's status for a job."""
        fields = {name: getattr(status, name) for name in cls.model_fields if name in JobStatus.model_fields}
        progress = status.progress
        return cls(**fields, percent=progress.percent if progress else None, eta_s=progress.eta_s if progress else None)


class InboxStatus(_Model):
    path: str
    online: bool
    reason: str = ""
    network: bool = False
    paused: bool = False
    last_scan: AwareDatetime | None = None


class DiskStatus(_Model):
    """Free space of outputs in bytes; `ok` means that it is above the reserve."""

    path: str
    free: int | None
    reserve: int
    ok: bool


class DeviceStatus(_Model):
    """One worker and its device; an executor may add fields of its own."""

    model_config = ConfigDict(extra="allow")

    name: str
    state: str
    device: str = ""
    models: dict[str, str] = Field(default_factory=dict)


class DaemonStatus(_Model):
    """outputs/status.json. A reader takes the daemon for dead when `heartbeat` is older than about a minute."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    version: str
    state: Literal["starting", "running", "paused", "stopping", "stopped"]
    pid: int
    started: AwareDatetime
    heartbeat: AwareDatetime
    queue: QueueStatus = QueueStatus()
    jobs: tuple[JobSummary, ...] = ()
    inboxes: tuple[InboxStatus, ...] = ()
    disk: DiskStatus | None = None
    devices: tuple[DeviceStatus, ...] = ()
    breaker: str | None = Field(default=None, description="why the queue is paused after repeated device failures")
    until: AwareDatetime | None = Field(default=None, description="when the breaker lets the next try through")


def moment(unix: float) -> datetime:
    """Return a unix time in s as a date with the server's UTC offset, to the millisecond."""
    return datetime.fromtimestamp(round(unix, 3), tz=UTC).astimezone()


def _moment(unix: float | None) -> datetime | None:
    return None if unix is None else moment(unix)


def item_progress(stage: str, done: int, total: int, *, elapsed_s: float | None = None) -> ProgressStatus:
    """Return how far an item is when `done` of `total` steps of `stage` are behind it; a stage not in STAGES counts as 0 %."""
    share = min(max(done / total, 0.0), 1.0) if total > 0 else 0.0
    before = 0.0
    for name, weight in STAGES.items():
        if name == stage:
            fraction = before + weight * share
            return ProgressStatus(stage=stage, done=done, total=total, percent=_percent(fraction), eta_s=_eta(fraction, elapsed_s))
        before += weight
    return ProgressStatus(stage=stage, done=done, total=total, percent=0.0)


def _percent(fraction: float) -> float:
    return round(min(max(fraction, 0.0), 1.0) * 100, 1)


def _eta(fraction: float, elapsed_s: float | None) -> float | None:
    """Extrapolate linearly; below 2 % a guess would only frighten."""
    if elapsed_s is None or not 0.02 <= fraction < 1.0:
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
) -> JobStatus:
    """Return the status of a claimed job at unix time `now`. `progress` goes by item key, for the running items."""
    running = progress or {}
    return JobStatus(
        job=job.id,
        name=job.name,
        output=job.output,
        state=job.state,
        since=moment(job.since),
        reason=job.reason,
        waiting_for=waiting_for,
        priority=job.priority,
        position=position,
        progress=_job_progress(job, now, running),
        items=tuple(_item_status(item, running.get(item.key)) for item in job.items),
        times=TimesStatus(
            dropped=moment(job.dropped_at),
            queued=_moment(job.queued_at),
            started=_moment(job.started_at),
            finished=_moment(job.finished_at),
        ),
        error=ErrorStatus.of(job.failure) if job.failure else None,
        worker=worker,
        links=dict(links or {}),
    )


def _job_progress(job: Job, now: float, running: Mapping[str, ProgressStatus]) -> ProgressStatus | None:
    """All items weigh the same: their lengths are not known before they are opened."""
    if not job.items:
        return None
    done = sum(item.is_final for item in job.items)
    moving = [running[item.key] for item in job.items if item.state is State.RUNNING and item.key in running]
    fraction = (done + sum(each.percent for each in moving) / 100) / len(job.items)
    elapsed = None if job.started_at is None or job.is_final else max(now - job.started_at, 0.0)
    stage = moving[0].stage if moving else str(job.state)
    return ProgressStatus(stage=stage, done=done, total=len(job.items), percent=_percent(fraction), eta_s=_eta(fraction, elapsed))


def _item_status(item: Item, progress: ProgressStatus | None) -> ItemStatus:
    published = item.state is State.SUCCEEDED
    return ItemStatus(
        **_figures(item.result).model_dump(),
        key=item.key,
        recording=_shown(item.recording),
        video=_shown(item.video),
        state=item.state,
        attempt=item.attempt,
        reason=item.reason,
        output=item.output if published else None,
        thumbnail=item.thumbnail if published else None,
        explain=item.explain if published and item.result.get("explained") is True else None,
        progress=progress if item.state is State.RUNNING else None,
        error=ErrorStatus.of(item.failure) if item.failure else None,
    )


def _shown(path: str) -> str:
    return "/".join(escape_name(part) for part in path.split("/"))


def _figures(result: Mapping[str, Any]) -> Figures:
    """Take what is a figure of ours; a worker's odd value costs that figure only, never the status file."""
    known = {name: value for name, value in result.items() if name in Figures.model_fields}
    try:
        return Figures(**known)
    except ValidationError as invalid:
        wrong = {str(each["loc"][0]) for each in invalid.errors()}
        return Figures(**{name: value for name, value in known.items() if name not in wrong})


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
    priority: int = 0,
) -> JobStatus:
    """Return the status of a drop that is seen but not claimed: still copied, or incomplete (then `problem` says what is missing)."""
    return JobStatus(
        job=job_id,
        name=escape_name(name),
        output=output,
        state=state,
        since=moment(since),
        reason=reason,
        waiting_for=waiting_for,
        priority=priority,
        times=TimesStatus(dropped=moment(dropped_at)),
        error=ErrorStatus.of(Failure.of(problem)) if problem else None,
    )


def queue_status(jobs: Iterable[Job]) -> QueueStatus:
    """Count the open items of open jobs; those of a held job wait."""
    counts = {"queued": 0, "running": 0, "waiting": 0}
    for job in jobs:
        for item in job.items:
            if item.state not in FINAL:
                counts[_queue_of(job, item)] += 1
    return QueueStatus(**counts)


def _queue_of(job: Job, item: Item) -> str:
    if item.state is State.RUNNING:
        return "running"
    return "waiting" if job.on_hold or item.state is State.WAITING else "queued"


def summaries(open_jobs: Sequence[JobStatus], finished: Sequence[JobStatus]) -> tuple[JobSummary, ...]:
    """Return the job list of the daemon's status: all open jobs, then the newest finished ones (`finished` comes newest first)."""
    return tuple(JobSummary.of(status) for status in (*open_jobs, *finished[:RECENT]))


def schema() -> dict[str, Any]:
    """Return the JSON Schema of both status files: definitions of JobStatus and DaemonStatus, either of which a file may be."""
    _, definitions = models_json_schema([(JobStatus, "serialization"), (DaemonStatus, "serialization")], title="heygem status, schema 1")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **definitions,
        "anyOf": [{"$ref": "#/$defs/JobStatus"}, {"$ref": "#/$defs/DaemonStatus"}],
    }
