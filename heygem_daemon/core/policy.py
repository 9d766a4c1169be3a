"""Decide which item runs next, when a failed one is tried again, and whether there is room on the disk.

| what failed       | what it costs | what follows                                                          |
|-------------------|---------------|-----------------------------------------------------------------------|
| input             | -             | the item fails at once                                                |
| transient, setup  | no attempt    | it waits 30 s, 2 min, 10 min, 10 min ... until all is well again       |
| engine            | an attempt    | one more try in a fresh worker                                        |
| worker died       | an attempt    | tried again, three attempts in all                                    |
| memory ran out    | an attempt    | tried again after a pause, three attempts in all                      |
| device            | an attempt    | tried again after a pause, three attempts in all; counts for the breaker |
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from heygem_daemon.core.error_catalog import ErrorKind
from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.core.job import Failure, Item, Job, State
from heygem_daemon.core.storage import Room, human_bytes
from heygem_daemon.core.turns import NO_TURNS, Turns, queue_key

_MEMORY: Final = "memory_full"
_BY_THE_MACHINE: Final = frozenset({"worker_died", _MEMORY})
"""Errors of the engine whose cause is more often the machine than the item."""
DEATHS_FORGIVEN: Final = 4
"""Deaths of workers in a row that cost an item no attempt, while others lose theirs too: with the pauses in between some twenty minutes."""


@dataclass(frozen=True)
class Backoff:
    """The waits after errors that pass by themselves, in s; the last one repeats."""

    steps: tuple[float, ...]

    def after(self, backoff_count: int) -> float:
        """Return the next wait in s after `backoff_count` waits in a row."""
        return self.steps[min(backoff_count, len(self.steps) - 1)]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How often an item may start, and how long it waits in between.

    attempts: starts that may end with a dead worker or device. engine_attempts: starts that may end with an error of the engine, after
    which one more try with a fresh worker is enough. device_pause: wait after a device error, in s.
    """

    attempts: int
    backoff: Backoff
    engine_attempts: int = 2
    device_pause: float = 10.0

    def attempts_for(self, kind: ErrorKind, code: str) -> int:
        return self.engine_attempts if kind is ErrorKind.ENGINE and code not in _BY_THE_MACHINE else self.attempts


def is_by_the_machine(code: str) -> bool:
    """Return whether an error of the engine most often has its cause in the machine."""
    return code in _BY_THE_MACHINE


def after_failure(
    item: Item, kind: ErrorKind, failure: Failure, now: float, policy: Policy, *, give_up: bool = False, others_die: bool = False
) -> Item:
    """Return the item after an error of this `kind` while it ran, or before it could start.

    give_up: do not wait for better conditions; what could only wait fails instead. others_die: the workers of other items have died too
    since one last succeeded, which no item can be the cause of.
    """
    if kind is ErrorKind.INPUT:
        return _failed(item, failure)
    if others_die and failure.code in _BY_THE_MACHINE and item.backoff_count < DEATHS_FORGIVEN and not give_up:
        return _backed_off(item, failure, now, policy)
    if kind in {ErrorKind.TRANSIENT, ErrorKind.SETUP}:
        return _failed(item, failure) if give_up else _backed_off(item, failure, now, policy)
    allowed = policy.attempts_for(kind, failure.code)
    if item.attempt >= allowed:
        return _failed(item, failure)
    return item.transition(
        State.WAITING,
        token="",
        backoff_count=0,
        not_before=now + (policy.device_pause if _lets_others_first(item, kind, failure) else 0.0),
        failure=failure,
        reason=f"Attempt {item.attempt} of {allowed} failed, trying again: {failure.message}",
    )


def _lets_others_first(item: Item, kind: ErrorKind, failure: Failure) -> bool:
    """Return whether the next attempt waits a little: for the device, or until others have shown whether their workers die too."""
    return kind is ErrorKind.DEVICE or failure.code == _MEMORY or (failure.code in _BY_THE_MACHINE and item.attempt > 1)


def _failed(item: Item, failure: Failure) -> Item:
    return item.transition(State.FAILED, token="", not_before=0.0, failure=failure, reason=failure.message)


def _backed_off(item: Item, failure: Failure, now: float, policy: Policy) -> Item:
    return item.transition(
        State.WAITING,
        token="",
        attempt=_attempts_without_this(item),
        backoff_count=item.backoff_count + 1,
        not_before=now + policy.backoff.after(item.backoff_count),
        failure=failure,
        reason=failure.message,
    )


def _attempts_without_this(item: Item) -> int:
    """Return the count of attempts without the running one; of an item that is not running, all of them."""
    return max(item.attempt - 1, 0) if item.state is State.RUNNING else item.attempt


def after_interruption(item: Item, policy: Policy, *, orderly: bool = False) -> Item:
    """Return the running item after the daemon stopped or was found dead.

    orderly: we stopped it ourselves, so the attempt does not count. Otherwise the item may have caused the crash, so it counts.
    """
    if orderly:
        return item.transition(State.INTERRUPTED, token="", attempt=_attempts_without_this(item), reason="Interrupted by a shutdown.")
    if item.attempt >= policy.attempts:
        return _failed(item, Failure.of(error("worker_died", problem=f"interrupted {item.attempt} times")))
    return item.transition(State.INTERRUPTED, token="", reason="Interrupted; it starts again.")


@dataclass(frozen=True, kw_only=True)
class Breaker:
    """Pauses the queue after `threshold` device failures in a row, then lets single probes through until one succeeds.

    Closed while `opened_at` (unix time in s) is None. cool_down: pause in s. is_probing: from the start of a probe to its outcome.
    """

    threshold: int
    cool_down: float
    failures: int = 0
    opened_at: float | None = None
    is_probing: bool = False

    @property
    def until(self) -> float | None:
        """Unix time in s from which the next probe may start, None while closed."""
        return None if self.opened_at is None else self.opened_at + self.cool_down

    def failed(self, now: float) -> "Breaker":
        failures = self.failures + 1
        opens = failures >= self.threshold or self.opened_at is not None
        return replace(self, failures=failures, opened_at=now if opens else None, is_probing=False)

    def succeeded(self) -> "Breaker":
        return replace(self, failures=0, opened_at=None, is_probing=False)

    def released(self) -> "Breaker":
        """Return it after a probe that showed nothing about the device (cancelled, bad input): another may start."""
        return replace(self, is_probing=False)

    def allows(self, now: float) -> bool:
        """Return whether an item may start."""
        return self.until is None or (now >= self.until and not self.is_probing)

    def started(self) -> "Breaker":
        """Return it after the start of an item, which is the probe while the breaker is open."""
        return replace(self, is_probing=self.opened_at is not None)

    def describe(self, now: float) -> str | None:
        """Return why the queue is paused, for the status; None while closed."""
        if self.until is None:
            return None
        so_far = f"The device failed {self.failures} times in a row"
        if self.is_probing:
            return f"{so_far}; one item is being tried, the others wait for its outcome."
        if now >= self.until:
            return f"{so_far}; the next item is a test."
        return f"{so_far}; the queue is paused for another {self.until - now:.0f} s."


def choose(jobs: Iterable[Job], now: float, turns: Turns = NO_TURNS) -> tuple[Job, Item] | None:
    """Return what to start next: the highest priority, then the inbox and in it the owner whose last turn is longest ago, then first in
    first out.

    The caller leaves out the jobs of paused or absent inboxes, and counts the turn that follows.
    """
    ready = [job for job in jobs if not job.on_hold and not job.is_final and any(item.is_ready(now) for item in job.items)]
    if not ready:
        return None
    job = min(ready, key=lambda each: (-each.priority, *turns.last(each), *queue_key(each)))
    return job, next(item for item in job.items if item.is_ready(now))


_SOURCE_FACTOR: Final = 3.0
"""Bytes of a result at CRF 16 per byte of its source: phones and cameras compress by half to a third more strongly."""
_MAX_RATE: Final = 12e6
"""Bytes/s. 4K at CRF 16 stays below; so a short clip of huge bit rate (ProRes) does not block the queue."""
_STILL_RATE: Final = 1e6
"""Bytes/s of a result made from a still image, generously."""
_AUDIO_RATE: Final = 24e3
"""Bytes/s: the 192 kb/s that media.commands encodes."""
_FIXED: Final = 64e6
"""Bytes for what does not grow with the length, generously: thumbnail, diagnostic image, container."""


def estimate_bytes(video_bytes: int, video_seconds: float, audio_seconds: float) -> int:
    """Return a generous guess at the size of a result in bytes, staging included; `video_seconds` is 0 for a still image."""
    rate = min(_SOURCE_FACTOR * video_bytes / video_seconds, _MAX_RATE) if video_seconds > 0 else _STILL_RATE
    return int(_FIXED + (rate + _AUDIO_RATE) * max(audio_seconds, 0.0))


_FILES: Final = 64
"""Files and folders that an attempt makes at most, with room for the status files of others; nothing starts with fewer inodes."""


def guess_bytes(video_bytes: int) -> int:
    """Return a guess at the size of a result where nothing is known of the lengths: as for a speech as long as the video."""
    return int(_FIXED + _SOURCE_FACTOR * video_bytes)


def admission(room: Room, reserve: int, needed: int, path: str) -> HeygemError | None:
    """Return `disk_full` unless `needed` bytes fit into the `room` at `path` with the `reserve` untouched, `inodes_full` unless the files
    do, `read_only` where nothing can be written at all."""
    if room.is_read_only:
        return error("read_only", path=path)
    if room.files is not None and room.files < _FILES:
        return error("inodes_full", path=path, free=human_bytes(room.free))
    if room.free >= reserve + needed:
        return None
    return error("disk_full", free=human_bytes(room.free), needed=human_bytes(reserve + needed), path=path)
