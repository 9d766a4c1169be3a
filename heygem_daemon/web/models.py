"""What the HTTP interface takes and returns, as models; docs and /api/openapi.json are made from them.

Texts (`why`, `message`, `hint`) are in the caller's language; codes and states are stable words. Times are ISO 8601 with an offset.
"""

from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from heygem_daemon.core.job import State
from heygem_daemon.core.status import DeviceStatus, DiskStatus, JobStatus, QueueStatus


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProblemAnswer(_Answer):
    """An error: its stable code, a sentence, and what to do."""

    code: str
    message: str
    hint: str = ""


class Health(_Answer):
    status: Literal["ok", "degraded"] = Field(
        description="degraded: the daemon is silent or cannot write its status, or outputs cannot be read"
    )
    version: str
    daemon: str = Field(
        description="the state in its status file; `unreported` where it runs and cannot write it, `silent` where it has not "
        "reported for a while, `unknown` without a file"
    )
    heartbeat_age_s: float | None = None


class Me(_Answer):
    name: str
    admin: bool
    login: bool = Field(description="whether users are configured, so that there is something to log out of")
    language: str


class Login(_Request):
    name: str = Field(max_length=200)
    password: str = Field(max_length=1000)


class InboxChoice(_Answer):
    """An inbox; `id` (0, 1 ...) is its place in the configuration, `name` the last part of its path."""

    id: int
    name: str
    online: bool
    paused: bool
    free_bytes: int | None = None


class Options(_Answer):
    """What a new job may name, and what is in force where it names nothing."""

    inboxes: list[InboxChoice]
    engines: list[str]
    defaults: dict[str, Any] = Field(description="engine, fit, face, quality, zip, explain, label ... as in [engine] of heygem.toml")
    require_consent: bool
    consent_names_user: bool = Field(description="whether the name in the consent is that of the login; else the form asks for one")
    upload_bytes: int
    upload_files: int
    recording_suffixes: list[str]
    video_suffixes: list[str]
    languages: list[str] = Field(default_factory=list, description="codes that a script may be marked with")
    highest_priority: int = Field(default=100, description="of those that the caller may give; a higher one becomes this one")


# -- uploads -----------------------------------------------------------------------------------------------------------

Role = Literal["recording", "video", "script"]


class NewDraft(_Request):
    """A drop that is about to be uploaded."""

    inbox: int = 0


class UploadStatus(_Answer):
    """One file of a draft. `id` is the last part of its tus address; `name` what it was called, `stored` its name in the drop."""

    id: str
    name: str
    stored: str
    role: Role
    offset: int
    length: int


class DraftStatus(_Answer):
    draft: str
    inbox: int
    created: AwareDatetime
    expires: AwareDatetime
    uploads: list[UploadStatus] = []


class Consent(_Request):
    """That the people who are seen and heard agreed. `by`: who confirms it; with users configured the login's name takes its place."""

    given: bool
    by: str = Field(default="", max_length=200)


class JobChoices(_Request):
    """Options of one job; what is left out, the configuration decides. The keys are those of job.toml (docs/drops.md)."""

    engine: str | None = None
    fit: Literal["audio", "video"] | None = None
    face: str | None = Field(default=None, description="largest, left, right, center or a number from the left, for all videos")
    faces: dict[str, str] | None = Field(default=None, description="the same for single videos, by file name")
    quality: int | None = None
    priority: int | None = None
    zip: bool | None = None
    explain: bool | None = None
    label: bool | None = None
    track: int | None = None
    channel: str | None = None
    channels: Literal["stereo", "keep"] | None = None
    background: str | None = None
    undriven_limit: float | None = None
    language: str | None = None
    first_seconds: float | None = Field(default=None, description="render only so many seconds of the speech, as a trial")


class NewJob(_Request):
    """A job from an uploaded draft, from files that lie in the inbox already, or from both.

    recording, videos: paths relative to the inbox ("material/monday.wav"); they are linked into the new drop, or copied
    where the file system cannot link, and stay where they are.
    Keep such material in a folder with a control file NAME.hold beside it, so that the daemon does not take it for a drop.
    """

    name: str = Field(min_length=1, max_length=200)
    draft: str | None = None
    inbox: int = 0
    recording: str | None = None
    videos: list[str] = Field(default=[], max_length=500)
    script: str | None = Field(default=None, max_length=200_000, description="the words of the recording")
    options: JobChoices = JobChoices()
    consent: Consent | None = None


class JobCreated(_Answer):
    """`id` names the job from now on: GET /api/v1/jobs/{id}."""

    id: str
    name: str
    url: str


class Priority(_Request):
    priority: int = Field(ge=-100, le=100)


# -- jobs --------------------------------------------------------------------------------------------------------------


class ItemCounts(_Answer):
    """Items of a job: `done` succeeded, `failed` did not."""

    total: int = 0
    done: int = 0
    failed: int = 0


class JobEntry(_Answer):
    """A job in a list. `id` is the daemon's id, or the reference of a drop that it has not seen yet (state `settling`)."""

    id: str
    reference: str = ""
    name: str
    output: str = Field(default="", description="its folder in outputs, empty before it has one")
    inbox: str = ""
    owner: str = ""
    state: State
    since: AwareDatetime
    dropped: AwareDatetime | None = None
    finished: AwareDatetime | None = None
    why: str = Field(default="", description="why it waits or how it ended, one sentence")
    error_code: str | None = None
    priority: int = 0
    position: int | None = None
    stage: str = ""
    percent: float | None = None
    eta_s: float | None = None
    items: ItemCounts = ItemCounts()
    engine: str = ""
    seconds: float | None = Field(default=None, description="length of the first result")
    thumbnail: str | None = Field(default=None, description="address of a before/after image")
    warnings: int = 0
    actions: list[str] = Field(default=[], description="what is possible now: cancel, hold, resume, retry, priority")
    requested: list[str] = Field(default=[], description="which of them were asked for and are not done yet; `why` says so")


class JobPage(_Answer):
    jobs: list[JobEntry]
    total: int
    next: str | None = Field(default=None, description="`cursor` of the next page")
    ready: bool = Field(default=True, description="False while the page reads the history for the first time: there may be more")


class ExplainedItem(_Answer):
    """What a presenter reads about one result, beside the item of the same key in `status`."""

    key: str
    state: State
    error: ProblemAnswer | None = None
    warnings: list[ProblemAnswer] = []
    verdicts: list["Verdict"] = []
    result_url: str | None = None
    source_url: str | None = Field(default=None, description="the video as it was dropped, while its inputs are kept")
    source_preview_url: str | None = Field(default=None, description="the same as H.264 for browsers that cannot play it")
    thumbnail_url: str | None = None
    explain_url: str | None = None
    bytes: int | None = None


class Verdict(_Answer):
    """A measurement in words. `name`: sync, closures, driven, mouth; `level`: good, fair, poor."""

    name: str
    level: Literal["good", "fair", "poor"]
    text: str
    value: str = ""


class JobDetail(_Answer):
    """One job: the entry of the lists, the whole status.json, and both in words."""

    entry: JobEntry
    status: JobStatus | None = Field(default=None, description="None for a drop that the daemon has not seen yet")
    error: ProblemAnswer | None = None
    warnings: list[ProblemAnswer] = []
    items: list[ExplainedItem] = []
    zip_url: str | None = None
    fit: str | None = Field(default=None, description="audio or video; None where the job's options are not known")


class LogLine(_Answer):
    time: str
    level: str
    event: str
    message: str


class JobLog(_Answer):
    lines: list[LogLine]


class RetryFailed(_Answer):
    requested: int


# -- faces -------------------------------------------------------------------------------------------------------------


class Face(_Answer):
    """A face on a still; x, y, width, height in fractions of the image. `number` counts from the left, as the option `face` does."""

    number: int
    x: float
    y: float
    width: float
    height: float
    pixels: int = Field(description="width of the face in pixels of the video")
    yaw: float = Field(description="degrees turned aside")
    verdict: Literal["good", "too_small", "turned"]


class FaceCheck(_Answer):
    """verdict: that of the face that would speak; `none` without a face, `several` where more than one could speak."""

    verdict: Literal["good", "several", "too_small", "turned", "none"]
    faces: list[Face]
    width: int
    height: int
    still_url: str | None = None


class Peaks(_Answer):
    """The waveform of a recording: `peaks` are the largest magnitudes (0-1) of equal parts of it."""

    seconds: float
    peaks: list[float]


# -- the system --------------------------------------------------------------------------------------------------------


class Finding(_Answer):
    severity: Literal["ok", "note", "warning", "error"]
    what: str
    fix: str = ""


class CheckReport(_Answer):
    """`complete`: checked with the rights of the daemon; else only what the page may see."""

    checked: AwareDatetime
    complete: bool
    findings: list[Finding]


class DayStatistics(_Answer):
    """What ended on one day (of the server's time zone), from the status files in outputs."""

    day: str
    succeeded: int = 0
    failed: int = 0
    video_seconds: float = 0.0
    work_seconds: float = 0.0


class CodeCount(_Answer):
    code: str
    count: int
    message: str


class DaemonSummary(_Answer):
    """The daemon, as the head of every screen shows it."""

    state: str = Field(description="starting, running, paused, stopping, stopped, unreported, silent or unknown")
    unwritable: str | None = Field(default=None, description="why the daemon, which runs, cannot write its status")
    version: str = ""
    heartbeat: AwareDatetime | None = None
    queue: QueueStatus = QueueStatus()
    paused: bool = False
    breaker: str | None = None
    until: AwareDatetime | None = None
    disk: DiskStatus | None = None
    outputs: Literal["reading", "online", "offline"] = Field(
        default="online", description="reading: the page lists the history for the first time; offline: what is shown is the last known"
    )


class InboxView(_Answer):
    id: int
    path: str
    online: bool
    paused: bool
    network: bool = False
    reason: str = ""
    ignored: list[str] = Field(
        default_factory=list, description="names of what lies in it and is used for nothing, some of them; for administrators"
    )
    ignored_count: int = 0


class SystemStatus(_Answer):
    daemon: DaemonSummary
    inboxes: list[InboxView]
    devices: list[DeviceStatus]
    days: list[DayStatistics]
    failures: list[CodeCount]
    engines: dict[str, int] = Field(description="results by engine")
    jobs: int
    disk_total: int | None = Field(default=None, description="bytes of the file system of outputs; None while it does not answer")
    page_version: str


class PauseRequest(_Request):
    inbox: int | None = Field(default=None, description="None: every inbox")
