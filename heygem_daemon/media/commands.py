"""Build every command line of this package, by pure functions. Nothing is executed here; paths are arguments, never shell text."""

from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import ffmpeg

from heygem_daemon.media.filters import as_decoded
from heygem_daemon.media.label import LABEL, SOURCE_TYPE
from heygem_daemon.media.types import AudioStream, Colour, MediaInfo, VideoStream

Command = tuple[str, ...]

PROTOCOLS: Final = "file,pipe"
RESULT_DEMUXER: Final = "mov"
QUIET: Final = ("-hide_banner", "-nostdin", "-loglevel", "error")

SEEK_MARGIN_FRAMES: Final = 3
"""Frames between the target of a seek and the frame wanted: the deinterlacer and frame doubling each need the frame before."""

AAC_RATES: Final = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
AAC_BITS: Final = 192_000
AAC_BITS_PER_CHANNEL: Final = 64_000
"""Sample rates in Hz that AAC allows (ISO/IEC 14496-3, samplingFrequencyIndex), and bits/s."""


def file_url(path: Path) -> str:
    """Return `path` as a URL, so that ffmpeg takes no part of it for an option or another protocol."""
    return f"file:{path}"


def _input_options(demuxer: str) -> dict[str, str]:
    """Return the options that open a file with this demuxer, without reading any other file or the network."""
    return {"f": demuxer, "protocol_whitelist": PROTOCOLS}


def _ffprobe(path: Path, demuxer: str, *options: str) -> Command:
    opened = [word for key, value in _input_options(demuxer).items() for word in (f"-{key}", value)]
    return ("ffprobe", "-hide_banner", "-loglevel", "error", *opened, *options, "-of", "json", "-i", file_url(path))


def describe(path: Path, demuxer: str) -> Command:
    """Print container and streams as JSON."""
    return _ffprobe(path, demuxer, "-show_format", "-show_streams")


def describe_still(path: Path, demuxer: str) -> Command:
    """Print container, stream and the one frame as JSON: the orientation of a photo is a property of its frame."""
    return _ffprobe(path, demuxer, "-show_format", "-show_streams", "-show_frames", "-read_intervals", "%+#1")


def last_packets(path: Path, demuxer: str, *, since: float) -> Command:
    """Print the packets from the key frame before `since` (s) to the end as JSON, by reading but not decoding them."""
    return _ffprobe(
        path, demuxer, "-read_intervals", f"{since:.3f}%", "-show_entries", "packet=stream_index,pts_time,dts_time,duration_time"
    )


def _compile(output: Any) -> Command:
    return tuple(output.global_args(*QUIET).compile())


def decode_frames(info: MediaInfo, *, start: int = 0, stop: int | None = None, seek: bool = True) -> Command:
    """Write frames start..stop-1 to standard output as I420, at the constant rate `video.frame_rate`.

    Time stamps are kept (`-copyts`), counted from the first frame, and rounded to the grid of the frame rate, so a frame has the same
    number wherever reading began. seek: jump to the key frame before `start`; else decode from the first.
    """
    video = info.video
    if video is None:
        raise ValueError(f"{info.path.name} has no video track")
    options: dict[str, Any] = _input_options(info.demuxer)
    ahead = video.start - info.start + (start - SEEK_MARGIN_FRAMES) / video.frame_rate
    if seek and video.is_seekable and start and ahead > 0:
        options |= {"ss": f"{float(ahead):.6f}", "noaccurate_seek": None}
    stream = ffmpeg.input(file_url(info.path), copyts=None, **options)[str(video.index)]
    stream = as_decoded(stream, video, start)
    count = {} if stop is None else {"frames:v": stop - start}
    return _compile(ffmpeg.output(stream, "pipe:1", f="rawvideo", fps_mode="passthrough", **count))


def decode_speech(info: MediaInfo, *, rate: int) -> Command:
    """Write the audio track to standard output as mono int16; as float ffmpeg would mix two channels to up to 1.41."""
    if info.audio is None:
        raise ValueError(f"{info.path.name} has no audio track")
    audio = ffmpeg.input(file_url(info.path), **_input_options(info.demuxer))[str(info.audio.index)]
    return _compile(ffmpeg.output(audio, "pipe:1", f="s16le", acodec="pcm_s16le", ac=1, ar=rate))


def count_frames(path: Path) -> Command:
    """Decode all of a result; print the streams with their number of frames as JSON, and every error on standard error."""
    return _ffprobe(path, RESULT_DEMUXER, "-err_detect", "explode", "-count_frames", "-show_streams")


def aac_rate(sample_rate: int) -> int:
    """Return the sample rate of the AAC track in Hz: the recording's own where AAC has it, else the next one above, at most 96 kHz."""
    return min((rate for rate in AAC_RATES if rate >= sample_rate), default=AAC_RATES[0])


def aac_bits(channels: int) -> int:
    """Return bits/s: 192 kb/s, or 64 kb/s for each channel where that is more (surround)."""
    return max(AAC_BITS, AAC_BITS_PER_CHANNEL * channels)


def _audio_track(recording: MediaInfo, audio: AudioStream, *, at_least: Fraction | None) -> Any:
    """Return the recording from its first to its last sample, with time stamps counted in samples: it can neither be cut nor drift.

    at_least: length in s up to which silence is added.
    """
    rate = aac_rate(audio.sample_rate)
    track = ffmpeg.input(file_url(recording.path), **_input_options(recording.demuxer))[str(audio.index)]
    track = track.filter("aresample", rate).filter("asetpts", "N/SR/TB")
    if at_least is not None:
        track = track.filter("apad", whole_len=-(-at_least * rate // 1))
    return track


def _tags(colour: Colour) -> dict[str, str]:
    named = {"colorspace": colour.matrix, "color_primaries": colour.primaries, "color_trc": colour.transfer}
    return {key: value for key, value in named.items() if value} | {"color_range": "pc" if colour.full_range else "tv"}


def _labels() -> dict[str, str]:
    return {"metadata:g:0": f"comment={LABEL}", "metadata:g:1": f"description={LABEL} Digital source type: {SOURCE_TYPE}"}


def _with_text(video: Any, height: int, text: Path, font: Path) -> Any:
    """Return the stream with the content of the file `text` in its lower left corner."""
    small = max(12, height // 40)
    style = {"x": small // 2, "y": f"h-th-{small // 2}", "fontsize": small, "fontcolor": "white", "box": 1, "boxcolor": "black@0.5"}
    return video.filter("drawtext", textfile=str(text), fontfile=str(font), expansion="none", boxborderw=small // 4, **style)


def encode(
    path: Path,
    *,
    like: VideoStream,
    recording: MediaInfo,
    audio: AudioStream,
    frames: int,
    pad_audio: bool,
    quality: int,
    preset: str,
    text: Path | None = None,
    font: Path | None = None,
) -> Command:
    """Read I420 frames of the size of `like` from standard input and write one mp4 with the recording.

    pad_audio: add silence after the recording up to the end of the video. text, font: a file with a visible label, and its font.
    """
    video = ffmpeg.input("pipe:0", f="rawvideo", pix_fmt="yuv420p", s=f"{like.width}x{like.height}", framerate=str(like.frame_rate))["v:0"]
    if text is not None and font is not None:
        video = _with_text(video, like.height, text, font)
    video = video.filter("setsar", str(like.sample_aspect))
    track = _audio_track(recording, audio, at_least=Fraction(frames) / like.frame_rate if pad_audio else None)
    output = ffmpeg.output(
        video,
        track,
        file_url(path),
        f="mp4",
        vcodec="libx264",
        preset=preset,
        crf=quality,
        pix_fmt="yuv420p",
        acodec="aac",
        movflags="+faststart",
        map_metadata=-1,
        map_chapters=-1,
        **{"b:a": aac_bits(audio.channels), "fflags": "+bitexact"},
        **_tags(like.colour),
        **_labels(),
    )
    return _compile(output.overwrite_output())
