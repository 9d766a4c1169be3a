"""The files of one job in outputs: its status, and those that the status names. Nothing else there is handed out."""

import os
from pathlib import Path
from typing import Final

from heygem_daemon.core.job import State
from heygem_daemon.core.status import JobStatus
from heygem_daemon.web.caller import Caller
from heygem_daemon.web.context import WebContext
from heygem_daemon.web.files.open_files import OpenFile, open_below, open_folder
from heygem_daemon.web.jobs.job_record import JobRecord
from heygem_daemon.web.jobs.status_file import MAX_STATUS, read_job_status
from heygem_daemon.web.problems import WebProblem

STATUS: Final = "status.json"


async def job_status(context: WebContext, caller: Caller, job_id: str) -> tuple[JobRecord, JobStatus]:
    """Return a job that the caller may see, and its status as it is now. Raises WebProblem."""
    record = context.index.find(caller, job_id)
    if not record.output:
        raise WebProblem("not_found")
    outputs = context.settings.outputs
    try:
        status = await context.shares.call(outputs, lambda: _read_status(outputs, record.output))
    except FileNotFoundError:
        raise WebProblem("not_found") from None
    except PermissionError as denied:
        raise WebProblem("permission_denied", path=str(outputs)) from denied
    except OSError as failed:
        raise WebProblem("outputs_offline", path=str(outputs)) from failed
    # The folder may have been given to another job since the index looked.
    if status is None or status.job != record.id or not _may_see(caller, record, status):
        raise WebProblem("not_found")
    return record, status


def _may_see(caller: Caller, record: JobRecord, status: JobStatus) -> bool:
    """Return whether a caller may see a job, by its status as it is now; that of a drop on its way in leaves its owner to its job.toml."""
    is_drop = status.owner is None and record.state is State.SETTLING and status.state is State.SETTLING
    return caller.may_see(status.owner or "") or (is_drop and record.is_genuine and caller.may_see(record.owner))


def _read_status(outputs: Path, folder: str) -> JobStatus | None:
    with open_folder(outputs) as root, os.fdopen(open_below(root, f"{folder}/{STATUS}").descriptor, "rb") as file:
        content = file.read(MAX_STATUS + 1)
        is_genuine = os.fstat(file.fileno()).st_uid == os.fstat(root).st_uid
        return read_job_status(content, is_genuine=is_genuine) if len(content) <= MAX_STATUS else None


def published_files(status: JobStatus) -> frozenset[str]:
    """Return the paths, in the job's folder, of all files that its status names."""
    named = {path for item in status.items for path in (item.output, item.thumbnail, item.explain) if path}
    return frozenset(named | {path for name, path in status.links.items() if name == "zip"})


def results(status: JobStatus) -> list[str]:
    """Return the paths of the results in the job's folder, in the order of the items, none twice."""
    return list(dict.fromkeys(item.output for item in status.items if item.output))


def open_output(outputs: Path, folder: str, path: str) -> OpenFile:
    """Open one file of a job. Raises OSError; FileNotFoundError for all that is no regular file below its folder."""
    with open_folder(outputs) as root:
        return open_below(root, f"{folder}/{path}")
