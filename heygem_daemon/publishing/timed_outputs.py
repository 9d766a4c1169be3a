"""The ports to outputs, with a limit of time for each call, so that none holds up the daemon: a thread makes it (outputs_thread)."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

from heygem_daemon.core.errors import TransientError, unforeseen
from heygem_daemon.core.job import Item, Job
from heygem_daemon.core.names import HEARTBEAT
from heygem_daemon.core.ports import Publisher, StatusWriter
from heygem_daemon.core.publication import Published, StagingPaths
from heygem_daemon.core.status import DaemonStatus, Heartbeat, JobStatus
from heygem_daemon.core.storage import Room
from heygem_daemon.durable import overwrite
from heygem_daemon.publishing.outputs_thread import OutputsThread


class TimedStatusWriter:
    """The `StatusWriter` port in front of another one. What outputs does not take in time is `outputs_offline`."""

    def __init__(self, writer: StatusWriter, thread: OutputsThread, state: Path) -> None:
        """state: the state folder, which gets the heartbeat whatever outputs does."""
        self._writer, self._thread, self._state = writer, thread, state

    def reserve_name(self, name: str, inbox: str) -> str:
        """Return the name. One that is reserved too late is given to the next call for this drop: nobody else would have it ever."""
        return self._thread.ask(("name", name, inbox), self._writer.reserve_name, name, inbox, keep=float("inf"))

    def reserve_again(self, output: str, name: str, job_id: str) -> str:
        return self._thread.ask(("name again", job_id), self._writer.reserve_again, output, name, job_id)

    def release_name(self, output: str, job_id: str) -> None:
        self._thread.later(self._writer.release_name, output, job_id)

    def keep_names(self, job_ids: Mapping[str, str]) -> None:
        self._thread.later(self._writer.keep_names, job_ids)

    def former_id(self, output: str) -> str | None:
        return self._writer.former_id(output)

    def write_job(self, status: JobStatus) -> None:
        self._thread.call(self._writer.write_job, status)

    def write_daemon(self, status: DaemonStatus) -> None:
        self._thread.call(self._writer.write_daemon, status)

    def write_heartbeat(self, beat: Heartbeat) -> None:
        with suppress(OSError):
            overwrite(self._state / HEARTBEAT, beat.to_json().encode())
        with suppress(TransientError):
            self._thread.call(self._writer.write_heartbeat, beat)

    def append_log(self, output: str, lines: Sequence[str]) -> bool:
        """Append lines; those of a call that takes too long may still arrive, so they count as written: the journal has them."""
        if self._thread.is_slow:
            return False
        future = self._thread.later(self._writer.append_log, output, lines)
        return future.result() if self._thread.wait(future) else True

    def has_status(self, output: str) -> bool:
        try:
            return self._thread.call(self._writer.has_status, output)
        except TransientError:
            return True

    def remove(self, output: str) -> None:
        """Remove it, at the latest when outputs answers again. It is waited for like everything else: the removals of ten thousand drops
        that went away at once would keep every later call waiting."""
        self._thread.wait(self._thread.later(self._writer.remove, output))


class TimedPublisher:
    """The `Publisher` port in front of another one, all of whose calls are made by the thread, one after the other.

    A result whose rename hangs stays in progress until outputs answers; it is neither lost nor made again. A question that outputs does not
    answer in time raises TransientError: no answer is not the answer that nothing is there."""

    def __init__(self, publisher: Publisher, thread: OutputsThread) -> None:
        self._publisher, self._thread = publisher, thread
        self._handed_over: dict[str, Future[None]] = {}
        self._polling: Future[list[Published]] | None = None
        self._discarded: set[str] = set()
        """Tokens whose discard has not had its turn."""
        self._zips: dict[str, Future[bool]] = {}
        self._room: Room | None = None

    def answers(self) -> bool:
        return self._thread.answers

    def stage(self, job: Job, item: Item, token: str) -> StagingPaths:
        """Return the paths. Where that takes too long, another call with this `token` returns them."""
        return self._thread.ask(("stage", token), self._publisher.stage, job, item, token, keep=float("inf"))

    def publish(self, job: Job, item: Item, token: str, result: Mapping[str, Any]) -> None:
        self._handed_over[token] = self._thread.later(self._publisher.publish, job, item, token, result)

    def poll(self) -> Iterable[Published]:
        """Return what has been published since; what a call that hangs publishes is returned by a later call."""
        if not self._handed_over:
            return []
        problems = {token: future.exception() for token, future in self._handed_over.items() if future.done()}
        found = [Published(token=token, problem=unforeseen(problem)) for token, problem in problems.items() if problem is not None]
        if self._polling is None:
            self._polling = self._thread.later(self._poll)
        if self._thread.wait(self._polling):
            polling, self._polling = self._polling, None
            found += polling.result()
        for published in found:
            self._handed_over.pop(published.token, None)
        return found

    def _poll(self) -> list[Published]:
        """Publish, but nothing that was discarded while outputs did not answer."""
        for token in tuple(self._discarded):
            self._publisher.discard(token)
        return list(self._publisher.poll())

    def discard(self, token: str) -> None:
        self._handed_over.pop(token, None)
        self._thread.forget(("stage", token))
        self._discarded.add(token)
        self._thread.later(self._discard, token)

    def _discard(self, token: str) -> None:
        try:
            self._publisher.discard(token)
        finally:
            self._discarded.discard(token)

    def published_result(self, job: Job, item: Item) -> Mapping[str, Any] | None:
        """Raises TransientError where outputs does not answer."""
        return self._thread.ask(("published", job.id, item.key), self._publisher.published_result, job, item)

    def published_results(self, job: Job) -> Mapping[str, Mapping[str, Any]]:
        """Raises TransientError where outputs does not answer."""
        return self._thread.ask(("all published", job.id), self._publisher.published_results, job)

    def missing_results(self, job: Job) -> frozenset[str]:
        """Raises TransientError where outputs does not answer."""
        return self._thread.ask(("missing", job.id, *(item.state for item in job.items)), self._publisher.missing_results, job)

    def build_zip(self, job: Job) -> bool:
        """Return whether the ZIP is there. A call that takes long is asked for its answer by the next one."""
        pending = self._zips.get(job.id)
        if pending is None:
            if self._thread.is_slow:
                return False
            pending = self._zips[job.id] = self._thread.later(self._publisher.build_zip, job)
        if not self._thread.wait(pending):
            return False
        del self._zips[job.id]
        self._thread.forget(("zip", job.id))
        return pending.result()

    def zip_name(self, job: Job) -> str | None:
        """Raises TransientError where outputs does not answer."""
        return self._thread.ask(("zip", job.id), self._publisher.zip_name, job)

    def room(self) -> Room | None:
        """Return the room; the last one known while outputs is slow, None while it hangs."""
        with suppress(TransientError):
            self._room = self._thread.ask("room", self._publisher.room)
        return None if self._thread.hangs else self._room

    def close(self) -> None:
        with suppress(TransientError):
            self._thread.call(self._publisher.close)
