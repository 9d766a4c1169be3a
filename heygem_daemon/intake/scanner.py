"""Scan an inbox: which drops lie there, and which control files beside them. All knowledge comes from scans; events only trigger one."""

import errno
import heapq
import os
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from heygem_daemon.core.drop import Kind, is_flat_part, is_side_file
from heygem_daemon.core.ignored_entries import MAX_IGNORED, IgnoredEntry, why_ignored
from heygem_daemon.core.job_options import NO_OPTIONS, JobOptions
from heygem_daemon.core.names import MARKER, control_of, is_ignored, is_pause, is_temporary
from heygem_daemon.core.scan import InboxScan, ScannedDrop, control_names
from heygem_daemon.intake.leases import has_writer_at
from heygem_daemon.intake.listing import MAX_DEPTH, MAX_FILES, Listing, decoded_text, list_drop, list_flat, opened_folder, read_regular
from heygem_daemon.intake.mounts import mount_of
from heygem_daemon.intake.origins import DropOrigins
from heygem_daemon.intake.owners import known_uid, uids_of
from heygem_daemon.intake.permissions import DENIED, permission_error

T = TypeVar("T")

_FLAT: Final = ""
MAX_UNFINISHED: Final = 20
"""Files of a drop with the names of unfinished copies that are named."""
PRIORITIES_PER_SCAN: Final = 100
PRIORITY_BYTES: Final = 64
"""More than any number from -100 to 100 has, however it is written."""
_NEVER_READABLE: Final = frozenset({errno.ELOOP, errno.EMLINK, errno.ENXIO, *DENIED})
"""Of a link, a socket, and a file of others: no later scan will read it."""


@dataclass(kw_only=True)
class _RootContents:
    """The entries directly in an inbox: names of drops, whether there is a flat form, control files."""

    drops: list[str] = field(default_factory=list)
    flat: bool = False
    paused: bool = False
    pause_uids: frozenset[int] = frozenset()
    controls: list[tuple[str, str]] = field(default_factory=list)
    control_uids: dict[tuple[str, str], frozenset[int]] = field(default_factory=dict)
    priority_files: list[str] = field(default_factory=list)
    ignored: list[tuple[str, str]] = field(default_factory=list)


class FolderScanner:
    """The `Scanner` port on real folders. Keeps the last listing of each drop only to test for leases once nothing changes any more.

    `on_drop` is called with the inbox before each of its drops is looked at: ten thousand take seconds, and that is no hang."""

    def __init__(self, marker: str = MARKER, *, max_files: int = MAX_FILES, max_depth: int = MAX_DEPTH) -> None:
        self._marker = marker
        self._limits: dict[str, int] = {"max_files": max_files, "max_depth": max_depth}
        self._last: dict[str, Mapping[str, Listing]] = {}
        self._origins = DropOrigins()
        self.on_drop: Callable[[str], None] = lambda _inbox: None

    def scan(self, inbox: str) -> InboxScan:
        """Scan one inbox; never raises. Without its marker file it is offline: an unmounted share looks like an empty folder."""
        try:
            with opened_folder(inbox) as root:
                os.stat(self._marker, dir_fd=root)
                scan = self._scan_open(inbox, root)
                # Gone during the scan: then what looked like missing drops was a missing share.
                Path(inbox, self._marker).stat()
        except OSError as failed:
            return InboxScan(inbox=inbox, online=False, reason=self._offline_reason(inbox, failed))
        return scan

    def _offline_reason(self, inbox: str, failed: OSError) -> str:
        if not isinstance(failed, FileNotFoundError):
            return f"The folder {inbox} cannot be read: {failed.strerror}"
        if failed.filename == inbox:
            return f"The folder {inbox} does not exist, or its share is not mounted"
        return (
            f"The marker file {self._marker} is missing in {inbox}: its share is not mounted, or `heygem init-inbox {inbox}` was never run"
        )

    def _scan_open(self, inbox: str, root: int) -> InboxScan:
        mount = mount_of(inbox)
        network = mount is not None and mount.network
        found = _classify(root, network=network)
        listings = self._listings(inbox, root, found)
        before = self._last.get(inbox, {})
        self._last[inbox] = listings
        controls = frozenset(found.controls)
        origins = self._origins.read(inbox, root, listings)
        return InboxScan(
            inbox=inbox,
            online=True,
            network=network,
            paused=found.paused,
            drops=tuple(
                _scanned_drop(
                    inbox,
                    name,
                    listing,
                    controls,
                    origins.get(name, NO_OPTIONS),
                    network=network,
                    writers=_has_writers(root, name, listing, before.get(name), network=network),
                )
                for name, listing in self._each(inbox, listings.items())
            ),
            controls=tuple(sorted(controls)),
            control_uids=found.control_uids,
            pause_uids=found.pause_uids,
            priorities=_read_priorities(root, found.priority_files, network=network),
            ignored=_ignored(root, found.ignored),
            ignored_count=len(found.ignored),
        )

    def _each(self, inbox: str, found: Iterable[T]) -> Iterator[T]:
        for each in found:
            self.on_drop(inbox)
            yield each

    def _listings(self, inbox: str, root: int, found: _RootContents) -> dict[str, Listing]:
        listings: dict[str, Listing] = {}
        if found.flat:
            listings[_FLAT] = list_flat(root, **self._limits)
        for name in self._each(inbox, sorted(found.drops)):
            listing = list_drop(name, root, **self._limits)
            if listing is not None:
                listings[name] = listing
        return listings


def _classify(root: int, *, network: bool) -> _RootContents:
    """Sort names into drops, parts of a flat form and control files, by name and kind alone."""
    found = _RootContents()
    with os.scandir(root) as entries:
        for entry in entries:
            is_folder = entry.is_dir(follow_symlinks=False)
            control = None if is_folder else control_of(entry.name)
            if control:
                found.controls.append(control)
                found.control_uids[control] = found.control_uids.get(control, frozenset()) | uids_of(entry, network=network)
                found.priority_files += [entry.name] if control[1] == "priority" else []
            elif is_pause(entry.name, is_folder=is_folder):
                found.paused = True
                found.pause_uids |= uids_of(entry, network=network)
            elif is_flat_part(entry.name, is_folder=is_folder):
                # job.toml and speech.txt alone are not a drop: they may wait there for the next recording.
                found.flat = found.flat or is_folder or not is_side_file(entry.name)
            elif _is_drop_name(entry.name, is_folder=is_folder) and (is_folder or entry.is_symlink()):
                found.drops.append(entry.name)
            elif (reason := why_ignored(entry.name, is_folder=is_folder)) is not None:
                found.ignored.append((entry.name, reason))
    return found


def _is_drop_name(name: str, *, is_folder: bool) -> bool:
    """Return whether a folder or link of this name is a drop: never a hidden one, also not that of a placeholder (`.lesson.icloud`), for
    beside a claimed drop hidden names are ours."""
    return not name.startswith(".") and not is_ignored(name, is_folder=is_folder)


def _ignored(root: int, found: Iterable[tuple[str, str]]) -> tuple[IgnoredEntry, ...]:
    """Return the first entries by name of those that are used for nothing, with what changes when they are written to."""
    entries: list[IgnoredEntry] = []
    for name, reason in heapq.nsmallest(MAX_IGNORED, found):
        with suppress(OSError):
            seen = os.stat(name, dir_fd=root, follow_symlinks=False)
            entries.append(IgnoredEntry(name=name, reason=reason, version=(seen.st_size, seen.st_mtime_ns)))
    return tuple(entries)


def _read_priorities(root: int, files: Sequence[str], *, network: bool) -> dict[str, str]:
    """Return the texts of priority files by the name that each is about, without those that are empty or still being written.

    What is no regular file, or may not be read, has a text that is no number. Of many files some are read, others at the next scan."""
    chosen = files if len(files) <= PRIORITIES_PER_SCAN else random.sample(files, PRIORITIES_PER_SCAN)
    texts: dict[str, str] = {}
    for file in chosen:
        control = control_of(file)
        try:
            content = read_regular(file, PRIORITY_BYTES + 1, root)
        except OSError as failed:
            if failed.errno not in _NEVER_READABLE:
                continue
            content = None
        is_written = content != b"" and (network or not has_writer_at(file, root))
        if control is not None and is_written:
            texts[control[0]] = "(no readable file)" if content is None else decoded_text(content)
    return texts


def _scanned_drop(
    inbox: str, name: str, listing: Listing, controls: frozenset[tuple[str, str]], options: JobOptions, *, network: bool, writers: bool
) -> ScannedDrop:
    names = control_names(name, listing.entries)
    return ScannedDrop(
        inbox=inbox,
        name=name,
        entries=listing.entries,
        writers=writers,
        ready=any((each, "ready") in controls for each in names),
        hold=any((each, "hold") in controls for each in names),
        cancel=any((each, "cancel") in controls for each in names),
        uid=known_uid(listing.uid, network=network),
        owner=options.owner,
        reference=options.reference,
        unreadable=listing.unreadable,
        oversize=listing.oversize,
        unfinished=_unfinished(listing),
        problem=None if listing.denied is None else permission_error(Path(inbox) / name / listing.denied, "read", Path(inbox)),
    )


def _unfinished(listing: Listing) -> tuple[str, ...]:
    paths = (path for path, _, _ in listing.ignored_files if is_temporary(path))
    return tuple(heapq.nsmallest(MAX_UNFINISHED, paths))


def _has_writers(root: int, name: str, listing: Listing, before: Listing | None, *, network: bool) -> bool:
    """Return whether a process is writing. Leases are tried only where nothing else shows a change since the last scan."""
    if listing.busy:
        return True
    if before is None or before.entries != listing.entries:
        return False  # the change itself shows it
    if before.ignored_files != listing.ignored_files:
        return True
    if network:
        return False  # a lease covers only writers on this machine
    prefix = f"{name}/" if name else ""
    return any(entry.kind is Kind.FILE and has_writer_at(prefix + entry.path, root) for entry in listing.entries)
