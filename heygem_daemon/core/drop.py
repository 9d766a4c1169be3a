"""The layout of a drop: what a folder asks for, found from its listing alone.

    lesson-01/speech.wav + lesson-01/videos/*        one recording, some videos
    lesson-01/audios/*   + lesson-01/videos/*        every recording x every video
    lesson-01/speech.txt                             optional: the words of the recording (or <recording>.txt, beside any recording)
    lesson-01/job.toml                               optional: the options of the drop

`plan` checks the listing, `items` makes the items. What may still be copied is `incomplete`; what no further copying can fix
is `rejected`; what is wrong with one file alone is a `problem` of the items made from it; what is not used is a warning.
"""

import hashlib
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from heygem_daemon.core import unused_files
from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.core.file_types import (
    ACCEPTED_AUDIO,
    ACCEPTED_VIDEO,
    AUDIO_SUFFIXES,
    RECORDING_SUFFIXES,
    FileType,
    description,
    suffix_of,
    type_of,
)
from heygem_daemon.core.job import Failure, Item, JobWarning, State
from heygem_daemon.core.job_options import NO_OPTIONS, JobOptions, parse_job_toml
from heygem_daemon.core.names import MAX_NAME_BYTES, escape_name, is_ignored, is_valid_name, name_bytes, output_stems
from heygem_daemon.core.render_options import Fit
from heygem_daemon.core.script_files import is_common_script, scripts_of
from heygem_daemon.core.storage import human_bytes
from heygem_daemon.core.unused_files import AUDIOS, VIDEOS


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


JOB_TOML: Final = "job.toml"

_MEDIA: Final = frozenset({FileType.AUDIO, FileType.VIDEO, FileType.STILL, FileType.UNSUPPORTED})
_CANNOT_BE_OPENED: Final = frozenset({FileType.UNSUPPORTED, FileType.INDIRECT})
_NAMED: Final = 3
"""Files named in a sentence."""


@dataclass(frozen=True, kw_only=True)
class DropLimits:
    """items: most results from one drop; result_seconds: most s of all of them together, each as long as its speech, or as its video where
    the drop asks for that fit (else `fit`). file_bytes: size of the largest file."""

    items: int
    file_bytes: int
    result_seconds: float = math.inf
    fit: Fit = "audio"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The recordings and videos of a drop, and what is wrong with them. All paths are entry paths.

    recordings, videos: sorted. scripts: recording -> the text file with its words; whether it can be used is found out later, for a bad
    script is only ignored. incomplete: what is missing and may still come. rejected: why the drop as a whole cannot be used.
    problems: recording or video -> why it cannot be used. warnings: what is in the drop and not used.
    """

    recordings: tuple[str, ...] = ()
    videos: tuple[str, ...] = ()
    scripts: Mapping[str, str] = field(default_factory=dict)
    options: JobOptions = NO_OPTIONS
    incomplete: HeygemError | None = None
    rejected: HeygemError | None = None
    problems: Mapping[str, HeygemError] = field(default_factory=dict)
    warnings: tuple[JobWarning, ...] = ()


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
    *folders, name = parts = path.split("/")
    if is_ignored(name) or any(is_ignored(folder, is_folder=True) for folder in folders):
        return False
    return not flat or is_flat_part(parts[0], is_folder=len(parts) > 1)


def is_flat_part(name: str, *, is_folder: bool) -> bool:
    """Return whether an entry of the inbox root is part of the flat form: videos/, audios/, media, job.toml or the script."""
    if name.casefold() in {VIDEOS, AUDIOS}:
        return True
    return not is_folder and not is_ignored(name) and (is_side_file(name) or type_of(name) in _MEDIA)


def is_side_file(name: str) -> bool:
    """Return whether a file of the inbox root is a job.toml or a script, which are no drop without media."""
    return name.casefold() == JOB_TOML or is_common_script(name)


def plan(entries: Iterable[Entry], *, job_toml: str | None = None, flat: bool = False, limits: DropLimits) -> Plan:
    """Return what the listing of a drop asks for. job_toml: the text of its job.toml, None without one.

    flat: the entries are those of the inbox root, where all other folders are drops of their own.
    """
    listed = tuple(entries)
    counted = sorted(entry for entry in listed if is_drop_file(entry.path, flat=flat))
    batch_recordings = _media_in(AUDIOS, counted)
    top = _top_recordings(counted, has_batch=bool(batch_recordings))
    recordings, videos = [*top, *batch_recordings], _media_in(VIDEOS, counted)
    spoken = [entry.path for entry in recordings]
    scripts = scripts_of(spoken, [entry.path for entry in counted if entry.kind is Kind.FILE and not _is_empty(entry)])
    odd_scripts = set(scripts_of(spoken, [entry.path for entry in counted if entry.kind is not Kind.FILE]).values())
    options, bad_options = parse_job_toml(job_toml)
    rejected = (
        next((error("symlink", name="This folder") for entry in listed if entry.path == "" and entry.kind is Kind.SYMLINK), None)
        or bad_options
        or _bad_layout(counted)
        or _two_recordings(top, batch_recordings)
        or next((found for entry in top if (found := _file_problem(entry, limits))), None)
        or _too_many_items(len(recordings) * len(videos), limits)
        or _unknown_video(options, videos)
    )
    return Plan(
        recordings=tuple(entry.path for entry in recordings),
        videos=tuple(entry.path for entry in videos),
        scripts=scripts,
        options=options,
        incomplete=_missing_media(counted, recordings, videos),
        rejected=rejected,
        problems={}
        if rejected
        else {entry.path: found for entry in (*batch_recordings, *videos) if (found := _file_problem(entry, limits))},
        warnings=(
            *unused_files.warnings(_unused(counted, [*(entry.path for entry in (*recordings, *videos)), *scripts.values()])),
            *unused_files.odd_files(odd_scripts),
        ),
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


def item_of(key: str, recording: str, video: str, script: str = "") -> Item:
    """Return the item of this key, with the names of its files in the output folder."""
    return Item(
        key=key,
        recording=recording,
        video=video,
        script=script,
        output=f"{key}.mp4",
        thumbnail=f"thumbnails/{key}.jpg",
        explain=f"explain/{key}.png",
    )


def _item(drop: Plan, recording: str, video: str, key: str, problems: Mapping[str, HeygemError]) -> Item:
    item = item_of(key, recording, video, drop.scripts.get(recording, ""))
    problem = problems.get(recording) or problems.get(video)
    if problem is None:
        return item
    return item.transition(State.FAILED, failure=Failure.of(problem), reason=problem.message)


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _is_in(folder: str, path: str) -> bool:
    """Return whether a file lies directly in this folder of the drop; deeper files are not used."""
    parts = path.split("/")
    return len(parts) == 2 and parts[0].casefold() == folder


def _is_empty(entry: Entry) -> bool:
    return entry.kind is Kind.FILE and entry.size == 0


def _top_recordings(entries: Sequence[Entry], *, has_batch: bool) -> list[Entry]:
    """Return the recordings beside videos/: audio files; where there are none in audios/ either, videos for their audio; where there are
    no videos, an only file without a suffix.

    An empty file is still being copied and does not count."""
    top = [entry for entry in entries if "/" not in entry.path and not _is_empty(entry)]
    audio = [entry for entry in top if suffix_of(entry.path) in AUDIO_SUFFIXES]
    if audio or has_batch:
        return audio
    videos = [entry for entry in top if suffix_of(entry.path) in RECORDING_SUFFIXES]
    unnamed = [entry for entry in top if type_of(entry.path) is FileType.UNNAMED and entry.path.casefold() not in {VIDEOS, AUDIOS}]
    return videos or (unnamed if len(unnamed) == 1 else [])


def _media_in(folder: str, entries: Iterable[Entry]) -> list[Entry]:
    """Return the files in videos/ or audios/ that results are asked from; none while all are empty (still copied) or unsupported.

    Once one can be used, an empty or unsupported one beside it is returned too, as a mistake."""
    found = [entry for entry in entries if _is_in(folder, entry.path) and _asks_for_result(folder, entry.path)]
    return found if any(not _is_empty(entry) and type_of(entry.path) not in _CANNOT_BE_OPENED for entry in found) else []


def _asks_for_result(folder: str, path: str) -> bool:
    file_type = type_of(path)
    if file_type in _CANNOT_BE_OPENED or file_type is FileType.UNNAMED:
        return True
    return suffix_of(path) in RECORDING_SUFFIXES if folder == AUDIOS else file_type in _MEDIA


def _missing_media(entries: Sequence[Entry], recordings: Sequence[Entry], videos: Sequence[Entry]) -> HeygemError | None:
    """Return the error for a drop without recordings or without videos; it names what was found in their place."""
    if recordings and videos:
        return None
    used = [entry.path for entry in (*recordings, *videos) if recordings or type_of(entry.path) is not FileType.AUDIO]
    found = unused_files.sentence(_unused(entries, used))
    if not recordings:
        return error("no_recording", found=found, extensions=ACCEPTED_AUDIO)
    return error("no_videos", found=found, extensions=ACCEPTED_VIDEO)


def _unused(entries: Sequence[Entry], used: Collection[str]) -> tuple[unused_files.UnusedFile, ...]:
    paths = [entry.path for entry in entries if entry.path.casefold() not in {JOB_TOML, VIDEOS, AUDIOS}]
    return unused_files.unused_files(paths, used=frozenset(used), empty={entry.path for entry in entries if _is_empty(entry)})


def _two_recordings(top: Sequence[Entry], batch_recordings: Sequence[Entry]) -> HeygemError | None:
    if not top or len(top) + (1 if batch_recordings else 0) < 2:
        return None
    found = [*top, *batch_recordings]
    names = ", ".join(escape_name(entry.path) for entry in found[:3]) + (", ..." if len(found) > 3 else "")
    return error("two_recordings", count=len(found), names=names)


def _bad_layout(entries: Iterable[Entry]) -> HeygemError | None:
    """Return an error for folders and a job.toml that are links or special files: nothing outside the drop is ever read."""
    for entry in entries:
        if entry.path.casefold() in {VIDEOS, AUDIOS, JOB_TOML} and entry.kind is not Kind.FILE:
            return _not_a_file(entry)
    return None


def _not_a_file(entry: Entry) -> HeygemError:
    return error("symlink" if entry.kind is Kind.SYMLINK else "not_a_file", name=escape_name(_name(entry.path)))


def _file_problem(entry: Entry, limits: DropLimits) -> HeygemError | None:
    """Return what is wrong with one file, as far as the listing shows."""
    name = _name(entry.path)
    if not is_valid_name(name):
        return error("bad_name", name=escape_name(name))
    if name_bytes(name) > MAX_NAME_BYTES:
        return error("name_too_long", name=escape_name(name), size=name_bytes(name), limit=MAX_NAME_BYTES)
    if entry.kind is not Kind.FILE:
        return _not_a_file(entry)
    if type_of(name) in _CANNOT_BE_OPENED:
        accepted = ACCEPTED_AUDIO if _is_in(AUDIOS, entry.path) else ACCEPTED_VIDEO
        return error("unsupported_type", name=escape_name(name), what=description(name), extensions=accepted)
    if entry.size == 0:
        return error("audio_empty" if _is_in(AUDIOS, entry.path) else "video_truncated", name=escape_name(name))
    return error("file_too_large", name=escape_name(name), limit=human_bytes(limits.file_bytes)) if entry.size > limits.file_bytes else None


def _unknown_video(options: JobOptions, videos: Sequence[Entry]) -> HeygemError | None:
    """Return an error for a face that is chosen in a video which is not there; one that may still come is `incomplete`."""
    names = [_name(entry.path) for entry in videos]
    unknown = options.unknown_video(names) if names else None
    if unknown is None:
        return None
    shown = ", ".join(escape_name(name) for name in names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    return error("bad_job_toml", problem=f"faces names {escape_name(unknown)}, which is no video of this drop ({shown}).")


def too_long(made: Iterable[Item], lengths: Mapping[str, float], options: JobOptions, limits: DropLimits) -> HeygemError | None:
    """Return the problem of a drop whose results would take too long together. lengths: recording or video -> its length in s."""
    by_video = (options.fit or limits.fit) == "video"
    whole = (lengths.get(item.video if by_video else item.recording, 0.0) for item in made if item.failure is None)
    trial = math.inf if options.first_seconds is None else options.first_seconds
    seconds = sum(min(length, trial) for length in whole)
    if seconds <= limits.result_seconds:
        return None
    return error("drop_too_long", hours=seconds / 3600, limit=limits.result_seconds / 3600)


def _too_many_items(count: int, limits: DropLimits) -> HeygemError | None:
    return error("too_many_items", count=count, limit=limits.items) if count > limits.items else None
