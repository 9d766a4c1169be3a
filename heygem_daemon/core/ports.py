"""The ports of the daemon: a protocol for everything outside it. Adapters live in intake, ledger, executors, publishing and service."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from heygem_daemon.core.clock import ClockReading
from heygem_daemon.core.drop import Entry
from heygem_daemon.core.found_status import FoundStatus
from heygem_daemon.core.job import Item, Job
from heygem_daemon.core.publication import Published, StagingPaths
from heygem_daemon.core.scan import ClaimedDrop, InboxScan, Inspection, ScannedDrop
from heygem_daemon.core.status import DaemonStatus, Heartbeat, JobStatus
from heygem_daemon.core.storage import Room
from heygem_daemon.core.users import NOBODY
from heygem_daemon.core.work import Capacity, WorkerMessage, WorkerView, WorkOrder


class Clock(Protocol):
    """The clocks of the machine, read together."""

    def now(self) -> ClockReading:
        """Return the present time of the monotonic and of the wall clock."""
        ...


class Ledger(Protocol):
    """The queue and the history of jobs. Every call is one transaction; what `put` wrote is there after a crash."""

    def put(self, *jobs: Job) -> None:
        """Insert or replace the jobs and their items: all of them or, with an error, none."""
        ...

    def get(self, job_id: str) -> Job | None: ...

    def open_jobs(self) -> Sequence[Job]:
        """Return all jobs that are not final, oldest first."""
        ...

    def find(self, name: str, limit: int | None = None) -> Sequence[Job]:
        """Return the jobs with this id, name or output folder, newest first, `limit` at most."""
        ...

    def recent(self, limit: int) -> Sequence[Job]:
        """Return the newest jobs, newest first."""
        ...

    def finished(self, limit: int) -> Sequence[Job]:
        """Return the jobs that are over, the last one that ended first."""
        ...

    def forget(self, finished_before: float, limit: int) -> int:
        """Delete final jobs that finished before this unix time, the oldest `limit` at most; return how many."""
        ...

    def request(self, verb: str, target: str) -> None:
        """Leave a request for the daemon: its verb (retry, cancel, hold, release) and the job that it is about."""
        ...

    def requests(self, limit: int) -> Sequence[tuple[str, str]]:
        """Return the oldest `limit` requests, oldest first, as (verb, target)."""
        ...

    def remove_requests(self, count: int) -> None:
        """Delete the oldest `count` requests: they are done."""
        ...

    def healthy(self) -> bool:
        """Return whether the ledger can be written."""
        ...

    def close(self) -> None: ...


class Scanner(Protocol):
    """Scans inboxes, without blocking the daemon."""

    def scan(self, inbox: str) -> InboxScan | None:
        """Return what lies in one inbox; one that cannot be reached is offline. None: it has not answered yet, ask again soon."""
        ...


class Claims(Protocol):
    """Claims the drops of an inbox and archives their inputs, by rename only."""

    def claim(self, scanned: ScannedDrop, job_id: str) -> Path:
        """Rename the drop into `.heygem/claimed/<job_id>/<name>` and return that folder of the job.

        Raises FileNotFoundError when another process was first, TransientError when the share failed."""
        ...

    def persist(self, inbox: str, claimed: Sequence[Path]) -> None:
        """Make claims survive a power cut, which before a job is kept they must. Raises TransientError when the share failed."""
        ...

    def unclaim(self, inbox: str, job_id: str) -> bool:
        """Put an unfinished claim back under its own name; return False when there is nothing to put back."""
        ...

    def folder(self, inbox: str, job_id: str) -> Path:
        """Return the claimed folder of a job, whether it is there or not."""
        ...

    def is_flat(self, claimed: Path) -> bool:
        """Return whether the drop in a claimed folder was in the flat form. Raises TransientError when the share failed."""
        ...

    def claimed(self, inbox: str) -> Sequence[str]:
        """Return the job ids that have a claimed folder in this inbox."""
        ...

    def listing(self, claimed: Path) -> ClaimedDrop:
        """Return the drop inside a claimed folder. Raises TransientError (`share_offline`) when it cannot be reached."""
        ...

    def job_toml(self, root: Path, entries: Iterable[Entry]) -> str | None:
        """Return the text of the job.toml among the drop's entries, None without one (bytes that are not UTF-8 are replaced)."""
        ...

    def root(self, job: Job, files: Sequence[str] = ()) -> Path:
        """Return the path of the drop inside the job's claimed folder; the drop itself is not listed.

        Raises TransientError: `share_offline` when it cannot be reached, `permission_denied` when it or one of `files` cannot be read;
        InputError where the inbox is online: `inputs_gone`, and `symlink` or `not_a_file` for what is no longer the claimed file."""
        ...

    def finish(self, job: Job, to: str, reason: str | None) -> Path | None:
        """Move the inputs of a job into `_done` or `_failed` (`to`), with reason.txt, and return where; None when they are gone already."""
        ...

    def restore(self, job: Job) -> Path | None:
        """Move the inputs of a finished job back to its claimed folder (retry) and return it; None when they are gone."""
        ...

    def clear_control(self, inbox: str, name: str, kind: str) -> None:
        """Delete a control file that has been applied."""
        ...


class Inspector(Protocol):
    """Probes media files without holding up the daemon."""

    def inspect(
        self,
        key: str,
        signature: str,
        *,
        inbox: str,
        root: Path,
        recordings: Sequence[str],
        videos: Sequence[str],
        owner: str = NOBODY,
    ) -> Inspection | None:
        """Return the inspection of the drop `key`, None until it is finished; the first call starts it, and so does another `signature`.
        Of a file with a TransientError it goes on by itself, with growing pauses; later calls return what was found by then.

        A file that hangs holds up the drops of its own inbox at most. owner: whose drop it is; whatever one has put down, the files of
        another are opened in turn with them."""
        ...

    def forget(self, key: str) -> None:
        """Drop the inspection of a drop that went away."""
        ...

    def close(self) -> None: ...


class Executor(Protocol):
    """Runs work orders in other processes, each at most once."""

    def start(self) -> None:
        """Start the workers; called once, before everything else."""
        ...

    def free(self) -> int:
        """Return how many orders can be taken now; 0 also while the next one would not fit into memory beside those in progress."""
        ...

    def capacity(self) -> Capacity:
        """Return how many orders are worked on at once when all is well, for the status."""
        ...

    def submit(self, order: WorkOrder) -> None: ...

    def cancel(self, token: str) -> None:
        """Stop this attempt soon; no message of it comes any more."""
        ...

    def poll(self) -> Iterable[WorkerMessage]:
        """Return the messages since the last call, without waiting. A worker that died appears as WorkFailed (`worker_died`)."""
        ...

    def wakeups(self) -> Sequence[int]:
        """Return file descriptors that become readable when `poll` has a message."""
        ...

    def workers(self) -> Sequence[WorkerView]:
        """Return every worker as it is now, for the status."""
        ...

    def stop(self, grace_seconds: float) -> None:
        """Ask all workers to end, and kill those that have not after `grace_seconds`."""
        ...


class Publisher(Protocol):
    """Staging, verification and the final rename of results. Verification does not hold up the daemon.

    `stage` and what asks for something raise TransientError also where outputs does not answer in time (see `answers`)."""

    def answers(self) -> bool:
        """Return False while a call takes long but outputs does not count as offline yet: what failed just now may be tried again at once,
        and was no failure."""
        ...

    def stage(self, job: Job, item: Item, token: str) -> StagingPaths:
        """Return fresh paths for the files of this attempt, on the file system of outputs; where that took too long, call it again with the
        same `token`.

        Raises TransientError (`outputs_offline`, `disk_full`)."""
        ...

    def publish(self, job: Job, item: Item, token: str, result: Mapping[str, Any]) -> None:
        """Start to verify, fsync and rename the staged files of this attempt into the job's output folder."""
        ...

    def poll(self) -> Iterable[Published]: ...

    def discard(self, token: str) -> None:
        """Delete the staged files of this attempt; a publication of them that has begun is abandoned."""
        ...

    def published_result(self, job: Job, item: Item) -> Mapping[str, Any] | None:
        """Return the result given to `publish` if this item's file is in outputs, complete and made from this content; else None."""
        ...

    def published_results(self, job: Job) -> Mapping[str, Mapping[str, Any]]:
        """Return the same of all items of a job for which there is one, by their keys."""
        ...

    def missing_results(self, job: Job) -> frozenset[str]:
        """Return the keys of the published items whose files are no longer in outputs; none while outputs is offline."""
        ...

    def build_zip(self, job: Job) -> bool:
        """Return whether `<output>.zip`, the ZIP of the job's published results, is complete; the first call starts to write it.

        Raises TransientError when it could not be written."""
        ...

    def zip_name(self, job: Job) -> str | None:
        """Return the name of the job's ZIP in its output folder, None where there is none."""
        ...

    def room(self) -> Room | None:
        """Return the bytes and inodes that are free in outputs, None while it is offline."""
        ...

    def close(self) -> None:
        """Abandon what is being verified or written; a ZIP in progress is made again after the next start."""
        ...


class StatusWriter(Protocol):
    """Writes the status files in outputs."""

    def reserve_name(self, name: str, inbox: str) -> str:
        """Return the name of the output folder for a drop shown as `name`: an unused one, or that of the same drop before a restart."""
        ...

    def reserve_again(self, output: str, name: str, job_id: str) -> str:
        """Return the output folder name for a job that was over and begins once more: `output`, which it had, or an unused one where it is
        another job's by now. Raises TransientError."""
        ...

    def release_name(self, output: str, job_id: str) -> None:
        """Give a name free that was reserved for a job to begin once more, which it does not."""
        ...

    def keep_names(self, job_ids: Mapping[str, str]) -> None:
        """Keep these names, those of open jobs with their ids, from every drop."""
        ...

    def former_id(self, output: str) -> str | None:
        """Return the job id in the status that a drop had in this folder before a restart, where its name was just reserved again."""
        ...

    def write_job(self, status: JobStatus) -> None: ...

    def has_status(self, output: str) -> bool:
        """Return whether there is a status file in this output folder; True where that cannot be found out."""
        ...

    def write_daemon(self, status: DaemonStatus) -> None: ...

    def write_heartbeat(self, beat: Heartbeat) -> None:
        """Leave a sign of life that needs no free space; never raise."""
        ...

    def append_log(self, output: str, lines: Sequence[str]) -> bool:
        """Append lines to the log in this output folder. Return False where they could not be written; never raise."""
        ...

    def remove(self, output: str) -> None:
        """Remove the status of a drop that went away before it was claimed, and its output folder, if that holds nothing else."""
        ...


class Survey(Protocol):
    """Looks through the status files in outputs, without blocking the daemon: former ones may say what nobody takes back."""

    def begin(self, inboxes: Collection[str], wanted: Collection[str]) -> None:
        """Start to look for statuses of these inboxes that are not over or wrong about their files, and for those of the jobs `wanted`."""
        ...

    @property
    def is_running(self) -> bool:
        """Whether there may be more findings."""
        ...

    @property
    def is_complete(self) -> bool:
        """Whether the last one looked at everything; not while outputs is away."""
        ...

    def wait(self, seconds: float) -> None:
        """Wait so long at most for its end."""
        ...

    def take(self, limit: int) -> Sequence[FoundStatus]:
        """Return up to `limit` findings, without waiting."""
        ...

    def close(self) -> None: ...


class ClockMemory(Protocol):
    """Keeps what is known of the wall clock from one run to the next. No call ever raises."""

    def read(self) -> Mapping[str, float]: ...

    def write(self, numbers: Mapping[str, float]) -> None: ...


class InboxMemory(Protocol):
    """Keeps which inboxes were watched from one run to the next. No call ever raises."""

    def read(self) -> Collection[str]: ...

    def write(self, inboxes: Collection[str]) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Undeleted:
    """How many folders could not be deleted, with the path of one and the reason in words."""

    count: int
    path: str
    reason: str


class Retention(Protocol):
    """Deletes what is older than its keep time (inputs in _done and _failed, staging), beside the daemon. No call ever raises or waits."""

    def begin(self, now: float, open_jobs: Iterable[str], inboxes: Collection[str]) -> None:
        """Begin to sweep these inboxes and outputs at unix time `now`; not where the sweep before is still under way."""
        ...

    def poll(self) -> Mapping[str, int]:
        """Return what was deleted since the last call, by kind; empty as long as nothing was."""
        ...

    def undeleted(self) -> Undeleted | None:
        """Return what was found since the last call to be over its keep time, and could not be deleted; None where there is nothing."""
        ...

    def close(self) -> None:
        """Let a sweep that is under way end soon; the next one goes on."""
        ...


class ChangeNotifier(Protocol):
    """File system events: hints that a scan may be worth it, never a source of truth."""

    def watch(self, inbox: str) -> None: ...

    def wakeup(self) -> int:
        """Return a file descriptor that becomes readable after an event."""
        ...

    def changed(self) -> bool:
        """Return whether there was an event since the last call, and reset."""
        ...

    def close(self) -> None: ...


class StopSignal(Protocol):
    """The signals to stop: `requested` after the first, `urgent` after the second; `wakeup` is a file descriptor readable from then on."""

    requested: bool
    urgent: bool
    wakeup: int

    def reload_requested(self) -> bool:
        """Return whether SIGHUP, which asks to read the configuration again, came since the last call."""
        ...


class ServiceNotifier(Protocol):
    """Notifies the service manager (systemd). No call ever raises or waits."""

    def ready(self) -> None:
        """Notify that the inboxes have been scanned, or that the reload which `reloading` began is finished."""
        ...

    def status(self, line: str) -> None:
        """Show one line of status."""
        ...

    def alive(self) -> None:
        """Notify that all is well; without this call for some time the service is restarted. May be called as often as wanted."""
        ...

    def reloading(self) -> None: ...

    def stopping(self) -> None: ...


class Hooks(Protocol):
    """Runs what the administrator configured for the end of a job. No call ever raises or waits, whatever the hook does."""

    def job_ended(self, status: JobStatus) -> None: ...

    def close(self, seconds: float) -> None:
        """Let the hooks that run finish within `seconds`; drop the others."""
        ...


class MetricsExporter(Protocol):
    """Exports metrics for monitoring."""

    def write(self, status: DaemonStatus) -> None:
        """Export the daemon's status as metrics. Never raises."""
        ...

    def withdraw(self) -> None:
        """Take back what was exported: nothing will be written there any more. Never raises."""
        ...


class JobLines(Protocol):
    """The log lines about each job, kept until they are in its output folder. No call ever raises."""

    def pending(self) -> Sequence[str]:
        """Return the ids of the jobs that have lines."""
        ...

    def take(self, job_id: str) -> Sequence[str]:
        """Return and forget the lines of a job, oldest first, each a JSON object."""
        ...

    def put_back(self, job_id: str, lines: Sequence[str]) -> None:
        """Keep lines that could not be written."""
        ...


class Log(Protocol):
    """The structured log."""

    def __call__(self, event: str, /, *, level: str = "info", **fields: object) -> None:
        """Write one line; `event` is one of service.events."""
        ...
