"""Write the status.json files in outputs, and the logs beside them. A status is always whole: replaced, never written in place."""

import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from heygem_daemon.core.job import FINAL, State
from heygem_daemon.core.names import JOB_LOG, escape_name
from heygem_daemon.core.status import DaemonStatus, JobStatus
from heygem_daemon.durable import write_durably, write_whole
from heygem_daemon.publishing import job_log
from heygem_daemon.publishing.outputs_errors import folder_inside, outputs_errors

STATUS: Final = "status.json"
_OWN_FILES: Final = frozenset({STATUS, JOB_LOG})
"""What the folder of a drop that was never claimed may hold."""
_MAX_BYTES: Final = 200
_NOT_IN_FOLDER_NAMES: Final = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\ud800-\udfff]')
_RESERVED: Final = frozenset({STATUS, "con", "prn", "aux", "nul"})
_NOT_YET_CLAIMED: Final = frozenset({State.SETTLING, State.WAITING})


class StatusFiles:
    """The `StatusWriter` port for one outputs folder. `reserve_name` and the writing of a status raise TransientError (outputs_offline,
    disk_full)."""

    def __init__(self, outputs: Path) -> None:
        self._outputs = outputs
        self._reserved: set[str] = set()
        self._former_ids: dict[str, str] = {}

    def reserve_name(self, name: str, inbox: str = "") -> str:
        """Return the output folder name for a drop shown as `name`: a free one, or the one where it already waited before a restart.

        To be called once per drop: a name reserved since the start and not removed belongs to another drop of that name."""
        with outputs_errors(self._outputs):
            existing = {_key(found): found for found in os.listdir(self._outputs)}
        for candidate in _folder_names(name):
            key = _key(candidate)
            if key in self._reserved or key in _RESERVED:
                continue
            former = self._former_status(existing[key], name, inbox) if key in existing else None
            if key not in existing or former is not None:
                self._reserved.add(key)
                output = existing.get(key, candidate)
                if former is not None:
                    self._former_ids[output] = former.job
                return output
        raise AssertionError("the numbers never end")

    def former_id(self, output: str) -> str | None:
        """Return the job id in the status that a drop had in this folder before a restart; only once after each `reserve_name`."""
        return self._former_ids.pop(output, None)

    def _former_status(self, folder: str, name: str, inbox: str) -> JobStatus | None:
        """Return the status of a drop of this name and inbox that was never claimed, where this folder holds nothing else; else None."""
        path = self._outputs / folder
        try:
            status = JobStatus.read((path / STATUS).read_bytes())
            is_bare = set(os.listdir(path)) <= _OWN_FILES
        except (OSError, ValueError):
            return None
        is_same = status.name == name and status.inbox in {"", escape_name(inbox)}
        return status if is_bare and is_same and status.state in _NOT_YET_CLAIMED and status.times.queued is None else None

    def write_job(self, status: JobStatus) -> None:
        """Replace outputs/<output>/status.json. That of an open job need not survive a power cut: it is written again after the start."""
        write = write_durably if status.state in FINAL else write_whole
        with outputs_errors(self._outputs):
            write(folder_inside(self._outputs, status.output) / STATUS, status.to_json().encode())

    def write_daemon(self, status: DaemonStatus) -> None:
        """Replace outputs/status.json."""
        with outputs_errors(self._outputs):
            write_durably(self._outputs / STATUS, status.to_json().encode())

    def append_log(self, output: str, lines: Sequence[str]) -> bool:
        """Append lines to the log in the folder of a job. Return False where they could not be written; never raise."""
        try:
            job_log.append(self._outputs / output, lines)
        except (OSError, ValueError):  # ValueError: a NUL in a name
            return False
        return True

    def remove(self, output: str) -> None:
        """Remove the folder of a drop that went away before it was claimed, if it holds nothing but its status. Never raises."""
        self._reserved.discard(_key(output))
        folder = self._outputs / output
        try:
            if not folder.is_symlink() and set(os.listdir(folder)) <= _OWN_FILES:
                for name in _OWN_FILES:
                    (folder / name).unlink(missing_ok=True)
                folder.rmdir()
        except OSError:
            return


def _folder_names(name: str) -> Iterator[str]:
    replaced = _NOT_IN_FOLDER_NAMES.sub("_", unicodedata.normalize("NFC", name))
    # Windows drops dots and spaces at the end; a leading dot would hide the folder.
    base = re.sub(r"^\.+", "_", replaced).strip(" ").rstrip(". ")
    base = base.encode()[:_MAX_BYTES].decode(errors="ignore") or "drop"
    yield base
    number = 2
    while True:
        yield f"{base}-{number}"
        number += 1


def _key(name: str) -> str:
    """Return the key under which names are equal for clients that ignore case or Unicode form."""
    return unicodedata.normalize("NFC", name.casefold())
