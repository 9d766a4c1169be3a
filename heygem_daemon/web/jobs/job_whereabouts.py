"""Find the inbox of a job whose status does not name it, as those of older versions do not."""

import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from heygem_daemon.core.names import DONE, FAILED, PRIVATE, RECORD, escape_name
from heygem_daemon.web.jobs.job_folders import opened, read_bounded
from heygem_daemon.web.jobs.job_record import JobRecord

_MAX_RECORD: Final = 64 * 1024
_JOB_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


def holds_job(inbox: Path, record: JobRecord) -> bool:
    """Return whether the inputs of a job lie in this inbox: on their way in, claimed, or archived. Raises OSError."""
    if not _JOB_ID.fullmatch(record.id):
        return False
    with opened(inbox) as root:
        names = [escape_name(name) for name in os.listdir(root)]
        if (not record.is_final and record.name in names) or _exists(f"{PRIVATE}/claimed/{record.id}", root):
            return True
        return any(_is_archived(root, parent, record.id) for parent in (FAILED, DONE))


def _exists(path: str, root: int) -> bool:
    with suppress(FileNotFoundError, NotADirectoryError):
        os.stat(path, dir_fd=root, follow_symlinks=False)
        return True
    return False


def _is_archived(root: int, parent: str, job_id: str) -> bool:
    with suppress(FileNotFoundError, NotADirectoryError), opened(parent, root) as folder:
        return any(_job_of(folder, name) == job_id for name in os.listdir(folder))
    return False


def _job_of(parent: int, name: str) -> str | None:
    try:
        with opened(name, parent) as folder:
            content = read_bounded(RECORD, folder, _MAX_RECORD)
        fields: Any = json.loads(content.data) if content else {}
        return str(fields["job"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
