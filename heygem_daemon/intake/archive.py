"""Move finished inputs to _done or _failed with a reason.txt, and back for a retry.

`.heygem-job.json` beside the inputs names the job they belonged to. Its modification time is the moment they were archived, which
decides how long they are kept: the folder's own ctime would start anew with every chmod of a backup program.
"""

import errno
import json
import math
import os
import re
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

from heygem_daemon.core.job import Job
from heygem_daemon.core.names import DELETING, DONE, FAILED, MAX_NAME_BYTES, RECORD, escape_name
from heygem_daemon.durable import rename_exclusive, rename_numbered, sync_folder, write_durably
from heygem_daemon.intake.listing import read_regular

REASON: Final = "reason.txt"
_MAX_RECORD_BYTES: Final = 64 * 1024
NAMESAKES_OPENED: Final = 200
"""Folders named like a job that are opened as they come; of more, those first that were archived next to its end."""
OTHERS_OPENED: Final = 200
FIND_SECONDS: Final = 0.5
"""s in which the inputs of a job are found, or count as gone: the tick waits for it."""
_KEPT_CHARACTERS: Final = 60
"""Of a name of 255 bytes, escaped, so many characters stay at least when it is cut to make room for a number."""
_NUMBER: Final = re.compile(r"-[0-9]+$")


@dataclass(frozen=True, kw_only=True)
class Record:
    """The content of `.heygem-job.json`.

    `name` is the raw name of the drop, "" for the flat form. `wrapped`: the drop is not a folder (but a link) and lies inside one of ours.
    """

    job: str
    name: str
    flat: bool
    wrapped: bool = False


def archive_drop(drop: Path, folder: Path, name: str, record: Record, reason: str | None) -> Path:
    """Move a drop into `folder` as `name` (numbered where taken), with its record and reason.txt. Raises OSError."""
    folder.mkdir(exist_ok=True)
    if folder.is_symlink():
        raise OSError(errno.ELOOP, "It is a link, and links are not followed", str(folder))
    if drop.is_dir() and not drop.is_symlink():
        _annotate(drop, record, reason)
        target = rename_numbered(drop, folder, name)
    else:
        # Writing into a link would write to where it points.
        target = _new_folder(folder, name)
        _annotate(target, Record(job=record.job, name=record.name, flat=False, wrapped=True), reason)
        rename_exclusive(drop, target / record.name)
    sync_folder(folder)
    return target


def _new_folder(folder: Path, name: str) -> Path:
    empty = folder / f".{os.getpid()}.new"
    empty.mkdir(exist_ok=True)
    return rename_numbered(empty, folder, name)


def _annotate(folder: Path, record: Record, reason: str | None) -> None:
    write_durably(folder / RECORD, json.dumps(asdict(record)).encode())
    if reason is None:
        return
    content = reason.encode(errors="backslashreplace")
    if os.path.lexists(folder / REASON):
        if _is(folder / REASON, content):
            return
        rename_numbered(folder / REASON, folder, REASON)  # a file of the user: no input is ever overwritten
    write_durably(folder / REASON, content)


def find(inbox: Path, job: Job) -> tuple[Path, Record] | None:
    """Return the folder in _failed or _done that holds the inputs of this job, and its record. Raises OSError.

    Years of inputs lie there, of which only those are opened that have the name of the job, and of many of these only those that were
    archived when it ended; and some others, in case somebody has given it another name. What is not found within FIND_SECONDS counts as
    gone: anybody may put down a hundred thousand folders of one name."""
    until = time.monotonic() + FIND_SECONDS
    for parent in (inbox / FAILED, inbox / DONE):
        with suppress(FileNotFoundError):
            for name in _likely(parent, job, until) if not parent.is_symlink() else ():
                if time.monotonic() > until:
                    return None
                record = read_record(parent / name)
                if record and record.job == job.id:
                    return parent / name, record
    return None


def _likely(parent: Path, job: Job, until: float = math.inf) -> list[str]:
    """Return the names of folders that may hold the inputs of a job, of those named like it the newest first; of many those first that
    were archived next to its end, as far as that is found out `until` then (monotonic, s). Raises OSError."""
    named: list[str] = []
    others: list[str] = []
    for name in os.listdir(parent):
        if name.startswith(DELETING):
            continue
        if _is_named_after(name, job.name):
            named.append(name)
        elif len(others) < OTHERS_OPENED:
            others.append(name)
    named.sort(key=lambda name: (len(name), name), reverse=True)
    if len(named) > NAMESAKES_OPENED and job.finished_at is not None:
        looked_at = takewhile(lambda _: time.monotonic() <= until, named)
        away = {name: _seconds_from(parent / name, job.finished_at) for name in looked_at}
        named = sorted(away, key=away.__getitem__)
    return [*named, *sorted(others)]


def _is_named_after(name: str, job: str) -> bool:
    """Return whether a folder has the name that is shown of a job, or that name (cut, if it is long) with a number."""
    shown = escape_name(name)
    return shown == job or (shown.startswith(job[:_KEPT_CHARACTERS]) and _NUMBER.search(shown) is not None)


def _seconds_from(folder: Path, ended: float) -> float:
    """Return how many s lie between the end of a job and the time at which the inputs in this folder were archived."""
    try:
        return abs((folder / RECORD).lstat().st_mtime - ended)
    except OSError:
        return math.inf


def restore_drop(folder: Path, record: Record, target: Path) -> None:
    """Move the inputs in `folder` to `target`, without what `archive_drop` added. Raises OSError."""
    if record.wrapped:
        rename_exclusive(folder / record.name, target)
    else:
        rename_exclusive(folder, target)
        folder = target
    (folder / REASON).unlink(missing_ok=True)
    (folder / RECORD).unlink(missing_ok=True)
    if record.wrapped:
        folder.rmdir()


def finish_restoring(drop: Path, job_id: str) -> None:
    """Delete what a crash in `restore_drop` left in a drop of this job that is back in its claimed folder. Raises OSError."""
    is_real_folder = drop.is_dir() and not drop.is_symlink()
    record = read_record(drop) if is_real_folder else None
    if record is not None and record.job == job_id:
        (drop / REASON).unlink(missing_ok=True)
        (drop / RECORD).unlink(missing_ok=True)


def read_record(folder: Path) -> Record | None:
    """Return the record of an archived folder, None where it is missing or not valid (anybody may write there)."""
    try:
        fields: Any = json.loads(read_regular(folder / RECORD, _MAX_RECORD_BYTES) or b"")
        record = Record(**fields)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return record if _is_valid(record) else None


def _is_valid(record: Record) -> bool:
    """Return whether a record is one that we may have written: anybody may write there."""
    are_types_right = isinstance(record.name, str) and isinstance(record.flat, bool) and isinstance(record.wrapped, bool)
    if not are_types_right or bool(record.name) == record.flat or (record.flat and record.wrapped):
        return False
    try:
        size = len(os.fsencode(record.name))
    except UnicodeEncodeError:  # a lone surrogate that stands for no byte
        return False
    return size <= MAX_NAME_BYTES and "/" not in record.name and "\0" not in record.name and not record.name.startswith(".")


def _is(path: Path, content: bytes) -> bool:
    try:
        return read_regular(path, len(content) + 1) == content
    except OSError:
        return False
