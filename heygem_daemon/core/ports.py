"""What the daemon needs from the world, as protocols. Adapters live in intake, ledger, executors, publishing and service."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from heygem_daemon.core.clock import ClockReading
from heygem_daemon.core.drop import Entry
from heygem_daemon.core.errors import HeygemError
from heygem_daemon.core.job import Item, Job, State
from heygem_daemon.core.status import DaemonStatus, JobStatus
from heygem_daemon.core.work import WorkerMessage, WorkerView, WorkOrder


class Clock(Protocol):
    def now(self) -> ClockReading:
        """Return the present time of the monotonic and of the wall clock."""
        ...


class Ledger(Protocol):
    """The queue and the memory: what was put is there after a crash. Every call is one transaction."""

    def put(self, job: Job) -> None:
        """Insert or replace the job and its items."""
        ...

    def get(self, job_id: str) -> Job | None: ...

    def open_jobs(self) -> Sequence[Job]:
        """Return all jobs that are not final, oldest first."""
        ...

    def find(self, name: str) -> Sequence[Job]:
        """Return the jobs with this id, name or output folder, newest first."""
        ...

    def recent(self, limit: int) -> Sequence[Job]:
        """Return the newest jobs, newest first."""
        ...

    def forget(self, finished_before: float) -> int:
        """Delete final jobs that finished before this unix time; return how many."""
        ...

    def request(self, verb: str, target: str) -> None:
        """Leave a wish (retry, cancel, hold, resume, pause ...) for the daemon."""
        ...

    def take_requests(self) -> Sequence[tuple[str, str]]:
        """Return and delete the wishes left, oldest first."""
        ...

    def healthy(self) -> bool: ...

    def close(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class ScannedDrop:
    """One possible drop in one inbox at one scan.

    `name` is the folder's name as the file system gives it (may hold surrogates); for the flat form it is "" and `entries` are
    those of the inbox root. `entries` holds every counted file below it. `writers` is true while anybody has a file open for writing.
    `unreadable` names a path that could not be looked at (the sighting is then no proof of anything), `problem` says why where it is known.
    """

    inbox: str
    name: str
    entries: tuple[Entry, ...]
    writers: bool = False
    ready: bool = False
    hold: bool = False
    cancel: bool = False
    unreadable: str = ""
    problem: HeygemError | None = None


@dataclass(frozen=True, kw_only=True)
class InboxScan:
    """One scan of one inbox. Nothing may be concluded from an inbox that is not `online`."""

    inbox: str
    online: bool
    reason: str = ""
    network: bool = False
    paused: bool = False
    drops: tuple[ScannedDrop, ...] = ()
    controls: tuple[tuple[str, str], ...] = ()
    """(drop name, "hold" | "cancel" | "ready") for every control file beside the drops, whether or not the drop is still there."""


class Scanner(Protocol):
    def scan(self, inbox: str) -> InboxScan | None:
        """Look at one inbox; an unreachable one is offline. None: it has not answered yet, ask again soon."""
        ...


class Claims(Protocol):
    """Moves inputs by rename, and only by rename."""

    def claim(self, scanned: ScannedDrop, job_id: str) -> Path:
        """Rename the drop into `.heygem/claimed/<job_id>/<name>` and return that folder of the job.

        Raises FileNotFoundError when somebody else was first, TransientError when the share failed."""
        ...

    def unclaim(self, inbox: str, job_id: str) -> bool:
        """Put an unfinished claim back under its own name; False when there is nothing to put back."""
        ...

    def claimed(self, inbox: str) -> Sequence[str]:
        """Return the job ids that have a claimed folder in this inbox."""
        ...

    def listing(self, claimed: Path) -> tuple[str, Path, tuple[Entry, ...]]:
        """Return the raw name, the path and the entries of the drop inside a claimed folder.

        Raises TransientError (`share_offline`) when it cannot be reached."""
        ...

    def job_toml(self, root: Path, entries: Iterable[Entry]) -> str | None:
        """Return the text of the job.toml among the drop's entries, None without one (bytes that are not UTF-8 are replaced)."""
        ...

    def root(self, job: Job) -> Path:
        """Return the path of the drop inside the job's claimed folder; the drop itself is not listed.

        Raises TransientError (`share_offline`) when it cannot be reached."""
        ...

    def finish(self, job: Job, to: str, reason: str | None) -> Path | None:
        """Move the inputs of a job into `_done` or `_failed` (`to`), with reason.txt; None when they are gone already."""
        ...

    def restore(self, job: Job) -> Path | None:
        """Bring the inputs of a finished job back to its claimed folder (retry); None when they are gone."""
        ...

    def clear_control(self, inbox: str, name: str, kind: str) -> None:
        """Delete a control file that has been obeyed."""
        ...


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What ffprobe found in a drop: entry path -> its problem, for those that cannot be used."""

    problems: Mapping[str, HeygemError]
    seconds: Mapping[str, float]


class Inspector(Protocol):
    """Opens media files without holding up the daemon."""

    def inspect(
        self, key: str, signature: str, *, inbox: str, root: Path, recordings: Sequence[str], videos: Sequence[str]
    ) -> Inspection | None:
        """Return the finding for the drop `key` once it is there, None while it is being worked on (the first call starts it).

        A file that hangs holds up the drops of its own inbox at most. A finding is worth only for the `signature` it was made under:
        another one starts anew."""
        ...

    def forget(self, key: str) -> None: ...

    def close(self) -> None: ...


class Executor(Protocol):
    """Runs work orders at most once each, elsewhere."""

    def start(self) -> None:
        """Start the workers; called once, before everything else."""
        ...

    def free(self) -> int:
        """Return how many orders can be taken now."""
        ...

    def submit(self, order: WorkOrder) -> None: ...

    def cancel(self, token: str) -> None:
        """Stop this attempt soon; it reports nothing any more."""
        ...

    def poll(self) -> Iterable[WorkerMessage]:
        """Return what happened since the last call, without waiting. A dead worker shows as WorkFailed `worker_died`."""
        ...

    def wakeups(self) -> Sequence[int]:
        """Return file descriptors that become readable when poll() has something."""
        ...

    def workers(self) -> Sequence[WorkerView]:
        """Return every worker as it is now, for the status."""
        ...

    def stop(self, grace_seconds: float) -> None:
        """End all workers: politely, then not."""
        ...


@dataclass(frozen=True, kw_only=True)
class Published:
    """Outcome of one publication: `problem` is None when the file stands in outputs."""

    token: str
    problem: HeygemError | None


class StagingPaths(NamedTuple):
    """Where a worker writes; the thumbnail and the picture that explains the result may stay absent."""

    result: Path
    thumbnail: Path
    explain: Path


class Publisher(Protocol):
    """Staging, verification and the final rename. Verification runs beside the daemon."""

    def stage(self, job: Job, item: Item, token: str) -> StagingPaths:
        """Return fresh paths for the files of this attempt, on the file system of outputs.

        Raises TransientError (`outputs_offline`, `disk_full`)."""
        ...

    def publish(self, job: Job, item: Item, token: str, result: Mapping[str, Any]) -> None:
        """Start to verify, fsync and rename the staged files of this attempt into the job's output folder."""
        ...

    def poll(self) -> Iterable[Published]: ...

    def discard(self, token: str) -> None:
        """Delete what this attempt staged; a publication of it that is under way does not happen any more."""
        ...

    def published_result(self, job: Job, item: Item) -> Mapping[str, Any] | None:
        """Return the figures given to `publish` if this item's file stands in outputs, complete and made from this content; else None."""
        ...

    def build_zip(self, job: Job) -> bool:
        """Return whether the job's ZIP of its published results, `<output>.zip`, stands in its output folder; the first call begins it.

        Raises TransientError when it could not be written."""
        ...

    def zip_name(self, job: Job) -> str | None:
        """Return the name of the job's ZIP in its output folder, None where there is none."""
        ...

    def free_bytes(self) -> int | None:
        """Return the free space of outputs in bytes, None while it is offline."""
        ...


class StatusWriter(Protocol):
    """The JSON files in outputs."""

    def reserve_name(self, name: str) -> str:
        """Return the output folder name for a drop shown as `name`: free, or still waiting for that same drop."""
        ...

    def write_job(self, status: JobStatus) -> None: ...

    def write_daemon(self, status: DaemonStatus) -> None: ...

    def remove(self, output: str) -> None:
        """Remove the folder of a drop that went away before it was claimed, if it holds nothing but its status."""
        ...


class Retention(Protocol):
    def sweep(self, now: float, open_jobs: Iterable[str]) -> Mapping[str, int]:
        """Delete what is older than its keep time (inputs in _done and _failed, staging, cache); return counts by kind."""
        ...


class ChangeNotifier(Protocol):
    """Filesystem events: hints that a scan may be worth it, never a source of truth."""

    def watch(self, inbox: str) -> None: ...

    def wakeup(self) -> int:
        """Return a file descriptor that becomes readable when something rang."""
        ...

    def changed(self) -> bool:
        """Return whether something rang since the last call, and reset."""
        ...

    def close(self) -> None: ...


class StopSignal(Protocol):
    """The wish to end: `requested` at the first signal, `urgent` at the second; `wakeup` is a file descriptor readable from then on."""

    requested: bool
    urgent: bool
    wakeup: int

    def reload_requested(self) -> bool:
        """Return whether somebody asked for the configuration to be read again since the last call (SIGHUP)."""
        ...


class ServiceNotifier(Protocol):
    """Who started us and watches over us (systemd). No call ever raises or waits."""

    def ready(self) -> None:
        """The inboxes have been looked at; also the end of what `reloading` began."""
        ...

    def status(self, line: str) -> None:
        """Say in one line what is happening."""
        ...

    def alive(self) -> None:
        """All is well at this moment; without this call for a while we are restarted. May be called at any pace."""
        ...

    def reloading(self) -> None: ...

    def stopping(self) -> None: ...


class Hooks(Protocol):
    """What an administrator wants to happen at the end of a job. No call ever raises or waits, whatever the hook does."""

    def job_ended(self, status: JobStatus) -> None: ...

    def close(self, seconds: float) -> None:
        """Let what is under way finish within `seconds`; throw away the rest."""
        ...


class MetricsExporter(Protocol):
    """Figures for monitoring."""

    def write(self, status: DaemonStatus) -> None:
        """Publish the daemon's status as figures. Never raises."""
        ...


class Log(Protocol):
    def __call__(self, event: str, /, *, level: str = "info", **fields: object) -> None:
        """Write one line; `event` is one of service.events."""
        ...


__all__ = [
    "ChangeNotifier",
    "Claims",
    "Clock",
    "Executor",
    "InboxScan",
    "Inspection",
    "Inspector",
    "Ledger",
    "Log",
    "Published",
    "Publisher",
    "Retention",
    "ScannedDrop",
    "Scanner",
    "State",
    "StatusWriter",
]
