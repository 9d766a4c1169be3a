"""The system: health for monitoring, the daemon, inboxes and devices, what was done lately, and the findings of `heygem check`."""

from datetime import UTC, datetime
from shutil import disk_usage
from typing import Annotated
from weakref import WeakKeyDictionary

from fastapi import APIRouter, Depends

from heygem_daemon import __version__
from heygem_daemon.core.status import DeviceStatus
from heygem_daemon.web.caller import Caller
from heygem_daemon.web.context import CallerOf, Context, WebContext
from heygem_daemon.web.jobs import actions, statistics
from heygem_daemon.web.jobs.daemon_view import daemon_summary, inbox_views
from heygem_daemon.web.jobs.index import InboxState, JobIndex
from heygem_daemon.web.jobs.self_check import SelfCheck
from heygem_daemon.web.models import CheckReport, Health, InboxView, PauseRequest, SystemStatus
from heygem_daemon.web.problems import WebProblem

router = APIRouter(tags=["system"])

_checks: WeakKeyDictionary[JobIndex, SelfCheck] = WeakKeyDictionary()


def administrator(caller: CallerOf) -> Caller:
    """Return the caller, who is an administrator. Raises WebProblem (`administrator_only`)."""
    if not caller.is_admin:
        raise WebProblem("administrator_only")
    return caller


Administrator = Annotated[Caller, Depends(administrator)]


def check_of(context: Context) -> SelfCheck:
    if context.index not in _checks:
        _checks[context.index] = SelfCheck(context.settings, context.shares)
    return _checks[context.index]


@router.get("/health", summary="Whether all is well, without a login")
async def health(context: Context) -> Health:
    """Return `ok`, or `degraded` where the daemon is silent or cannot write its status, or outputs cannot be read."""
    index = context.index
    age = index.heartbeat_age
    return Health(
        status="ok" if index.is_daemon_alive and index.daemon_state != "unreported" and index.online else "degraded",
        version=__version__,
        daemon=index.daemon_state,
        heartbeat_age_s=None if age is None else round(age, 1),
    )


@router.get("/system", summary="The daemon, inboxes, devices, statistics")
async def system(context: Context, caller: CallerOf) -> SystemStatus:
    """Return the state of everything, and what ended in the last 30 days. Paths and processes are for administrators."""
    index, now = context.index, datetime.now(UTC).astimezone()
    jobs = statistics.lately(index.table.finished(), now)
    daemon = daemon_summary(index, caller.language)
    if not caller.is_admin and daemon.disk is not None:
        daemon = daemon.model_copy(update={"disk": daemon.disk.model_copy(update={"path": ""})})
    return SystemStatus(
        daemon=daemon,
        inboxes=inbox_views(index, caller),
        devices=devices_for(index, caller),
        days=statistics.by_day(jobs, now),
        failures=statistics.by_code(jobs, caller.language),
        engines=statistics.by_engine(jobs),
        jobs=sum(caller.may_see(job.owner) for job in index.table.finished()),
        disk_total=await _disk_total(context),
        page_version=__version__,
    )


def devices_for(index: JobIndex, caller: Caller) -> list[DeviceStatus]:
    """Return the devices; what a worker does at the moment, and why it died, is for administrators."""
    devices = list(index.daemon.devices) if index.daemon is not None and index.is_daemon_alive else []
    if caller.is_admin:
        return devices
    return [DeviceStatus(name=each.name, state=each.state, device=each.device, models=each.models) for each in devices]


async def _disk_total(context: WebContext) -> int | None:
    if not context.index.online:
        return None
    outputs = context.settings.outputs
    try:
        return (await context.shares.call(outputs, lambda: disk_usage(outputs))).total
    except (WebProblem, OSError):
        return None


@router.get("/system/check", summary="The findings of `heygem check`")
async def check(caller: Administrator, found: Annotated[SelfCheck, Depends(check_of)]) -> CheckReport:
    """Return what `heygem check` finds, at most a minute old, with the command that fixes each finding."""
    return await found.report(caller.language)


@router.post("/queue/pause", status_code=202, summary="Start nothing new")
async def pause(context: Context, caller: Administrator, wanted: PauseRequest) -> list[InboxView]:
    """Pause one inbox or all: put a file named PAUSE into it. What runs is not disturbed."""
    await _pause(context, wanted, paused=True)
    return inbox_views(context.index, caller)


@router.post("/queue/resume", status_code=202, summary="Let the queue go on")
async def resume(context: Context, caller: Administrator, wanted: PauseRequest) -> list[InboxView]:
    """Take the file PAUSE out of one inbox or all."""
    await _pause(context, wanted, paused=False)
    return inbox_views(context.index, caller)


async def _pause(context: WebContext, wanted: PauseRequest, *, paused: bool) -> None:
    """Raises WebProblem: that of the first inbox which could not be paused; the others are, all the same."""
    problem: WebProblem | None = None
    for inbox in _wanted(context, wanted):
        try:
            await actions.set_paused(context, inbox, paused=paused)
        except WebProblem as failed:
            problem = problem or failed
    if problem is not None:
        raise problem


def _wanted(context: WebContext, wanted: PauseRequest) -> list[InboxState]:
    inboxes = context.index.inboxes
    if wanted.inbox is None:
        return inboxes
    if not 0 <= wanted.inbox < len(inboxes):
        raise WebProblem("not_found")
    return [inboxes[wanted.inbox]]
