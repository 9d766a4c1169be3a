"""Read what claims to be a status file. People may write into outputs too: what the daemon would never write makes it none."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from pydantic import BaseModel

from heygem_daemon.core.names import is_job_id
from heygem_daemon.core.status import DaemonStatus, JobStatus

MAX_STATUS: Final = 8 * 2**20
"""Bytes of a status file; one of the most items that a drop may have (500) has about one megabyte."""
MAX_ITEMS: Final = 10_000
MAX_WARNINGS: Final = 20_000
"""Warnings of a job and its items together: each becomes a sentence and a hint in an answer."""
_YEARS: Final = range(1970, 2200)
"""Others do not fit into a unix time, or not into a date again."""
_LARGEST: Final = 1e15


def read_job_status(content: bytes, *, is_genuine: bool) -> JobStatus | None:
    """Return a job's status, None for what is none.

    is_genuine: whether the file belongs to whom outputs belongs, so that the daemon wrote it. The owner that another one names is not
    believed: only administrators see such a job. On a share without owners every file is genuine."""
    try:
        status = JobStatus.read(content)
    except ValueError:
        return None
    warnings = len(status.warnings) + sum(len(item.warnings) for item in status.items)
    # The id becomes the name of a control file.
    if not is_job_id(status.job) or len(status.items) > MAX_ITEMS or warnings > MAX_WARNINGS or not _are_plausible((status,)):
        return None
    return status if is_genuine or status.owner is None else status.model_copy(update={"owner": None})


def read_daemon_status(content: bytes) -> DaemonStatus | None:
    """Return the daemon's status, None for what is none."""
    try:
        status = DaemonStatus.read(content)
    except ValueError:
        return None
    return status if _are_plausible((status,)) else None


def _are_plausible(values: Iterable[object]) -> bool:
    """Return whether all numbers and times in a status can be reckoned with and written as JSON.

    Tens of thousands of files are read at the start: exact types are compared, texts first."""
    for value in values:
        kind = type(value)
        if value is None or kind is str:
            continue
        if kind is float or kind is int:
            plausible = -_LARGEST <= value <= _LARGEST  # type: ignore[operator]
        elif isinstance(value, datetime):
            plausible = value.year in _YEARS
        elif isinstance(value, BaseModel):
            plausible = _are_plausible(vars(value).values()) and _are_plausible((value.model_extra or {}).values())
        elif isinstance(value, dict):
            plausible = _are_plausible(value.values())
        else:
            plausible = not isinstance(value, tuple | list) or _are_plausible(value)
        if not plausible:
            return False
    return True
