"""Scan the inboxes, each when it is due, and keep the result of the last scan."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from heygem_daemon.core.clock import ClockReading
from heygem_daemon.core.errors import TransientError
from heygem_daemon.core.ports import ChangeNotifier, Claims, Clock, Log, Scanner
from heygem_daemon.core.scan import InboxScan, control_names, with_meant_controls, with_unused_controls
from heygem_daemon.core.users import NOBODY, Who, may_only
from heygem_daemon.daemon.candidates import CandidateTracker
from heygem_daemon.daemon.control_files import ControlFiles
from heygem_daemon.daemon.dispatcher import Dispatcher
from heygem_daemon.daemon.former_jobs import FormerJobs
from heygem_daemon.daemon.health import Health
from heygem_daemon.daemon.ignored_tracker import IgnoredTracker
from heygem_daemon.daemon.job_store import JobStore
from heygem_daemon.daemon.recovery import recover_claims
from heygem_daemon.daemon.requests import RequestHandler
from heygem_daemon.daemon.runtime_config import Intervals, RuntimeConfig

RECOVER_SECONDS: Final = 0.3
"""s after which no more of the folders that were claimed before the start are looked up in a tick."""
CLAIM_SECONDS: Final = 0.2
"""s after which no more drops are looked at or claimed, of all inboxes together: the workers have their turn first."""
CONTROL_SECONDS: Final = 0.2
"""s after which no more control files are applied after a scan; there may be ten thousand."""
REST_AFTER_SCAN: Final = 2.0
"""s of rest for each s that a scan and what followed from it took."""
LONGEST_REST: Final = 10.0
"""s. A hundred thousand folders keep a core busy for seconds: not again and again."""


@dataclass(kw_only=True)
class Inboxes:
    """`paths` are the watched inboxes, `scans` the last answer of each, `scanned_at` (unix time) when it was last found online."""

    paths: Sequence[str]
    intervals: Intervals
    scanner: Scanner
    claims: Claims
    change_notifier: ChangeNotifier
    store: JobStore
    candidates: CandidateTracker
    dispatcher: Dispatcher
    requests: RequestHandler
    controls: ControlFiles
    ignored: IgnoredTracker
    former: FormerJobs
    health: Health
    clock: Clock
    log: Log
    scans: dict[str, InboxScan] = field(default_factory=dict)
    scanned_at: dict[str, float] = field(default_factory=dict)
    _scan_at: dict[str, float] = field(default_factory=dict)
    _rested_at: dict[str, float] = field(default_factory=dict)
    _recovered: set[str] = field(default_factory=set)
    _unrecovered: dict[str, str] = field(default_factory=dict)
    """Why the claims of an inbox could not be recovered yet; tried again after each scan, and logged when the reason changes."""
    _unlooked: dict[str, Sequence[str]] = field(default_factory=dict)
    """The claimed folders of an inbox that are still to be looked up."""
    _begun: set[str] = field(default_factory=set)
    _scan_began: dict[str, float] = field(default_factory=dict)

    @property
    def all_scanned(self) -> bool:
        """Whether every inbox has answered once, or was found offline."""
        return all(inbox in self.scans for inbox in self.paths)

    @property
    def all_begun(self) -> bool:
        """Whether the first scan of every inbox is over or under way: that of ten thousand drops takes some seconds."""
        return self._begun.issuperset(self.paths)

    @property
    def online(self) -> set[str]:
        return {inbox for inbox, scan in self.scans.items() if scan.online}

    @property
    def closed(self) -> set[str]:
        """Return those of which nothing may be started: offline, paused, or not scanned yet."""
        return {inbox for inbox in self.paths if (scan := self.scans.get(inbox)) is None or not scan.online or scan.paused}

    @property
    def offline(self) -> set[str]:
        """Return those that must not be touched, since a frozen share would hang the daemon; also those not scanned yet."""
        return {inbox for inbox in self.paths if (scan := self.scans.get(inbox)) is None or not scan.online}

    def due(self, now: ClockReading) -> list[str]:
        """Return the inboxes to scan in this tick; after a file system event all but those whose last scan took long."""
        if self.change_notifier.changed():
            for inbox in self.paths:
                self._scan_at[inbox] = min(self._scan_at.get(inbox, 0.0), self._rested_at.get(inbox, 0.0))
        return [inbox for inbox in self.paths if now.monotonic >= self._scan_at.get(inbox, 0.0)]

    def next_due(self, now: ClockReading) -> float:
        """Return when the next scan is due, in s of the monotonic clock."""
        return min(self._scan_at.values(), default=now.monotonic + 1.0)

    def apply(self, config: RuntimeConfig) -> None:
        """Go on with these inboxes and intervals. Drops of inboxes that are no longer watched are forgotten, their jobs go on."""
        for inbox in set(self.paths) - set(config.inboxes):
            for by_inbox in (self.scans, self.scanned_at, self._scan_began, self._rested_at, self._unrecovered, self._unlooked):
                by_inbox.pop(inbox, None)
            self._recovered.discard(inbox)
            self._begun.discard(inbox)
            self.candidates.forget(inbox)
            self.ignored.forget(inbox)
        self.paths, self.intervals = config.inboxes, config.intervals
        self.former.watch(self.paths)
        self._scan_at.clear()

    def scan(self, inbox: str, now: ClockReading) -> None:
        """Scan one inbox; what is new there becomes a candidate, and what is complete a job."""
        self._scan_at[inbox] = now.monotonic + self.intervals.scan
        began = self._scan_began.setdefault(inbox, now.monotonic)
        scan = self._scan_and_recover(inbox)
        if scan is None:
            self._scan_at[inbox] = now.monotonic + self.intervals.busy
            return
        del self._scan_began[inbox]
        scan = self._without_part_of_flat_drop(self._without_refused_pause(scan))
        before = self.scans.get(inbox)
        self._log_changes(before, scan)
        if scan.online and before is not None and not before.online:
            self.dispatcher.inbox_returned(inbox, now)
        self.scans[inbox] = scan
        if not scan.online:
            return
        if scan.controls:
            scan = self.scans[inbox] = self._with_meant_controls(scan)
        self.scanned_at[inbox] = now.wall
        if not scan.network:
            self.change_notifier.watch(inbox)
        is_recovered = inbox in self._recovered
        self._recovered.discard(inbox)  # a claim that becomes no job, by a mistake or a share that went away, is put back
        until = self.clock.now().monotonic + CLAIM_SECONDS / len(self.paths)
        for jobs in self.candidates.process_scan(scan, now, has_time=lambda: self.clock.now().monotonic < until):
            self.dispatcher.enqueue(jobs, now)
        self._recovered |= {inbox} if is_recovered else set()
        self.former.inbox_scanned(inbox)
        controls_until = self.clock.now().monotonic + CONTROL_SECONDS / len(self.paths)
        self.controls.apply(scan, now, has_time=lambda: self.clock.now().monotonic < controls_until)
        self.ignored.observe(scan, now, self.candidates.rules.incomplete_seconds)
        self._scan_at[inbox] = self._next_scan(scan, began, now)

    def _with_meant_controls(self, scan: InboxScan) -> InboxScan:
        names = self._names_in(scan)
        meant = with_meant_controls(scan, names, random.sample)
        return meant if self.candidates.has_unregistered(scan.inbox) else with_unused_controls(meant, names)

    def _names_in(self, scan: InboxScan) -> set[str]:
        """Return the names by which people may control what lies in an inbox, and what was taken from it."""
        dropped = (name for scanned in scan.drops for name in control_names(scanned.name, scanned.entries))
        jobs = (name for job in self.store.jobs.values() if job.inbox == scan.inbox for name in (job.name, job.id))
        return {*dropped, *jobs, *(candidate.job_id for candidate in self.candidates.of(scan.inbox))}

    def _scan_and_recover(self, inbox: str) -> InboxScan | None:
        """Return the answer of the scanner, None while there is none yet; the first online one is taken after the claims are recovered."""
        self.health.tried("scan")
        scan = self.scanner.scan(inbox)
        self._begun.add(inbox)
        self.health.succeeded("scan")  # also without an answer: one that hangs is offline soon
        if scan is None:
            return None
        if scan.online and inbox not in self._recovered:
            try:
                if not self._recover(inbox):
                    return None
            except TransientError as problem:
                if self._unrecovered.get(inbox) != problem.message:
                    self.log("inbox_offline", level="warning", inbox=inbox, reason=problem.message)
                self._unrecovered[inbox] = problem.message
            else:
                self._unrecovered.pop(inbox, None)
                self._recovered.add(inbox)
            return self.scanner.scan(inbox)
        return scan

    def _recover(self, inbox: str) -> bool:
        """Recover claims of this inbox while there is time; return whether that were all. Raises TransientError."""
        until = self.clock.now().monotonic + RECOVER_SECONDS
        claimed = self._unlooked.pop(inbox, None) or self.claims.claimed(inbox)
        unknown, left = recover_claims(claimed, self.store, lambda: self.clock.now().monotonic < until, inbox=inbox, watched=self.paths)
        self.former.inbox_recovered(inbox, unknown)
        if left:
            self._unlooked[inbox] = left
        return not left

    def _next_scan(self, scan: InboxScan, began: float, now: ClockReading) -> float:
        """Return when to scan again after a scan that `began` then, in s of the monotonic clock.

        That of an inbox with a thousand drops takes long: then scans are further apart, so that the daemon's time goes into claims and the
        other processes have the cores."""
        ended = self.clock.now().monotonic
        if self.candidates.has_backlog:
            return ended
        usual = self.intervals.network_scan if scan.network else self.intervals.scan
        rested = self._rested_at[scan.inbox] = ended + min(REST_AFTER_SCAN * (ended - began), max(usual, LONGEST_REST))
        pause = self.intervals.busy if self.candidates.is_inspecting else min(usual, self.candidates.next_settling(now))
        return max(now.monotonic + max(pause, self.intervals.shortest), rested)

    def _without_refused_pause(self, scan: InboxScan) -> InboxScan:
        """Return the scan as not paused, with the reason, where PAUSE is the file of somebody who may not pause."""
        if not scan.paused or self.candidates.rules.users.may("pause", scan.pause_uids, NOBODY):
            return scan
        return replace(scan, paused=False, reason=f"PAUSE is left aside: {may_only(Who.ADMIN)}")

    def _without_part_of_flat_drop(self, scan: InboxScan) -> InboxScan:
        """Return the scan without the drop in the flat form while a part of it may be claimed since before a crash."""
        is_whole = all(each.name for each in scan.drops)
        if is_whole or (scan.inbox in self._recovered and not self.former.may_hold_part_of_flat_drop(scan.inbox)):
            return scan
        return replace(scan, drops=tuple(each for each in scan.drops if each.name))

    def _log_changes(self, before: InboxScan | None, after: InboxScan) -> None:
        if before is None or before.online != after.online:
            event, level = ("inbox_online", "info") if after.online else ("inbox_offline", "warning")
            self.log(event, level=level, inbox=after.inbox, reason=after.reason or None, network=after.network)
        if after.online and after.reason and (before is None or before.reason != after.reason):
            self.log("pause_refused", level="warning", inbox=after.inbox, reason=may_only(Who.ADMIN))
        if after.online and after.paused != (before is not None and before.paused):
            self.log("inbox_paused" if after.paused else "inbox_resumed", inbox=after.inbox)
