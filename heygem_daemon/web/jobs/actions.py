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

from heygem_daemon.core.names import MARKER, MAX_NAME_BYTES, PAUSE, is_job_id, is_pause, name_bytes
from heygem_daemon.web.context import WebContext
from heygem_daemon.web.files.open_files import is_plain
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
    if not record.output and _is_ambiguous(context, record, name):
        raise WebProblem("wrong_state", state=str(record.state), name=record.name)
    withdrawn = {"hold": "resume", "resume": "hold"}.get(kind)
    if withdrawn is not None:
        await _in_inbox(context, inbox, partial(_delete, inbox.path, f"{name}.{withdrawn}"))
        context.index.requests.withdraw(record, name, withdrawn)
    if kind == "resume" and not record.is_held:
        return  # it was only asked to be held; deleting the file has released it
    await _in_inbox(context, inbox, partial(_write, inbox.path, f"{name}.{kind}", content))
    context.index.requests.note(record, name, kind)


def _is_ambiguous(context: WebContext, record: JobRecord, name: str) -> bool:
    """Return whether a control file of this name would be for another job as well: the daemon takes it for all of the name."""
    others = (each for each in context.index.table.open() if each.id != record.id and each.inbox in {"", record.inbox})
    return is_job_id(name) or any(each.name == record.name for each in others)


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
            failures = await _in_inbox(context, inbox, partial(_write_each, inbox.path, [f"{job.id}.retry" for job in jobs]))
        except WebProblem as failed:
            problem = failed
            continue
        for job in jobs:
            if (failure := failures.get(f"{job.id}.retry")) is not None:
                problem = _as_problem(inbox, failure)
                continue
            requested += 1
            context.index.requests.note(job, job.id, "retry")
    if problem is not None and not requested:
        raise problem
    return requested


async def set_paused(context: WebContext, inbox: InboxState, *, paused: bool) -> None:
    """Pause an inbox, or let it go on. Raises WebProblem."""
    work = partial(_write, inbox.path, PAUSE, "") if paused else partial(_unpause, inbox.path)
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
    except OSError as failed:
        raise _as_problem(inbox, failed) from failed


def _as_problem(inbox: InboxState, failed: OSError) -> WebProblem:
    if isinstance(failed, PermissionError):
        return WebProblem("permission_denied", path=str(inbox.path))
    codes = {errno.ENOSPC: "disk_full", errno.EDQUOT: "disk_full", errno.ENAMETOOLONG: "bad_name", errno.EINVAL: "bad_name"}
    return WebProblem(codes.get(failed.errno or 0, "inbox_offline"), path=str(inbox.path), name=inbox.path.name)


def _write(inbox: Path, name: str, content: str) -> None:
    """Write a control file into an inbox by a rename. Raises OSError, also where the marker is missing."""
    with opened(inbox) as root:
        os.stat(MARKER, dir_fd=root)
        _write_at(root, name, content)


def _write_each(inbox: Path, names: Sequence[str]) -> dict[str, OSError]:
    """Write empty control files; return what failed of them by name. Raises OSError where the marker is missing."""
    failures: dict[str, OSError] = {}
    with opened(inbox) as root:
        os.stat(MARKER, dir_fd=root)
        for name in names:
            try:
                _write_at(root, name, "")
            except OSError as failed:
                failures[name] = failed
    return failures


def _write_at(root: int, name: str, content: str) -> None:
    _check_name(name)
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
    _check_name(name)
    with opened(inbox) as root:
        os.stat(MARKER, dir_fd=root)
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=root)


def _unpause(inbox: Path) -> None:
    """Delete PAUSE, however it is spelt."""
    with opened(inbox) as root:
        os.stat(MARKER, dir_fd=root)
        with os.scandir(root) as found:
            names = [entry.name for entry in found if is_pause(entry.name, is_folder=entry.is_dir(follow_symlinks=False))]
        for name in names:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=root)


def _check_name(name: str) -> None:
    """Raise OSError (EINVAL) for what names no file directly in the inbox, or a hidden one."""
    if not is_plain(name) or name_bytes(name) > MAX_NAME_BYTES:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
