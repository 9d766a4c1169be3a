"""The result of one scan of an inbox: its drops, its control files, and what ffprobe found in their media."""

from collections.abc import Mapping
from dataclasses import dataclass

from heygem_daemon.core.drop import Entry
from heygem_daemon.core.errors import HeygemError


@dataclass(frozen=True, kw_only=True)
class ScannedDrop:
    """One possible drop in one inbox at one scan.

    name: of the folder, as the file system gives it (may hold surrogates); "" for the flat form, whose `entries` are those of the inbox
    root. entries: every file below it that is part of the drop. writers: a file is open for writing. ready, hold, cancel: its control
    files. unreadable: a path that could not be read, "" if none; nothing may then be concluded from what is missing. problem: why.
    """

    inbox: str
    name: str
    entries: tuple[Entry, ...]
    writers: bool = False
    ready: bool = False
    hold: bool = False
    cancel: bool = False
    unreadable: str = ""
    problem: HeygemError | None = None


@dataclass(frozen=True, kw_only=True)
class InboxScan:
    """One scan of one inbox; nothing may be concluded from one that is not `online`.

    controls: (drop name, "hold" | "cancel" | "ready") for every control file beside the drops, whether or not the drop is still there.
    """

    inbox: str
    online: bool
    reason: str = ""
    network: bool = False
    paused: bool = False
    drops: tuple[ScannedDrop, ...] = ()
    controls: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """The findings in a drop, by entry path: the problem of a file that cannot be used, and the length of the others in s."""

    problems: Mapping[str, HeygemError]
    seconds: Mapping[str, float]
