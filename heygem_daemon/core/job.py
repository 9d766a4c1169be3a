"""A job and its items: what was dropped, and the state of each recording x video.

    settling -> queued -> running -> succeeded | partial | failed | rejected | cancelled
    with `waiting` (back-off, disk, paused, share offline) and `interrupted` (shutdown, worker death) on the way.

A job's state follows from its items (`Job.rollup`); every change of an item's state goes through `Item.transition` and its one table.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, Self

from heygem_daemon.core.errors import HeygemError
from heygem_daemon.core.job_options import NO_OPTIONS, JobOptions


class State(StrEnum):
    """The state of a job, or of one of its items."""

    SETTLING = "settling"
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    INTERRUPTED = "interrupted"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"

    __hash__ = str.__hash__
    """Equal to the text, and so hashed like it; the hash of an enumeration is a call, and ten thousand jobs are asked for their states."""


FINAL: Final = frozenset({State.SUCCEEDED, State.PARTIAL, State.FAILED, State.REJECTED, State.CANCELLED})
"""States that a job stays in; only a retry by hand queues its failed and cancelled items again."""

TRANSITIONS: Final[Mapping[State, frozenset[State]]] = {
    State.QUEUED: frozenset({State.RUNNING, State.WAITING, State.FAILED, State.CANCELLED}),
    State.WAITING: frozenset({State.QUEUED, State.RUNNING, State.WAITING, State.FAILED, State.CANCELLED}),
    State.RUNNING: frozenset({State.SUCCEEDED, State.FAILED, State.WAITING, State.INTERRUPTED, State.CANCELLED}),
    State.INTERRUPTED: frozenset({State.QUEUED, State.RUNNING, State.WAITING, State.FAILED, State.CANCELLED}),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset({State.QUEUED}),
    State.CANCELLED: frozenset({State.QUEUED}),
}


class IllegalTransitionError(RuntimeError):
    """A change of state that TRANSITIONS does not have."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An error as the ledger keeps it; core.error_catalog has the codes."""

    code: str
    message: str
    hint: str = ""
    retryable: bool = False

    @classmethod
    def of(cls, problem: HeygemError) -> Self:
        return cls(code=problem.code, message=problem.message, hint=problem.hint, retryable=problem.retryable)


@dataclass(frozen=True, kw_only=True)
class JobWarning:
    """Something about a drop that somebody should look at; core.warning_codes has the codes."""

    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One recording x one video.

    recording, video, script: paths inside the drop; script holds the words of the recording, "" without one.
    output, thumbnail, explain: paths inside the job's output folder; explain is the diagnostic image, where one is wanted.
    token: of the running attempt; a message with another token is late and is dropped.
    attempt: the starts that count towards the limit. backoff_count: the waits in a row that cost no attempt.
    not_before: unix time in s. needs_bytes: disk space that must be free before it starts.
    result: metrics of a published item (frames, fps, seconds, engine, ...), see status.Metrics.
    """

    key: str
    recording: str
    video: str
    output: str
    thumbnail: str
    explain: str = ""
    script: str = ""
    state: State = State.QUEUED
    attempt: int = 0
    backoff_count: int = 0
    token: str = ""
    not_before: float = 0.0
    needs_bytes: int = 0
    reason: str = ""
    failure: Failure | None = None
    result: Mapping[str, Any] = field(default_factory=dict)

    def transition(self, state: State, **changes: Any) -> "Item":
        """Return the item in `state`, with `changes`. Raises IllegalTransitionError."""
        if state not in TRANSITIONS[self.state]:
            raise IllegalTransitionError(f"{self.key}: {self.state} -> {state}")
        return replace(self, state=state, **changes)

    @property
    def is_final(self) -> bool:
        return self.state in FINAL

    def made_anew(self) -> "Item":
        """Return a published item whose file somebody deleted as one that was never made; a retry by hand asks for it."""
        return replace(self, state=State.QUEUED, attempt=0, backoff_count=0, token="", not_before=0.0, reason="", failure=None, result={})

    def is_ready(self, now: float) -> bool:
        """Whether it may start at unix time `now`."""
        state = self.state  # asked of ten thousand items in a row: comparing is faster than hashing
        return self.not_before <= now and (state is State.QUEUED or state is State.WAITING or state is State.INTERRUPTED)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One claimed drop. All times are unix times in s.

    name: safe to show (see names.escape_name). inbox, claimed: absolute paths; claimed is the folder `.heygem/claimed/<id>`, in which
    the drop lies under its own name. output: name of a folder in outputs. flat: the drop lay in the inbox itself, without a folder.
    dropped_by: whose it is (see core.users), "" where that is not known; options.owner is what its job.toml says. size: bytes of the drop.
    failure: why the whole drop was rejected. warnings: what was found in the drop and not used.
    """

    id: str
    name: str
    inbox: str
    claimed: str
    output: str
    priority: int = 0
    options: JobOptions = NO_OPTIONS
    items: tuple[Item, ...] = ()
    state: State = State.QUEUED
    since: float = 0.0
    reason: str = ""
    failure: Failure | None = None
    on_hold: bool = False
    flat: bool = False
    dropped_at: float = 0.0
    queued_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    warnings: tuple[JobWarning, ...] = ()
    dropped_by: str = ""
    size: int = 0

    @property
    def is_final(self) -> bool:
        return self.state in FINAL

    def with_warning(self, warning: JobWarning) -> "Job":
        """Return the job with a warning in the place of one of the same code."""
        others = tuple(each for each in self.warnings if each.code != warning.code)
        return replace(self, warnings=(*others, warning))

    def item(self, key: str) -> Item:
        """Return the item named `key`; KeyError when there is none."""
        for item in self.items:
            if item.key == key:
                return item
        raise KeyError(key)

    def with_item(self, changed: Item) -> "Job":
        """Return the job with the item of the same key replaced."""
        return replace(self, items=tuple(changed if item.key == changed.key else item for item in self.items))

    def rollup(self, now: float) -> "Job":
        """Return the job in the state that its items imply; `since`, `started_at`, `finished_at` follow.

        A failure of the whole job ends every item that is not over: a job that is over has no item that is not."""
        if self.failure is not None and not all(item.is_final for item in self.items):
            return replace(self, items=tuple(_failed_with(self.failure, item) for item in self.items)).rollup(now)
        state = state_of(self)
        if state == self.state:
            return self
        changes: dict[str, Any] = {"state": state, "since": now}
        if state is State.RUNNING and self.started_at is None:
            changes["started_at"] = now
        changes["finished_at"] = now if state in FINAL else None
        return replace(self, **changes)

    def log_context(self) -> dict[str, str]:
        return {"job_id": self.id, "job": self.name}


def _failed_with(failure: Failure, item: Item) -> Item:
    return item if item.is_final else item.transition(State.FAILED, token="", not_before=0.0, failure=failure, reason=failure.message)


def state_of(job: Job) -> State:
    """Return the state that the items of a job imply, which `Job.rollup` gives it."""
    states = [item.state for item in job.items]
    if job.failure is not None:
        return State.PARTIAL if State.SUCCEEDED in states else State.REJECTED
    if not states:
        return job.state  # without items nothing follows, least of all success
    if State.RUNNING in states:
        return State.RUNNING
    open_states = [state for state in states if state not in FINAL]
    return _state_while_open(open_states, on_hold=job.on_hold) if open_states else _final_state(states)


def _state_while_open(states: list[State], *, on_hold: bool) -> State:
    if on_hold:
        return State.WAITING
    if State.QUEUED in states:
        return State.QUEUED
    return State.INTERRUPTED if State.INTERRUPTED in states else State.WAITING


def _final_state(states: list[State]) -> State:
    if all(state is State.SUCCEEDED for state in states):
        return State.SUCCEEDED
    if State.SUCCEEDED in states:
        return State.PARTIAL
    return State.CANCELLED if all(state is State.CANCELLED for state in states) else State.FAILED
