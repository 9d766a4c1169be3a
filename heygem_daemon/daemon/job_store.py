"""Keep the jobs in memory and in the ledger, and finalize those that are over: ZIP, reason.txt, inputs to _done or _failed."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from heygem_daemon.core.errors import HeygemError, TransientError
from heygem_daemon.core.job import Failure, Job, JobWarning, State
from heygem_daemon.core.names import DONE, FAILED
from heygem_daemon.core.ports import Claims, Ledger, Log, Publisher

FINALIZED_AT_ONCE: Final = 20


@dataclass(kw_only=True)
class JobStore:
    """`jobs` are the open ones, by id. `zips`: whether a ZIP is made where the drop does not ask for one; `failed_count` counts the
    finalized jobs that did not wholly succeed.

    A ledger that cannot be written must not make us forget what happened: what it did not take is written again before anything starts.
    """

    ledger: Ledger
    claims: Claims
    publisher: Publisher
    log: Log
    zips: bool
    jobs: dict[str, Job] = field(default_factory=dict)
    failed_count: int = 0
    _changed: dict[str, Job] = field(default_factory=dict)
    _unfinished: dict[str, Job] = field(default_factory=dict)
    _unmovable: set[str] = field(default_factory=set)
    _zipped: set[str] = field(default_factory=set)
    _unsaved: dict[str, Job] = field(default_factory=dict)
    _is_together: bool = False
    problem: HeygemError | None = None
    """Why the ledger cannot be written, while it cannot."""

    def save(self, *jobs: Job) -> None:
        """Keep the jobs, in the ledger as soon as that can be written."""
        for job in jobs:
            self._remember(job)
            self._unsaved[job.id] = job
        if not self._is_together:
            self.flush()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Have all that is saved inside written to the ledger at the end, in one go: each transaction waits for the disk."""
        self._is_together = True
        try:
            yield
        finally:
            self._is_together = False
            self.flush()

    def load(self, job: Job) -> None:
        """Keep a job that the ledger has already."""
        self._remember(job)

    def commit(self, job: Job) -> None:
        """Keep the job only if the ledger does. Raises TransientError."""
        self.ledger.put(job)
        self._remember(job)

    def mark_changed(self, job: Job) -> None:
        """Have the status of the job written again."""
        self._changed[job.id] = job

    def take_changed(self) -> dict[str, Job]:
        """Return the jobs that changed since the last call, by id."""
        changed, self._changed = self._changed, {}
        return changed

    def _remember(self, job: Job) -> None:
        if job.is_final:
            self.jobs.pop(job.id, None)
            self._unfinished[job.id] = job
        else:
            self.jobs[job.id] = job
            self._forget_finalizing(job.id)
        self.mark_changed(job)

    def _forget_finalizing(self, job_id: str) -> None:
        self._unfinished.pop(job_id, None)
        self._unmovable.discard(job_id)
        self._zipped.discard(job_id)

    def flush(self) -> None:
        """Write to the ledger what it has not taken yet."""
        try:
            if self._unsaved:
                self.ledger.put(*self._unsaved.values())
                self._unsaved.clear()
        except TransientError as problem:
            if self.problem is None:
                self.log("ledger_unwritable", level="error", error_code=problem.code, reason=problem.message)
            self.problem = problem
        if not self._unsaved:
            self.problem = None

    @property
    def is_saved(self) -> bool:
        return not self._unsaved

    @property
    def all_finalized(self) -> bool:
        """Whether the inputs of every ended job are archived."""
        return not self._unfinished

    @property
    def finalizing(self) -> bool:
        """Whether inputs are still to be archived that were not found to be unmovable."""
        return not self._unfinished.keys() <= self._unmovable

    def contains(self, job_id: str) -> bool:
        """Whether this job is open, or over with its inputs still to be moved."""
        return self.known(job_id) is not None

    def known(self, job_id: str) -> Job | None:
        """Return the job if it is open, or over with its inputs still to be moved; else None."""
        return self.jobs.get(job_id) or self._unfinished.get(job_id)

    def finalize(self, offline: Collection[str], *, has_time: Callable[[], bool] = lambda: True) -> Iterator[Job]:
        """Move the inputs of jobs that are over to _done or _failed, and yield each such job; what cannot be moved now is tried at the
        next tick.

        Nothing in an inbox of `offline` is touched. Each job costs some fsyncs, so of many some are moved and the others have their turn
        after the next call, also those for which there is no time after one was moved."""
        begun = 0
        for job in [job for job in self._unfinished.values() if job.id not in self._unsaved]:
            if job.inbox in offline:
                self._unmovable.add(job.id)
                continue
            if begun == FINALIZED_AT_ONCE or (begun and not has_time()):
                return
            begun += 1
            self._unfinished[job.id] = self._unfinished.pop(job.id)  # the last in the row, if it waits for its ZIP or cannot be moved
            if self._wants_zip(job) and not self._is_zipped(job):
                continue
            try:
                self._finish(job)
            except TransientError as problem:
                if job.id not in self._unmovable:
                    self.log("job_waiting", level="warning", **job.log_context(), error_code=problem.code, reason=problem.message)
                self._unmovable.add(job.id)
            else:
                yield job
                self._forget_finalizing(job.id)

    def _finish(self, job: Job) -> None:
        done = job.state is State.SUCCEEDED
        self.claims.finish(job, DONE if done else FAILED, None if done else reason_text(job))
        self.failed_count += not done
        succeeded = sum(item.state is State.SUCCEEDED for item in job.items)
        self.log(
            "job_finished",
            level="info" if done else "warning",
            **job.log_context(),
            state=job.state,
            succeeded=succeeded,
            items=len(job.items),
            error_code=job.failure.code if job.failure else None,
            reason=job.failure.message if job.failure else None,
        )

    def _wants_zip(self, job: Job) -> bool:
        wanted = self.zips if job.options.zip is None else job.options.zip
        return wanted and any(item.state is State.SUCCEEDED for item in job.items)

    def _is_zipped(self, job: Job) -> bool:
        """Whether the ZIP is there and the status was asked to name it before the last call, or it cannot be made; begins to make it.

        The inputs stay until the next call: once they are archived nobody looks after the job any more, so a crash before the status names
        the ZIP would leave it without."""
        if job.id in self._zipped:
            return True
        try:
            is_there = self.publisher.build_zip(job)
        except TransientError as problem:
            self.log("job_bundle_failed", level="warning", **job.log_context(), error_code=problem.code, reason=problem.message)
            self._zipped.add(job.id)
            return True
        if is_there:
            self._zipped.add(job.id)
            self.mark_changed(job)
        return False


def reason_text(job: Job) -> str:
    """Return the content of reason.txt: a sentence, a hint and the code for every error and warning."""
    lines = [f"{job.name}: {job.state}", ""]
    if job.failure:
        lines += _reason_lines(job.failure)
    elif job.reason:
        lines += [job.reason, ""]
    for item in job.items:
        if item.failure and item.failure != job.failure:
            lines += [f"{item.key}:", *_reason_lines(item.failure)]
        elif item.state is not State.SUCCEEDED and not item.failure:
            lines += [f"{item.key}: {item.state}", ""]
    for warning in job.warnings:
        lines += _reason_lines(warning)
    return "\n".join(lines)


def _reason_lines(found: Failure | JobWarning) -> list[str]:
    return [found.message, found.hint, f"({found.code})", ""]
