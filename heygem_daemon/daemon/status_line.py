"""What is happening, in one line for `systemctl status`."""

from collections.abc import Collection, Mapping
from typing import Final

from heygem_daemon.core.ports import InboxScan
from heygem_daemon.core.status import queue_status
from heygem_daemon.daemon.dispatcher import Attempt, Dispatch

_SHOWN: Final = 3


def headline(dispatch: Dispatch, views: Mapping[str, InboxScan], arriving: int) -> str:
    """Return for instance `3 queued, 1 running: lesson-01/teacher-a 42 %, 2 inboxes online`."""
    queue = queue_status(dispatch.jobs.values())
    running = f"{queue.running} running" + _details(dispatch)
    waiting = [f"{queue.waiting} waiting"] if queue.waiting else []
    arrivals = [f"{arriving} arriving"] if arriving else []
    return ", ".join((f"{queue.queued} queued", running, *waiting, *arrivals, *_inboxes(views.values()), *_troubles(dispatch)))


def _details(dispatch: Dispatch) -> str:
    attempts = list(dispatch.attempts.values())
    shown = [_attempt(dispatch, attempt) for attempt in attempts[:_SHOWN]]
    more = [f"{len(attempts) - _SHOWN} more"] if len(attempts) > _SHOWN else []
    return f": {' and '.join((*shown, *more))}" if shown else ""


def _attempt(dispatch: Dispatch, attempt: Attempt) -> str:
    percent = f" {attempt.progress.percent:.0f} %" if attempt.progress else ""
    return f"{dispatch.jobs[attempt.job_id].name}/{attempt.key}{percent}"


def _inboxes(views: Collection[InboxScan]) -> list[str]:
    online, paused = sum(view.online for view in views), sum(view.online and view.paused for view in views)
    offline = len(views) - online
    said = [f"{online} {'inbox' if online == 1 else 'inboxes'} online"]
    return said + ([f"{paused} paused"] if paused else []) + ([f"{offline} OFFLINE"] if offline else [])


def _troubles(dispatch: Dispatch) -> list[str]:
    if dispatch.breaker.until is not None:
        return ["queue paused after device failures"]
    return [dispatch.blocked_by.message] if dispatch.blocked_by is not None else []
