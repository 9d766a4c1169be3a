"""What a survey of outputs finds: the status files that lie there, whoever wrote them."""

from collections.abc import Collection
from dataclasses import dataclass

from heygem_daemon.core.job import FINAL, State
from heygem_daemon.core.names import is_job_id
from heygem_daemon.core.status import JobStatus


@dataclass(frozen=True, kw_only=True)
class FoundStatus:
    """The status file of one folder in outputs. `missing` holds the keys of the published items whose files are gone; `published` is the
    number of files that the index of the folder has for this job, counted only for the jobs that were asked for."""

    status: JobStatus
    missing: frozenset[str] = frozenset()
    published: int = 0

    @property
    def was_claimed(self) -> bool:
        """Whether it is about a job, not about a drop that was never claimed."""
        return self.status.times.queued is not None or bool(self.status.items)

    @property
    def is_over(self) -> bool:
        return self.status.state in FINAL

    @property
    def is_wrong_about_files(self) -> bool:
        """Whether it names a file that is gone, or misses one that is there."""
        return self.missing != {item.key for item in self.status.items if item.missing is not None}


def is_of(status: JobStatus, folder: str, inboxes: Collection[str]) -> bool:
    """Return whether a status in the folder `folder` of outputs can be one that a daemon with these inboxes (as they are shown) wrote: a
    copy of a folder, and one of another daemon that has the same outputs, is nobody's business here."""
    return status.output == folder and status.inbox in inboxes and is_job_id(status.job)


def published_keys(status: JobStatus) -> dict[str, str]:
    """Return the files of the published items by the keys of these; whether they are there is another question."""
    files = {item.key: item.output or item.missing for item in status.items if item.state is State.SUCCEEDED}
    return {key: file for key, file in files.items() if file is not None}
