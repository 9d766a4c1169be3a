"""Write the status.json files in outputs. They are always whole: replaced, never written in place."""

import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from heygem_daemon.core.job import State
from heygem_daemon.core.status import DaemonStatus, JobStatus
from heygem_daemon.durable import write_durably
from heygem_daemon.publishing.outputs_errors import folder_inside, outputs_errors

STATUS: Final = "status.json"
_MAX_BYTES: Final = 200
_NOT_IN_FOLDER_NAMES: Final = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\ud800-\udfff]')
_RESERVED: Final = frozenset({STATUS, "con", "prn", "aux", "nul"})
_NOT_YET_CLAIMED: Final = frozenset({State.SETTLING, State.WAITING})


class StatusFiles:
    """The `StatusWriter` port for one outputs folder. Every method but `remove` raises TransientError (outputs_offline, disk_full)."""

    def __init__(self, outputs: Path) -> None:
        self._outputs = outputs
        self._reserved: set[str] = set()

    def reserve_name(self, name: str) -> str:
        """Return the output folder name for a drop shown as `name`: a free one, or the one where it already waited before a restart.

        To be called once per drop: a name reserved since the start and not removed belongs to another drop of that name."""
        with outputs_errors(self._outputs):
            existing = {_key(found): found for found in os.listdir(self._outputs)}
        for candidate in _folder_names(name):
            key = _key(candidate)
            if key in self._reserved or key in _RESERVED:
                continue
            if key not in existing or self._is_waiting_in(existing[key], name):
                self._reserved.add(key)
                return existing.get(key, candidate)
        raise AssertionError("the numbers never end")

    def _is_waiting_in(self, folder: str, name: str) -> bool:
        """Return whether this folder holds only the status of a drop of this name that was never claimed."""
        path = self._outputs / folder
        try:
            status = JobStatus.read((path / STATUS).read_bytes())
            is_bare = set(os.listdir(path)) == {STATUS}
        except (OSError, ValueError):
            return False
        return is_bare and status.name == name and status.state in _NOT_YET_CLAIMED and status.times.queued is None

    def write_job(self, status: JobStatus) -> None:
        """Replace outputs/<output>/status.json."""
        with outputs_errors(self._outputs):
            write_durably(folder_inside(self._outputs, status.output) / STATUS, status.to_json().encode())

    def write_daemon(self, status: DaemonStatus) -> None:
        """Replace outputs/status.json."""
        with outputs_errors(self._outputs):
            write_durably(self._outputs / STATUS, status.to_json().encode())

    def remove(self, output: str) -> None:
        """Remove the folder of a drop that went away before it was claimed, if it holds nothing but its status. Never raises."""
        self._reserved.discard(_key(output))
        folder = self._outputs / output
        try:
            if not folder.is_symlink() and set(os.listdir(folder)) <= {STATUS}:
                (folder / STATUS).unlink(missing_ok=True)
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
