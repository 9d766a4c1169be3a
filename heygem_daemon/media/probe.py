"""Inspect a file without trusting it, and raise the error of the table that describes what is wrong with it.

Remaining risk: between this check and a later read, whoever can write into the directory could exchange the file; the demuxer and
the protocols are fixed for every read, so even then ffmpeg cannot be made to open another file.
"""

import stat
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from heygem_daemon.core.errors import error
from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.media import commands, stills
from heygem_daemon.media.declared import Structure, is_placeholder, joined_read
from heygem_daemon.media.file_bytes import open_bytes
from heygem_daemon.media.formats import display_name, is_descriptor
from heygem_daemon.media.identify import identify, label, read_head
from heygem_daemon.media.plain_wav import describe_wav
from heygem_daemon.media.run import capture, require_working
from heygem_daemon.media.streams import audio_streams, rational, seconds_of, video_stream
from heygem_daemon.media.structure import structure
from heygem_daemon.media.survey import surveyed
from heygem_daemon.media.time_stamps import Timeline, timeline
from heygem_daemon.media.types import DEFAULT_LIMITS, AudioStream, MediaInfo, MediaLimits, Source, VideoStream
from heygem_daemon.media.video_track import choose_video_track

SMALLEST_SIDE: Final = 64
"""Pixels. No face is looked for in less."""
TAIL_SECONDS: Final = 10.0
"""s at the end of a FLAC whose packets are read to find its real end."""
MISSING_SECONDS: Final = 1.0
MISSING_FRACTION: Final = 0.02
"""A FLAC is truncated when more than both of these is missing of the length in its header."""
MPEG_AUDIO_BITS: Final = (8_000, 448_000)
"""Lowest and highest bits/s of MPEG audio (ISO/IEC 11172-3 and 13818-3)."""
HIGHEST_SAMPLE_RATE: Final = 768_000
"""Hz. Converters make no more; buffers for what a damaged header declares would take all memory."""
OTHER_STREAMS: Final = 128
"""Tracks of subtitles and data, attachments and covers that a file may have beside those that are counted."""
COVER_BYTES: Final = 2**20
"""Bytes of an ordinary tag with its cover, which are no audio."""

LONGEST_SPARSE: Final = 300.0
"""s. A longer video has LEAST_IMAGES images a second at least: each is read as many frames, which a file of a few kB could make days of."""
LEAST_IMAGES: Final = 0.5

UNTIMED: Final = frozenset({"avi", "dv", "mxf", "h264", "hevc", "m4v", "mpegvideo"})
"""Containers of a constant rate, without time stamps that could jump."""
UNSEEKABLE: Final = frozenset({"mpeg", "dv", "gif", "apng", "ogg", "h264", "hevc", "m4v", "mpegvideo"})
"""Containers in which a frame may have another time stamp after a seek."""
LONGEST_KEY_INTERVAL: Final = 20.0
"""s. Where key frames are further apart, a seek costs more than to decode from the beginning."""

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Codes:
    """The errors of a file in its role: the content cannot be used; its end is missing."""

    unusable: str
    truncated: str


_RECORDING: Final = _Codes(unusable="audio_unreadable", truncated="audio_truncated")
_VIDEO: Final = _Codes(unusable="not_a_video", truncated="video_truncated")


def probe(path: Path, limits: MediaLimits = DEFAULT_LIMITS) -> MediaInfo:
    """Return what `path` holds, whatever its name says.

    Raises InputError: symlink, not_a_file, file_too_large, too_many_streams, encrypted; not_a_video where it is neither video nor audio,
    video_truncated where its end is missing so that it cannot be opened; file_too_costly, file_crashes_tool. Raises TransientError where it
    cannot be read, or not now; SetupError where ffprobe is not installed, or does not work.
    """
    return _probe(path, limits, _VIDEO)


def check_recording(path: Path, limits: MediaLimits = DEFAULT_LIMITS) -> MediaInfo:
    """Return `probe(path)` of a file with audio. Raises, besides what `probe` raises: audio_unreadable, audio_empty, audio_truncated,
    audio_too_long."""
    info, name = _probe(path, limits, _RECORDING), display_name(path)
    audio = info.audio
    if audio is None and info.video is not None and not info.video.is_still:
        raise error("audio_empty", name=name)
    if audio is None or not 0 < audio.sample_rate <= HIGHEST_SAMPLE_RATE or audio.channels <= 0:
        raise error("audio_unreadable", name=name, type=_describe(info))
    if info.is_cut:
        raise error("audio_truncated", name=name)
    if audio.seconds > limits.recording_seconds and WarningCode.HEADER_SIZE_WRONG not in info.warnings:
        raise error("audio_too_long", name=name, seconds=audio.seconds, limit=limits.recording_seconds)
    return info


def check_video(path: Path, limits: MediaLimits = DEFAULT_LIMITS) -> MediaInfo:
    """Return `probe(path)` of a video or still image. Raises, besides what `probe` raises: not_a_video, video_truncated, video_too_long,
    video_too_large, video_too_small, video_too_sparse, dolby_vision_only."""
    info, name = _probe(path, limits, _VIDEO), display_name(path)
    video = info.video
    if video is None or not video.width or not video.height:
        raise error("not_a_video", name=name, type=_describe(info))
    size = {"name": name, "width": video.coded_width, "height": video.coded_height}
    if not video.is_still and video.coded_width * video.coded_height > limits.megapixels * 1e6:
        raise error("video_too_large", **size, limit=f"{limits.megapixels:g}")
    if min(video.coded_width, video.coded_height) < SMALLEST_SIDE:
        raise error("video_too_small", **size)
    if video.needs_dolby_vision:
        raise error("dolby_vision_only", name=name)
    if video.seconds > limits.video_seconds:
        raise error("video_too_long", name=name, seconds=video.seconds, limit=limits.video_seconds)
    if not video.is_still and video.seconds > LONGEST_SPARSE and 0 < video.images < video.seconds * LEAST_IMAGES:
        raise error("video_too_sparse", name=name, images=video.images, seconds=video.seconds)
    if info.is_cut:
        raise error("video_truncated", name=name)
    return info


def _describe(info: MediaInfo) -> str:
    """Return what a file is that was opened but cannot be used, in words that follow "it is"."""
    if info.video is not None:
        return f"an image ({info.video.codec.upper()})" if info.video.is_still else f"a video ({label(info.demuxer)})"
    return f"an audio file ({label(info.demuxer)})" if info.audio is not None else f"a file ({label(info.demuxer)}) without video or audio"


def _probe(path: Path, limits: MediaLimits, codes: _Codes) -> MediaInfo:
    size = _check_file(path, limits)
    head = read_head(path)
    still_type = stills.recognise(head)
    if still_type is not None:
        if codes is _RECORDING:
            raise error(codes.unusable, name=display_name(path), type=stills.words(still_type))
        still = stills.describe(path, still_type, size=size, limits=limits)
        if still is not None:
            return still
    content = identify(path, head, limits)
    if content.demuxer is None:
        raise error(codes.unusable, name=display_name(path), type=content.description)
    declared = structure(path, content.demuxer, limits)
    if declared.is_protected:
        raise error("encrypted", name=display_name(path))
    source = Source(path=path, demuxer=declared.demuxer or content.demuxer, demuxer_options=declared.options)
    report = _report(source, declared, limits, codes)
    _check_streams(source, report, limits)
    return _media_info(source, size, report, declared, limits, only_audio=codes is _RECORDING)


def _check_file(path: Path, limits: MediaLimits) -> int:
    name = display_name(path)
    try:
        found = path.stat() if is_descriptor(path) else path.lstat()
    except OSError as problem:
        raise error("io_error", problem=f"{name}: {problem.strerror}") from problem
    if stat.S_ISLNK(found.st_mode):
        raise error("symlink", name=name)
    if not stat.S_ISREG(found.st_mode):
        raise error("not_a_file", name=name)
    if found.st_size > limits.file_bytes:
        raise error("file_too_large", name=name, limit=f"{limits.file_bytes / 2**30:g} GiB")
    return found.st_size


def _report(source: Source, declared: Structure, limits: MediaLimits, codes: _Codes) -> Json:
    known = _described_without_ffprobe(source, declared)
    if known is not None:
        return known
    most = limits.streams + OTHER_STREAMS
    answer = capture(commands.describe(source, most), seconds=limits.probe_seconds, path=source.path, section="streams")
    report: Json = dict(answer.answer or {}) if answer.code == 0 else {}
    if not report.get("streams"):
        require_working(answer.program)
        name = display_name(source.path)
        if "max_streams" in answer.stderr:
            raise error("too_many_streams", name=name, count=f"more than {most}", limit=limits.streams)
        if source.demuxer == "mov" or declared.is_cut:  # an mp4 without its index
            raise error(codes.truncated, name=name)
        raise error(codes.unusable, name=name, type=f"a damaged file ({label(source.demuxer)})")
    return report


def _described_without_ffprobe(source: Source, declared: Structure) -> Json | None:
    """Return the report of a file whose header tells all of it, None where ffprobe must say."""
    if source.demuxer != "wav" or declared != Structure():
        return None
    with open_bytes(source.path) as data:
        return describe_wav(data)


def _check_streams(source: Source, report: Json, limits: MediaLimits) -> None:
    name = display_name(source.path)
    tracks = [stream for stream in report["streams"] if stream.get("codec_type") in {"video", "audio"}]
    if len(tracks) > limits.streams:
        raise error("too_many_streams", name=name, count=len(tracks), limit=limits.streams)
    if any("enc_key_id" in track.get("tags", {}) for track in tracks):
        raise error("encrypted", name=name)  # of Matroska only ffprobe says so


def _media_info(source: Source, size: int, report: Json, declared: Structure, limits: MediaLimits, *, only_audio: bool) -> MediaInfo:
    """Return what ffprobe's report describes. only_audio: nothing is looked at but what the audio needs."""
    container = report.get("format", {})
    start = rational(container.get("start_time")) or Fraction(0)
    length = _length(source, container, start)
    track = choose_video_track(source, report, length or 0.0, limits)
    times = _timeline(source, _first_audio(report) if only_audio else track or _first_audio(report), length, declared, limits)
    if length is None or (times is not None and not times.is_steady):
        length = 0.0 if times is None else times.seconds or _seconds_of_frames(times.packets, track)
    video = None if track is None else video_stream(track, length, times=times, is_seekable=_is_seekable(source, track, times))
    if video is not None and track is not None and not only_audio:
        video = surveyed(source, video, track, limits)
    tracks = audio_streams(report, length)
    is_cut, warnings = _judge_length(source, size, tracks, declared, limits)
    return MediaInfo(
        path=source.path,
        demuxer=source.demuxer,
        demuxer_options=source.demuxer_options,
        size=size,
        streams=len(report["streams"]),
        video=video,
        audio=next((track for track in tracks if track.is_usable), tracks[0] if tracks else None),
        audio_tracks=tracks,
        seconds=length,
        start=start,
        is_cut=is_cut,
        warnings={**(_video_warnings(video, times) if video else {}), **warnings},  # the container knows better what of it is read
    )


def _length(source: Source, container: Json, start: Fraction) -> float | None:
    """Return the length of a file in s; None where its container does not know it. Matroska and ASF have the time of the end."""
    length = seconds_of(container)
    return max(length - float(start), 0.0) if length is not None and source.demuxer in {"matroska", "asf"} else length


def _seconds_of_frames(count: int, track: Json | None) -> float:
    """Return the length of a stream of frames without time stamps in s."""
    rate = rational((track or {}).get("r_frame_rate"))
    return float(count / rate) if rate else 0.0


def _first_audio(report: Json) -> Json | None:
    return next((stream for stream in report["streams"] if stream.get("codec_type") == "audio"), None)


def _timeline(source: Source, track: Json | None, length: float | None, declared: Structure, limits: MediaLimits) -> Timeline | None:
    """Return the timeline of a track whose container cannot be trusted with it, None where it can."""
    if track is None:
        return None
    is_video = track.get("codec_type") == "video"
    may_jump = is_video and (declared.has_gaps or (declared.has_gaps is None and source.demuxer not in UNTIMED))
    return timeline(source, int(track["index"]), limits) if may_jump or length is None else None


def _is_seekable(source: Source, track: Json, times: Timeline | None) -> bool:
    is_reordered_avi = source.demuxer == "avi" and bool(track.get("has_b_frames", 0))
    is_steady = times is None or (times.is_steady and times.key_interval <= LONGEST_KEY_INTERVAL)
    return source.demuxer not in UNSEEKABLE and not is_reordered_avi and is_steady


def _video_warnings(video: VideoStream, times: Timeline | None) -> dict[str, str]:
    warnings: dict[str, str] = {}
    if video.source_colour.is_hdr:
        warnings[WarningCode.HDR_TONE_MAPPED] = ""
    if video.is_transparent:
        warnings[WarningCode.TRANSPARENCY_LOST] = ""
    if video.is_variable:
        warnings[WarningCode.VARIABLE_FRAME_RATE] = f"It was read at {float(video.frame_rate):.5g} frames per second."
    if times is not None and times.holes:
        count = "One hole" if len(times.holes) == 1 else f"{len(times.holes)} holes"
        warnings[WarningCode.TIME_STAMP_GAP] = f"{count} of {sum(times.holes):.0f} s in all."
    if times is not None and times.restarts:
        warnings |= joined_read()
    return warnings


def _judge_length(
    source: Source, size: int, tracks: tuple[AudioStream, ...], declared: Structure, limits: MediaLimits
) -> tuple[bool, Mapping[str, str]]:
    """Return whether the end of the file is missing, and the warnings about what its header declares."""
    if declared.is_cut or declared.warnings or not tracks:
        return declared.is_cut, declared.warnings
    seconds = tracks[0].seconds
    lowest, highest = (bits / 8 * seconds for bits in MPEG_AUDIO_BITS)
    if source.demuxer == "mp3" and not lowest < size + MISSING_SECONDS * 1000 < highest + COVER_BYTES:
        return False, {WarningCode.HEADER_SIZE_WRONG: f"Its header gives {seconds:.1f} s."}
    if source.demuxer == "flac" and seconds:
        return _judge_flac(source, tracks[0], limits)
    return False, {}


def _judge_flac(source: Source, audio: AudioStream, limits: MediaLimits) -> tuple[bool, Mapping[str, str]]:
    """Compare the number of samples in STREAMINFO with the last packet."""
    found = timeline(source, audio.index, limits, since=max(audio.seconds - TAIL_SECONDS, 0.0))
    end = 0.0 if found is None else found.end
    difference = audio.seconds - end
    if abs(difference) <= max(MISSING_SECONDS, MISSING_FRACTION * audio.seconds):
        return False, {}
    samples = round(audio.seconds * audio.sample_rate)
    is_wrong = difference < 0 or audio.seconds > limits.recording_seconds or is_placeholder(samples)
    return not is_wrong, {WarningCode.HEADER_SIZE_WRONG: f"Its header gives {audio.seconds:.1f} s."} if is_wrong else {}
