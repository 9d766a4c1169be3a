"""Find the video of a job as it was dropped: in the job's claimed folder, or among the archived inputs in _done and _failed."""

import json
import os
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from heygem_daemon.core.names import DONE, FAILED, PRIVATE, RECORD, escape_name
from heygem_daemon.core.status import JobStatus
from heygem_daemon.web.caller import Caller
from heygem_daemon.web.context import WebContext
from heygem_daemon.web.files.job_files import job_status
from heygem_daemon.web.files.open_files import OpenFile, is_plain, open_file, open_folder, open_folders, open_through
from heygem_daemon.web.problems import WebProblem

T = TypeVar("T")

MAX_FOLDERS: Final = 5000
"""Archived folders that are looked into for one job, those that bear its name first."""
MAX_NAMES: Final = 10_000
"""Names in one folder of a drop that are compared with an escaped name."""
SEARCH_SECONDS: Final = 2.0
MISSED_SECONDS: Final = 300.0
_MAX_RECORD_BYTES: Final = 64 * 1024
_MAX_PLACES: Final = 2000
_JOB_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_FLAT: Final = "flat"
_FLAT_MARK: Final = ".flat"

_places: OrderedDict[tuple[Path, str], tuple[str, ...]] = OrderedDict()
"""Where the archived inputs of a job lay, by inbox and job id: looked at first, never trusted."""

_missed: OrderedDict[tuple[Path, str], float] = OrderedDict()
"""When the inputs of a job were last searched for among all archived folders, in vain."""
_lock: Final = threading.Lock()


async def open_source(context: WebContext, caller: Caller, job_id: str, key: str) -> tuple[OpenFile, Path]:
    """Return the dropped video of an item, open for reading, and its inbox. The caller closes `descriptor`.

    A child process reads it by inheriting the descriptor (`pass_fds`, then /proc/self/fd/N or /dev/fd/N): no path is opened again, so that
    nothing can be put in its place. Raises WebProblem: `not_found`, `permission_denied`, `share_timeout`."""
    _record, status = await job_status(context, caller, job_id)
    item = next((each for each in status.items if each.key == key), None)
    if item is None:
        raise WebProblem("not_found")
    problem = WebProblem("not_found")
    for inbox in _inboxes(context, status):
        try:
            return await open_through(context.shares, inbox, partial(find_source, inbox, status, item.video)), inbox
        except WebProblem as failed:
            problem = failed if problem.code == "not_found" else problem
    raise problem


def _inboxes(context: WebContext, status: JobStatus) -> list[Path]:
    """Return the inboxes where the job may have come from: its own, where the status names it, else all."""
    paths = [inbox.path for inbox in context.settings.inboxes]
    own = [path for path in paths if status.inbox in {str(path), escape_name(str(path))}]
    return own or paths


def find_source(inbox: Path, status: JobStatus, video: str) -> OpenFile:
    """Open the video that a status names (escaped) among the job's inputs below an inbox. Raises OSError, FileNotFoundError."""
    if not _JOB_ID.fullmatch(status.job):
        raise FileNotFoundError(video)
    with open_folder(inbox) as root:
        for place in _candidates(root, inbox, status):
            with suppress(FileNotFoundError), open_folders(root, place) as folder:
                if place[0] == PRIVATE or _job_of(folder) == status.job:
                    _remember(_places, (inbox, status.job), place)
                    return _open_escaped(folder, video)
    raise FileNotFoundError(video)


def _candidates(root: int, inbox: Path, status: JobStatus) -> Iterator[tuple[str, ...]]:
    known = _places.get((inbox, status.job))
    if known:
        yield known
    yield from _claimed(root, status.job)
    archived = [(parent, name) for parent in (DONE, FAILED) for name in _archived(root, parent)]
    yield from (place for place in archived if _is_named_after(place[1], status.name))
    yield from _renamed(inbox, status, archived)


def _renamed(inbox: Path, status: JobStatus, archived: list[tuple[str, str]]) -> Iterator[tuple[str, ...]]:
    """Yield archived folders of other names: somebody may have renamed the one. That is not searched for again and again."""
    began = time.monotonic()
    if began - _missed.get((inbox, status.job), -MISSED_SECONDS) < MISSED_SECONDS:
        return
    for place in archived:
        if time.monotonic() - began > SEARCH_SECONDS:
            break
        if not _is_named_after(place[1], status.name):
            yield place
    # Only reached when nothing of what was yielded was the one.
    _remember(_missed, (inbox, status.job), time.monotonic())


def _archived(root: int, parent: str) -> list[str]:
    try:
        with open_folder(parent, root) as folder:
            return _names(folder, MAX_FOLDERS)
    except FileNotFoundError:
        return []


def _claimed(root: int, job_id: str) -> Iterator[tuple[str, ...]]:
    place = (PRIVATE, "claimed", job_id)
    try:
        with open_folders(root, place) as folder:
            names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return
    if _FLAT_MARK in names:
        yield (*place, _FLAT)
    else:
        yield from ((*place, name) for name in names if not name.startswith("."))


def _names(folder: int, limit: int) -> list[str]:
    """Return at most so many names in a folder. Dot names are ours or nobody's."""
    names: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if len(names) >= limit:
                break
            if not entry.name.startswith("."):
                names.append(entry.name)
    return names


def _is_named_after(name: str, job_name: str) -> bool:
    shown = escape_name(name)
    return shown == job_name or (shown.startswith(f"{job_name}-") and shown[len(job_name) + 1 :].isdecimal())


def _job_of(folder: int) -> str | None:
    """Return the job whose inputs an archived folder holds, as its record says."""
    try:
        opened = open_file(folder, RECORD)
        with os.fdopen(opened.descriptor, "rb") as file:
            fields: Any = json.loads(file.read(_MAX_RECORD_BYTES))
        return str(fields["job"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _remember(memory: OrderedDict[tuple[Path, str], T], key: tuple[Path, str], value: T) -> None:
    with _lock:
        memory[key] = value
        while len(memory) > _MAX_PLACES:
            memory.popitem(last=False)


def _open_escaped(folder: int, shown: str) -> OpenFile:
    """Open the file below `folder` whose path is shown so: names that cannot be printed appear escaped in the status."""
    part, _, rest = shown.partition("/")
    name = _real_name(folder, part)
    if not rest:
        return open_file(folder, name)
    with open_folder(name, folder) as inner:
        return _open_escaped(inner, rest)


def _real_name(folder: int, shown: str) -> str:
    """Return the name in an open folder that is shown as `shown`; an equal one before one that is escaped. Raises FileNotFoundError."""
    if not is_plain(shown):
        raise FileNotFoundError(shown)
    with suppress(OSError):
        os.stat(shown, dir_fd=folder, follow_symlinks=False)
        return shown
    for name in _names(folder, MAX_NAMES):
        if escape_name(name) == shown:
            return name
    raise FileNotFoundError(shown)
