"""The result of one scan of an inbox: its drops, its control files, and what ffprobe found in their media."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path, PurePosixPath
from typing import Final

from heygem_daemon.core.drop import Entry, is_drop_file
from heygem_daemon.core.errors import HeygemError
from heygem_daemon.core.ignored_entries import ABOUT_NOTHING, MAX_IGNORED, IgnoredEntry
from heygem_daemon.core.names import CONTROLS, STAYING_CONTROLS, equality_key, escape_name

Sample = Callable[[Sequence[tuple[str, str]], int], Sequence[tuple[str, str]]]
"""Chooses so many of some control files, other ones each time."""
MAX_UNKNOWN: Final = 3000
"""Control files about no known drop or job that are dealt with after a scan: a hundred thousand took 4 s."""
MAX_COMPARED: Final = 250_000
"""Characters of names that are compared without case and Unicode form after a scan: where many are accents, that takes 50 ms."""


@dataclass(frozen=True, kw_only=True)
class ScannedDrop:
    """One possible drop in one inbox at one scan.

    name: of the folder, as the file system gives it (may hold surrogates); "" for the flat form, whose `entries` are those of the inbox
    root. entries: every file below it that is part of the drop. writers: a file is open for writing. ready, hold, cancel: its control
    files. uid: whose folder it is, of the flat form whose files they all are; None where that is not one user. owner, reference: of its
    job.toml, where they are known already. unreadable: a path that could not be read, "" if none; nothing may then be concluded from what
    is missing. problem: why. oversize: it has so many files or folders that only some are listed.
    unfinished: paths of files and folders in it that are left aside for their names, which are those of unfinished copies.
    """

    inbox: str
    name: str
    entries: tuple[Entry, ...]
    writers: bool = False
    ready: bool = False
    hold: bool = False
    cancel: bool = False
    uid: int | None = None
    owner: str | None = None
    reference: str | None = None
    unreadable: str = ""
    problem: HeygemError | None = None
    oversize: HeygemError | None = None
    unfinished: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ClaimedDrop:
    """What lies in a claimed folder. root: the path of the drop in it; entries: its files; uid: whose it is, as in ScannedDrop."""

    root: Path
    entries: tuple[Entry, ...]
    uid: int | None = None


@dataclass(frozen=True, kw_only=True)
class InboxScan:
    """One scan of one inbox; nothing may be concluded from one that is not `online`.

    controls: (name of a drop or id of a job, one of names.CONTROLS) for every control file beside the drops, whether or not the drop is
    still there. control_uids: whose these files are (several, where one lies there in several spellings); pause_uids: whose PAUSE is.
    priorities: the text of .priority files by this name; of some of them, where there are many. ignored: what lies there and is used for
    nothing, the first of `ignored_count` by name.
    """

    inbox: str
    online: bool
    reason: str = ""
    network: bool = False
    paused: bool = False
    drops: tuple[ScannedDrop, ...] = ()
    controls: tuple[tuple[str, str], ...] = ()
    control_uids: Mapping[tuple[str, str], frozenset[int]] = field(default_factory=dict)
    pause_uids: frozenset[int] = frozenset()
    priorities: Mapping[str, str] = field(default_factory=dict)
    ignored: tuple[IgnoredEntry, ...] = ()
    ignored_count: int = 0


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


def with_meant_controls(scan: InboxScan, names: Collection[str], sample: Sample) -> InboxScan:
    """Return the scan with its control files under the names that they mean: one that is none of `names` (of drops and jobs, raw or as they
    are shown), but the same as just one of them for clients that ignore case or Unicode form, is about that one. Of very many that are
    about none of them only some are left."""
    known = set(names)
    ours: list[tuple[str, str]] = []
    odd: list[tuple[str, str]] = []
    for control in scan.controls:
        (ours if control[0] in known or escape_name(control[0]) in known else odd).append(control)
    if not odd:
        return scan
    unknown = _some(odd, sample)
    by_key: dict[str, list[str]] = defaultdict(list)
    for key, name in _keys(known):
        by_key[key].append(name)
    same = {name: by_key[key][0] for key, name in _keys({name for name, _ in unknown}) if len(by_key.get(key, ())) == 1}
    meant = {(name, kind): (same.get(name, name), kind) for name, kind in (*ours, *unknown)}
    uids: dict[tuple[str, str], frozenset[int]] = {}
    for control, target in meant.items():
        uids[target] = uids.get(target, frozenset()) | scan.control_uids.get(control, frozenset())
    texts = {name: text for name, text in scan.priorities.items() if (name, "priority") in meant}
    others = {same[name]: text for name, text in texts.items() if name in same}
    exact = {name: text for name, text in texts.items() if name not in same}
    return replace(scan, controls=tuple(sorted(uids)), control_uids=uids, priorities=others | exact)


def with_unused_controls(scan: InboxScan, names: Collection[str]) -> InboxScan:
    """Return the scan with its control files that lie there as long as people like, and are about none of `names`, among what is ignored: a
    name may be misspelt."""
    known = set(names)
    unused = [
        IgnoredEntry(name=f"{name}.{kind}", reason=ABOUT_NOTHING)
        for name, kind in scan.controls
        if kind in STAYING_CONTROLS and name not in known and escape_name(name) not in known
    ]
    ignored = tuple(sorted([*scan.ignored, *unused])[:MAX_IGNORED])
    return replace(scan, ignored=ignored, ignored_count=scan.ignored_count + len(unused)) if unused else scan


def _some(controls: Sequence[tuple[str, str]], sample: Sample) -> Sequence[tuple[str, str]]:
    """Return some of many control files that are about nothing that is known: of each kind the first ones, of which those go that have lain
    there for long enough, and any .retry, for that is about a job that is over."""
    if len(controls) <= MAX_UNKNOWN:
        return controls
    by_kind: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for control in controls:
        by_kind[control[1]].append(control)
    found: list[tuple[str, str]] = []
    for kind, alike in by_kind.items():
        count = min(MAX_UNKNOWN // len(CONTROLS), len(alike))
        found += sample(alike, count) if kind == "retry" else alike[:count]
    return found


def _keys(names: Collection[str]) -> list[tuple[str, str]]:
    """Return (key without case and Unicode form, name) for the names; of very many only for the shorter ones."""
    compared = sorted(names, key=len)
    lengths = accumulate(map(len, compared))
    return [(equality_key(name), name) for name, length in zip(compared, lengths, strict=True) if length <= MAX_COMPARED or name.isascii()]
