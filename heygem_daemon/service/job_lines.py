"""Keep the log lines about each job until they are written beside its status: the sentences of the journal, as JSON."""

import json
import threading
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from heygem_daemon.core.ports import Log
from heygem_daemon.service.log import LEVELS, json_line, message_of

LINES_PER_JOB: Final = 200
JOBS: Final = 2000
"""Jobs whose lines are kept while outputs cannot be written; of more, those of the job that waited longest go."""
LINE_CHARACTERS: Final = 4000


class JobLog:
    """A `Log` in front of another one, and the `JobLines` port: keeps each line about a job from the level info on, then passes it on
    unchanged. May be called from any thread."""

    def __init__(self, next_log: Log) -> None:
        self._next = next_log
        self._lines: dict[str, deque[str]] = {}
        self._lock = threading.Lock()

    def __call__(self, event: str, /, *, level: str = "info", **fields: object) -> None:
        self._next(event, level=level, **fields)  # first: an event that does not exist raises there
        job_id = fields.get("job_id")
        if isinstance(job_id, str) and LEVELS[level] >= LEVELS["info"]:
            self._keep(job_id, _line(event, level, fields))

    def _keep(self, job_id: str, line: str) -> None:
        with self._lock:
            if job_id not in self._lines and len(self._lines) >= JOBS:
                del self._lines[next(iter(self._lines))]
            self._lines.setdefault(job_id, deque(maxlen=LINES_PER_JOB)).append(line)

    def pending(self) -> Sequence[str]:
        """Return the ids of the jobs that have lines."""
        with self._lock:
            return list(self._lines)

    def take(self, job_id: str) -> Sequence[str]:
        """Return and forget the lines of a job, oldest first."""
        with self._lock:
            return list(self._lines.pop(job_id, ()))

    def put_back(self, job_id: str, lines: Sequence[str]) -> None:
        """Keep lines that could not be written, before those that came since; of too many the newest."""
        with self._lock:
            self._lines[job_id] = deque((*lines, *self._lines.get(job_id, ())), maxlen=LINES_PER_JOB)


def _line(event: str, level: str, fields: dict[str, object]) -> str:
    message = message_of({key: value for key, value in fields.items() if value is not None} | {"event": event})
    time = datetime.now().astimezone().isoformat(timespec="milliseconds")
    line = {"time": time, "level": level, "event": event, "message": message[:LINE_CHARACTERS]}
    if trace := fields.get("exception"):  # the hint of such an error asks to report it with this log
        line["traceback"] = str(trace)[-LINE_CHARACTERS:]
    return json_line(json.dumps(line, ensure_ascii=False))
