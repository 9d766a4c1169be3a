"""Publish a result: verify and fsync the staged files in a thread, then rename them into outputs.

The rename happens in `poll`, in the thread that also calls `discard`, so a discarded result cannot appear later. Behind `TimedPublisher` a
discard waits for a poll that is under way: what this one is about to rename still appears, whole and made from this content.

Inboxes are looked at in threads of their own: one that hangs must hold up neither outputs nor the results of the others.
"""

import errno
import os
import threading
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Final

from heygem_daemon.bounded_reading import open_file_in
from heygem_daemon.core.errors import HeygemError, TransientError, error, unforeseen
from heygem_daemon.core.job import Item, Job, State
from heygem_daemon.core.names import escape_name
from heygem_daemon.core.publication import Published, StagingPaths
from heygem_daemon.core.storage import Room
from heygem_daemon.daemon_threads import DaemonThreadPool
from heygem_daemon.disks import room_in
from heygem_daemon.durable import sync_folder, take_place
from heygem_daemon.media.verify import verify_report, verify_result
from heygem_daemon.publishing import published_index
from heygem_daemon.publishing.outputs_errors import folder_inside, outputs_error, outputs_errors
from heygem_daemon.publishing.staging import Staging

_CHUNK: Final = 2**20
_ZIP: Final = "bundle.zip"
PAUSES: Final = (2.0, 10.0, 60.0, 300.0)
"""s between two checks of one result where the machine, and not the result, made the check fail: it took minutes or hours to make."""
LOOK_SECONDS: Final = 0.2
"""s for which outputs waits for the time stamps of the inputs; what has not come by then counts as unknown, or comes later."""
STAMPS_SECONDS: Final = 10.0
"""The same for a result that is checked, which has time."""


@dataclass(frozen=True, kw_only=True)
class _Pending:
    """A staged result whose verification runs. inputs: as they are after the work, waited for until `inputs_until` (by the publisher's
    clock); checks: how many have ended without an answer; again_at: when the next one starts; None while one runs."""

    job: Job
    item: Item
    result: Mapping[str, Any]
    inputs: Future[published_index.Sources]
    inputs_until: float
    verification: Future[None]
    checks: int = 0
    again_at: float | None = None


class FolderPublisher:
    """The `Publisher` port for one outputs folder. `verify` raises HeygemError for a result that differs from the worker's report."""

    def __init__(
        self,
        outputs: Path,
        *,
        verify: Callable[..., None] = verify_result,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._outputs = outputs
        self._verify, self._clock = verify, clock
        self._staging = Staging(outputs)
        self._pool = DaemonThreadPool("publish", threads=1)
        self._inbox_pools: dict[str, DaemonThreadPool] = {}
        self._late_looks: dict[str, Future[published_index.Sources]] = {}
        self._pending: dict[str, _Pending] = {}
        self._made_from: dict[str, Future[published_index.Sources]] = {}
        self._zip_pool = DaemonThreadPool("zip", threads=1)
        self._zips: dict[str, Future[None]] = {}
        self._is_closing = threading.Event()

    def answers(self) -> bool:
        """Every call is waited for here."""
        return True

    def stage(self, job: Job, item: Item, token: str) -> StagingPaths:
        """Return fresh paths for the files of this attempt, whose inputs must not change from now on. Raises TransientError
        (outputs_offline, disk_full)."""
        with outputs_errors(self._outputs):
            self._staging.create(token)
        self._made_from[token] = self._look_at_inputs(job, item)
        self._stamps(job.inbox, self._made_from[token], item)
        return self._staging_paths(item, token)

    def _look_at_inputs(self, job: Job, item: Item) -> Future[published_index.Sources]:
        """Look at the inputs in a thread of their inbox."""
        pool = self._inbox_pools.setdefault(job.inbox, DaemonThreadPool(f"inputs {job.inbox}", threads=1))
        try:
            return pool.submit(partial(published_index.sources, job, item))
        except RuntimeError:  # the system's limit of tasks
            unknown: Future[published_index.Sources] = Future()
            unknown.set_result(published_index.unknown_sources(item))
            return unknown

    def _inputs_now(self, job: Job, item: Item) -> published_index.Sources:
        return self._stamps(job.inbox, self._look_at_inputs(job, item), item)

    def _stamps(self, inbox: str, found: Future[published_index.Sources], item: Item) -> published_index.Sources:
        """Wait a moment for what was found, but not while another look at this inbox is awaited in vain."""
        late = self._late_looks.get(inbox)
        stamps = _stamps(found, item, LOOK_SECONDS if late is None or late.done() else 0.0)
        if not found.done():
            self._late_looks[inbox] = found
        return stamps

    def _staging_paths(self, item: Item, token: str) -> StagingPaths:
        folder = self._staging.folder(token)
        return StagingPaths(
            result=folder / f"result{PurePosixPath(item.output).suffix}",
            thumbnail=folder / f"thumbnail{PurePosixPath(item.thumbnail).suffix}",
            explain=folder / "explain.png",
        )

    def publish(self, job: Job, item: Item, token: str, result: Mapping[str, Any]) -> None:
        """Start to verify and fsync what this attempt staged; `poll` renames and returns it."""
        self._pending[token] = _Pending(
            job=job,
            item=item,
            result=result,
            inputs=self._look_at_inputs(job, item),
            inputs_until=self._clock() + STAMPS_SECONDS,
            verification=self._start_check(item, token, result),
        )

    def _start_check(self, item: Item, token: str, result: Mapping[str, Any]) -> Future[None]:
        try:
            return self._pool.submit(partial(_check, self._staging_paths(item, token).result, result, self._verify))
        except RuntimeError as problem:  # the system's limit of tasks
            unanswered: Future[None] = Future()
            unanswered.set_exception(error("server_short", program="the check of a result", problem=str(problem)))
            return unanswered

    def poll(self) -> Iterable[Published]:
        """Rename the verified results into outputs, without waiting; return these, and the failed ones with their problem.

        A check that the machine ended says nothing about the result: it is made again after a pause, len(PAUSES) times at most."""
        for token, pending in self._pending.items():
            self._pending[token] = self._with_next_check(token, pending)
        ready = [token for token, pending in self._pending.items() if self._is_ready(pending)]
        return [Published(token=token, problem=self._finish(token, self._pending.pop(token))) for token in ready]

    def _is_ready(self, pending: _Pending) -> bool:
        is_checked = pending.verification.done() and pending.again_at is None
        return is_checked and (pending.inputs.done() or self._clock() >= pending.inputs_until)

    def _with_next_check(self, token: str, pending: _Pending) -> _Pending:
        """Return the result with a check planned where the last one had no answer, and started where it is due."""
        if pending.again_at is not None:
            if self._clock() < pending.again_at:
                return pending
            return replace(pending, verification=self._start_check(pending.item, token, pending.result), again_at=None)
        if not pending.verification.done() or pending.checks >= len(PAUSES) or not _is_unanswered(pending.verification):
            return pending
        return replace(pending, checks=pending.checks + 1, again_at=self._clock() + PAUSES[pending.checks])

    def _finish(self, token: str, pending: _Pending) -> HeygemError | None:
        try:
            pending.verification.result()
            self._move_into_outputs(token, pending)
        except HeygemError as problem:
            return problem
        except OSError as failed:
            return outputs_error(self._outputs, failed)
        except Exception as unexpected:  # noqa: BLE001 - the border of an item: any exception becomes this item's error
            return unforeseen(unexpected)
        self._staging.remove(token)
        return None

    def _move_into_outputs(self, token: str, pending: _Pending) -> None:
        job, item, inputs = pending.job, pending.item, _stamps(pending.inputs, pending.item, 0.0)
        staged_from = self._made_from.pop(token, None)
        made_from = inputs if staged_from is None or not staged_from.done() else _stamps(staged_from, item, 0.0)
        changed = published_index.changed_source(made_from, inputs)
        if changed is not None:
            raise error("inputs_changed", name=escape_name(changed))
        staged = self._staging_paths(item, token)
        folder = folder_inside(self._outputs, job.output)
        for extra, name in ((staged.thumbnail, item.thumbnail), (staged.explain, item.explain)):
            if name and extra.is_file() and not extra.is_symlink():
                self._rename(extra, job, name)
        published_index.add(folder, job, item, staged.result, pending.result, made_from=made_from)
        self._rename(staged.result, job, item.output)

    def _rename(self, source: Path, job: Job, relative: str) -> None:
        target = PurePosixPath(job.output, relative)
        folder = folder_inside(self._outputs, str(target.parent))
        take_place(source, folder / target.name)
        sync_folder(folder)

    def discard(self, token: str) -> None:
        """Delete what this attempt staged; if it is being verified, it is no longer published."""
        self._made_from.pop(token, None)
        pending = self._pending.pop(token, None)
        if pending:
            pending.verification.cancel()
        self._staging.remove(token)

    def published_result(self, job: Job, item: Item) -> Mapping[str, Any] | None:
        """Return the result given to `publish` if this item's file is in outputs, complete and made from this content; else None."""
        return published_index.matching_result(self._outputs / job.output, job, item, partial(self._inputs_now, job))

    def published_results(self, job: Job) -> Mapping[str, Mapping[str, Any]]:
        """Return the same of all items of a job for which there is one, by their keys."""
        return published_index.matching_results(self._outputs / job.output, job, partial(self._inputs_now, job))

    def missing_results(self, job: Job) -> frozenset[str]:
        """Return the keys of the published items whose files somebody deleted; none while outputs is offline."""
        return published_index.missing_results(self._outputs, job)

    def build_zip(self, job: Job) -> bool:
        """Return whether the job's ZIP of its published results is in outputs; the first call starts to write it in a thread.

        The ZIP is not compressed (video does not shrink) and appears whole. Raises TransientError once; the next call starts again."""
        zip_future = self._zips.get(job.id)
        if zip_future is None:
            self._zips[job.id] = self._zip_pool.submit(partial(self._build_zip, job))
            return False
        if not zip_future.done():
            return False
        del self._zips[job.id]
        token = _zip_token(job)
        with outputs_errors(self._outputs):
            try:
                zip_future.result()
                self._rename(self._staging.folder(token) / _ZIP, job, _zip_file_name(job))
            finally:
                self._staging.remove(token)
        return True

    def _build_zip(self, job: Job) -> None:
        staged = self._staging.create(_zip_token(job)) / _ZIP
        names = [item.output for item in job.items if item.state is State.SUCCEEDED]
        _write_zip(staged, self._outputs / job.output, names, self._is_closing)
        _sync_file(staged)

    def zip_name(self, job: Job) -> str | None:
        """Return the name of the job's ZIP in its output folder, None where there is none."""
        name = _zip_file_name(job)
        return name if (self._outputs / job.output / name).is_file() else None

    def room(self) -> Room | None:
        """Return the bytes and inodes that are free in outputs, None while it is offline."""
        return room_in(self._outputs)

    def close(self) -> None:
        """Start no more verifications. A running one ends at its own time limit, a ZIP in progress at once."""
        self._is_closing.set()
        for zip_future in self._zips.values():
            zip_future.cancel()
        for pending in self._pending.values():
            pending.verification.cancel()
        self._pending.clear()
        for pool in (self._pool, self._zip_pool, *self._inbox_pools.values()):
            pool.close()


def _stamps(found: Future[published_index.Sources], item: Item, seconds: float) -> published_index.Sources:
    """Return the inputs as they were found to be; unknown ones where that takes longer."""
    wait([found], seconds)
    return found.result() if found.done() else published_index.unknown_sources(item)


def _is_unanswered(verification: Future[None]) -> bool:
    """Return whether the check ended as the machine or a share failed, or as what checks crashed, and not by what is in the file."""
    problem = verification.exception()
    if isinstance(problem, HeygemError):
        return isinstance(problem, TransientError) or problem.code in {"tool_crashed", "no_progress"}
    return isinstance(problem, OSError | MemoryError)


def _zip_token(job: Job) -> str:
    return f"zip-{job.id}"


def _zip_file_name(job: Job) -> str:
    return f"{job.output}.zip"


def _check(staged: Path, result: Mapping[str, Any], verify: Callable[..., None]) -> None:
    """Verify the staged file against the worker's result, then fsync it. Raises HeygemError, OSError."""
    verify_report(staged, result, verify=verify)
    _sync_file(staged)
    sync_folder(staged.parent)


def _sync_file(path: Path) -> None:
    with open_file_in(path.parent, path.name) as file:
        os.fsync(file.fileno())


def _write_zip(target: Path, folder: Path, names: Iterable[str], stop: threading.Event) -> None:
    """Write the files into an uncompressed ZIP. Raises InterruptedError when `stop` is set, OSError also for what is no file by now: the
    daemon may read more than whoever put a link there."""
    with zipfile.ZipFile(target, "x", zipfile.ZIP_STORED) as bundle:
        for name in names:
            with open_file_in(folder, name) as source:
                entry = zipfile.ZipInfo.from_file(f"/proc/self/fd/{source.fileno()}", name, strict_timestamps=False)
                with bundle.open(entry, "w", force_zip64=True) as packed:
                    while chunk := source.read(_CHUNK):
                        if stop.is_set():
                            raise InterruptedError(errno.EINTR, os.strerror(errno.EINTR), str(target))
                        packed.write(chunk)
