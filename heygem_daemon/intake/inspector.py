"""Have the media files of drops opened, several at once, so that a slow disk or a long recording never blocks the daemon."""

import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.core.scan import Inspection
from heygem_daemon.intake.daemon_pool import DaemonThreadPool
from heygem_daemon.intake.inspection_process import InspectionProcess
from heygem_daemon.media.types import DEFAULT_LIMITS, MediaLimits

MIN_AT_ONCE: Final = 2
MAX_AT_ONCE: Final = 8
"""Files of one inbox that are opened at once: a short video costs ffprobe's start and little else, so one core can do one at a time."""

RECORDINGS_WAITING: Final = 9
"""Recordings of one inbox that are asked for at once: those that wait are decoded together (media.decode_together)."""
_TEMPORARY: Final = Path(tempfile.gettempdir())


class FileCheck(Protocol):
    """Checks one file and returns its length in s; raises HeygemError. May be called from several threads at once."""

    def __call__(self, path: Path, limits: MediaLimits, *, is_video: bool) -> float: ...


@dataclass(frozen=True, kw_only=True)
class _PendingInspection:
    """The measurements under way for one drop: path -> its length in s, once it is known."""

    signature: str
    lengths: dict[str, Future[float]]

    def cancel(self) -> None:
        for length in self.lengths.values():
            length.cancel()


class MediaInspector:
    """The `Inspector` port: probes every file and decodes every recording once (a silent one is refused before it costs engine time)."""

    def __init__(
        self, limits: MediaLimits = DEFAULT_LIMITS, threads: int = 0, *, check: FileCheck | None = None, cache: Path = _TEMPORARY
    ) -> None:
        """threads: how many videos of one inbox are opened at once, 0 = as many as there are cores; check: None = by a process, which keeps
        decoded recordings in the directory `cache` for the workers."""
        self.limits = limits
        self.threads = threads or min(max(len(os.sched_getaffinity(0)), MIN_AT_ONCE), MAX_AT_ONCE)
        self._process = InspectionProcess(cache)
        self._given_check = check
        self._pools: dict[tuple[str, int], DaemonThreadPool] = {}
        self._pending: dict[str, _PendingInspection] = {}

    def inspect(
        self, key: str, signature: str, *, inbox: str, root: Path, recordings: Sequence[str], videos: Sequence[str]
    ) -> Inspection | None:
        """Return the result for the drop `key` under this `signature`, None while it is under way; the first call starts it.

        Every inbox has its own threads: on a frozen share even a killed ffprobe does not end, and the thread that waits for it hangs."""
        pending = self._pending.get(key)
        if pending is None or pending.signature != signature:
            self.forget(key)
            pending = self._start(signature, inbox, root, recordings, videos)
            self._pending[key] = pending
        if not all(length.done() for length in pending.lengths.values()):
            return None
        return _inspection(pending)

    def _pool(self, inbox: str, threads: int) -> DaemonThreadPool:
        if (inbox, threads) not in self._pools:
            self._pools[inbox, threads] = DaemonThreadPool(f"inspect {inbox}", threads)
        return self._pools[inbox, threads]

    def _start(self, signature: str, inbox: str, root: Path, recordings: Sequence[str], videos: Sequence[str]) -> _PendingInspection:
        check = self._given_check or partial(self._process.checked_seconds, inbox)
        opening, waiting = self._pool(inbox, self.threads), self._pool(inbox, RECORDINGS_WAITING)
        lengths = {path: opening.submit(partial(check, root / path, self.limits, is_video=True)) for path in videos}
        lengths |= {path: waiting.submit(partial(check, root / path, self.limits, is_video=False)) for path in recordings}
        return _PendingInspection(signature=signature, lengths=lengths)

    def forget(self, key: str) -> None:
        """Forget the result for this key and cancel what is not running yet."""
        pending = self._pending.pop(key, None)
        if pending is not None:
            pending.cancel()

    def close(self) -> None:
        """Cancel what is not running yet. A running command ends at its own time limit, or with the process."""
        for key in list(self._pending):
            self.forget(key)
        for pool in self._pools.values():
            pool.close()
        self._process.close()


def _inspection(pending: _PendingInspection) -> Inspection:
    problems: dict[str, HeygemError] = {}
    seconds: dict[str, float] = {}
    for path, length in pending.lengths.items():
        problem = length.exception()
        if isinstance(problem, HeygemError):
            problems[path] = problem
        elif problem is not None:
            problems[path] = error("internal", problem=repr(problem))
        else:
            seconds[path] = length.result()
    return Inspection(problems=problems, seconds=seconds)
