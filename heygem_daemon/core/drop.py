"""The layout of a drop: what a folder asks for, found from its listing alone.

    lesson-01/speech.wav + lesson-01/videos/*        one recording, some videos
    lesson-01/audios/*   + lesson-01/videos/*        every recording x every video
    lesson-01/speech.txt                             optional: the words of the recording (or <recording>.txt, beside any recording)
    lesson-01/job.toml                               optional: the options of the drop

`plan` checks the listing, `items` makes the items. What may still be copied is `incomplete`; what no further copying can fix
is `rejected`; what is wrong with one file alone is a `problem` of the items made from it.
"""

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Final

from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.core.job import Failure, Item, State
from heygem_daemon.core.job_options import NO_OPTIONS, JobOptions, parse_job_toml
from heygem_daemon.core.names import escape_name, is_ignored, is_valid_name, output_stems
from heygem_daemon.core.policy import human_bytes


class Kind(StrEnum):
    """The kind of a directory entry; anything but a file is refused."""

    FILE = "file"
    SYMLINK = "symlink"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True, order=True)
class Entry:
    """One file below the drop: `path` is relative, with slashes, as the file system gives it (may hold surrogates)."""

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    kind: Kind = Kind.FILE


AUDIO_SUFFIXES: Final = frozenset({".wav", ".mp3", ".m4a", ".aac", ".flac", ".ogg", ".opus", ".wma"})
AUDIO_SOURCE_SUFFIXES: Final = frozenset({".mp4", ".mov"})
"""Videos whose audio can be the recording."""
VIDEO_SUFFIXES: Final = frozenset({".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v", ".mpg", ".mpeg"})
STILL_SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg"})

JOB_TOML: Final = "job.toml"
SCRIPT: Final = "speech.txt"
"""The words of the only recording; the only name of a script in the flat form, where other texts do not belong to the drop."""
_SCRIPT_SUFFIX: Final = ".txt"
_VIDEOS: Final = "videos"
_AUDIOS: Final = "audios"


@dataclass(frozen=True, kw_only=True)
class DropLimits:
    """items: most results from one drop. file_bytes: size of the largest file."""

    items: int
    file_bytes: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The recordings and videos of a drop, and what is wrong with them. All paths are entry paths.

    recordings, videos: sorted. scripts: recording -> the text file with its words; whether it can be used is found out later, for a bad
    script is only ignored. incomplete: what is missing and may still come. rejected: why the drop as a whole cannot be used.
    problems: recording or video -> why it cannot be used.
    """

    recordings: tuple[str, ...] = ()
    videos: tuple[str, ...] = ()
    scripts: Mapping[str, str] = field(default_factory=dict)
    options: JobOptions = NO_OPTIONS
    incomplete: HeygemError | None = None
    rejected: HeygemError | None = None
    problems: Mapping[str, HeygemError] = field(default_factory=dict)


def signature(entries: Iterable[Entry]) -> str:
    """Return a digest that changes when any file of the drop comes, goes, changes its size or is touched."""
    digest = hashlib.sha256()
    for entry in sorted(entries):
        fields = f"{entry.size}\0{entry.mtime_ns}\0{entry.ctime_ns}\0{entry.kind}\0"
        digest.update(entry.path.encode("utf-8", "surrogatepass") + b"\0" + fields.encode())
    return digest.hexdigest()


def total_bytes(entries: Iterable[Entry]) -> int:
    return sum(entry.size for entry in entries)


def is_drop_file(path: str, *, flat: bool = False) -> bool:
    """Return whether a file is part of the drop; in the flat form only media, job.toml and the script are."""
    parts = path.split("/")
    if any(is_ignored(part) for part in parts):
        return False
    if not flat:
        return True
    folder = parts[0].casefold()
    if len(parts) == 1:
        return folder in {_VIDEOS, _AUDIOS, JOB_TOML, SCRIPT} or _suffix(path) in AUDIO_SUFFIXES | AUDIO_SOURCE_SUFFIXES
    return folder in {_VIDEOS, _AUDIOS}


def plan(entries: Iterable[Entry], *, job_toml: str | None = None, flat: bool = False, limits: DropLimits) -> Plan:
    """Return what the listing of a drop asks for. job_toml: the text of its job.toml, None without one.

    flat: the entries are those of the inbox root, where all other folders are drops of their own.
    """
    listed = tuple(entries)
    counted = sorted(entry for entry in listed if is_drop_file(entry.path, flat=flat))
    top = _top_recordings(counted)
    batch_recordings = _unless_all_empty(
        entry for entry in counted if _is_in(_AUDIOS, entry.path) and _suffix(entry.path) in AUDIO_SUFFIXES | AUDIO_SOURCE_SUFFIXES
    )
    if batch_recordings and all(_suffix(entry.path) in AUDIO_SOURCE_SUFFIXES for entry in top):
        top = []
    videos = _unless_all_empty(
        entry for entry in counted if _is_in(_VIDEOS, entry.path) and _suffix(entry.path) in VIDEO_SUFFIXES | STILL_SUFFIXES
    )
    options, bad_options = parse_job_toml(job_toml)
    rejected = (
        next((error("symlink", name="This folder") for entry in listed if entry.path == "" and entry.kind is Kind.SYMLINK), None)
        or bad_options
        or _bad_layout(counted)
        or _two_recordings(top, batch_recordings)
        or next((found for entry in top if (found := _file_problem(entry, limits))), None)
        or _too_many_items(len([*top, *batch_recordings]) * len(videos), limits)
    )
    return Plan(
        recordings=tuple(entry.path for entry in (*top, *batch_recordings)),
        videos=tuple(entry.path for entry in videos),
        scripts=_scripts(counted, [*top, *batch_recordings]),
        options=options,
        incomplete=_missing_media([*top, *batch_recordings], videos),
        rejected=rejected,
        problems={entry.path: found for entry in (*batch_recordings, *videos) if (found := _file_problem(entry, limits))},
    )


def items(drop: Plan, problems: Mapping[str, HeygemError]) -> tuple[Item, ...]:
    """Return an item for every recording x every video. One with a problem, of the plan or of `problems`, starts as failed."""
    known = {**drop.problems, **problems}
    recording_stems = output_stems(drop.recordings)
    video_stems = output_stems(drop.videos)
    single = len(drop.recordings) == 1
    return tuple(
        _item(drop, recording, video, video_stems[video] if single else f"{recording_stems[recording]}/{video_stems[video]}", known)
        for recording in drop.recordings
        for video in drop.videos
    )


def _item(drop: Plan, recording: str, video: str, key: str, problems: Mapping[str, HeygemError]) -> Item:
    script = drop.scripts.get(recording, "")
    item = Item(
        key=key,
        recording=recording,
        video=video,
        script=script,
        output=f"{key}.mp4",
        thumbnail=f"thumbnails/{key}.jpg",
        explain=f"explain/{key}.png",
    )
    problem = problems.get(recording) or problems.get(video)
    if problem is None:
        return item
    return item.transition(State.FAILED, failure=Failure.of(problem), reason=problem.message)


def _suffix(path: str) -> str:
    return PurePosixPath(path).suffix.lower()


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _is_in(folder: str, path: str) -> bool:
    """Return whether a file lies directly in this folder of the drop; deeper files are ignored."""
    parts = path.split("/")
    return len(parts) == 2 and parts[0].casefold() == folder


def _scripts(entries: Sequence[Entry], recordings: Sequence[Entry]) -> dict[str, str]:
    """Return recording -> script: the text of the same name beside it; for an only recording also speech.txt at the top of the drop."""
    texts = {_comparison_key(entry.path): entry.path for entry in reversed(entries) if _suffix(entry.path) == _SCRIPT_SUFFIX}
    common = texts.get(SCRIPT) if len(recordings) == 1 else None
    found = {
        each.path: texts.get(_comparison_key(str(PurePosixPath(each.path).with_suffix(_SCRIPT_SUFFIX))), common) for each in recordings
    }
    return {recording: script for recording, script in found.items() if script is not None}


def _comparison_key(path: str) -> str:
    """Return the name by which paths are compared: regardless of case and Unicode form."""
    return unicodedata.normalize("NFC", path.casefold())


def _is_empty(entry: Entry) -> bool:
    return entry.kind is Kind.FILE and entry.size == 0


def _top_recordings(entries: Sequence[Entry]) -> list[Entry]:
    """Return the recordings beside videos/: audio files, or where there are none, videos for their audio.

    An empty file is still being copied and does not count."""
    top = [entry for entry in entries if "/" not in entry.path and not _is_empty(entry)]
    audio = [entry for entry in top if _suffix(entry.path) in AUDIO_SUFFIXES]
    return audio or [entry for entry in top if _suffix(entry.path) in AUDIO_SOURCE_SUFFIXES]


def _unless_all_empty(entries: Iterable[Entry]) -> list[Entry]:
    """Return nothing while all are empty (still copied); once one is filled, an empty one beside it is returned too, as a mistake."""
    found = list(entries)
    return [] if all(_is_empty(entry) for entry in found) else found


def _missing_media(recordings: Sequence[Entry], videos: Sequence[Entry]) -> HeygemError | None:
    if not recordings:
        return error("no_recording", extensions=_list_extensions(AUDIO_SUFFIXES))
    return None if videos else error("no_videos", extensions=_list_extensions(VIDEO_SUFFIXES | STILL_SUFFIXES))


def _list_extensions(suffixes: Iterable[str]) -> str:
    return ", ".join(sorted(suffix[1:] for suffix in suffixes))


def _two_recordings(top: Sequence[Entry], batch_recordings: Sequence[Entry]) -> HeygemError | None:
    if not top or len(top) + (1 if batch_recordings else 0) < 2:
        return None
    found = [*top, *batch_recordings]
    names = ", ".join(escape_name(entry.path) for entry in found[:3]) + (", ..." if len(found) > 3 else "")
    return error("two_recordings", count=len(found), names=names)


def _bad_layout(entries: Iterable[Entry]) -> HeygemError | None:
    """Return an error for folders and a job.toml that are links or special files: nothing outside the drop is ever read."""
    for entry in entries:
        if entry.path.casefold() in {_VIDEOS, _AUDIOS, JOB_TOML} and entry.kind is not Kind.FILE:
            return _not_a_file(entry)
    return None


def _not_a_file(entry: Entry) -> HeygemError:
    return error("symlink" if entry.kind is Kind.SYMLINK else "not_a_file", name=escape_name(_name(entry.path)))


def _file_problem(entry: Entry, limits: DropLimits) -> HeygemError | None:
    """Return what is wrong with one file, as far as the listing shows."""
    name = _name(entry.path)
    if not is_valid_name(name):
        return error("bad_name", name=escape_name(name))
    if entry.kind is not Kind.FILE:
        return _not_a_file(entry)
    if entry.size == 0:
        return error("audio_empty" if _is_in(_AUDIOS, entry.path) else "video_truncated", name=escape_name(name))
    return error("file_too_large", name=escape_name(name), limit=human_bytes(limits.file_bytes)) if entry.size > limits.file_bytes else None


def _too_many_items(count: int, limits: DropLimits) -> HeygemError | None:
    return error("too_many_items", count=count, limit=limits.items) if count > limits.items else None
