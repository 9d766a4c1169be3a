"""Outputs as a daemon leaves them: status files written through the daemon's own models and writer."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import Any, TypeVar

import pytest

from heygem_daemon.core.job import FINAL, State
from heygem_daemon.core.names import MARKER, slug
from heygem_daemon.core.status import (
    DaemonStatus,
    ErrorStatus,
    InboxStatus,
    ItemStatus,
    JobStatus,
    JobSummary,
    ProgressStatus,
    TimesStatus,
)
from heygem_daemon.publishing.status_files import StatusFiles
from heygem_daemon.web.jobs import index

T = TypeVar("T")

NOW = datetime.now(UTC).astimezone().replace(microsecond=0)


def job_id(name: str, number: int = 0) -> str:
    return f"20261129-{number:06d}-{slug(name)}-k3f9"


def job_status(name: str, state: State = State.SUCCEEDED, **given: Any) -> JobStatus:
    """Return the status of a job with one video, teacher.mp4. minutes: how long ago it was dropped."""
    minutes = given.pop("minutes", 10)
    dropped = datetime.now(UTC).astimezone() - timedelta(minutes=minutes)
    finished = dropped + timedelta(minutes=1) if state in FINAL else None
    fields: dict[str, Any] = {
        "job": job_id(name),
        "name": name,
        "output": name,
        "state": state,
        "since": finished or dropped,
        "items": (item_status(state),),
        "times": TimesStatus(dropped=dropped, queued=dropped, finished=finished),
        **given,
    }
    return JobStatus(**fields)


def item_status(state: State = State.SUCCEEDED, key: str = "teacher", **given: Any) -> ItemStatus:
    """Return the status of one item in a job of this state."""
    item_state = {State.PARTIAL: State.FAILED, State.REJECTED: State.FAILED, State.SETTLING: State.QUEUED}.get(state, state)
    done = item_state is State.SUCCEEDED
    fields: dict[str, Any] = {
        "key": key,
        "recording": "speech.wav",
        "video": f"videos/{key}.mp4",
        "state": item_state,
        "output": f"{key}.mp4" if done else None,
        "thumbnail": f"thumbnails/{key}.jpg" if done else None,
        "engine": "rewrite" if done else None,
        "seconds": 10.0 if done else None,
        "elapsed_s": 5.0 if done else None,
        "error": no_face() if item_state is State.FAILED else None,
        "progress": ProgressStatus(stage="render", done=1, total=4, percent=25.0, eta_s=30.0) if item_state is State.RUNNING else None,
        **given,
    }
    return ItemStatus(**fields)


def no_face() -> ErrorStatus:
    return ErrorStatus(code="no_face", message="No face was found in teacher.mp4.", hint="Use another video.")


@contextmanager
def quick_polls() -> Iterator[None]:
    """Let an index that starts here look more often: a test waits for it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LOOK_SECONDS", "LISTING_SECONDS", "INBOX_SECONDS"):
            patch.setattr(index, name, 0.15)
        yield


class Daemon:
    """What a daemon writes into outputs, without a daemon."""

    def __init__(self, outputs: Path, inboxes: tuple[Path, ...] = ()) -> None:
        self.outputs = outputs
        self.inboxes = inboxes
        self.jobs: dict[str, JobStatus] = {}
        self._files = StatusFiles(outputs)

    def write(self, *statuses: JobStatus) -> None:
        """Write the status of jobs, and then its own."""
        for status in statuses:
            self._files.write_job(status)
            self.jobs[status.output] = status
        self.beat()

    def beat(self, age: float = 0.0, **given: Any) -> None:
        """Write its own status; `age` is that of the heartbeat in s."""
        open_jobs = [status for status in self.jobs.values() if status.state not in FINAL]
        finished = sorted((status for status in self.jobs.values() if status.state in FINAL), key=lambda status: status.since)[-20:]
        heartbeat = datetime.now(UTC).astimezone() - timedelta(seconds=age)
        fields: dict[str, Any] = {
            "version": "0.2.0",
            "state": "running",
            "pid": 1,
            "started": NOW,
            "heartbeat": heartbeat,
            "jobs": tuple(JobSummary.of(status) for status in (*open_jobs, *finished)),
            "inboxes": tuple(InboxStatus(path=str(inbox), online=True) for inbox in self.inboxes),
            **given,
        }
        self._files.write_daemon(DaemonStatus(**fields))


def make_drop(inbox: Path, name: str, job_toml: str | None = None) -> Path:
    """Put a drop into an inbox as the page does: by a rename."""
    staged = inbox / f".{name}.new"
    (staged / "videos").mkdir(parents=True)
    (staged / "speech.wav").write_bytes(b"RIFF")
    (staged / "videos/teacher.mp4").write_bytes(b"video")
    if job_toml is not None:
        (staged / "job.toml").write_text(job_toml)
    return staged.rename(inbox / name)


def until(condition: Callable[[], T], seconds: float = 20.0, why: Callable[[], object] = lambda: "") -> T:
    """Wait for a condition; return what it returns."""
    end = monotonic() + seconds
    while not (found := condition()):
        assert monotonic() < end, f"it did not happen within {seconds} s {why()}"
        sleep(0.02)
    return found


def make_inbox(folder: Path) -> Path:
    folder.mkdir()
    (folder / MARKER).touch()
    return folder


def entries(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the jobs of a JobPage by name."""
    return {job["name"]: job for job in answer["jobs"]}
