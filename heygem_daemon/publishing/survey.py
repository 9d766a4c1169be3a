"""Survey the status files in outputs, in a thread beside the daemon: 20,000 of them take seconds, and a share may hang for ever.

Anybody may write into outputs: nothing is read through a link or without a bound, and what cannot be a status of this daemon is passed
over.
"""

import os
import queue
import threading
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from heygem_daemon.bounded_reading import is_file_in, read_file_in
from heygem_daemon.core.found_status import FoundStatus, is_of, published_keys
from heygem_daemon.core.names import escape_name
from heygem_daemon.core.status import JobStatus
from heygem_daemon.publishing import published_index
from heygem_daemon.publishing.status_files import STATUS

WAITING: Final = 200
"""Findings that wait for the daemon; the thread rests while there are as many."""
_REST: Final = 0.2


def found_statuses(outputs: Path, inboxes: Collection[str]) -> Iterator[FoundStatus]:
    """Yield the statuses in outputs of jobs and drops of these inboxes. Raises OSError where outputs cannot be listed."""
    shown = frozenset(escape_name(inbox) for inbox in inboxes)
    with os.scandir(outputs) as entries:
        for entry in entries:
            found = found_status(outputs, entry.name, shown) if not entry.name.startswith(".") else None
            if found is not None:
                yield found


def found_status(outputs: Path, folder: str, inboxes: Collection[str]) -> FoundStatus | None:
    """Return the status in one folder of outputs, None where there is none of these inboxes (as they are shown)."""
    try:
        status = JobStatus.read(read_file_in(outputs / folder, STATUS))
        if not is_of(status, folder, inboxes):
            return None
        files = published_keys(status)
        missing = frozenset(key for key, file in files.items() if not is_file_in(outputs / folder, file))
    except (OSError, ValueError, RecursionError):
        return None
    return FoundStatus(status=status, missing=missing)


class OutputsSurvey:
    """The `Survey` port for one outputs folder."""

    def __init__(self, outputs: Path) -> None:
        self._outputs = outputs
        self._found: queue.Queue[FoundStatus] = queue.Queue(maxsize=WAITING)
        self._thread: threading.Thread | None = None
        self._is_complete = False
        self._is_closing = threading.Event()

    def begin(self, inboxes: Collection[str], wanted: Collection[str]) -> None:
        """Start to look for what is worth a look: statuses of these inboxes that are not over, those that are wrong about their files, and
        those of the jobs `wanted`. Raises RuntimeError while one runs."""
        if self.is_running:
            raise RuntimeError("a survey runs already")
        self._is_complete = False
        arguments = (frozenset(inboxes), frozenset(wanted))
        self._thread = threading.Thread(target=self._look, args=arguments, name="survey of outputs", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether there may be more findings."""
        return not self._found.empty() or (self._thread is not None and self._thread.is_alive())

    @property
    def is_complete(self) -> bool:
        """Whether the last one looked at everything."""
        return self._is_complete

    def wait(self, seconds: float) -> None:
        """Wait so long at most for the thread to have looked at everything."""
        if self._thread is not None:
            self._thread.join(seconds)

    def take(self, limit: int) -> list[FoundStatus]:
        """Return up to `limit` findings, without waiting."""
        taken: list[FoundStatus] = []
        with suppress(queue.Empty):
            while len(taken) < limit:
                taken.append(self._found.get_nowait())
        return taken

    def close(self) -> None:
        self._is_closing.set()

    def _look(self, inboxes: frozenset[str], wanted: frozenset[str]) -> None:
        with suppress(OSError):  # outputs that are away are surveyed another time
            for found in found_statuses(self._outputs, inboxes):
                if self._is_closing.is_set():
                    return
                if found.status.job in wanted:
                    folder = self._outputs / found.status.output
                    self._hand_over(replace(found, published=published_index.count(folder, found.status.job)))
                elif not found.is_over or found.is_wrong_about_files:
                    self._hand_over(found)
            self._is_complete = True

    def _hand_over(self, found: FoundStatus) -> None:
        while not self._is_closing.is_set():
            with suppress(queue.Full):
                self._found.put(found, timeout=_REST)
                return
