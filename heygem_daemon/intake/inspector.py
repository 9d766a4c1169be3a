"""Have the media files of drops opened, several at once, so that a slow disk or a long recording never blocks the daemon."""

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from heygem_daemon.core.errors import HeygemError, TransientError, error, unforeseen
from heygem_daemon.core.names import escape_name
from heygem_daemon.core.scan import Inspection
from heygem_daemon.core.users import NOBODY
from heygem_daemon.daemon_threads import DaemonThreadPool
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


PAUSES: Final = (1.0, 5.0, 15.0, 60.0)
SLOW_PAUSES: Final = (1.0, 30.0, 120.0, 600.0)
"""s until a file is opened again that could not be judged, as the machine or its share failed, or answered slowly, which keeps a thread for
long; the last one repeats."""
PATIENCE: Final = (1.0, 2.0, 4.0)
"""How many times as long as usual the storage may take, at the first, the second and every further try."""
UNJUDGED_SECONDS: Final = 1800.0
UNJUDGED_TRIES: Final = 4
"""After so long, and so many tries none of which found out anything, a file is refused where others are judged meanwhile: one that takes
all memory, or at which ffprobe waits for ever, or whose blocks on the disk cannot be read, would wait for ever."""
CONTROL_SECONDS: Final = 60.0
"""s between two looks into another file of the same drop, where nothing else shows whether files are judged now."""
_MAY_BE_THE_FILE: Final = frozenset({"tool_killed", "storage_slow", "server_short", "io_error"})
_PASSING: Final = frozenset({"tool_killed", "server_short"})
"""What is tried again at once, before anybody hears of it."""
_UNHEARD: Final = 2


@dataclass(kw_only=True)
class _Check:
    """The measurement of one file.

    start: submits it anew, given how patient it is to be with the storage. length: in s, once it is known. failed: the last error that was
    not the file's; tries: how many there were; failing_since: when the first of them came; again_at: when the next try starts. is_noted:
    whether it was noted that it is judged; verdict: the error that the file has in the end where no try could judge it.
    """

    start: Callable[[float], Future[float]]
    length: Future[float]
    failed: TransientError | None = None
    tries: int = 0
    failing_since: float = 0.0
    again_at: float | None = None
    is_noted: bool = False
    verdict: HeygemError | None = None

    @property
    def is_judged(self) -> bool:
        """Whether the last look into the file found it good or bad."""
        return self.again_at is None and self.length.done() and not isinstance(self.length.exception(), TransientError)

    def is_hopeless(self, now: float) -> bool:
        """Whether there were enough tries for long enough."""
        may_be_the_file = (
            self.verdict is None and self.again_at is not None and self.failed is not None and self.failed.code in _MAY_BE_THE_FILE
        )
        return may_be_the_file and self.tries >= UNJUDGED_TRIES and now - self.failing_since >= UNJUDGED_SECONDS

    def give_up(self, path: str, now: float) -> None:
        """End the tries with the error that the file could not be judged."""
        name, minutes = escape_name(path.rpartition("/")[2]), (now - self.failing_since) / 60
        problem = self.failed.message if self.failed is not None else ""
        self.verdict = error("file_unjudged", name=name, tries=self.tries, minutes=round(minutes), problem=problem)

    def advance(self, now: float) -> None:
        """Plan another try where the machine failed, or start it where it is due."""
        if self.verdict is not None:
            return
        if self.again_at is not None:
            if now >= self.again_at:
                self.again_at, self.length = None, self.start(PATIENCE[min(self.tries, len(PATIENCE) - 1)])
        elif self.length.done() and isinstance(problem := self.length.exception(), TransientError):
            pauses = SLOW_PAUSES if problem.code == "storage_slow" else PAUSES
            self.again_at = now + pauses[min(self.tries, len(pauses) - 1)]
            if self.failed is None or problem.code not in _MAY_BE_THE_FILE:
                self.failing_since = now
            self.failed, self.tries = problem, self.tries + 1

    def finding(self) -> float | HeygemError | None:
        """Return the length, or the problem; None while neither is known."""
        if self.verdict is not None:
            return self.verdict
        if self.again_at is None and self.length.done():
            problem = self.length.exception()
            if problem is None:
                return self.length.result()
            return problem if isinstance(problem, HeygemError) else unforeseen(problem)
        if self.failed is None or (self.failed.code in _PASSING and self.tries <= _UNHEARD):
            return None
        return self.failed


@dataclass(kw_only=True)
class _PendingInspection:
    """The measurements under way for one drop, by path. control: another look into a file that was judged before; control_at: when the next
    one is made."""

    signature: str
    checks: dict[str, _Check]
    control: Future[float] | None = None
    control_at: float = 0.0

    def cancel(self) -> None:
        for check in self.checks.values():
            check.length.cancel()
        if self.control is not None:
            self.control.cancel()


class MediaInspector:
    """The `Inspector` port: probes every file and decodes every recording once (a silent one is refused before it costs engine time)."""

    def __init__(
        self,
        limits: MediaLimits = DEFAULT_LIMITS,
        threads: int = 0,
        *,
        check: FileCheck | None = None,
        cache: Path = _TEMPORARY,
        clock: Callable[[], float] = time.monotonic,
        on_output: Callable[[str], None] = lambda line: None,
    ) -> None:
        """threads: how many videos of one inbox are opened at once, 0 = as many as there are cores; check: None = by a process, which keeps
        decoded recordings in the directory `cache` for the workers; on_output: gets the lines that it writes to standard error."""
        self.limits = limits
        self.threads = threads or min(max(len(os.sched_getaffinity(0)), MIN_AT_ONCE), MAX_AT_ONCE)
        self._process = InspectionProcess(cache, on_output=on_output)
        self._given_check, self._clock = check, clock
        self._pools: dict[tuple[str, int], DaemonThreadPool] = {}
        self._pending: dict[str, _PendingInspection] = {}
        self._judged_at: dict[str, float] = {}
        """Inbox -> when a file of it was last found to be good or bad."""

    def inspect(
        self,
        key: str,
        signature: str,
        *,
        inbox: str,
        root: Path,
        recordings: Sequence[str],
        videos: Sequence[str],
        owner: str = NOBODY,
    ) -> Inspection | None:
        """Return the result for the drop `key` under this `signature`, None while it is under way; the first call starts it. The owners of
        drops take turns, file by file.

        A file that the machine or its share kept from being judged is opened again after a pause that grows; meanwhile the result has its
        TransientError. Every inbox has its own threads: on a frozen share even a killed ffprobe does not end, and the thread that waits for
        it hangs."""
        pending = self._pending.get(key)
        if pending is None or pending.signature != signature:
            self.forget(key)
            pending = self._start(signature, inbox, root, recordings=recordings, videos=videos, owner=owner)
            self._pending[key] = pending
        now = self._clock()
        for check in pending.checks.values():
            check.advance(now)
            if check.is_judged and not check.is_noted:
                check.is_noted, self._judged_at[inbox] = True, now
        self._give_up(pending, inbox, now)
        return _inspection(pending)

    def _give_up(self, pending: _PendingInspection, inbox: str, now: float) -> None:
        """Refuse files that cannot be judged, where another file of their inbox was judged in the second half of the time."""
        if pending.control is not None and pending.control.done():
            if not isinstance(pending.control.exception(), TransientError):
                self._judged_at[inbox] = now
            pending.control = None
        hopeless = {path: check for path, check in pending.checks.items() if check.is_hopeless(now)}
        judged_at = self._judged_at.get(inbox, float("-inf"))
        for path, check in hopeless.items():
            if judged_at >= check.failing_since + UNJUDGED_SECONDS / 2:
                check.give_up(path, now)
            elif pending.control is None and now >= pending.control_at:
                pending.control_at = now + CONTROL_SECONDS
                judged = next((other for other in pending.checks.values() if other.is_judged), None)
                pending.control = judged.start(PATIENCE[0]) if judged is not None else None

    def _pool(self, inbox: str, threads: int) -> DaemonThreadPool:
        if (inbox, threads) not in self._pools:
            self._pools[inbox, threads] = DaemonThreadPool(f"inspect {inbox}", threads)
        return self._pools[inbox, threads]

    def _start(
        self, signature: str, inbox: str, root: Path, *, recordings: Sequence[str], videos: Sequence[str], owner: str
    ) -> _PendingInspection:
        check = self._given_check or partial(self._process.checked_seconds, inbox)
        opening, waiting = self._pool(inbox, self.threads), self._pool(inbox, RECORDINGS_WAITING)

        def started(pool: DaemonThreadPool, path: str, *, is_video: bool) -> _Check:
            def start(patience: float) -> Future[float]:
                try:
                    work = partial(check, root / path, replace(self.limits, patience=patience), is_video=is_video)
                    return pool.submit(work, owner=owner)
                except RuntimeError as problem:  # the system's limit of tasks
                    refused: Future[float] = Future()
                    refused.set_exception(error("server_short", program="the inspection", problem=str(problem)))
                    return refused

            return _Check(start=start, length=start(PATIENCE[0]))

        checks = {path: started(opening, path, is_video=True) for path in videos}
        checks |= {path: started(waiting, path, is_video=False) for path in recordings}
        return _PendingInspection(signature=signature, checks=checks)

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


def _inspection(pending: _PendingInspection) -> Inspection | None:
    """Return what was found, None while anything of it is missing."""
    problems: dict[str, HeygemError] = {}
    seconds: dict[str, float] = {}
    for path, check in pending.checks.items():
        finding = check.finding()
        if finding is None:
            return None
        if isinstance(finding, HeygemError):
            problems[path] = finding
        else:
            seconds[path] = finding
    return Inspection(problems=problems, seconds=seconds)
