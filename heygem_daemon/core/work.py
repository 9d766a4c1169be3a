"""The messages between the daemon and a worker: plain paths and values, so that any executor can carry them as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from heygem_daemon.core.error_catalog import ErrorKind
from heygem_daemon.core.job import Failure, Item, Job
from heygem_daemon.core.publication import StagingPaths
from heygem_daemon.core.render_options import RenderOptions


@dataclass(frozen=True, kw_only=True)
class WorkOrder:
    """One attempt at one item. All paths are absolute; `output`, `thumbnail` and `explain` lie in the staging folder of this attempt.

    explain: where the diagnostic image goes, if `options.explain`. script: a text file with the words of the recording, read unless
    `options.text` gives them. limit_seconds: how long the attempt may take."""

    token: str
    job_id: str
    item: str
    recording: str
    video: str
    output: str
    thumbnail: str
    explain: str
    script: str | None
    options: RenderOptions
    limit_seconds: float

    @classmethod
    def for_attempt(
        cls, job: Job, item: Item, *, root: Path, staged: StagingPaths, token: str, options: RenderOptions, limit_seconds: float
    ) -> Self:
        """Return the order for one attempt; `root` is the folder of the claimed drop."""
        return cls(
            token=token,
            job_id=job.id,
            item=item.key,
            recording=str(root / item.recording),
            video=str(root / item.video),
            output=str(staged.result),
            thumbnail=str(staged.thumbnail),
            explain=str(staged.explain),
            script=str(root / item.script) if item.script else None,
            options=options,
            limit_seconds=limit_seconds,
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        return cls(**{**fields, "options": RenderOptions(**fields["options"])})


class WorkerState(StrEnum):
    """The state of a worker. BACKOFF: it died and is started again after a pause; in status.json and metrics this is `cooling`."""

    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    BACKOFF = "cooling"
    STOPPED = "stopped"


@dataclass(frozen=True, kw_only=True)
class WorkerView:
    """One worker as the status shows it. `token` is that of its order; `problem` is why it died last, "" once it is ready again."""

    worker: str
    device: str
    state: WorkerState
    pid: int | None = None
    models: Mapping[str, str] = field(default_factory=dict)
    token: str | None = None
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """How many items an executor works on at once, and in words why so many, and why fewer at the moment."""

    items_at_once: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class WorkerReady:
    """A worker has loaded its models and can take orders. `models`: model name to sha256."""

    worker: str
    device: str
    models: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class WorkProgress:
    """`done` of `total` steps of a stage; the stages are those of status_builder.STAGES and what the engine adds."""

    token: str
    stage: str
    done: int
    total: int


@dataclass(frozen=True, kw_only=True)
class WorkSucceeded:
    """`result` has the fields of status.Metrics for status.json; `warnings` among them are codes of core.warning_codes."""

    token: str
    result: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class WorkFailed:
    """The attempt failed; `kind` decides what follows (see core.policy). trace: of an error that nobody foresaw, its traceback."""

    token: str
    kind: ErrorKind
    failure: Failure
    trace: str = ""


WorkerMessage = WorkerReady | WorkProgress | WorkSucceeded | WorkFailed
