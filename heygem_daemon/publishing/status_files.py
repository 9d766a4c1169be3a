"""Write the status.json files in outputs, and the logs beside them. A status is always whole: replaced, never written in place."""

import os
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from heygem_daemon.bounded_reading import read_file_in
from heygem_daemon.core.job import FINAL, State
from heygem_daemon.core.names import HEARTBEAT, JOB_LOG, PRIVATE, equality_key, escape_name
from heygem_daemon.core.status import DaemonStatus, Heartbeat, JobStatus
from heygem_daemon.durable import free_number, overwrite, rename_exclusive, temporary_of, write_durably, write_whole
from heygem_daemon.publishing import job_log
from heygem_daemon.publishing.output_names import OutputNames
from heygem_daemon.publishing.outputs_errors import folder_inside, outputs_errors
from heygem_daemon.publishing.staging import Staging

STATUS: Final = "status.json"
_OWN_FILES: Final = frozenset({STATUS, JOB_LOG, temporary_of(Path(STATUS)).name})
"""What the folder of a drop that was never claimed may hold: its status, its log, and what a crash left while the status was written."""
_MAX_BYTES: Final = 200
FIRST_NUMBERS: Final = 16
"""Numbers of equally named drops that are looked at one by one; the others are not, there may be thousands."""
LAST_NUMBERS: Final = 64
"""So many before the first free number are looked at too, for a drop that waited there before a restart: as many as there are inboxes."""
_NOT_IN_FOLDER_NAMES: Final = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\ud800-\udfff]')
_RESERVED: Final = frozenset({STATUS, "con", "prn", "aux", "nul"})
_NOT_YET_CLAIMED: Final = frozenset({State.SETTLING, State.WAITING})


class StatusFiles:
    """The `StatusWriter` port for one outputs folder. `reserve_name` and the writing of a status raise TransientError (outputs_offline,
    disk_full)."""

    def __init__(self, outputs: Path) -> None:
        self._outputs = outputs
        self._names = OutputNames(outputs)
        self._staging = Staging(outputs)
        self._reserved: dict[str, str] = {}
        """Which job has a name, by the key of the name; "" before its first status."""
        self._former_ids: dict[str, str] = {}

    def reserve_name(self, name: str, inbox: str = "") -> str:
        """Return the output folder name for a drop shown as `name`: a free one, or the one where it already waited before a restart.

        To be called once per drop: a name reserved since the start, whose job is not over and that was not removed, belongs to another
        drop of that name."""
        with outputs_errors(self._outputs):
            self._names.refresh()
        base = _folder_name(name)
        for number in range(1, FIRST_NUMBERS + 1):
            if (output := self._usable(_numbered(base, number), name, inbox)) is not None:
                return self._reserve(output)
        free = free_number(FIRST_NUMBERS, lambda number: self._is_free(_numbered(base, number)))
        for number in range(free - 1, max(free - 1 - LAST_NUMBERS, FIRST_NUMBERS), -1):
            if (output := self._former_folder(_numbered(base, number), name, inbox)) is not None:
                return self._reserve(output)
        return self._reserve(_numbered(base, free))

    def reserve_again(self, output: str, name: str, job_id: str) -> str:
        """Return the output folder name for a job that was over: the one it had, or a free one where that is another job's by now, because
        somebody had deleted the folder."""
        key = equality_key(output)
        with outputs_errors(self._outputs):
            self._names.refresh()
        if self._reserved.get(key, job_id) == job_id and self._owner(output) in {None, job_id}:
            self._reserved[key] = job_id
            return output
        base = _folder_name(name)
        first = (number for number in range(1, FIRST_NUMBERS + 1) if self._is_free(_numbered(base, number)))
        free = next(first, None) or free_number(FIRST_NUMBERS, lambda number: self._is_free(_numbered(base, number)))
        self._reserved[equality_key(_numbered(base, free))] = job_id
        return _numbered(base, free)

    def release_name(self, output: str, job_id: str) -> None:
        """Give the name free where it is reserved for this job: it does not begin once more."""
        if self._reserved.get(equality_key(output)) == job_id:
            del self._reserved[equality_key(output)]

    def keep_names(self, job_ids: Mapping[str, str]) -> None:
        """Give these names, those of open jobs with their ids, to no drop; also where somebody has deleted the folder."""
        self._reserved |= {equality_key(output): job_id for output, job_id in job_ids.items()}

    def _owner(self, output: str) -> str | None:
        """Return the id of the job whose status is in this folder, None where there is none that can be read."""
        try:
            return JobStatus.read(read_file_in(self._outputs / output, STATUS)).job
        except (OSError, ValueError, RecursionError):
            return None

    def _reserve(self, output: str) -> str:
        self._reserved[equality_key(output)] = ""
        return output

    def _is_reserved(self, candidate: str) -> bool:
        key = equality_key(candidate)
        return key in self._reserved or key in _RESERVED

    def _usable(self, candidate: str, name: str, inbox: str) -> str | None:
        """Return the folder of this name that a drop can have, None where it is another's."""
        if self._is_reserved(candidate):
            return None
        return candidate if self._names.equal_to(candidate) is None else self._former_folder(candidate, name, inbox)

    def _former_folder(self, candidate: str, name: str, inbox: str) -> str | None:
        """Return the folder of this name where the drop waited already before a restart, else None. That of another job is read once."""
        found = None if self._is_reserved(candidate) else self._names.equal_to(candidate)
        if found is None or found not in self._names.found_at_start:
            return None
        waiting = self._waiting_status(found)
        if waiting is not None and (waiting.name != name or waiting.inbox not in {"", escape_name(inbox)}):
            return None
        self._names.found_at_start.discard(found)
        if waiting is None:
            return None
        self._former_ids[found] = waiting.job
        return found

    def _is_free(self, candidate: str) -> bool:
        return not self._is_reserved(candidate) and self._names.equal_to(candidate) is None

    def former_id(self, output: str) -> str | None:
        """Return the job id in the status that a drop had in this folder before a restart; only once after each `reserve_name`."""
        return self._former_ids.pop(output, None)

    def _waiting_status(self, folder: str) -> JobStatus | None:
        """Return the status of a drop that was never claimed, where this folder holds nothing else; else None."""
        path = self._outputs / folder
        try:
            status = JobStatus.read(read_file_in(path, STATUS))
            is_waiting = status.state in _NOT_YET_CLAIMED and status.times.queued is None
            is_bare = is_waiting and set(os.listdir(path)) <= _OWN_FILES
        except (OSError, ValueError, RecursionError):
            return None
        return status if is_bare else None

    def write_job(self, status: JobStatus) -> None:
        """Replace outputs/<output>/status.json. That of an open job need not survive a power cut: it is written again after the start."""
        write = write_durably if status.state in FINAL else write_whole
        content = status.to_json().encode()
        with outputs_errors(self._outputs):
            if os.path.lexists(self._outputs / status.output) or not self._make_folder(status, partial(write, content=content)):
                write(folder_inside(self._outputs, status.output) / STATUS, content)
        key = equality_key(status.output)
        if status.state in FINAL:
            self._reserved.pop(key, None)  # the folder itself keeps the name from others now
        else:
            self._reserved[key] = status.job

    def _make_folder(self, status: JobStatus, write: Callable[[Path], None]) -> bool:
        """Let the folder of a drop appear together with its first status: one without it would belong to nobody after a crash, and the drop
        would get another. Return False where somebody else has just made it. Raises OSError."""
        token = f"status-{status.output}"
        try:
            staged = self._staging.create(token)
            write(staged / STATUS)
            rename_exclusive(staged, self._outputs / status.output)
        except FileExistsError:
            return False
        finally:
            self._staging.remove(token)
        return True

    def has_status(self, output: str) -> bool:
        """Return whether there is a status file in this output folder; True where that cannot be found out."""
        try:
            os.lstat(self._outputs / output / STATUS)
        except (FileNotFoundError, NotADirectoryError):
            return not self._outputs.is_dir()
        except OSError:
            return True
        return True

    def write_daemon(self, status: DaemonStatus) -> None:
        """Replace outputs/status.json."""
        with outputs_errors(self._outputs):
            write_durably(self._outputs / STATUS, status.to_json().encode())

    def write_heartbeat(self, beat: Heartbeat) -> None:
        """Write outputs/.heygem/heartbeat.json in its place, which needs no free space. Never raises."""
        with suppress(OSError):
            overwrite(folder_inside(self._outputs, PRIVATE) / HEARTBEAT, beat.to_json().encode())

    def append_log(self, output: str, lines: Sequence[str]) -> bool:
        """Append lines to the log in the folder of a job. Return False where they could not be written; never raise."""
        try:
            job_log.append(self._outputs / output, lines)
        except (OSError, ValueError):  # ValueError: a NUL in a name
            return False
        return True

    def remove(self, output: str) -> None:
        """Remove the status of a drop that went away before it was claimed, and its folder, if that holds nothing else. Never raises."""
        self._reserved.pop(equality_key(output), None)
        folder = self._outputs / output
        if not folder.is_symlink():
            for name in _OWN_FILES:
                with suppress(OSError):  # one that cannot be deleted keeps no other
                    (folder / name).unlink(missing_ok=True)
            with suppress(OSError):
                folder.rmdir()
        if os.path.lexists(folder):
            self._names.found_at_start.add(output)  # as after a restart: it is found again when the drop comes back


def _folder_name(name: str) -> str:
    replaced = _NOT_IN_FOLDER_NAMES.sub("_", unicodedata.normalize("NFC", name))
    # Windows drops dots and spaces at the end; a leading dot would hide the folder.
    base = re.sub(r"^\.+", "_", replaced).strip(" ").rstrip(". ")
    return base.encode()[:_MAX_BYTES].decode(errors="ignore") or "drop"


def _numbered(base: str, number: int) -> str:
    return base if number == 1 else f"{base}-{number}"
