"""Publish a result: verify and fsync the staged files in a thread, then rename them into outputs.

The rename happens in `poll`, in the thread that also calls `discard`, so a discarded result cannot appear later.
"""

import errno
import os
import threading
import zipfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.core.job import Item, Job, State
from heygem_daemon.core.publication import Published, StagingPaths
from heygem_daemon.durable import sync_folder
from heygem_daemon.media.verify import verify_report, verify_result
from heygem_daemon.publishing import published_index
from heygem_daemon.publishing.outputs_errors import folder_inside, free_bytes, outputs_error, outputs_errors
from heygem_daemon.publishing.staging import Staging

_CHUNK: Final = 2**20
_ZIP: Final = "bundle.zip"


@dataclass(frozen=True, kw_only=True)
class _Pending:
    """A staged result whose verification runs."""

    job: Job
    item: Item
    result: Mapping[str, Any]
    verification: Future[None]


class FolderPublisher:
    """The `Publisher` port for one outputs folder. `verify` raises HeygemError for a result that differs from the worker's report."""

    def __init__(self, outputs: Path, threads: int = 1, *, verify: Callable[..., None] = verify_result) -> None:
        self._outputs = outputs
        self._verify = verify
        self._staging = Staging(outputs)
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="publish")
        self._pending: dict[str, _Pending] = {}
        self._zip_pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="zip")
        self._zips: dict[str, Future[None]] = {}
        self._is_closing = threading.Event()

    def stage(self, job: Job, item: Item, token: str) -> StagingPaths:
        """Return fresh paths for the files of this attempt. Raises TransientError (outputs_offline, disk_full)."""
        with outputs_errors(self._outputs):
            self._staging.create(token)
        return self._staging_paths(item, token)

    def _staging_paths(self, item: Item, token: str) -> StagingPaths:
        folder = self._staging.folder(token)
        return StagingPaths(
            result=folder / f"result{PurePosixPath(item.output).suffix}",
            thumbnail=folder / f"thumbnail{PurePosixPath(item.thumbnail).suffix}",
            explain=folder / "explain.png",
        )

    def publish(self, job: Job, item: Item, token: str, result: Mapping[str, Any]) -> None:
        """Start to verify and fsync what this attempt staged; `poll` renames and returns it."""
        verification = self._pool.submit(_check, self._staging_paths(item, token).result, result, self._verify)
        self._pending[token] = _Pending(job=job, item=item, result=result, verification=verification)

    def poll(self) -> Iterable[Published]:
        """Rename the verified results into outputs, without waiting; return these, and the failed ones with their problem."""
        ready = [token for token, pending in self._pending.items() if pending.verification.done()]
        return [Published(token=token, problem=self._finish(token, self._pending.pop(token))) for token in ready]

    def _finish(self, token: str, pending: _Pending) -> HeygemError | None:
        try:
            pending.verification.result()
            self._move_into_outputs(token, pending)
        except HeygemError as problem:
            return problem
        except OSError as failed:
            return outputs_error(self._outputs, failed)
        except Exception as unexpected:  # noqa: BLE001 - the border of an item: any exception becomes this item's error
            return error("internal", problem=repr(unexpected))
        self._staging.remove(token)
        return None

    def _move_into_outputs(self, token: str, pending: _Pending) -> None:
        job, item = pending.job, pending.item
        staged = self._staging_paths(item, token)
        folder = folder_inside(self._outputs, job.output)
        for extra, name in ((staged.thumbnail, item.thumbnail), (staged.explain, item.explain)):
            if name and extra.exists():
                self._rename(extra, job, name)
        published_index.add(folder, job, item, staged.result, pending.result)
        self._rename(staged.result, job, item.output)

    def _rename(self, source: Path, job: Job, relative: str) -> None:
        target = PurePosixPath(job.output, relative)
        folder = folder_inside(self._outputs, str(target.parent))
        source.replace(folder / target.name)
        sync_folder(folder)

    def discard(self, token: str) -> None:
        """Delete what this attempt staged; if it is being verified, it is no longer published."""
        pending = self._pending.pop(token, None)
        if pending:
            pending.verification.cancel()
        self._staging.remove(token)

    def published_result(self, job: Job, item: Item) -> Mapping[str, Any] | None:
        """Return the result given to `publish` if this item's file is in outputs, complete and made from this content; else None."""
        return published_index.matching_result(self._outputs / job.output, job, item)

    def build_zip(self, job: Job) -> bool:
        """Return whether the job's ZIP of its published results is in outputs; the first call starts to write it in a thread.

        The ZIP is not compressed (video does not shrink) and appears whole. Raises TransientError once; the next call starts again."""
        zip_future = self._zips.get(job.id)
        if zip_future is None:
            self._zips[job.id] = self._zip_pool.submit(self._build_zip, job)
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

    def free_bytes(self) -> int | None:
        """Return the free space of outputs in bytes, None while it is offline."""
        return free_bytes(self._outputs)

    def close(self) -> None:
        """Start no more verifications. A running one ends at its own time limit, a ZIP in progress at once."""
        self._is_closing.set()
        self._zip_pool.shutdown(wait=False, cancel_futures=True)
        self._pending.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)


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
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_zip(target: Path, folder: Path, names: Iterable[str], stop: threading.Event) -> None:
    """Write the files into an uncompressed ZIP. Raises InterruptedError when `stop` is set."""
    with zipfile.ZipFile(target, "x", zipfile.ZIP_STORED) as bundle:
        for name in names:
            entry = zipfile.ZipInfo.from_file(folder / name, name, strict_timestamps=False)
            with (folder / name).open("rb") as source, bundle.open(entry, "w", force_zip64=True) as packed:
                while chunk := source.read(_CHUNK):
                    if stop.is_set():
                        raise InterruptedError(errno.EINTR, os.strerror(errno.EINTR), str(target))
                    packed.write(chunk)
