"""Delete what is old: inputs in _done and _failed, staging folders of attempts that died. Only there, and never through a link.

The age of inputs counts from the moment they were archived: the modification time of the record that lies with them, which no chmod or
backup changes; for what has no record (moved there by hand) its ctime, which is the time of that move, or of a later chmod. The age of a
staging folder counts from the last write to a file in it, so that a result that takes days is left alone.

A sweep of years takes minutes, and one of a share that hangs never ends: the daemon has it made by `publishing/background_retention.py`.
"""

import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from heygem_daemon.bounded_reading import read_file_in
from heygem_daemon.core.names import DELETING, DONE, FAILED, MARKER, RECORD
from heygem_daemon.publishing.delete_tree import delete_tree
from heygem_daemon.publishing.staging import STAGING

DAY: Final = 86400.0
_MAX_NAME_BYTES: Final = 200
_MAX_RECORD_BYTES: Final = 64 * 1024


class SweepStopped(Exception):  # noqa: N818 - no error: whoever swept was asked to end
    """Raised by the `pause` of a sweep to end it early; the next one goes on."""


class FolderRetention:
    """Deletes what is old. Keep times are in days; 0 keeps for ever."""

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
        self.outputs = outputs
        self._days = {DONE: done_days, FAILED: failed_days}
        self._staging_days = staging_days
        self._marker = marker

    @property
    def places(self) -> tuple[Path, ...]:
        """Return what can be swept by itself: each inbox, and outputs."""
        return (*self._inboxes, self.outputs)

    def sweep(
        self,
        now: float,
        open_jobs: Iterable[str],
        *,
        places: Collection[Path] | None = None,
        pause: Callable[[], None] = lambda: None,
        failed: Callable[[Path, OSError], None] = lambda _path, _problem: None,
    ) -> Mapping[str, int]:
        """Delete what is older than its keep time at unix time `now`; return how many folders, by kind. Never raises.

        A folder that cannot be deleted, or lies in an offline inbox, is tried again next time. places: where, None = everywhere.
        pause: called after every few files; may wait, or raise SweepStopped. failed: called with each that could not be deleted, and why.
        """
        still_open = frozenset(open_jobs)
        counts = {"done": 0, "failed": 0, "staging": 0}
        calls = _Calls(pause=pause, failed=failed)
        with suppress(SweepStopped):
            for inbox in self._inboxes:
                if (places is None or inbox in places) and (inbox / self._marker).is_file():
                    for folder, days in self._days.items():
                        kind = folder.strip("_")
                        for _ in _sweep_folder(inbox / folder, days, now, _archived_at, still_open=still_open, calls=calls):
                            counts[kind] += 1
            if places is None or self.outputs in places:
                staging = self.outputs / STAGING
                for _ in _sweep_folder(staging, self._staging_days, now, _last_written, still_open=frozenset(), calls=calls):
                    counts["staging"] += 1
        return counts


@dataclass(frozen=True, kw_only=True)
class _Calls:
    """What a sweep calls: after every few files, and with what could not be deleted."""

    pause: Callable[[], None]
    failed: Callable[[Path, OSError], None]


def _sweep_folder(
    folder: Path,
    days: float,
    now: float,
    since: Callable[[Path], float],
    *,
    still_open: Collection[str],
    calls: _Calls,
) -> Iterator[str]:
    """Delete the children of `folder` that are older than `days`, and yield the name of each. Raises what `pause` raises."""
    with suppress(OSError):
        if days <= 0 or folder.is_symlink() or folder.parent.is_symlink():
            return
        for name in os.listdir(folder):
            calls.pause()
            with suppress(OSError):
                child = folder / name
                is_half_deleted = name.startswith(DELETING)
                if is_half_deleted or (now - since(child) > days * DAY and _job_of(child) not in still_open):
                    try:
                        _delete(child, calls.pause)
                    except FileNotFoundError:  # somebody else was first
                        continue
                    except OSError as problem:
                        calls.failed(child, problem)
                        continue
                    if not is_half_deleted:
                        yield name


def _delete(child: Path, pause: Callable[[], None]) -> None:
    """Delete a folder, a file or a link itself. Raises OSError.

    It is renamed first: a half deleted folder must look neither like a young one nor like inputs that can be tried again."""
    name = os.fsencode(f"{DELETING}{child.name}")[:_MAX_NAME_BYTES].decode(errors="ignore")
    renamed = child if child.name.startswith(DELETING) else child.with_name(name)
    if renamed != child:
        child.rename(renamed)
    if renamed.is_dir() and not renamed.is_symlink():
        delete_tree(renamed, pause)
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
        return str(json.loads(read_file_in(child, RECORD, _MAX_RECORD_BYTES))["job"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
