"""The daemon and the inboxes as the HTTP interface shows them."""

from pathlib import Path, PurePath
from typing import Final, Literal

from heygem_daemon.web.caller import Caller
from heygem_daemon.web.jobs.index import InboxState, JobIndex
from heygem_daemon.web.jobs.reasons import translate
from heygem_daemon.web.models import DaemonSummary, InboxView
from heygem_daemon.web.words import text

MAX_IGNORED: Final = 20
"""Names shown of what lies in an inbox and is used for nothing."""


def daemon_summary(index: JobIndex, language: str) -> DaemonSummary:
    """Return what the head of every screen shows of the daemon."""
    daemon, outputs = index.daemon, _outputs(index)
    paused = any(inbox.online for inbox in index.inboxes) and all(inbox.paused for inbox in index.inboxes if inbox.online)
    if daemon is None:
        return DaemonSummary(state=index.daemon_state, paused=paused, outputs=outputs)
    return DaemonSummary(
        state=index.daemon_state,
        version=daemon.version,
        heartbeat=daemon.heartbeat,
        unwritable=translate(language, index.beat.unwritable) if index.beat and index.daemon_state == "unreported" else None,
        queue=daemon.queue,
        paused=paused,
        breaker=translate(language, daemon.breaker) if daemon.breaker else None,
        until=daemon.until,
        disk=daemon.disk,
        outputs=outputs,
    )


def _outputs(index: JobIndex) -> Literal["reading", "online", "offline"]:
    if not index.online:
        return "offline"
    return "online" if index.ready else "reading"


def inbox_views(index: JobIndex, caller: Caller) -> list[InboxView]:
    """Return the inboxes: as the page sees them, and why the daemon cannot use one; to administrators with their paths."""
    return [_inbox_view(number, inbox, index, caller) for number, inbox in enumerate(index.inboxes)]


def _inbox_view(number: int, inbox: InboxState, index: JobIndex, caller: Caller) -> InboxView:
    known = index.daemon.inboxes if index.daemon is not None and index.is_daemon_alive else ()
    daemons = next((each for each in known if Path(each.path) == inbox.path), None)
    reason = text(caller.language, f"inbox.{inbox.reason}") if inbox.reason else ""
    if not reason and daemons is not None and not daemons.online:
        reason = translate(caller.language, daemons.reason) if caller.is_admin else text(caller.language, "inbox.unreadable")
    return InboxView(
        id=number,
        path=str(inbox.path) if caller.is_admin else PurePath(inbox.path).name,
        online=inbox.online and (daemons is None or daemons.online),
        paused=inbox.paused,
        network=daemons.network if daemons is not None else False,
        reason=reason,
        ignored=[entry.name for entry in daemons.ignored[:MAX_IGNORED]] if daemons is not None and caller.is_admin else [],
        ignored_count=daemons.ignored_count if daemons is not None and caller.is_admin else 0,
    )
