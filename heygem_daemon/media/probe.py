"""Inspect a file without trusting it, and raise the error of the table that describes what is wrong with it.

Remaining risk: between this check and a later read, whoever can write into the directory could exchange the file; the demuxer and
the protocols are fixed for every read, so even then ffmpeg cannot be made to open another file.
"""

import json
import os
import stat
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from heygem_daemon.core.errors import error
from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.media import commands
from heygem_daemon.media.formats import DEMUXERS, IMAGE_EXTENSIONS, RECORDING_EXTENSIONS, VIDEO_EXTENSIONS, display_name
from heygem_daemon.media.run import capture
from heygem_daemon.media.streams import audio_streams, rational, seconds_of, video_stream
from heygem_daemon.media.types import DEFAULT_LIMITS, MediaInfo, MediaLimits, VideoStream

__all__ = ["IMAGE_EXTENSIONS", "RECORDING_EXTENSIONS", "VIDEO_EXTENSIONS", "check_recording", "check_video", "probe"]

SMALLEST_SIDE: Final = 64
"""Pixels. No face is looked for in less."""
TAIL_SECONDS: Final = 10.0
"""s at the end of a file whose packets are read to find its real end."""
MISSING_SECONDS: Final = 1.0
MISSING_FRACTION: Final = 0.02
"""A file is truncated when more than either of these is missing of the length in its header."""
EXACT_CONTAINERS: Final = frozenset({"mov", "matroska", "flac"})
"""Containers whose header has the exact length (that of an mp3 or a raw aac is only an estimate)."""

Json = dict[str, Any]


def probe(path: Path, limits: MediaLimits = DEFAULT_LIMITS) -> MediaInfo:
    """Return what `path` holds.

    Raises InputError: symlink, not_a_file, file_too_large, too_many_streams; not_a_video (or, for the extension of an audio file,
    audio_unreadable) where the content does not match the extension, video_truncated where its end is missing so that it cannot be
    opened. Raises TransientError where it cannot be read at all, SetupError where ffprobe is not installed.
    """
    size = _check_file(path, limits)
    extension = path.suffix.lower()
    if extension not in DEMUXERS:
        raise _unreadable(path)
    demuxer = DEMUXERS[extension]
    command = commands.describe_still(path, demuxer) if extension in IMAGE_EXTENSIONS else commands.describe(path, demuxer)
    report = _run_ffprobe(path, command, limits)
    streams: list[Json] = report.get("streams", [])
    if len(streams) > limits.streams:
        raise error("too_many_streams", name=display_name(path), count=len(streams), limit=limits.streams)
    if not streams:
        raise _unreadable(path)
    return _media_info(path, demuxer, size, report, limits)


def check_recording(path: Path, limits: MediaLimits = DEFAULT_LIMITS) -> MediaInfo:
    """Return `probe(path)` of a file with audio. Raises, besides what `probe` raises: audio_unreadable, audio_empty, audio_truncated,
    audio_too_long."""
    name = display_name(path)
    if path.suffix.lower() not in RECORDING_EXTENSIONS and not path.is_symlink():
        raise error("audio_unreadable", name=name)
    info = probe(path, limits)
    if info.audio is None:
        raise error("audio_empty" if info.video else "audio_unreadable", name=name)
    if info.audio.sample_rate <= 0 or info.audio.channels <= 0:
        raise error("audio_unreadable", name=name)
    if info.audio.seconds > limits.recording_seconds:
        raise error("audio_too_long", name=name, seconds=info.audio.seconds, limit=limits.recording_seconds)
    if _is_truncated(info, limits):
        raise error("audio_truncated", name=name)
    return info


def check_video(path: Path, limits: MediaLimits = DEFAULT_LIMITS) -> MediaInfo:
    """Return `probe(path)` of a video or still image. Raises, besides what `probe` raises: not_a_video, video_truncated, video_too_long,
    video_too_large, video_too_small."""
    name = display_name(path)
    if path.suffix.lower() not in VIDEO_EXTENSIONS | IMAGE_EXTENSIONS and not path.is_symlink():
        raise error("not_a_video", name=name)
    info = probe(path, limits)
    video = info.video
    if video is None or not video.width or not video.height:
        raise error("not_a_video", name=name)
    size = {"name": name, "width": video.coded_width, "height": video.coded_height}
    if video.coded_width * video.coded_height > limits.megapixels * 1e6:
        raise error("video_too_large", **size, limit=f"{limits.megapixels:g}")
    if min(video.coded_width, video.coded_height) < SMALLEST_SIDE:
        raise error("video_too_small", **size)
    if video.seconds > limits.video_seconds:
        raise error("video_too_long", name=name, seconds=video.seconds, limit=limits.video_seconds)
    if not video.is_still and _is_truncated(info, limits):
        raise error("video_truncated", name=name)
    return info


def _check_file(path: Path, limits: MediaLimits) -> int:
    name = display_name(path)
    try:
        found = path.lstat()
    except OSError as problem:
        raise error("io_error", problem=f"{name}: {problem.strerror}") from problem
    if stat.S_ISLNK(found.st_mode):
        raise error("symlink", name=name)
    if not stat.S_ISREG(found.st_mode):
        raise error("not_a_file", name=name)
    if found.st_size > limits.file_bytes:
        raise error("file_too_large", name=name, limit=f"{limits.file_bytes / 2**30:g} GiB")
    return found.st_size


def _read_head(path: Path, count: int = 16) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            return file.read(count)
    except OSError as problem:
        raise error("io_error", problem=f"{display_name(path)}: {problem.strerror}") from problem


def _run_ffprobe(path: Path, command: commands.Command, limits: MediaLimits) -> Json:
    answer = capture(command, seconds=limits.probe_seconds)
    if answer.code != 0:
        if "Input/output error" in answer.stderr or "Permission denied" in answer.stderr:
            raise error("io_error", problem=answer.last_error_line)
        raise _unreadable(path)
    report: Json = json.loads(answer.stdout)
    return report


def _unreadable(path: Path) -> Exception:
    """Return the error for a file that ffprobe cannot open: an mp4 without its index is truncated, anything else is not a media file."""
    extension, name = path.suffix.lower(), display_name(path)
    if extension in RECORDING_EXTENSIONS - VIDEO_EXTENSIONS or extension not in DEMUXERS:
        return error("audio_unreadable" if extension in DEMUXERS else "not_a_video", name=name)
    starts_as_mp4 = DEMUXERS[extension] == "mov" and _read_head(path)[4:8] in {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"}
    return error("video_truncated" if starts_as_mp4 else "not_a_video", name=name)


def _media_info(path: Path, demuxer: str, size: int, report: Json, limits: MediaLimits) -> MediaInfo:
    container = report.get("format", {})
    start = rational(container.get("start_time")) or Fraction(0)
    is_still = path.suffix.lower() in IMAGE_EXTENSIONS
    length = seconds_of(container)
    if length is None and not is_still:
        length = max((_last_time(path, demuxer, limits, since=0.0) or 0.0) - float(start), 0.0)
    video = video_stream(report, length or 0.0, is_still=is_still)
    tracks = audio_streams(report, length or 0.0)
    return MediaInfo(
        path=path,
        demuxer=demuxer,
        size=size,
        streams=len(report["streams"]),
        video=video,
        audio=tracks[0] if tracks else None,
        audio_tracks=tracks,
        seconds=length or 0.0,
        start=start,
        warnings=_video_warnings(video) if video else {},
    )


def _video_warnings(video: VideoStream) -> dict[str, str]:
    warnings: dict[str, str] = {}
    if video.source_colour.is_hdr:
        warnings[WarningCode.HDR_TONE_MAPPED] = ""
    if video.is_variable:
        warnings[WarningCode.VARIABLE_FRAME_RATE] = f"It was read at {float(video.frame_rate):.5g} frames per second."
    return warnings


def _last_time(path: Path, demuxer: str, limits: MediaLimits, *, since: float) -> float | None:
    """Return the end of the last packet of any stream in s, or None where none could be read."""
    answer = capture(commands.last_packets(path, demuxer, since=since), seconds=limits.probe_seconds * 5)
    packets = json.loads(answer.stdout or b"{}").get("packets", [])
    stamps = [(float(p.get("pts_time") or p.get("dts_time") or "-inf"), float(p.get("duration_time", 0))) for p in packets]
    return max((time + duration for time, duration in stamps if time != float("-inf")), default=None)


def _is_truncated(info: MediaInfo, limits: MediaLimits) -> bool:
    """Return whether the file holds clearly less than its header declares."""
    if info.demuxer in {"avi", "wav"}:
        declared = int.from_bytes(_read_head(info.path)[4:8], "little")
        is_open_ended = declared in {0, 0xFFFFFFFF} or _read_head(info.path)[:4] != b"RIFF"
        return not is_open_ended and declared + 8 > info.size + MISSING_FRACTION * info.size
    if info.demuxer not in EXACT_CONTAINERS or info.seconds <= 0:
        return False
    end = info.seconds + (float(info.start) if info.demuxer == "mov" else 0.0)  # Matroska stores the end, not the length
    last = _last_time(info.path, info.demuxer, limits, since=max(end - TAIL_SECONDS, 0.0))
    return last is None or end - last > max(MISSING_SECONDS, MISSING_FRACTION * info.seconds)
