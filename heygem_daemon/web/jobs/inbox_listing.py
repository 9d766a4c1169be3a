"""List what lies directly in an inbox: drops with their owner and reference, control files. It may hang; it is run through Shares.

Only names and the job.toml of a drop are read; whether a drop is complete, the daemon finds out.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from heygem_daemon.core.drop import JOB_TOML, is_drop_file, is_flat_part, is_side_file
from heygem_daemon.core.job import State
from heygem_daemon.core.job_options import NO_OPTIONS, JobOptions, parse_job_toml
from heygem_daemon.core.names import MARKER, control_of, escape_name, is_ignored, is_pause
from heygem_daemon.web.jobs.job_folders import Version, opened, read_bounded
from heygem_daemon.web.jobs.job_record import JobRecord, searchable

MAX_JOB_TOML: Final = 64 * 1024
"""Bytes."""
MAX_DROPS: Final = 2000
REFERENCE: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, kw_only=True)
class Drop:
    """A drop as it lies in the inbox: its raw name ("" in the flat form), its record, and the job.toml that this is made from."""

    name: str
    record: JobRecord
    version: Version | None


@dataclass(frozen=True, kw_only=True)
class InboxListing:
    """What lies in an inbox. controls: (name or job id, kind) of every control file. free_bytes: for people who are not root."""

    drops: Mapping[str, Drop]
    controls: frozenset[tuple[str, str]]
    paused: bool
    free_bytes: int


def list_inbox(inbox: Path, known: Mapping[str, Drop]) -> InboxListing:
    """List an inbox; `known` saves reading a job.toml again. Raises OSError, FileNotFoundError also where the marker is missing."""
    with opened(inbox) as root:
        os.stat(MARKER, dir_fd=root)
        drops, flat, controls, paused = _classified(root)
        volume = os.fstatvfs(root)
        found = {name: _drop(inbox, root, name, known.get(name)) for name in sorted(drops)[:MAX_DROPS]}
        if flat:
            found[""] = _flat_drop(inbox, root, flat)
        os.stat(MARKER, dir_fd=root)  # gone meanwhile: then the share was, and what is missing proves nothing
    return InboxListing(drops=found, controls=frozenset(controls), paused=paused, free_bytes=volume.f_bavail * volume.f_frsize)


def _classified(root: int) -> tuple[list[str], list[str], set[tuple[str, str]], bool]:
    """Return the names of drops, those of the files of a flat form, the control files, and whether the inbox is paused."""
    drops: list[str] = []
    flat: list[str] = []
    controls: set[tuple[str, str]] = set()
    paused = False
    with os.scandir(root) as entries:
        for entry in entries:
            is_folder = entry.is_dir(follow_symlinks=False)
            if not is_folder and (control := control_of(entry.name)):
                controls.add(control)
            elif is_pause(entry.name, is_folder=is_folder):
                paused = True
            elif is_flat_part(entry.name, is_folder=is_folder):
                flat.append(entry.name)
            elif is_folder and not is_ignored(entry.name, is_folder=True):
                drops.append(entry.name)
    return drops, flat if any(not is_side_file(name) for name in flat) else [], controls, paused


def _drop(inbox: Path, root: int, name: str, known: Drop | None) -> Drop:
    try:
        with opened(name, root) as folder:
            changed = os.fstat(folder).st_ctime
            version, options = _options(folder, known)
    except OSError:  # gone, or not readable by us: it is shown all the same
        return known or Drop(name=name, record=_record(inbox, name, escape_name(name), 0.0, NO_OPTIONS), version=None)
    if known is not None and options is None:
        return known
    return Drop(name=name, record=_record(inbox, name, escape_name(name), changed, options or NO_OPTIONS), version=version)


def _options(folder: int, known: Drop | None) -> tuple[Version | None, JobOptions | None]:
    """Return the version and the content of the job.toml in an open folder; no content where `known` was made from this version."""
    try:
        found = os.stat(JOB_TOML, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None, None if known is not None and known.version is None else NO_OPTIONS
    version = (found.st_mtime_ns, found.st_ino, found.st_size)
    if known is not None and known.version == version:
        return version, None
    try:
        content = read_bounded(JOB_TOML, folder, MAX_JOB_TOML)
    except OSError:
        content = None
    options = NO_OPTIONS if content is None else parse_job_toml(content.data.decode(errors="replace"))[0]
    return version, options


def _flat_drop(inbox: Path, root: int, names: list[str]) -> Drop:
    """Return the drop in the flat form: it is called after its recording, and so are its control files."""
    recordings = sorted(name for name in names if is_drop_file(name, flat=True) and not is_side_file(name) and PurePosixPath(name).suffix)
    first = recordings[0] if recordings else names[0]
    stem = PurePosixPath(first).stem
    try:
        changed = os.stat(first, dir_fd=root, follow_symlinks=False).st_ctime
    except FileNotFoundError:
        changed = 0.0
    return Drop(name="", record=_record(inbox, stem, escape_name(stem), changed, NO_OPTIONS), version=None)


def _record(inbox: Path, control: str, shown: str, changed: float, options: JobOptions) -> JobRecord:
    reference = options.reference or ""
    return JobRecord(
        id=reference if REFERENCE.fullmatch(reference) else anonymous_id(inbox, control),
        reference=reference,
        name=shown,
        inbox=str(inbox),
        owner=options.owner or "",
        state=State.SETTLING,
        since=changed,
        dropped=changed,
        priority=options.priority or 0,
        control=control,
        searched=searchable(shown),
    )


def anonymous_id(inbox: Path, name: str) -> str:
    """Return the id of a drop that has no reference, as long as the daemon has given it none."""
    return f"drop-{hashlib.sha256(os.fsencode(inbox / name)).hexdigest()[:16]}"
