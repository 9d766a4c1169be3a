"""Report what lies in the inboxes and is used for nothing, once it has lain there unchanged for a while: until then it may be a copy."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from heygem_daemon.core.clock import ClockReading
from heygem_daemon.core.ignored_entries import IgnoredEntry
from heygem_daemon.core.names import escape_name
from heygem_daemon.core.ports import Log
from heygem_daemon.core.scan import InboxScan


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """An entry as it was seen last, since when (monotonic, s) it is so, and whether it was reported."""

    entry: IgnoredEntry
    since: float
    is_reported: bool = False


@dataclass(kw_only=True)
class IgnoredTracker:
    """Call `observe` after each scan of an inbox that is online."""

    log: Log
    _seen: dict[str, dict[str, _Seen]] = field(default_factory=dict)

    def observe(self, scan: InboxScan, now: ClockReading, seconds: float) -> None:
        """Log each entry once that has not changed for so many seconds."""
        before = self._seen.get(scan.inbox, {})
        self._seen[scan.inbox] = {
            entry.name: self._observed(scan.inbox, entry, before.get(entry.name), now, seconds) for entry in scan.ignored
        }

    def _observed(self, inbox: str, entry: IgnoredEntry, before: _Seen | None, now: ClockReading, seconds: float) -> _Seen:
        if before is None or before.entry != entry:
            return _Seen(entry=entry, since=now.monotonic)
        if before.is_reported or now.monotonic - before.since < seconds:
            return before
        self.log("entry_ignored", level="warning", inbox=inbox, name=escape_name(entry.name), reason=entry.reason)
        return _Seen(entry=entry, since=before.since, is_reported=True)

    def reported(self, inbox: str) -> Sequence[IgnoredEntry]:
        """Return what was reported of an inbox and still lies there."""
        return [seen.entry for seen in self._seen.get(inbox, {}).values() if seen.is_reported]

    def forget(self, inbox: str) -> None:
        """Stop tracking an inbox."""
        self._seen.pop(inbox, None)
