"""Every command line of this package, built by pure functions. Nothing here executes; paths are arguments, never shell text."""

from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import ffmpeg

from heygem_daemon.media.formats import demuxer
from heygem_daemon.media.label import LABEL, SOURCE_TYPE
from heygem_daemon.media.types import AudioStream, Colour, MediaInfo, VideoStream

Command = tuple[str, ...]

PROTOCOLS: Final = "file,pipe"
QUIET: Final = ("-hide_banner", "-nostdin", "-loglevel", "error")

SEEK_MARGIN_FRAMES: Final = 3
"""How far before the wanted frame a seek aims: the deinterlacer looks one frame back, frame doubling needs the one before."""

AAC_RATES: Final = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
AAC_BITS: Final = 192_000
AAC_BITS_PER_CHANNEL: Final = 64_000


def file_url(path: Path) -> str:
    """Return `path` so that no part of it can be read as an option or another protocol."""
    return f"file:{path}"


def _opened(path: Path) -> dict[str, str]:
    """Options that open a file as what its extension says, without reading any other file or the network."""
    return {"f": demuxer(path), "protocol_whitelist": PROTOCOLS}


def _ffprobe(path: Path, *options: str) -> Command:
    opened = [word for key, value in _opened(path).items() for word in (f"-{key}", value)]
    return ("ffprobe", "-hide_banner", "-loglevel", "error", *opened, *options, "-of", "json", "-i", file_url(path))


def describe(path: Path) -> Command:
    """Print container and streams as JSON."""
    return _ffprobe(path, "-show_format", "-show_streams")


def describe_still(path: Path) -> Command:
    """Print container, stream and the one frame as JSON: the orientation of a photo is a property of its frame."""
    return _ffprobe(path, "-show_format", "-show_streams", "-show_frames", "-read_intervals", "%+#1")


def last_packets(path: Path, *, since: float) -> Command:
    """Print the packets from the key frame before `since` (s) to the end as JSON, by reading but not decoding them."""
    return _ffprobe(path, "-read_intervals", f"{since:.3f}%", "-show_entries", "packet=stream_index,pts_time,dts_time,duration_time")


def _compile(output: Any) -> Command:
    return tuple(output.global_args(*QUIET).compile())


def _upright(stream: Any, video: VideoStream) -> Any:
    """Decoded picture -> even size. One column or row is repeated at the right or bottom of an odd-sized source."""
    width, height = display_size(video)
    if width % 2 or height % 2:
        stream = stream.filter("pad", width + width % 2, height + height % 2)
        stream = stream.filter("fillborders", right=width % 2, bottom=height % 2, mode="smear")
    return stream


def display_size(video: VideoStream) -> tuple[int, int]:
    """Return width and height of the coded picture after rotation."""
    turned = video.rotation % 180 == 90
    return (video.coded_height, video.coded_width) if turned else (video.coded_width, video.coded_height)


def _tone_mapped(stream: Any, colour: Colour) -> Any:
    """PQ or HLG -> BT.709. Diffuse white lies at 203 cd/m2 (ITU-R BT.2408), so that skin keeps its brightness."""
    stream = stream.filter(
        "zscale",
        transferin=colour.transfer,
        matrixin=colour.matrix or "bt2020nc",
        primariesin=colour.primaries or "bt2020",
        rangein="full" if colour.full_range else "limited",
        transfer="linear",
        npl=203,
    )
    stream = stream.filter("format", "gbrpf32le").filter("zscale", primaries="bt709").filter("tonemap", "hable", desat=0)
    return stream.filter("zscale", transfer="bt709", matrix="bt709", range="limited").filter("format", "yuv420p")


def is_rgb(pixel_format: str) -> bool:
    """Whether the decoder gives red, green and blue (or grey or a palette) and not luma and chroma."""
    return pixel_format.startswith(("rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "pal8", "gray", "ya", "mono"))


def has_alpha(pixel_format: str) -> bool:
    return pixel_format.startswith(("rgba", "bgra", "argb", "abgr", "gbrap", "ya", "yuva", "pal8"))


def _converted(stream: Any, video: VideoStream) -> Any:
    """Any pixel format -> 8-bit 4:2:0 in `video.colour`. 8-bit 4:2:0 itself passes through bit by bit, in its own range."""
    source = video.source_colour
    if source.is_hdr:
        return _tone_mapped(stream, source)
    if video.is_still or is_rgb(video.pixel_format):
        if has_alpha(video.pixel_format):  # what is transparent becomes black, not whatever colour hides under it
            stream = stream.filter("format", "gbrap").filter("premultiply", inplace=1).filter("format", "gbrp")
        options = {} if is_rgb(video.pixel_format) else {"in_color_matrix": "bt601", "in_range": "full" if source.full_range else "limited"}
        sized = {"w": video.width, "h": video.height, "flags": "lanczos+accurate_rnd+full_chroma_int"}
        stream = stream.filter("scale", **sized, **options, out_color_matrix="bt709", out_range="limited")
    elif video.pixel_format not in {"yuv420p", "yuvj420p"}:
        extent = "full" if source.full_range else "limited"
        stream = stream.filter("scale", in_range=extent, out_range=extent, flags="bicubic+accurate_rnd+full_chroma_int")
    return stream.filter("format", "yuvj420p" if video.pixel_format == "yuvj420p" and not video.is_still else "yuv420p")


def decode_frames(info: MediaInfo, *, start: int = 0, stop: int | None = None) -> Command:
    """Write frames start..stop-1 to standard output as I420, at the constant rate `video.frame_rate`.

    Time stamps are kept (`-copyts`), counted from the first picture, and rounded to the grid of the frame rate, so a frame's number
    is a property of the file and not of where reading began.
    """
    video = info.video
    if video is None:
        raise ValueError(f"{info.path.name} has no pictures")
    options: dict[str, Any] = _opened(info.path)
    ahead = video.start - info.start + (start - SEEK_MARGIN_FRAMES) / video.frame_rate
    if start and ahead > 0:
        options |= {"ss": f"{float(ahead):.6f}", "noaccurate_seek": None}
    stream = ffmpeg.input(file_url(info.path), copyts=None, **options)[str(video.index)]
    if not video.is_still:
        stream = stream.filter("setpts", f"PTS-{video.start / video.time_base}")
        if video.is_interlaced:
            stream = stream.filter("bwdif", mode="send_frame", deint="interlaced")
        stream = stream.filter("fps", str(video.frame_rate))
        if start:
            stream = stream.filter("trim", start_pts=start)
    stream = _converted(_upright(stream, video), video)
    stream = stream.filter("scale", video.width, video.height)  # the size may change within a stream (calls recorded by a browser)
    count = {} if stop is None else {"frames:v": stop - start}
    return _compile(ffmpeg.output(stream, "pipe:1", f="rawvideo", fps_mode="passthrough", **count))


def decode_speech(path: Path, *, rate: int) -> Command:
    """Write the first sound track to standard output as mono float32."""
    sound = ffmpeg.input(file_url(path), **_opened(path))["a:0"]
    return _compile(ffmpeg.output(sound, "pipe:1", f="f32le", acodec="pcm_f32le", ac=1, ar=rate))


def count_frames(path: Path) -> Command:
    """Decode everything; print the streams with the number of frames found as JSON, and every defect on standard error."""
    return _ffprobe(path, "-err_detect", "explode", "-count_frames", "-show_streams")


def aac_rate(sample_rate: int) -> int:
    """Return the sample rate AAC can carry: the recording's own, else the next one above, at most 96 kHz."""
    return min((rate for rate in AAC_RATES if rate >= sample_rate), default=AAC_RATES[0])


def aac_bits(channels: int) -> int:
    """Return bits per second: 192 kb/s, and 64 kb/s for each channel of surround sound."""
    return max(AAC_BITS, AAC_BITS_PER_CHANNEL * channels)


def _sound(recording: Path, audio: AudioStream, *, at_least: Fraction | None) -> Any:
    """The recording from its first to its last sample, time stamps counted in samples: it can neither be cut nor drift."""
    rate = aac_rate(audio.sample_rate)
    sound = ffmpeg.input(file_url(recording), **_opened(recording))[str(audio.index)]
    sound = sound.filter("aresample", rate).filter("asetpts", "N/SR/TB")
    if at_least is not None:
        sound = sound.filter("apad", whole_len=-(-at_least * rate // 1))
    return sound


def _tags(colour: Colour) -> dict[str, str]:
    named = {"colorspace": colour.matrix, "color_primaries": colour.primaries, "color_trc": colour.transfer}
    return {key: value for key, value in named.items() if value} | {"color_range": "pc" if colour.full_range else "tv"}


def _labels() -> dict[str, str]:
    return {"metadata:g:0": f"comment={LABEL}", "metadata:g:1": f"description={LABEL} Digital source type: {SOURCE_TYPE}"}


def encode(
    path: Path,
    *,
    like: VideoStream,
    recording: Path,
    audio: AudioStream,
    frames: int,
    pad_sound: bool,
    quality: int,
    preset: str,
    text: Path | None = None,
    font: Path | None = None,
) -> Command:
    """Read I420 frames of the size of `like` from standard input and write one mp4 with the recording.

    pad_sound: silence after the recording up to the end of the picture. text, font: a file with a visible label, and its font.
    """
    size = f"{like.width}x{like.height}"
    picture = ffmpeg.input("pipe:0", f="rawvideo", pix_fmt="yuv420p", s=size, framerate=str(like.frame_rate))["v:0"]
    if text is not None and font is not None:
        small = max(12, like.height // 40)
        placed = {"x": small // 2, "y": f"h-th-{small // 2}", "fontsize": small, "fontcolor": "white", "box": 1, "boxcolor": "black@0.5"}
        picture = picture.filter("drawtext", textfile=str(text), fontfile=str(font), expansion="none", boxborderw=small // 4, **placed)
    picture = picture.filter("setsar", str(like.sample_aspect))
    sound = _sound(recording, audio, at_least=Fraction(frames) / like.frame_rate if pad_sound else None)
    output = ffmpeg.output(
        picture,
        sound,
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
