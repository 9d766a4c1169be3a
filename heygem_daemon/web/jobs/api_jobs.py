"""The jobs: list and search, one in detail, its log, and what can be asked of it. Jobs of others do not exist for a caller (404)."""

import asyncio
import json
import os
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from heygem_daemon.core.drop import JOB_TOML
from heygem_daemon.core.job import State
from heygem_daemon.core.job_options import parse_job_toml
from heygem_daemon.core.names import JOB_LOG
from heygem_daemon.core.status import JobStatus
from heygem_daemon.web.caller import Caller
from heygem_daemon.web.context import CallerOf, Context, WebContext
from heygem_daemon.web.files.job_files import job_status
from heygem_daemon.web.files.open_files import is_plain
from heygem_daemon.web.files.sources import find_source
from heygem_daemon.web.jobs import actions
from heygem_daemon.web.jobs.describe import Describer
from heygem_daemon.web.jobs.inbox_listing import MAX_JOB_TOML
from heygem_daemon.web.jobs.job_folders import opened, read_end
from heygem_daemon.web.jobs.job_record import FAILURES, JobRecord
from heygem_daemon.web.jobs.job_search import JobQuery, search
from heygem_daemon.web.models import JobDetail, JobEntry, JobLog, JobPage, LogLine, Priority, RetryFailed
from heygem_daemon.web.problems import WebProblem
from heygem_daemon.web.user_rights import highest_priority, may_ask

router = APIRouter(tags=["jobs"])

LOG_LINES: Final = 500
LOG_BYTES: Final = 512 * 1024
DETAIL_SECONDS: Final = 3.0
"""How long the details of a job are waited for; after that it is shown as the list knows it."""
_FIRST_DAY, _LAST_DAY = date(1900, 1, 1), date(2999, 12, 31)
_FIELD: Final = 2000
"""Characters of one field of a line in the log."""


def describer(context: WebContext, caller: Caller) -> Describer:
    return Describer(index=context.index, settings=context.settings, caller=caller)


class JobFilter(BaseModel):
    """What a list of jobs is narrowed to, and which part of it is wanted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: list[str] = Field(default=[], description="may be repeated; `open`, `failed` and `done` are groups")
    q: str = Field(default="", max_length=200, description="part of a name: of the job or of a file")
    engine: str = Field(default="", max_length=100)
    since: date | None = Field(default=None, ge=_FIRST_DAY, le=_LAST_DAY, description="first day")
    until: date | None = Field(default=None, ge=_FIRST_DAY, le=_LAST_DAY, description="last day")
    limit: int = Field(default=50, ge=1, le=500)
    cursor: str | None = Field(default=None, max_length=2000, description="`next` of the page before")


@router.get("/jobs", summary="List and search jobs")
async def list_jobs(context: Context, caller: CallerOf, wanted: Annotated[JobFilter, Query()]) -> JobPage:
    """Return the open jobs in the order of the queue, then the finished ones, the newest first."""
    query = JobQuery(states=tuple(wanted.state), text=wanted.q, engine=wanted.engine, since=wanted.since, until=wanted.until)
    page = search(context.index.table, query, caller, limit=wanted.limit, cursor=wanted.cursor)
    describe = describer(context, caller)
    return JobPage(jobs=[describe.entry(job) for job in page.jobs], total=page.total, next=page.next, ready=context.index.ready)


@router.post("/jobs/retry-failed", status_code=202, summary="Try all failed jobs again")
async def retry_failed(context: Context, caller: CallerOf) -> RetryFailed:
    """Ask for another try of every failed, partly failed and rejected job that the caller may see and whose inputs are kept."""
    describe, pending = describer(context, caller), context.index.requests
    failed = [job for job in context.index.table.finished() if job.state in FAILURES and caller.may_see(job.owner)]
    jobs = [job for job in failed if "retry" in describe.actions(job) and "retry" not in pending.of(job)]
    return RetryFailed(requested=await actions.retry_all(context, jobs))


@router.get("/jobs/{job_id}", summary="Show a job")
async def get_job(context: Context, caller: CallerOf, job_id: str) -> JobDetail:
    """Return a job by its id, its reference or its folder in outputs. While outputs does not answer, what is known of it."""
    record = context.index.find(caller, job_id)
    status, sizes = await _status(context, caller, record)
    describe = describer(context, caller)
    fit = await _fit(context, record, status) if status is not None and describe.keeps_inputs(record) else None
    return describe.detail(record, status, sizes, fit)


async def _status(context: WebContext, caller: Caller, record: JobRecord) -> tuple[JobStatus | None, dict[str, int]]:
    """Return the whole status of a job and the sizes of its results; None where there is none, or where it cannot be read now."""
    if not record.output or not context.index.online:
        return None, {}
    outputs = context.settings.outputs
    try:
        async with asyncio.timeout(DETAIL_SECONDS):
            _record, status = await job_status(context, caller, record.id)
            return status, await context.shares.call(outputs, lambda: _sizes(outputs, record.output, status))
    except TimeoutError:
        return None, {}
    except WebProblem as problem:
        if problem.code == "not_found" and record.state is not State.SETTLING:
            raise
        return None, {}


async def _fit(context: WebContext, record: JobRecord, status: JobStatus) -> str | None:
    """Return the fit that a job asked for, else that of the configuration. Only the page's own jobs are sure to have a job.toml: of
    others without one all archived folders would be looked through for it."""
    inbox = context.index.inbox_of(record)
    if not record.reference or inbox is None or not inbox.online:
        return None
    try:
        async with asyncio.timeout(DETAIL_SECONDS):
            text = await context.shares.call(inbox.path, lambda: _read_job_toml(inbox.path, status))
    except (TimeoutError, OSError, WebProblem):
        return None
    return parse_job_toml(text)[0].fit or context.settings.engine.fit


def _read_job_toml(inbox: Path, status: JobStatus) -> str:
    opened = find_source(inbox, status, JOB_TOML)
    with os.fdopen(opened.descriptor, "rb") as file:
        return file.read(MAX_JOB_TOML).decode(errors="replace")


def _sizes(outputs: Path, folder: str, status: JobStatus) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for item in status.items:
        if item.output and all(is_plain(part) for part in item.output.split("/")):
            try:
                sizes[item.output] = (outputs / folder / item.output).lstat().st_size
            except OSError:
                continue
    return sizes


@router.get("/jobs/{job_id}/log", summary="Show a job's log")
async def get_log(context: Context, caller: CallerOf, job_id: str) -> JobLog:
    """Return the last lines of the job's log, the oldest first."""
    record = context.index.find(caller, job_id)
    if not record.output:
        return JobLog(lines=[])
    outputs = context.settings.outputs
    if context.index.outputs_hang:
        raise WebProblem("share_timeout", path=str(outputs), headers={"Retry-After": "10"})
    await job_status(context, caller, record.id)
    try:
        content = await context.shares.call(outputs, lambda: _read_log(outputs, record.output))
    except FileNotFoundError:
        return JobLog(lines=[])
    except PermissionError as denied:
        raise WebProblem("permission_denied", path=str(outputs)) from denied
    except OSError as failed:
        raise WebProblem("outputs_offline", path=str(outputs)) from failed
    lines = (_log_line(line) for line in content.splitlines()[-LOG_LINES:])
    return JobLog(lines=[line for line in lines if line is not None])


def _read_log(outputs: Path, folder: str) -> bytes:
    with opened(outputs) as root, opened(folder, root) as job:
        return read_end(JOB_LOG, job, LOG_BYTES)


def _log_line(line: bytes) -> LogLine | None:
    """Return a line of the log, None for one that is not ours: the folder may be written to by others."""
    try:
        fields: Any = json.loads(line)
        return LogLine(**{name: str(fields[name])[:_FIELD] for name in LogLine.model_fields})
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


# -- what can be asked -------------------------------------------------------------------------------------------------


async def _ask(context: WebContext, caller: Caller, job_id: str, kind: str, content: str = "") -> JobEntry:
    """Ask something of a job. Raises WebProblem: `wrong_state` where it is not possible now."""
    record, describe = context.index.find(caller, job_id), describer(context, caller)
    await _confirm(context, caller, record)
    if not may_ask(caller, context.settings, kind):
        raise WebProblem("administrator_only")
    possible = describe.actions(record)
    is_so_already = kind == "hold" and "resume" in possible
    if kind not in possible and not is_so_already:
        raise WebProblem("wrong_state", state=str(record.state), name=record.name)
    if not is_so_already:
        await actions.request(context, record, kind, content)
    return describe.entry(context.index.table.get(record.id) or record)


async def _confirm(context: WebContext, caller: Caller, record: JobRecord) -> None:
    """Read the status again: the folder may be another's job by now. Raises WebProblem. While outputs does not answer, what is known
    suffices for an administrator."""
    if not record.output:
        return
    try:
        if context.index.outputs_hang:
            raise WebProblem("share_timeout", path=str(context.settings.outputs), headers={"Retry-After": "10"})
        await job_status(context, caller, record.id)
    except WebProblem as problem:
        if problem.code == "not_found" or not caller.is_admin:
            raise


@router.post("/jobs/{job_id}/cancel", status_code=202, summary="Cancel a job")
async def cancel(context: Context, caller: CallerOf, job_id: str) -> JobEntry:
    """Stop a job; what is published stays."""
    return await _ask(context, caller, job_id, "cancel")


@router.post("/jobs/{job_id}/hold", status_code=202, summary="Hold a job back")
async def hold(context: Context, caller: CallerOf, job_id: str) -> JobEntry:
    """Start nothing more of a job until it is resumed."""
    return await _ask(context, caller, job_id, "hold")


@router.post("/jobs/{job_id}/resume", status_code=202, summary="Let a held job go on")
async def resume(context: Context, caller: CallerOf, job_id: str) -> JobEntry:
    """Let a job go on that is held, by whomever."""
    return await _ask(context, caller, job_id, "resume")


@router.post("/jobs/{job_id}/retry", status_code=202, summary="Try a job again")
async def retry(context: Context, caller: CallerOf, job_id: str) -> JobEntry:
    """Queue the failed and cancelled results of a finished job again."""
    return await _ask(context, caller, job_id, "retry")


@router.put("/jobs/{job_id}/priority", status_code=202, summary="Change a job's priority")
async def set_priority(context: Context, caller: CallerOf, job_id: str, wanted: Priority) -> JobEntry:
    """Let a job start before those of lower priority. A higher priority than the user may give becomes the highest that he may."""
    inbox = context.index.inbox_of(context.index.find(caller, job_id))
    given = min(wanted.priority, highest_priority(caller, context.settings, None if inbox is None else inbox.path))
    return await _ask(context, caller, job_id, "priority", f"{given}\n")
