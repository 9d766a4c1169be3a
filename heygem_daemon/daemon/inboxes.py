"""Scan the inboxes, each when it is due, and keep the result of the last scan."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from heygem_daemon.core.clock import ClockReading
from heygem_daemon.core.errors import TransientError
from heygem_daemon.core.ports import ChangeNotifier, Claims, Clock, Log, Scanner
from heygem_daemon.core.scan import InboxScan
from heygem_daemon.daemon.candidates import CandidateTracker
from heygem_daemon.daemon.control_files import ControlFiles
from heygem_daemon.daemon.dispatcher import Dispatcher
from heygem_daemon.daemon.health import Health
from heygem_daemon.daemon.job_store import JobStore
from heygem_daemon.daemon.recovery import recover_claims
from heygem_daemon.daemon.requests import RequestHandler
from heygem_daemon.daemon.runtime_config import Intervals, RuntimeConfig

CLAIM_SECONDS: Final = 0.5
"""s after which no more drops of a scan are claimed: the other inboxes and the workers have their turn first."""
REST_AFTER_SCAN: Final = 2.0
"""s of rest for each s that a scan and what followed from it took."""


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
    health: Health
    clock: Clock
    log: Log
    scans: dict[str, InboxScan] = field(default_factory=dict)
    scanned_at: dict[str, float] = field(default_factory=dict)
    _scan_at: dict[str, float] = field(default_factory=dict)
    _rested_at: dict[str, float] = field(default_factory=dict)
    _recovered: set[str] = field(default_factory=set)

    @property
    def all_scanned(self) -> bool:
        """Whether every inbox has answered once, or was found offline."""
        return all(inbox in self.scans for inbox in self.paths)

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
            self.scans.pop(inbox, None)
            self.scanned_at.pop(inbox, None)
            self.candidates.forget(inbox)
        self.paths, self.intervals = config.inboxes, config.intervals
        self._scan_at.clear()

    def scan(self, inbox: str, now: ClockReading) -> None:
        """Scan one inbox; what is new there becomes a candidate, and what is complete a job."""
        self._scan_at[inbox] = now.monotonic + self.intervals.scan
        scan = self._scan_and_recover(inbox)
        if scan is None:
            self._scan_at[inbox] = now.monotonic + self.intervals.busy
            return
        self._log_changes(self.scans.get(inbox), scan)
        self.scans[inbox] = scan
        if not scan.online:
            return
        self.scanned_at[inbox] = now.wall
        if not scan.network:
            self.change_notifier.watch(inbox)
        is_recovered = inbox in self._recovered
        self._recovered.discard(inbox)  # a claim that becomes no job, by a mistake or a share that went away, is put back
        until = self.clock.now().monotonic + CLAIM_SECONDS
        for jobs in self.candidates.process_scan(scan, now, has_time=lambda: self.clock.now().monotonic < until):
            self.dispatcher.enqueue(jobs, now)
        self._recovered |= {inbox} if is_recovered else set()
        self.controls.apply(scan, now)
        self._scan_at[inbox] = self._next_scan(scan, now)

    def _scan_and_recover(self, inbox: str) -> InboxScan | None:
        """Return the answer of the scanner, None while there is none yet; the first online one is taken after the claims are recovered."""
        self.health.tried("scan")
        scan = self.scanner.scan(inbox)
        if scan is None:
            return None
        self.health.succeeded("scan")
        if scan.online and inbox not in self._recovered:
            try:
                recover_claims(inbox, self.store, self.claims, self.log)
            except TransientError as problem:
                self.log("inbox_offline", level="warning", inbox=inbox, reason=problem.message)
            else:
                self._recovered.add(inbox)
            return self.scanner.scan(inbox)
        return scan

    def _next_scan(self, scan: InboxScan, now: ClockReading) -> float:
        """Return when to scan again, in s of the monotonic clock. A scan of an inbox with a thousand drops takes long: then scans are
        further apart, so that the daemon's time goes into claims and the other processes have the cores."""
        ended = self.clock.now().monotonic
        if self.candidates.has_backlog:
            return ended
        usual = self.intervals.network_scan if scan.network else self.intervals.scan
        rested = self._rested_at[scan.inbox] = ended + min(REST_AFTER_SCAN * (ended - now.monotonic), usual)
        pause = self.intervals.busy if self.candidates.is_inspecting else min(usual, self.candidates.next_settling(now))
        return max(now.monotonic + max(pause, self.intervals.shortest), rested)

    def _log_changes(self, before: InboxScan | None, after: InboxScan) -> None:
        if before is None or before.online != after.online:
            event, level = ("inbox_online", "info") if after.online else ("inbox_offline", "warning")
            self.log(event, level=level, inbox=after.inbox, reason=after.reason or None, network=after.network)
        if after.online and after.paused != (before is not None and before.paused):
            self.log("inbox_paused" if after.paused else "inbox_resumed", inbox=after.inbox)
