"""The models of status.json, schema 1: what anybody may read about the daemon and its jobs. status_builder.py fills them.

Writers are strict (an unknown field is a bug), readers are tolerant (`read` skips what a newer version added).
Times are ISO 8601 in the server's time zone, with its offset. The models are the source of the published JSON Schema.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.json_schema import models_json_schema

from heygem_daemon.core.job import Failure, JobWarning, State


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
    """An error: its code in the table of errors, and the sentence and the hint of this case."""

    code: str
    message: str
    hint: str = ""
    retryable: bool = False

    @classmethod
    def of(cls, failure: Failure) -> Self:
        return cls(code=failure.code, message=failure.message, hint=failure.hint, retryable=failure.retryable)


class WarningStatus(_Model):
    """A warning of a job: its code in the table of warnings, and the sentence and the hint of this case."""

    code: str
    message: str
    hint: str = ""

    @classmethod
    def of(cls, warning: JobWarning) -> Self:
        return cls(code=warning.code, message=warning.message, hint=warning.hint)


class ProgressStatus(_Model):
    """`percent` of the whole, and `done` of `total` steps of the present stage (of a job: items)."""

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


class Metrics(_Model):
    """The measurements on a finished item; None where something was not measured."""

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
    closure_rate: float | None = Field(default=None, description="fraction of the target's lip closures that the result shows")
    measured_share: float | None = Field(
        default=None,
        description="fraction of the frames evaluated (the first 20 s, or the first minute where little of that speaks) "
        "that sync, correlation and closures were measured on",
    )
    frames_not_driven: float | None = Field(
        default=None, description="fraction of the frames that show the mouth of the source, which speaks other words"
    )
    not_driven: dict[str, float] = Field(default_factory=dict, description="the same by reason: no_face, turned, covered")
    warnings: tuple[str, ...] = ()
    warning_details: dict[str, str] = Field(default_factory=dict, description="code of a warning to a sentence about this very file")

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> Self:
        """Return the metrics in a worker's result; a value of the wrong type costs that metric only, never the status file."""
        known = {name: value for name, value in result.items() if name in cls.model_fields}
        try:
            return cls(**known)
        except ValidationError as invalid:
            wrong = {str(each["loc"][0]) for each in invalid.errors()}
            return cls(**{name: value for name, value in known.items() if name not in wrong})


class ItemStatus(Metrics):
    """One recording x one video."""

    key: str
    recording: str
    video: str
    state: State
    attempt: int = 0
    reason: str = ""
    output: str | None = Field(default=None, description="the result beside this file, once it is published")
    missing: str | None = Field(
        default=None, description="a result that was published and that somebody deleted or moved away since; a retry makes it again"
    )
    thumbnail: str | None = None
    explain: str | None = Field(default=None, description="the diagnostic image, where one was wanted")
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
    inbox: str = Field(default="", description="the folder in which it was dropped")
    owner: str | None = Field(default=None, description="who asked for it, by its job.toml")
    reference: str | None = Field(default=None, description="the client's own name of it, by its job.toml")
    consent: str | None = Field(default=None, description="who agreed to be shown, and when, by its job.toml")
    priority: int = 0
    position: int | None = Field(default=None, description="1 = next in the queue")
    progress: ProgressStatus | None = None
    items: tuple[ItemStatus, ...] = ()
    times: TimesStatus = TimesStatus()
    error: ErrorStatus | None = None
    warnings: tuple[WarningStatus, ...] = Field(default=(), description="what lies in the drop and was not used")
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
    inbox: str = ""
    owner: str | None = None
    reference: str | None = None
    priority: int = 0
    position: int | None = None
    percent: float | None = None
    eta_s: float | None = None
    warning_count: int = Field(default=0, description="warnings of the job, without those of its items")

    @classmethod
    def of(cls, status: JobStatus) -> Self:
        """Return what the daemon's status lists of a job."""
        fields = {name: getattr(status, name) for name in cls.model_fields if name in JobStatus.model_fields}
        progress = status.progress
        return cls(
            **fields,
            percent=progress.percent if progress else None,
            eta_s=progress.eta_s if progress else None,
            warning_count=len(status.warnings),
        )


class IgnoredStatus(_Model):
    """Something that lies in an inbox and is used for nothing."""

    name: str
    reason: str


class InboxStatus(_Model):
    path: str
    online: bool
    reason: str = ""
    network: bool = False
    paused: bool = False
    last_scan: AwareDatetime | None = None
    ignored: tuple[IgnoredStatus, ...] = Field(
        default=(), description="what has lain there for a while and is used for nothing, the first hundred by name"
    )
    ignored_count: int = Field(default=0, description="how many there are, also those that came just now")


class DiskStatus(_Model):
    """Free space of outputs in bytes; `ok` means that it is above the reserve, and that there are inodes for more files."""

    path: str
    free: int | None
    reserve: int
    ok: bool
    files_free: int | None = Field(default=None, description="inodes that are free, where the file system has a limit of them")
    reason: str = Field(default="", description="in words, why it is not ok")


class DeviceStatus(_Model):
    """One worker and its device; an executor may add fields of its own."""

    model_config = ConfigDict(extra="allow")

    name: str
    state: str
    device: str = ""
    models: dict[str, str] = Field(default_factory=dict)


STALE_SECONDS: Final = 30.0
"""The daemon writes a heartbeat every 5 s; six missed ones mean that it is gone or hangs."""


class DaemonStatus(_Model):
    """outputs/status.json. The daemon is gone, or hangs, if `heartbeat` is older than half a minute."""

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
    items_at_once: int = Field(default=1, description="how many results are made at once when all is well")
    items_reason: str = Field(default="", description="in words, why so many; or why fewer at the moment")
    breaker: str | None = Field(default=None, description="why the queue is paused after repeated device failures")
    until: AwareDatetime | None = Field(default=None, description="when the breaker lets the next try through")

    def is_alive(self, now: datetime) -> bool:
        """Return whether the daemon runs; one whose heartbeat is from the future wrote it before the clock was set back."""
        return self.state != "stopped" and abs((now - self.heartbeat).total_seconds()) < STALE_SECONDS


class Heartbeat(_Model):
    """The sign of life in outputs/.heygem/heartbeat.json and in the state folder: written in its place, so that it needs no free space
    and is fresh even while status.json cannot be replaced; then `unwritable` is the reason in words. Where `namespace` is that of who reads
    it, `pid` is the number of the process there."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    pid: int
    namespace: str = ""
    outputs: str
    state: Literal["starting", "running", "paused", "stopping", "stopped"]
    heartbeat: AwareDatetime
    unwritable: str = ""
    unwritable_since: AwareDatetime | None = None

    def is_fresh(self, now: datetime) -> bool:
        """Return whether it was written lately; one from the future was written before the clock was set back."""
        return abs((now - self.heartbeat).total_seconds()) < STALE_SECONDS


def moment(unix: float) -> datetime:
    """Return a unix time in s as a date with the server's UTC offset, to the millisecond."""
    return datetime.fromtimestamp(round(unix, 3), tz=UTC).astimezone()


def unix_time(moment: datetime | None, otherwise: float) -> float:
    """Return a date as unix time in s, `otherwise` where there is none."""
    return otherwise if moment is None else moment.timestamp()


def schema() -> dict[str, Any]:
    """Return the JSON Schema of both status files: definitions of JobStatus and DaemonStatus, either of which a file may be."""
    _, definitions = models_json_schema([(JobStatus, "serialization"), (DaemonStatus, "serialization")], title="heygem status, schema 1")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **definitions,
        "anyOf": [{"$ref": "#/$defs/JobStatus"}, {"$ref": "#/$defs/DaemonStatus"}],
    }
