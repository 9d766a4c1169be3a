"""What the page keeps in memory of one job: a status.json reduced to about a kilobyte, so that tens of thousands of them are no matter."""

import unicodedata
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from heygem_daemon.core.job import FINAL, State
from heygem_daemon.core.job_options import MAX_OWNER, REFERENCE
from heygem_daemon.core.status import ErrorStatus, ItemStatus, JobStatus

FAILURES: Final = frozenset({State.FAILED, State.PARTIAL, State.REJECTED})
"""Final states in which something went wrong by itself."""
_SEARCHED: Final = 4000
"""Characters of all names of a job that a search looks into."""
_TEXT: Final = 500
_NAME: Final = 1100
"""A name of 255 bytes, all of them escaped, has 1020 characters."""
_WORD: Final = 100
_PATH: Final = 4096
_CODES: Final = 1000
_ENGINES: Final = 20
_HELD: Final = "Held back"
"""How the daemon begins every reason of a job on hold (daemon.requests, daemon.candidate)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobRecord:
    """One job, or one drop that the daemon has not seen yet (`output` is "" then).

    since, dropped, started, finished: unix times in s. error: that of the job, else of its first item that has one. done, failed: items
    that succeeded and that failed; missing: those whose published result is no longer in outputs. engines: results by engine. codes: the
    error of every failed item (of the job, where it has no items). video_seconds, work_seconds: the length of all results, and how long
    they took. control: the name that control files of a drop go by.
    is_genuine: whether the daemon wrote the status (see status_file).
    """

    id: str
    name: str
    state: State
    since: float
    output: str = ""
    reference: str = ""
    inbox: str = ""
    owner: str = ""
    dropped: float | None = None
    started: float | None = None
    finished: float | None = None
    reason: str = ""
    waiting_for: str = ""
    error: ErrorStatus | None = None
    priority: int = 0
    position: int | None = None
    stage: str = ""
    percent: float | None = None
    eta_s: float | None = None
    total: int = 0
    done: int = 0
    failed: int = 0
    missing: int = 0
    engines: tuple[tuple[str, int], ...] = ()
    codes: tuple[str, ...] = ()
    seconds: float | None = None
    thumbnail: str = ""
    warnings: int = 0
    video_seconds: float = 0.0
    work_seconds: float = 0.0
    searched: str = ""
    control: str = ""
    is_genuine: bool = True

    @property
    def is_final(self) -> bool:
        return self.state in FINAL

    @property
    def is_held(self) -> bool:
        """Whether somebody holds it back: the daemon says so in its reason only."""
        return not self.is_final and (self.waiting_for == "held" or _HELD in {self.reason[: len(_HELD)], self.waiting_for[: len(_HELD)]})

    @property
    def ended(self) -> float:
        """The time by which it stands in the history."""
        return self.since if self.finished is None else self.finished

    @property
    def began(self) -> float:
        """The time by which it stands in the queue."""
        return self.since if self.dropped is None else self.dropped


def searchable(text: str) -> str:
    """Return a text as it is compared in a search: letters that look the same are the same."""
    return unicodedata.normalize("NFKC", text).casefold()


def record_of(status: JobStatus, output: str, *, is_genuine: bool = True) -> JobRecord:
    """Return the record of a status that lies in outputs/<output>; longer texts than the daemon writes are cut."""
    progress, times = status.progress, status.times
    results = [item for item in status.items if item.state is State.SUCCEEDED]
    failed = [item for item in status.items if item.state is State.FAILED]
    first = results[0] if results else None
    thumbnail = (first.thumbnail or "") if first else ""
    reference, owner = status.reference or "", status.owner or ""
    return JobRecord(
        id=status.job,
        name=_cut(status.name, _NAME),
        output=output,
        reference=reference if REFERENCE.fullmatch(reference) else "",
        inbox=_cut(status.inbox, _PATH),
        owner=owner if len(owner) <= MAX_OWNER else "",
        state=status.state,
        since=status.since.timestamp(),
        dropped=_unix(times.dropped),
        started=_unix(times.started),
        finished=_unix(times.finished),
        reason=_cut(status.reason),
        waiting_for=_cut(status.waiting_for or ""),
        error=_cut_error(status.error or next((item.error for item in status.items if item.error), None)),
        priority=status.priority,
        position=status.position,
        stage=_cut(progress.stage, _WORD) if progress else "",
        percent=progress.percent if progress else None,
        eta_s=progress.eta_s if progress else None,
        total=len(status.items),
        done=len(results),
        failed=len(failed),
        missing=sum(item.missing is not None for item in status.items),
        engines=tuple(Counter(_cut(item.engine, _WORD) for item in results if item.engine).most_common(_ENGINES)),
        codes=_codes(status, failed),
        seconds=first.seconds if first else None,
        thumbnail=thumbnail if len(thumbnail) <= _NAME else "",
        warnings=len(status.warnings) + sum(len(item.warnings) for item in status.items),
        video_seconds=sum(item.seconds or 0.0 for item in results),
        work_seconds=sum(item.elapsed_s or 0.0 for item in results),
        searched=_searched(status, output),
        is_genuine=is_genuine,
    )


def _cut(text: str, limit: int = _TEXT) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _cut_error(error: ErrorStatus | None) -> ErrorStatus | None:
    if error is None or (len(error.code) <= _WORD and len(error.message) <= _TEXT and len(error.hint) <= _TEXT):
        return error
    cut = {"code": _cut(error.code, _WORD), "message": _cut(error.message), "hint": _cut(error.hint)}
    return error.model_copy(update=cut)


def _unix(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _codes(status: JobStatus, failed: list[ItemStatus]) -> tuple[str, ...]:
    codes = tuple(_cut(item.error.code, _WORD) for item in failed[:_CODES] if item.error)
    return codes or ((_cut(status.error.code, _WORD),) if status.error and status.state in FAILURES else ())


def _searched(status: JobStatus, output: str) -> str:
    names = {path.rpartition("/")[2]: None for item in status.items for path in (item.recording, item.video)}
    return searchable("\n".join({status.name: None, output: None, **names}))[:_SEARCHED]
