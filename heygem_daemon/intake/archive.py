"""Move finished inputs to _done or _failed with a reason.txt, and back for a retry.

`.heygem-job.json` beside the inputs names the job they belonged to. Its modification time is the moment they were archived, which
decides how long they are kept: the folder's own ctime would start anew with every chmod of a backup program.
"""

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from heygem_daemon.core.names import DONE, FAILED, RECORD
from heygem_daemon.durable import rename_exclusive, rename_numbered, sync_folder, write_durably
from heygem_daemon.intake.listing import read_regular

REASON: Final = "reason.txt"
_MAX_RECORD_BYTES: Final = 64 * 1024


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


def find(inbox: Path, job_id: str) -> tuple[Path, Record] | None:
    """Return the folder in _failed or _done that holds the inputs of this job, and its record."""
    for parent in (inbox / FAILED, inbox / DONE):
        with suppress(FileNotFoundError), os.scandir(parent) as found:
            for entry in found:
                record = read_record(Path(entry.path)) if entry.is_dir(follow_symlinks=False) else None
                if record and record.job == job_id:
                    return Path(entry.path), record
    return None


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


def read_record(folder: Path) -> Record | None:
    """Return the record of an archived folder, None where it is missing or not valid (anybody may write there)."""
    try:
        fields: Any = json.loads(read_regular(folder / RECORD, _MAX_RECORD_BYTES) or b"")
        record = Record(**fields)
    except (OSError, ValueError, TypeError):
        return None
    is_name = isinstance(record.name, str) and "/" not in record.name and "\0" not in record.name and not record.name.startswith(".")
    return record if is_name and bool(record.name) != bool(record.flat) else None


def _is(path: Path, content: bytes) -> bool:
    try:
        return read_regular(path, len(content) + 1) == content
    except OSError:
        return False
