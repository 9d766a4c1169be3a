"""The result of one scan of an inbox: its drops, its control files, and what ffprobe found in their media."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from heygem_daemon.core.drop import Entry, is_drop_file
from heygem_daemon.core.errors import HeygemError


@dataclass(frozen=True, kw_only=True)
class ScannedDrop:
    """One possible drop in one inbox at one scan.

    name: of the folder, as the file system gives it (may hold surrogates); "" for the flat form, whose `entries` are those of the inbox
    root. entries: every file below it that is part of the drop. writers: a file is open for writing. ready, hold, cancel: its control
    files. owner, reference: of its job.toml, where they are known already. unreadable: a path that could not be read, "" if none; nothing
    may then be concluded from what is missing. problem: why.
    """

    inbox: str
    name: str
    entries: tuple[Entry, ...]
    writers: bool = False
    ready: bool = False
    hold: bool = False
    cancel: bool = False
    owner: str | None = None
    reference: str | None = None
    unreadable: str = ""
    problem: HeygemError | None = None


@dataclass(frozen=True, kw_only=True)
class InboxScan:
    """One scan of one inbox; nothing may be concluded from one that is not `online`.

    controls: (name of a drop or id of a job, one of names.CONTROLS) for every control file beside the drops, whether or not the drop is
    still there. priorities: the text of .priority files by this name; of some of them, where there are many.
    """

    inbox: str
    online: bool
    reason: str = ""
    network: bool = False
    paused: bool = False
    drops: tuple[ScannedDrop, ...] = ()
    controls: tuple[tuple[str, str], ...] = ()
    priorities: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """The findings in a drop, by entry path: the problem of a file that cannot be used, and the length of the others in s."""

    problems: Mapping[str, HeygemError]
    seconds: Mapping[str, float]


def control_names(name: str, entries: Iterable[Entry]) -> tuple[str, ...]:
    """Return the names that control files of a drop go by: its own; of the flat form those of its recordings (speech.hold)."""
    if name:
        return (name,)
    recordings = (PurePosixPath(entry.path) for entry in entries if "/" not in entry.path and is_drop_file(entry.path, flat=True))
    return tuple(path.stem for path in recordings)
