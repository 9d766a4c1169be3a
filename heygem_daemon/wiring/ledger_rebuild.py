"""Make the ledger again from the folders: claimed inputs, status files and published results.

Only while no daemon runs. What the present ledger knows is kept as it is; the folders add what it does not know. The new ledger is
written beside the old one and takes its place in one step; the old one is kept. Anybody may write into outputs and the inboxes: what is
read there is bounded, never followed through a link, and can add history or name the output folder of a claimed job, nothing more.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from heygem_daemon.core.errors import HeygemError, TransientError, error
from heygem_daemon.core.found_status import FoundStatus
from heygem_daemon.core.job import Failure, Job
from heygem_daemon.core.names import MARKER, escape_name
from heygem_daemon.core.status_builder import concluded
from heygem_daemon.daemon.adoption import Adoption, finished_job
from heygem_daemon.intake.claims import FolderClaims
from heygem_daemon.ledger.sqlite import SqliteLedger, exchange, is_of_damage, new_file_beside
from heygem_daemon.publishing import published_index
from heygem_daemon.publishing.publish import FolderPublisher
from heygem_daemon.publishing.survey import found_status, found_statuses
from heygem_daemon.settings import Settings
from heygem_daemon.wiring.config_mapping import ledger_path, runtime_config

BATCH: Final = 200


@dataclass(kw_only=True)
class Rebuilt:
    """What a rebuild did. `kept`: jobs of the present ledger; `finished`, `queued`: jobs that the folders added; `left`: claimed folders
    that never became a job or cannot be read now, which the daemon deals with at its start; `offline`: inboxes that could not be looked at;
    `aside`: where the old ledger is kept, None where it did not have to be replaced; `was_damaged`: whether nothing of it could be read."""

    kept: int = 0
    finished: int = 0
    queued: int = 0
    left: int = 0
    offline: tuple[str, ...] = ()
    aside: Path | None = None
    was_damaged: bool = False


def rebuild_ledger(settings: Settings, now: float) -> Rebuilt:
    """Rebuild the ledger of a daemon that does not run; the caller holds its lock. Raises HeygemError; the ledger is then as it was."""
    path = ledger_path(settings)
    try:
        with new_file_beside(path) as new:
            with closing(SqliteLedger(new, repair=False)) as ledger:
                done = _Rebuild(settings, ledger, now).run(path)
            if done.finished or done.queued or done.was_damaged or not path.exists():
                done.aside = exchange(path, new)
    except OSError as problem:
        raise error("io_error", problem=f"{problem.strerror} ({problem.filename})") from problem
    return done


class _Rebuild:
    def __init__(self, settings: Settings, ledger: SqliteLedger, now: float) -> None:
        self._outputs = settings.outputs
        self._rules = runtime_config(settings).rules
        self._inboxes = {escape_name(str(inbox.path)): str(inbox.path) for inbox in settings.inboxes}
        self._claims = FolderClaims(MARKER)
        self._publisher = FolderPublisher(settings.outputs)
        self._ledger = ledger
        self._now = now
        self._done = Rebuilt()

    def run(self, present: Path) -> Rebuilt:
        if present.exists():
            self._take_over(present)
        claimed = self._claimed()
        with closing(self._publisher):
            ids = self._put_history(claimed)
            self._put_claimed({job_id: folder for job_id, folder in ids.items() if job_id in claimed}, claimed)
        return self._done

    def _take_over(self, present: Path) -> None:
        """Begin with the jobs of the present ledger, unless it is damaged. Raises HeygemError where it is of a newer version, or locked."""
        try:
            with closing(SqliteLedger(present, repair=False)) as ledger:
                ledger.refuse_unreadable_jobs()
                self._ledger.copy_from(ledger)
        except TransientError as problem:
            if not is_of_damage(problem):
                raise
            self._done.was_damaged = True
            self._ledger.clear()
        self._done.kept = self._ledger.count()

    def _claimed(self) -> dict[str, str]:
        """Return the claimed folders of all inboxes that are online: job id -> inbox."""
        claimed: dict[str, str] = {}
        for inbox in self._inboxes.values():
            try:
                claimed |= dict.fromkeys(self._claims.claimed(inbox), inbox)
            except TransientError:
                self._done.offline = (*self._done.offline, inbox)
        return claimed

    def _put_history(self, claimed: dict[str, str]) -> dict[str, str]:
        """Put the finished jobs that the ledger does not know, oldest first; return the output folder of each claimed job that it does not
        know either, by its id."""
        folders: dict[str, tuple[int, str]] = {}
        history: list[tuple[float, str]] = []
        for found in self._survey():
            job_id = found.status.job
            if not found.is_over and (not found.was_claimed or self._inboxes[found.status.inbox] in self._done.offline):
                continue  # a drop that was never claimed still lies in its inbox, and what is claimed in an offline one is not lost
            if job_id not in claimed:
                history.append(((found.status.times.queued or found.status.since).timestamp(), found.status.output))
            else:
                published = published_index.count(self._outputs / found.status.output, job_id)
                folders[job_id] = max(folders.get(job_id, (-1, "")), (published, found.status.output))
        history.sort()
        for batch in (history[start : start + BATCH] for start in range(0, len(history), BATCH)):
            jobs = {job.id: job for _, folder in reversed(batch) if (job := self._finished(folder)) is not None}
            new = [job for job in reversed(jobs.values()) if self._ledger.get(job.id) is None]
            self._ledger.put(*new)
            self._done.finished += len(new)
        return {job_id: folder for job_id, (_, folder) in folders.items()}

    def _survey(self) -> Iterator[FoundStatus]:
        try:
            yield from found_statuses(self._outputs, self._inboxes.values())
        except OSError as problem:
            raise error("outputs_offline", path=escape_name(str(self._outputs)), problem=problem.strerror) from problem

    def _finished(self, folder: str) -> Job | None:
        """Return the job of a status whose inputs are not claimed: it is over, or was lost."""
        found = found_status(self._outputs, folder, frozenset(self._inboxes))
        if found is None:
            return None
        status = found.status if found.is_over else concluded(found.status, Failure.of(error("job_lost")), self._now)
        inbox = self._inboxes[status.inbox]
        return finished_job(status, inbox, str(self._claims.folder(inbox, status.job)))

    def _put_claimed(self, folders: dict[str, str], claimed: dict[str, str]) -> None:
        for job_id, inbox in claimed.items():
            if self._ledger.get(job_id) is not None:
                continue
            job = self._adopted(inbox, folders[job_id]) if job_id in folders else None
            if job is None:
                self._done.left += 1
                continue
            self._ledger.put(job)
            self._done.queued += 1

    def _adopted(self, inbox: str, folder: str) -> Job | None:
        found = found_status(self._outputs, folder, frozenset(self._inboxes))
        try:
            adoption = Adoption(claims=self._claims, publisher=self._publisher)
            return None if found is None else adoption.job(inbox, found.status, self._rules, self._now)
        except HeygemError:
            return None
