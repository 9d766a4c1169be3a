"""Delete what is old: inputs in _done and _failed, staging folders of attempts that died. Only there, and never through a link.

The age of inputs counts from the moment they were archived: the modification time of the record beside them, which no chmod or backup
changes; for a folder without a record (moved there by hand) its ctime, which is the time of that move. The age of a staging folder
counts from the last write to it, so that a result that takes days is left alone.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from heygem_daemon.core.names import DONE, FAILED, MARKER, RECORD
from heygem_daemon.publishing.staging import STAGING

DAY: Final = 86400.0
_DELETING_PREFIX: Final = ".deleting-"
_MAX_NAME_BYTES: Final = 200


class FolderRetention:
    """The `Retention` port. Keep times are in days; 0 keeps for ever."""

    def __init__(
        self,
        *,
        inboxes: Sequence[Path],
        outputs: Path,
        done_days: float = 14,
        failed_days: float = 30,
        staging_days: float = 1,
        marker: str = MARKER,
    ) -> None:
        self._inboxes = inboxes
        self._outputs = outputs
        self._days = {DONE: done_days, FAILED: failed_days}
        self._staging_days = staging_days
        self._marker = marker

    def sweep(self, now: float, open_jobs: Iterable[str]) -> Mapping[str, int]:
        """Delete what is older than its keep time at unix time `now`; return how many folders, by kind. Never raises.

        A folder that cannot be deleted, or lies in an offline inbox, is tried again next time."""
        still_open = frozenset(open_jobs)
        counts = {"done": 0, "failed": 0, "staging": 0}
        for inbox in self._inboxes:
            if not (inbox / self._marker).is_file():
                continue
            for folder, days in self._days.items():
                counts[folder.strip("_")] += _sweep_folder(inbox / folder, days, now, _archived_at, still_open)
        counts["staging"] = _sweep_folder(self._outputs / STAGING, self._staging_days, now, _last_written, frozenset())
        return counts


def _sweep_folder(folder: Path, days: float, now: float, since: Callable[[Path], float], still_open: frozenset[str]) -> int:
    """Delete the children of `folder` that are older than `days`; return how many."""
    count = 0
    with suppress(OSError):
        if days <= 0 or folder.is_symlink() or folder.parent.is_symlink():
            return 0
        for name in os.listdir(folder):
            with suppress(OSError):
                child = folder / name
                is_half_deleted = name.startswith(_DELETING_PREFIX)
                if is_half_deleted or (now - since(child) > days * DAY and _job_of(child) not in still_open):
                    _delete(child)
                    count += not is_half_deleted
    return count


def _delete(child: Path) -> None:
    """Delete a folder, a file or a link itself. Raises OSError.

    It is renamed first: a half deleted folder must not look like a young one."""
    name = os.fsencode(f"{_DELETING_PREFIX}{child.name}")[:_MAX_NAME_BYTES].decode(errors="ignore")
    renamed = child if child.name.startswith(_DELETING_PREFIX) else child.with_name(name)
    if renamed != child:
        child.rename(renamed)
    if renamed.is_dir() and not renamed.is_symlink():
        shutil.rmtree(renamed)
    else:
        renamed.unlink()


def _archived_at(child: Path) -> float:
    if child.is_symlink() or not child.is_dir():
        return child.lstat().st_ctime
    try:
        return (child / RECORD).lstat().st_mtime
    except FileNotFoundError:
        return child.lstat().st_ctime


def _last_written(child: Path) -> float:
    if child.is_symlink() or not child.is_dir():
        return child.lstat().st_mtime
    return max([child.lstat().st_mtime, *((child / name).lstat().st_mtime for name in os.listdir(child))])


def _job_of(child: Path) -> str | None:
    """Return the id of the job that a folder of inputs belonged to, None without a valid record."""
    try:
        if child.is_symlink() or (child / RECORD).is_symlink():
            return None
        return str(json.loads((child / RECORD).read_bytes())["job"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
