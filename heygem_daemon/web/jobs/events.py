"""GET events: what changes, as server-sent events; a browser's EventSource connects again by itself and then gets everything anew.

    event: daemon   data: DaemonSummary
    event: job      data: JobEntry; it replaces the entry of the same id
    event: gone     data: {"id": ...}

On connect come a `daemon` and one `job` for every open job, in the order of the queue. When the daemon takes a drop, its entry gets
another id: `job` with the new id (and the same `reference`) comes first, then `gone` with the old one. Changes of one job that a slow
reader has not taken are one event; a reader that falls behind too far is cut off and connects again.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from time import monotonic
from typing import Annotated, Final

from fastapi import APIRouter, Depends
from fastapi.sse import EventSourceResponse, ServerSentEvent

from heygem_daemon.web.caller import Caller
from heygem_daemon.web.context import CallerOf, Context, WebContext
from heygem_daemon.web.jobs.daemon_view import daemon_summary
from heygem_daemon.web.jobs.describe import Describer
from heygem_daemon.web.jobs.job_record import JobRecord
from heygem_daemon.web.jobs.job_search import in_queue_order
from heygem_daemon.web.jobs.job_table import Subscription
from heygem_daemon.web.problems import WebProblem

router = APIRouter(tags=["events"])

STREAMS_OF_USER: Final = 32
"""A browser opens one for each of its tabs."""
STREAMS: Final = 300
"""Of everybody together: connections for other requests must be left (server.CONNECTIONS)."""
STREAM_SECONDS: Final = 900.0
"""A stream ends after this, and the browser opens the next: whoever may not see it any more (logged out, removed) gets none."""
RECONNECT_MS: Final = 2000

_open: Final[Counter[tuple[int, str]]] = Counter()
"""Open streams by application and user."""


async def _counted(context: Context, caller: CallerOf) -> AsyncIterator[None]:
    """Hold one of the streams of a user. Raises WebProblem (`too_many_streams`)."""
    key = (id(context.index), caller.name)
    # Without logins everybody is the same user.
    allowed = STREAMS_OF_USER if caller.name else STREAMS
    if _open[key] >= allowed or _open.total() >= STREAMS:
        raise WebProblem("too_many_streams", limit=allowed, headers={"Retry-After": "10"})
    _open[key] += 1
    try:
        yield
    finally:
        _open[key] -= 1
        if not _open[key]:
            del _open[key]


@router.get("/events", response_class=EventSourceResponse, summary="Follow all changes")
async def events(context: Context, caller: CallerOf, _counted: Annotated[None, Depends(_counted)]) -> AsyncIterator[ServerSentEvent]:
    """Send what changes, as server-sent events: `daemon` (DaemonSummary), `job` (JobEntry), `gone` ({"id"})."""
    subscription = context.index.subscribe()
    try:
        for event in _snapshot(context, caller):
            yield event
        end = monotonic() + STREAM_SECONDS
        while not (subscription.closed or subscription.lost) and (left := end - monotonic()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await subscription.woken.wait()
            for event in _changes(context, caller, subscription):
                yield event
    finally:
        context.index.unsubscribe(subscription)


def _snapshot(context: WebContext, caller: Caller) -> Iterable[ServerSentEvent]:
    yield ServerSentEvent(event="daemon", data=daemon_summary(context.index, caller.language), retry=RECONNECT_MS)
    describer = Describer(index=context.index, settings=context.settings, caller=caller)
    for record in in_queue_order(context.index.table.open()):
        if caller.may_see(record.owner):
            yield ServerSentEvent(event="job", data=describer.entry(record))


def _changes(context: WebContext, caller: Caller, subscription: Subscription) -> Iterable[ServerSentEvent]:
    """Yield what the subscriber has not seen, as it is now: each job is described when it is its turn, not when it changed."""
    pending, daemon = subscription.take()
    describer = Describer(index=context.index, settings=context.settings, caller=caller)
    if daemon:
        yield ServerSentEvent(event="daemon", data=daemon_summary(context.index, caller.language))
    for last in pending.values():
        yield from _change(describer, last, context.index.table.get(last.id))


def _change(describer: Describer, last: JobRecord, record: JobRecord | None) -> Iterable[ServerSentEvent]:
    if record is not None and describer.caller.may_see(record.owner):
        yield ServerSentEvent(event="job", data=describer.entry(record))
    elif describer.caller.may_see(last.owner):
        yield ServerSentEvent(event="gone", data={"id": last.id})
