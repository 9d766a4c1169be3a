"""Ask something of a job as people on the share do: by a control file beside the drops, named after the job's id or after the drop.

A control file appears whole, by a rename: the daemon may look at any moment. What is asked is shown with the job until it is done.
"""

import errno
import os
import secrets
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from heygem_daemon.core.names import MARKER, PAUSE
from heygem_daemon.web.context import WebContext
from heygem_daemon.web.jobs.index import InboxState
from heygem_daemon.web.jobs.job_folders import opened
from heygem_daemon.web.jobs.job_record import JobRecord
from heygem_daemon.web.jobs.job_whereabouts import holds_job
from heygem_daemon.web.problems import WebProblem

T = TypeVar("T")


async def request(context: WebContext, record: JobRecord, kind: str, content: str = "") -> None:
    """Ask cancel, hold, resume, retry or priority of a job. Raises WebProblem."""
    inbox = await inbox_of(context, record)
    name = control_name(record)
    withdrawn = {"hold": "resume", "resume": "hold"}.get(kind)
    if withdrawn is not None:
        await _in_inbox(context, inbox, partial(_delete, inbox.path, f"{name}.{withdrawn}"))
        context.index.requests.withdraw(record, name, withdrawn)
    if kind == "resume" and not record.is_held:
        return  # it was only asked to be held; deleting the file has released it
    await _in_inbox(context, inbox, partial(_write, inbox.path, [(f"{name}.{kind}", content)]))
    context.index.requests.note(record, name, kind)


async def retry_all(context: WebContext, records: Sequence[JobRecord]) -> int:
    """Ask retry of all these jobs; return of how many it was asked. Raises WebProblem where it could be asked of none."""
    by_inbox: dict[int, list[JobRecord]] = defaultdict(list)
    for record in records:
        inbox = context.index.inbox_of(record)
        if inbox is not None:
            by_inbox[context.index.inboxes.index(inbox)].append(record)
    problem: WebProblem | None = None
    requested = 0
    for number, jobs in by_inbox.items():
        inbox = context.index.inboxes[number]
        try:
            await _in_inbox(context, inbox, partial(_write, inbox.path, [(f"{job.id}.retry", "") for job in jobs]))
        except WebProblem as failed:
            problem = failed
            continue
        requested += len(jobs)
        for job in jobs:
            context.index.requests.note(job, job.id, "retry")
    if problem is not None and not requested:
        raise problem
    return requested


async def set_paused(context: WebContext, inbox: InboxState, *, paused: bool) -> None:
    """Pause an inbox, or let it go on. Raises WebProblem."""
    work = partial(_write, inbox.path, [(PAUSE, "")]) if paused else partial(_delete, inbox.path, PAUSE)
    await _in_inbox(context, inbox, work)
    inbox.paused = paused
    context.index.table.announce_daemon()


def control_name(record: JobRecord) -> str:
    """Return the name that control files of a job go by: its id; that of its drop while the daemon has given it none."""
    return record.id if record.output or not record.control else record.control


async def inbox_of(context: WebContext, record: JobRecord) -> InboxState:
    """Return the inbox of a job; one whose status does not name it (an old one) is looked for. Raises WebProblem (`not_found`)."""
    inbox = context.index.inbox_of(record)
    if inbox is not None:
        return inbox
    for each in context.index.inboxes if not record.inbox else []:
        with suppress(WebProblem):
            if await _in_inbox(context, each, partial(holds_job, each.path, record)):
                return each
    raise WebProblem("not_found")


async def _in_inbox(context: WebContext, inbox: InboxState, work: Callable[[], T]) -> T:
    if inbox.reason == "hangs":
        raise WebProblem("share_timeout", path=str(inbox.path), headers={"Retry-After": "10"})
    try:
        return await context.shares.call(inbox.path, work)
    except PermissionError as denied:
        raise WebProblem("permission_denied", path=str(inbox.path)) from denied
    except OSError as failed:
        codes = {errno.ENOSPC: "disk_full", errno.EDQUOT: "disk_full", errno.ENAMETOOLONG: "bad_name"}
        raise WebProblem(codes.get(failed.errno or 0, "inbox_offline"), path=str(inbox.path), name=inbox.path.name) from failed


def _write(inbox: Path, files: Sequence[tuple[str, str]]) -> None:
    """Write control files into an inbox, each by a rename. Raises OSError, also where the marker is missing."""
    with opened(inbox) as root:
        os.stat(MARKER, dir_fd=root)
        for name, content in files:
            temporary = f".{secrets.token_hex(8)}.tmp"
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o664, dir_fd=root)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content.encode())
                os.rename(temporary, name, src_dir_fd=root, dst_dir_fd=root)
            except OSError:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=root)
                raise


def _delete(inbox: Path, name: str) -> None:
    with opened(inbox) as root:
        os.stat(MARKER, dir_fd=root)
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=root)
