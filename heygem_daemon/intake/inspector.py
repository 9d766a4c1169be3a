"""Open the media files of drops in threads, so that a slow disk or a long recording never blocks the daemon."""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.core.names import escape_name
from heygem_daemon.core.scan import Inspection
from heygem_daemon.intake.daemon_pool import DaemonThreadPool
from heygem_daemon.media.probe import check_recording, check_video
from heygem_daemon.media.speech import measure_speech
from heygem_daemon.media.types import DEFAULT_LIMITS, MediaLimits


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

    def __init__(self, limits: MediaLimits = DEFAULT_LIMITS, threads: int = 2) -> None:
        self.limits = limits
        self._threads = threads
        self._pools: dict[str, DaemonThreadPool] = {}
        self._pending: dict[str, _PendingInspection] = {}

    def inspect(
        self, key: str, signature: str, *, inbox: str, root: Path, recordings: Sequence[str], videos: Sequence[str]
    ) -> Inspection | None:
        """Return the result for the drop `key` under this `signature`, None while it is under way; the first call starts it.

        Every inbox has its own threads: on a frozen share even a killed ffprobe does not end, and the thread that waits for it hangs."""
        pending = self._pending.get(key)
        if pending is None or pending.signature != signature:
            self.forget(key)
            pending = self._start(signature, self._pool(inbox), root, recordings, videos)
            self._pending[key] = pending
        if not all(length.done() for length in pending.lengths.values()):
            return None
        return _inspection(pending)

    def _pool(self, inbox: str) -> DaemonThreadPool:
        if inbox not in self._pools:
            self._pools[inbox] = DaemonThreadPool(f"inspect {inbox}", self._threads)
        return self._pools[inbox]

    def _start(
        self, signature: str, pool: DaemonThreadPool, root: Path, recordings: Sequence[str], videos: Sequence[str]
    ) -> _PendingInspection:
        lengths = {path: pool.submit(partial(_seconds, root / path, self.limits, is_video=True)) for path in videos}
        lengths |= {path: pool.submit(partial(_seconds, root / path, self.limits, is_video=False)) for path in recordings}
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


def _seconds(path: Path, limits: MediaLimits, *, is_video: bool) -> float:
    """Check a file and return its length in s. Raises HeygemError; an OSError becomes `io_error`."""
    try:
        if is_video:
            video = check_video(path, limits).video
            return video.seconds if video else 0.0
        return float(measure_speech(check_recording(path, limits), limits).seconds)
    except OSError as failed:
        raise error("io_error", problem=f"{failed.strerror or failed} ({escape_name(path.name)})") from failed
