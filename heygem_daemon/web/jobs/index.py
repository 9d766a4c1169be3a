"""What the page knows of all jobs: one small record per job folder in outputs, the drops that lie in the inboxes, the daemon's status.

A task per share polls it and fills the table; requests read the table and never wait for a share. While outputs does not answer, or is not
mounted, the last known state stays and `online` is False. `ready` is False until outputs has been listed once.

How a job is followed through its life, for whoever shows it: a drop that the daemon has not seen is an entry in the state `settling` whose
`id` is the client's reference (`drop-...` where it has none). Once the daemon has it, the entry has the daemon's id and the same
`reference`; the stream of events sends `job` with the new id first, then `gone` with the old one. A screen that follows one job keeps it by
`entry.id === id || entry.reference === id`. GET jobs/{reference} answers all the time.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from heygem_daemon.core.job import State
from heygem_daemon.core.names import MARKER, escape_name
from heygem_daemon.core.presence import Presence, Traces, judge
from heygem_daemon.core.status import DaemonStatus, Heartbeat
from heygem_daemon.settings import Settings
from heygem_daemon.web.caller import Caller
from heygem_daemon.web.files.open_files import is_plain
from heygem_daemon.web.jobs.drop_tracker import DropTracker
from heygem_daemon.web.jobs.inbox_listing import InboxListing, list_inbox
from heygem_daemon.web.jobs.job_folders import Look, Version, list_folders, look
from heygem_daemon.web.jobs.job_record import JobRecord, searchable
from heygem_daemon.web.jobs.job_table import JobTable, Subscription
from heygem_daemon.web.jobs.requests import PendingRequests
from heygem_daemon.web.jobs.share_poll import SharePoll, repeat
from heygem_daemon.web.problems import WebProblem
from heygem_daemon.web.shares import Shares

LOOK_SECONDS: Final = 0.6
"""s between two looks at the daemon's status and the open jobs; the daemon writes both at most once a second."""
LISTING_SECONDS: Final = 3.0
"""s between two listings of outputs at least; see share_poll.RESTRAINT."""
INBOX_SECONDS: Final = 1.0


@dataclass(kw_only=True)
class InboxState:
    """An inbox as it was last seen; `reason` is the code of why it is not online (see `_reason`)."""

    path: Path
    poll: SharePoll
    online: bool = False
    paused: bool = False
    free_bytes: int | None = None
    reason: str = ""


class JobIndex:
    """The jobs, the drops and the daemon, as far as the folders tell."""

    def __init__(self, settings: Settings, shares: Shares) -> None:
        self.ready = False
        self.online = True
        self.table = JobTable()
        self.inboxes = [InboxState(path=inbox.path, poll=SharePoll(shares, inbox.path)) for inbox in settings.inboxes]
        self.requests = PendingRequests(table=self.table)
        self.daemon: DaemonStatus | None = None
        self.beat: Heartbeat | None = None
        self._looking = SharePoll(shares, settings.outputs)
        self._listing = SharePoll(shares, settings.outputs)
        self._drops = DropTracker(table=self.table)
        self._daemon_version: Version | None = None
        self._versions: dict[str, Version] = {}
        self._ids: dict[str, str] = {}
        self._suspect: set[str] = set()
        self._last_state = "unknown"
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to poll, in the running event loop."""
        steps = [repeat(self._look, LOOK_SECONDS, restraint=4.0), self._keep_listing()]
        steps += [repeat(partial(self._list_inbox, inbox), INBOX_SECONDS) for inbox in self.inboxes]
        self._tasks = [asyncio.create_task(step) for step in steps]

    def close_streams(self) -> None:
        """End all subscriptions. The server calls it when it is asked to end: it waits for open answers before it stops the application."""
        self.table.close()

    async def stop(self) -> None:
        """End the polling and all subscriptions; a call that hangs in a dead share is left behind."""
        self.close_streams()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- what requests ask --------------------------------------------------------------------------------------------

    def find(self, caller: Caller, name: str) -> JobRecord:
        """Return the job of this id, folder in outputs or reference, if the caller may see it. Raises WebProblem (`not_found`)."""
        for record in self.table.named(name):
            if caller.may_see(record.owner):
                return record
        raise WebProblem("not_found")

    def expect(self, *, reference: str, name: str, inbox: Path, owner: str = "", priority: int = 0) -> None:
        """Show a drop that was just renamed into its inbox at once. reference: as in its job.toml; name: of its folder."""
        now = time.time()
        record = JobRecord(
            id=reference,
            reference=reference,
            name=escape_name(name),
            inbox=str(inbox),
            owner=owner,
            state=State.SETTLING,
            since=now,
            dropped=now,
            priority=priority,
            control=name,
            searched=searchable(escape_name(name)),
        )
        self._drops.expect(record, now)

    def subscribe(self) -> Subscription:
        return self.table.subscribe()

    def unsubscribe(self, subscription: Subscription) -> None:
        self.table.unsubscribe(subscription)

    @property
    def outputs_hang(self) -> bool:
        """Whether a call in outputs hangs, so that another would as well."""
        return not self.online and (self._looking.hangs or self._listing.hangs)

    @property
    def heartbeat_age(self) -> float | None:
        return None if self.daemon is None else (datetime.now(UTC) - self.daemon.heartbeat).total_seconds()

    @property
    def is_daemon_alive(self) -> bool:
        return self._presence in {Presence.RUNNING, Presence.UNREPORTED}

    @property
    def daemon_state(self) -> str:
        """Return the state in the daemon's status; `unreported` where it works and its status cannot be written, `silent` where it has not
        reported for a while, `unknown` where there is no status."""
        if self.daemon is None:
            return "unknown"
        match self._presence:
            case Presence.RUNNING:
                return self.daemon.state
            case Presence.UNREPORTED | Presence.STOPPED as known:
                return str(known)
            case _:
                return "silent"

    @property
    def _presence(self) -> Presence:
        if self.daemon is None:
            return Presence.GONE
        return judge(Traces(status=self.daemon, beats=(self.beat,) if self.beat is not None else ()), datetime.now(UTC)).presence

    def inbox_of(self, record: JobRecord) -> InboxState | None:
        """Return the inbox of a job; of a job without one (an old status file) the only inbox there is, else None."""
        if not record.inbox:
            return self.inboxes[0] if len(self.inboxes) == 1 else None
        return next((inbox for inbox in self.inboxes if str(inbox.path) == record.inbox), None)

    def names_in(self, inbox: Path) -> set[str]:
        """Return the names of what came from an inbox and has not ended: a control file of that name would be for all of them."""
        return {record.name for record in self.table.open() if record.inbox in {"", str(inbox)}}

    # -- outputs ------------------------------------------------------------------------------------------------------

    async def _look(self) -> bool:
        """Read the daemon's status and the open jobs, and what the daemon's status names and we know otherwise."""
        suspect, self._suspect = self._suspect, set()
        succeeded = await self._read(self._looking, [*suspect, *(record.output for record in self.table.open() if record.output)])
        self._check_alive()
        self.requests.expire(time.time())
        self._drops.reconcile(time.time())
        return succeeded

    async def _keep_listing(self) -> None:
        """The first listing reads every status file, and says nothing about how long the next ones take."""
        await repeat(self._list, LISTING_SECONDS, restraint=0.0, until=lambda: self.ready)
        await repeat(self._list, LISTING_SECONDS)

    async def _list(self) -> bool:
        """List outputs, and look at every job folder in it."""
        listed = await self._call(self._listing, partial(list_folders, self._listing.share))
        if listed is None or listed.names is None:
            return False
        if self._is_unmounted(listed):
            self._set_online(False)
            return False
        if not await self._read(self._listing, listed.rest):
            return False
        for output in [output for output in self._versions if output not in listed.names]:
            self._remove(output)
        self._drops.reconcile(time.time())
        if not self.ready:
            self.ready = True
            self.table.announce_daemon()
        return True

    async def _read(self, poll: SharePoll, folders: Iterable[str]) -> bool:
        """Read these job folders in parts; return whether all were reached."""
        rest = tuple(dict.fromkeys(folders))
        while True:
            versions = {name: self._versions[name] for name in rest if name in self._versions}
            work = partial(look, poll.share, daemon=self._daemon_version, folders=rest, versions=versions)
            found = await self._call(poll, work)
            if found is None or self._is_unmounted(found):
                self._set_online(False)
                return False
            self._set_online(True)
            self._take(found)
            rest = found.rest
            if not rest:
                return True

    async def _call(self, poll: SharePoll, work: Callable[[], Look]) -> Look | None:
        try:
            return await poll.call(work)
        except (OSError, WebProblem):
            self._set_online(False)
            return None

    def _is_unmounted(self, found: Look) -> bool:
        """Return whether the folder is there, but not what the daemon wrote into it: then its share is not mounted."""
        return self.daemon is not None and not found.is_there

    def _set_online(self, online: bool) -> None:
        if online != self.online:
            self.online = online
            self.table.announce_daemon()

    def _take(self, found: Look) -> None:
        self.beat = found.beat or self.beat
        if found.daemon is not None:
            self._daemon_version, daemon = found.daemon
            if daemon is not None:
                self._take_daemon(daemon)
        for output, seen in found.changed.items():
            self._versions[output] = seen.version
            if seen.record is None:
                self._withdraw(output)
            else:
                self._put(output, seen.record)
        for output in found.gone:
            self._remove(output)

    def _take_daemon(self, daemon: DaemonStatus) -> None:
        self.daemon = daemon
        self.table.announce_daemon()
        for summary in daemon.jobs:
            known = self.table.get(summary.job)
            if is_plain(summary.output) and (known is None or known.output != summary.output or known.state != summary.state):
                self._suspect.add(summary.output)

    def _put(self, output: str, record: JobRecord) -> None:
        before, known = self._ids.get(output), self.table.get(record.id)
        self._ids[output] = record.id
        if not record.is_genuine and known is not None and known.is_genuine and known.output not in {"", output}:
            # Somebody gives the id of another job: that one stays.
            self._forget(before, output)
            return
        # The first listing tells nobody of the history: whoever wants it asks for it.
        self.table.put(self._drops.adopt(record), quiet=not self.ready and record.is_final)
        if before != record.id:
            self._forget(before, output)

    def _remove(self, output: str) -> None:
        self._versions.pop(output, None)
        self._withdraw(output)

    def _withdraw(self, output: str) -> None:
        self._forget(self._ids.pop(output, None), output)

    def _forget(self, job_id: str | None, output: str) -> None:
        """Take out the job of this folder, unless the id has become that of a job elsewhere."""
        known = None if job_id is None else self.table.get(job_id)
        if known is not None and known.output == output:
            self.table.remove(known.id)

    def _check_alive(self) -> None:
        if self.daemon_state != self._last_state:
            self._last_state = self.daemon_state
            self.table.announce_daemon()
            for record in self.table.open():  # why they wait has another answer now
                self.table.announce(record)

    # -- inboxes ------------------------------------------------------------------------------------------------------

    async def _list_inbox(self, inbox: InboxState) -> bool:
        began = time.time()
        known = self._drops.listings.get(inbox.path)
        try:
            listing = await inbox.poll.call(partial(list_inbox, inbox.path, known.drops if known else {}))
        except (OSError, WebProblem) as problem:
            self._set_inbox(inbox, None, _reason(problem))
            return False
        self._set_inbox(inbox, listing, "")
        self._drops.listings[inbox.path] = listing
        self._drops.reconcile(time.time())
        self.requests.update(str(inbox.path), listing.controls, began)
        return True

    def _set_inbox(self, inbox: InboxState, listing: InboxListing | None, reason: str) -> None:
        before = (inbox.online, inbox.paused)
        inbox.online, inbox.reason = listing is not None, reason
        if listing is not None:
            inbox.paused, inbox.free_bytes = listing.paused, listing.free_bytes
        if before != (inbox.online, inbox.paused):
            self.table.announce_daemon()


def _reason(problem: Exception) -> str:
    """Return the code of why an inbox is not online; the texts are `inbox.<code>`."""
    if isinstance(problem, WebProblem):
        return "hangs"
    if isinstance(problem, FileNotFoundError):
        return "unmarked" if problem.filename == MARKER else "absent"
    return "denied" if isinstance(problem, PermissionError) else "unreadable"
