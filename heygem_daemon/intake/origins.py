"""Read the job.toml of drops that are not claimed yet, for who asked for them: people look for their drops while these are copied or held.

Only small ones, some at each scan, and each once in every state: what counts in the end is read after the claim.
"""

import time
from collections.abc import Mapping
from typing import Final

from heygem_daemon.core.drop import JOB_TOML, Entry, Kind
from heygem_daemon.core.job_options import NO_OPTIONS, JobOptions, parse_job_toml
from heygem_daemon.intake.listing import Listing, decoded_text, opened_folder, read_regular

MAX_BYTES: Final = 64 * 2**10
READS_PER_SCAN: Final = 20
READ_SECONDS: Final = 0.2
"""s after which no more are read in a scan: while one is parsed, the daemon's other threads get half of the time."""


class DropOrigins:
    """Remembers what the drops of the inboxes named, until they are gone."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, tuple[Entry, JobOptions]]] = {}

    def read(self, inbox: str, root: int, listings: Mapping[str, Listing]) -> Mapping[str, JobOptions]:
        """Return the options by the name of the drop, as far as they are known; `root` is the open inbox. Never raises."""
        before = self._known.get(inbox, {})
        known: dict[str, tuple[Entry, JobOptions]] = {}
        reads, until = 0, time.monotonic() + READ_SECONDS
        for name, listing in listings.items():
            entry = _job_toml(listing)
            if entry is None:
                continue
            if name in before and before[name][0] == entry:
                known[name] = before[name]
            elif reads < READS_PER_SCAN and time.monotonic() < until:
                reads += 1
                known[name] = (entry, _options(root, name, entry))
        self._known[inbox] = known
        return {name: options for name, (_, options) in known.items()}


def _job_toml(listing: Listing) -> Entry | None:
    found = [entry for entry in listing.entries if entry.path.casefold() == JOB_TOML]
    entry = min(found, default=None)
    return entry if entry is not None and entry.kind is Kind.FILE and 0 < entry.size <= MAX_BYTES else None


def _options(root: int, name: str, entry: Entry) -> JobOptions:
    try:
        with opened_folder(name or ".", root) as folder:
            content = read_regular(entry.path, MAX_BYTES, folder)
    except OSError:
        return NO_OPTIONS
    return parse_job_toml(decoded_text(content or b""))[0]
