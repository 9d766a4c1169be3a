"""The ledger in memory, for tests: the same behaviour as the SQLite one, gone with its process."""

from collections.abc import Sequence

from heygem_daemon.core.job import Job
from heygem_daemon.ledger.documents import item_document, job_document, read_item, read_job


class MemoryLedger:
    """The `Ledger` port. Keeps documents, not objects, so that what it returns went through the same text as in the other ledger."""

    def __init__(self) -> None:
        self._jobs: dict[str, tuple[str, tuple[str, ...]]] = {}
        self._requests: list[tuple[str, str]] = []

    def put(self, *jobs: Job) -> None:
        self._jobs |= {job.id: (job_document(job), tuple(item_document(item) for item in job.items)) for job in jobs}

    def get(self, job_id: str) -> Job | None:
        return self._read(job_id) if job_id in self._jobs else None

    def open_jobs(self) -> Sequence[Job]:
        return [job for job in self._all() if not job.is_final]

    def find(self, name: str, limit: int | None = None) -> Sequence[Job]:
        found = [job for job in reversed(self._all()) if name in {job.id, job.name, job.output}]
        return found if limit is None else found[: max(limit, 0)]

    def recent(self, limit: int) -> Sequence[Job]:
        return self._all()[::-1][: max(limit, 0)]

    def finished(self, limit: int) -> Sequence[Job]:
        over = [job for job in self._all()[::-1] if job.is_final and job.finished_at is not None]
        return sorted(over, key=lambda job: job.finished_at or 0.0, reverse=True)[: max(limit, 0)]

    def forget(self, finished_before: float, limit: int) -> int:
        ended = [(job.finished_at, job.id) for job in self._all() if job.is_final and job.finished_at is not None]
        old = sorted((each for each in ended if each[0] < finished_before), key=lambda each: each[0])[: max(limit, 0)]
        for _, job_id in old:
            del self._jobs[job_id]
        return len(old)

    def request(self, verb: str, target: str) -> None:
        self._requests.append((verb, target))

    def requests(self, limit: int) -> Sequence[tuple[str, str]]:
        return self._requests[: max(limit, 0)]

    def remove_requests(self, count: int) -> None:
        del self._requests[: max(count, 0)]

    def healthy(self) -> bool:
        return True

    def close(self) -> None:
        pass

    def _read(self, job_id: str) -> Job:
        document, items = self._jobs[job_id]
        return read_job(document, tuple(read_item(item) for item in items))

    def _all(self) -> list[Job]:
        return [self._read(job_id) for job_id in self._jobs]
