"""Build every command line of this package, by pure functions. Nothing is executed here; paths are arguments, never shell text."""

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import ffmpeg

from heygem_daemon.core.render_options import Channels
from heygem_daemon.media.channel_layouts import channel_count, is_ordinary, result_layout, result_weights
from heygem_daemon.media.colours import CHROMA_LOCATIONS, frame_tags
from heygem_daemon.media.filters import as_bt709, as_decoded, decoded_size
from heygem_daemon.media.label import LABEL, SOURCE_TYPE
from heygem_daemon.media.pixel_formats import ALPHA_DECODERS, has_alpha
from heygem_daemon.media.types import AudioStream, Colour, MediaInfo, Source, VideoStream

Command = tuple[str, ...]

PROTOCOLS: Final = "file,pipe"
RESULT_DEMUXER: Final = "mov"
QUIET: Final = ("-hide_banner", "-nostdin", "-loglevel", "error")
QUIET_PROBE: Final = ("-hide_banner", "-loglevel", "error")

X264: Final = "libx264"
NVENC: Final = "h264_nvenc"
NVENC_PRESET: Final = "p4"
"""ffmpeg's encoders, and the preset of the second: p1 is its fastest, p7 its best, p4 its default."""

CONTROL_FILE: Final = b"RIFF\x34\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x80\x3e\0\0\0\x7d\0\0\2\0\x10\0data\x10\0\0\0" + bytes(16)
"""A WAV of eight samples."""
CONTROLS: Final[Mapping[str, Command]] = {
    "ffprobe": ("ffprobe", *QUIET_PROBE, "-f", "wav", "-show_streams", "-of", "json", "-i", "pipe:0"),
    "ffmpeg": ("ffmpeg", "-hide_banner", "-loglevel", "error", "-f", "wav", "-i", "pipe:0", "-f", "s16le", "pipe:1"),
}
"""What every working ffprobe and ffmpeg does with that file on standard input."""
CONTROL_SIZE: Final = (320, 240)
CONTROL_FRAMES: Final = (12, 32)
_CONTROL_BYTES: Final = 48_000_000
_CONTROL_SIDE: Final = 8190
"""Frames of a video of our own that takes as much memory and as many threads as that of somebody, as many of them as have so many bytes,
and the longest side in pixels that MPEG-4 has (ISO/IEC 14496-2, 6.3.3)."""

CONTROL_DECODING: Final[Command] = (
    *("ffmpeg", "-hide_banner", "-loglevel", "error", "-f", "matroska", "-i", "pipe:0"),
    *("-vf", "reverse,scale=64:64,bwdif", "-c:v", "rawvideo", "-f", "rawvideo", "-y", os.devnull),
)
"""Decodes that video with as many threads as `decode_frames`, and holds all of its frames at once: at 7680x4320 that takes 0.8 GB;
H.264 of this size takes 0.7 GB."""

LEAST_PIXELS: Final = 40_000_000
"""Pixels of a frame that any track may have somewhere: joined files change their size."""

SEEK_MARGIN_FRAMES: Final = 3
"""Frames between the target of a seek and the frame wanted: the deinterlacer and frame doubling each need the frame before."""

_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_IN_HEX: Final = "path-in-hexadecimal:"

AAC_RATES: Final = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
AAC_BITS: Final = 192_000
AAC_BITS_PER_CHANNEL: Final = 64_000
"""Sample rates in Hz that AAC allows (ISO/IEC 14496-3, samplingFrequencyIndex), and bits/s."""


def control_video(size: tuple[int, int]) -> Command:
    """Write the video for `CONTROL_DECODING` to standard output, with frames of about `size` (width, height)."""
    width, height = (min(max(side + side % 2, 64), _CONTROL_SIDE) for side in size)
    fewest, most = CONTROL_FRAMES
    frames = min(max(_CONTROL_BYTES // (width * height * 3 // 2), fewest), most)
    source = ("-f", "lavfi", "-i", f"color=size={width}x{height}:rate=25", "-frames:v", str(frames), "-pix_fmt", "yuv420p")
    encoder = ("-c:v", "mpeg4", "-threads", "1")
    return ("ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "error", *source, *encoder, "-f", "matroska", "pipe:1")


def file_url(path: Path) -> str:
    """Return `path` as a URL, so that ffmpeg takes no part of it for an option or another protocol."""
    return f"file:{path}"


def _input_options(source: Source) -> dict[str, str]:
    """Return the options that open a file as it was identified, without reading any other file or the network."""
    return {"f": source.demuxer, "protocol_whitelist": PROTOCOLS, **source.demuxer_options}


def _ffprobe(source: Source, *options: str, form: str = "json") -> Command:
    opened = [word for key, value in _input_options(source).items() for word in (f"-{key}", value)]
    return ("ffprobe", *QUIET_PROBE, *opened, *options, "-of", form, "-i", file_url(source.path))


def identify(demuxers: Iterable[str]) -> Command:
    """Print the demuxer among `demuxers` of what is on standard input, and the score of its content, as JSON. Nothing of it is opened."""
    allowed = ("-protocol_whitelist", "pipe", "-format_whitelist", ",".join(demuxers), "-nofind_stream_info")
    return ("ffprobe", *QUIET_PROBE, *allowed, "-show_entries", "format=format_name,probe_score", "-of", "json", "-i", "pipe:0")


def describe(source: Source, most_streams: int) -> Command:
    """Print container and streams as JSON. most_streams: more are not taken up; each costs 1.6 MB, whatever is in it."""
    return _ffprobe(source, "-max_streams", str(most_streams), "-show_format", "-show_streams")


def list_packets(source: Source, stream: int, *, since: float, count: int) -> Command:
    """Print presentation time, decoding time, duration and flags of up to `count` packets of a track from `since` (s) on, one a line."""
    interval = f"{since:.3f}%+#{count}" if since > 0 else f"%+#{count}"
    chosen = ("-select_streams", str(stream), "-show_entries", "packet=pts_time,dts_time,duration_time,flags")
    return _ffprobe(source, "-read_intervals", interval, *chosen, form="csv=p=0")


def sample_packets(source: Source, *, start: float, seconds: float, places: int, length: float) -> Command:
    """Print track and time of the video packets at `places` places of a file of `seconds`, up to `length` s at each, one a line."""
    step = seconds / places
    since = [start + place * step for place in range(places)]
    intervals = ",".join(f"{time:.3f}%{time + max(min(length, step), 0.001):.3f}" for time in since)
    chosen = ("-select_streams", "v", "-show_entries", "packet=stream_index,pts_time")
    return _ffprobe(source, "-read_intervals", intervals, *chosen, form="csv=p=0")


def sample_frames(source: Source, stream: int, places: Sequence[float], count: int, *, pixels: int) -> Command:
    """Decode `count` frames of a track from its first one, and from the key frame before each further one of `places` (s); print shape and
    repetition of each as JSON. pixels: of the largest frame that is allowed."""
    intervals = ",".join([f"%+#{count}", *(f"{place:.3f}%+#{count}" for place in places[1:])])
    wanted = "frame=best_effort_timestamp_time,width,height,sample_aspect_ratio,repeat_pict,pkt_duration_time,duration_time"
    bounded = ("-max_pixels", str(most_pixels(pixels)))
    return _ffprobe(source, *bounded, "-select_streams", str(stream), "-read_intervals", intervals, "-show_entries", wanted)


def _graph_url(path: Path) -> str:
    """Return the URL of a path as ffmpeg-python takes it, which can only hold text: a path that is none goes through it in hexadecimal."""
    url = file_url(path)
    return f"{_IN_HEX}{os.fsencode(url).hex()}" if _SURROGATES.search(url) else url


def _argument(word: str) -> str:
    return os.fsdecode(bytes.fromhex(word.removeprefix(_IN_HEX))) if word.startswith(_IN_HEX) else word


def _compile(output: Any) -> Command:
    return tuple(_argument(word) for word in output.global_args(*QUIET).compile())


def _decoder_options(video: VideoStream) -> dict[str, Any]:
    """Return the options with which frames reach the filters as they are coded, whatever changes within the track."""
    alpha = {f"c:{video.index}": ALPHA_DECODERS[video.codec]} if has_alpha(video.pixel_format) and video.codec in ALPHA_DECODERS else {}
    return {"noautorotate": None, "reinit_filter": 0, "max_pixels": most_pixels(video.coded_width * video.coded_height), **alpha}


def most_pixels(declared: int) -> int:
    """Return how large a frame is decoded of a track whose frames were declared, or are allowed, to have so many pixels: a later one may be
    larger than the first, but a few kB must not become gigabytes."""
    return max(declared, LEAST_PIXELS) * 9 // 8  # a coded frame is padded to whole blocks


def decode_frames(
    info: MediaInfo,
    *,
    start: int = 0,
    stop: int | None = None,
    seek: bool = True,
    box: tuple[int, int, int, int] | None = None,
    card: int | None = None,
) -> Command:
    """Write frames start..stop-1 to standard output as I420, at the constant rate `video.frame_rate`.

    Time stamps are kept (`-copyts`), counted from the first frame, and rounded to the grid of the frame rate, so a frame has the same
    number wherever reading began. seek: jump to the key frame before `start`; else decode from the first. box: x0, y0, x1, y1 in even
    pixels, half open: write this part of the frames only. card: decode on this graphics card (NVDEC), of which ffmpeg then reads NV12.
    """
    video = info.video
    if video is None:
        raise ValueError(f"{info.path.name} has no video track")
    options: dict[str, Any] = _input_options(info) | _decoder_options(video)
    if card is not None:
        options |= {"hwaccel": "cuda", "hwaccel_device": str(card)}
    ahead = video.start - info.start + (start - SEEK_MARGIN_FRAMES) / video.frame_rate - Fraction(video.seek_margin)
    if seek and video.is_seekable and start and ahead > 0:
        options |= {"ss": f"{float(ahead):.6f}", "noaccurate_seek": None}
    stream = ffmpeg.input(_graph_url(info.path), copyts=None, **options)[str(video.index)]
    stream = as_decoded(stream, video, start)
    if box is not None:
        stream = stream.filter("crop", box[2] - box[0], box[3] - box[1], box[0], box[1])
    count = {} if stop is None else {"frames:v": stop - start}
    return _compile(ffmpeg.output(stream, "pipe:1", f="rawvideo", fps_mode="passthrough", **count))


def encode_preview(info: MediaInfo, path: Path, *, longest: int, seconds: float) -> Command:
    """Write the first `seconds` of a video as an H.264/AAC mp4 that every browser plays: upright, with square pixels, its longest side of
    at most `longest` pixels, its index first. The video begins at 0, and the audio keeps its place beside it."""
    video = info.video
    if video is None:
        raise ValueError(f"{info.path.name} has no video track")
    # ffmpeg turns the frames itself: where it does not, it writes the turn of the track into the copy, over frames that are upright.
    video = replace(video, rotation=0, is_mirrored=False, coded_width=decoded_size(video)[0], coded_height=decoded_size(video)[1])
    options = {name: value for name, value in _decoder_options(video).items() if name != "noautorotate"}
    source = ffmpeg.input(_graph_url(info.path), copyts=None, **_input_options(info), **options)
    width, height = video.width * float(video.sample_aspect), float(video.height)
    factor = min(1.0, longest / max(width, height))
    size = [max(2, 2 * round(side * factor / 2)) for side in (width, height)]
    frames = as_decoded(source[str(video.index)], video, 0).filter("scale", *size, flags="bicubic").filter("setsar", 1)
    outputs = [frames.filter("trim", duration=seconds)]
    if info.audio is not None and info.audio.is_usable:
        track = source[str(info.audio.index)].filter("asetpts", f"PTS-({float(video.start):.6f})/TB")
        track = track.filter("aresample", **{"async": 1000, "first_pts": 0}).filter("atrim", start=0, duration=seconds)
        outputs.append(track.filter("aformat", sample_rates=48000, channel_layouts="mono|stereo"))
    encoding = {"vcodec": "libx264", "preset": "veryfast", "crf": 26, "pix_fmt": "yuv420p", "acodec": "aac", "b:a": 96_000}
    clean = {"map_metadata": -1, "map_chapters": -1, "movflags": "+faststart", "f": "mp4"}
    return _compile(ffmpeg.output(*outputs, _graph_url(path), fps_mode="passthrough", **encoding, **clean).overwrite_output())


def decode_still(path: Path, task: Mapping[str, Any]) -> Command:
    """Print what a still image is as a line of JSON, then its pixels; task: the fields of `still_decoder.Task`.

    -P: a module of that name in the current folder is not loaded.
    """
    return (sys.executable, "-P", "-m", "heygem_daemon.media.still_decoder", str(path), json.dumps(task))


def convert_still(size: tuple[int, int], source: Colour) -> Command:
    """Convert an image of red, green and blue bytes, on standard input, from `source` to the primaries of BT.709, on standard output."""
    image = ffmpeg.input("pipe:0", f="rawvideo", pix_fmt="rgb24", s=f"{size[0]}x{size[1]}")["v:0"]
    return _compile(ffmpeg.output(as_bt709(image, source), "pipe:1", f="rawvideo", pix_fmt="rgb24"))


def sample_alpha(source: Source, video: VideoStream, *, since: float) -> Command:
    """Write the alpha of one frame near `since` (s on the clock of the file) to standard output, 8 bits each pixel, 255 where opaque."""
    options: dict[str, Any] = _input_options(source) | _decoder_options(video)
    stream = ffmpeg.input(_graph_url(source.path), **options, ss=f"{since:.3f}", seek_timestamp=1)[str(video.index)]
    stream = stream.filter("format", "rgba").filter("alphaextract").filter("format", "gray")
    return _compile(ffmpeg.output(stream, "pipe:1", f="rawvideo", **{"frames:v": 1}))


def decode_speech(info: MediaInfo, *, rate: int) -> Command:
    """Write the audio track to standard output as mono int16; as float ffmpeg would mix two channels to up to 1.41."""
    track, audio = _audio_input(info)
    if audio.channels == 2 and not is_ordinary(audio):
        track = _renamed(track, audio, "stereo")
    return _compile(ffmpeg.output(track, "pipe:1", f="s16le", acodec="pcm_s16le", ac=1, ar=rate))


def decode_speeches(infos: Sequence[MediaInfo], targets: Sequence[Path], *, rate: int, longest: float) -> Command:
    """Write of each recording of one channel what `decode_speech` writes into a file of its own, up to `longest` s."""
    tracks = [_audio_input(info)[0] for info in infos]
    form = {"f": "s16le", "acodec": "pcm_s16le", "ac": 1, "ar": rate, "t": f"{longest:.3f}"}
    outputs = [ffmpeg.output(track, _graph_url(target), **form) for track, target in zip(tracks, targets, strict=True)]
    return _compile(ffmpeg.merge_outputs(*outputs))


def decode_channels(info: MediaInfo, *, rate: int) -> Command:
    """Write the channels of the audio track to standard output as interleaved int16; after those of a stereo track, their mono mix.

    The mix is to the last bit what `decode_speech` writes. A track whose channels change within it keeps those that it begins with.
    """
    track, audio = _audio_input(info)
    output = {"f": "s16le", "acodec": "pcm_s16le", "ar": rate}
    if audio.channels != 2:
        return _compile(ffmpeg.output(_fixed_channels(track, audio), "pipe:1", **output))
    form = {"sample_fmts": "s16", "sample_rates": rate}
    branches = (track if is_ordinary(audio) else _renamed(track, audio, "stereo")).filter_multi_output("asplit")
    pair, mix = (branches[i].filter("aformat", **form, channel_layouts=layout) for i, layout in enumerate(("stereo", "mono")))
    return _compile(ffmpeg.output(ffmpeg.filter([pair, mix], "amerge"), "pipe:1", **output))


def decode_audio(info: MediaInfo, channels: Channels, *, seconds: Fraction | None = None) -> Command:
    """Write the audio of the result to standard output, from the first to the last sample of the recording: float32, interleaved, in
    `result_layout` and at `aac_rate`. It has no time stamps, so that it can neither be cut nor drift. seconds: end there, by the number of
    samples."""
    track, audio = _audio_input(info)
    layout, weights = result_layout(audio, channels), result_weights(audio)
    if audio.channels > 2 and layout == "stereo" and weights:
        mix = "+".join(f"{weight:.6g}*c{i}" for i, weight in enumerate(weights) if weight)
        track = _fixed_channels(track, audio).filter("pan", args=f"stereo|c0={mix}|c1={mix}")
    elif not is_ordinary(audio):
        track = _renamed(track, audio, layout)
    rate = aac_rate(audio.sample_rate)
    track = track.filter("aformat", channel_layouts=layout)
    if seconds is not None:
        track = track.filter("aformat", sample_rates=rate).filter("atrim", end_sample=max(round(seconds * rate), 1))
    return _compile(ffmpeg.output(track, "pipe:1", f="f32le", acodec="pcm_f32le", ar=rate))


def _audio_input(info: MediaInfo) -> tuple[Any, AudioStream]:
    if info.audio is None:
        raise ValueError(f"{info.path.name} has no audio track")
    return ffmpeg.input(_graph_url(info.path), **_input_options(info))[str(info.audio.index)], info.audio


def _fixed_channels(track: Any, audio: AudioStream) -> Any:
    """Return the track with the channels that it begins with, whatever it changes to."""
    return track.filter("aformat", channel_layouts=audio.layout or "mono") if is_ordinary(audio) else _renamed(track, audio)


def _renamed(track: Any, audio: AudioStream, layout: str | None = None) -> Any:
    """Return the track with its channels in their order, for which it has no positions that ffmpeg can mix, in those of `layout`."""
    named = {} if layout is None else {"channel_layout": layout}
    return track.filter("channelmap", map="|".join(map(str, range(audio.channels))), **named)


def count_frames(path: Path) -> Command:
    """Decode all of a result; print the streams with their number of frames as JSON, and every error on standard error.

    The loop filter, a fifth of the work, is left out: it cannot fail.
    """
    source = Source(path=path, demuxer=RESULT_DEMUXER)
    return _ffprobe(source, "-err_detect", "explode", "-skip_loop_filter", "all", "-count_frames", "-show_streams")


def aac_rate(sample_rate: int) -> int:
    """Return the sample rate of the AAC track in Hz: the recording's own where AAC has it, else the next one above, at most 96 kHz."""
    return min((rate for rate in AAC_RATES if rate >= sample_rate), default=AAC_RATES[0])


def aac_bits(channels: int) -> int:
    """Return bits/s: 192 kb/s, or 64 kb/s for each channel where that is more (surround)."""
    return max(AAC_BITS, AAC_BITS_PER_CHANNEL * channels)


def _audio_track(pipe: int, audio: AudioStream, channels: Channels, *, at_least: Fraction | None) -> Any:
    """Return what `decode_audio` writes into the file descriptor `pipe`. at_least: length in s up to which silence is added."""
    rate, layout = aac_rate(audio.sample_rate), result_layout(audio, channels)
    track = ffmpeg.input(f"pipe:{pipe}", f="f32le", ar=rate, channel_layout=layout)["a:0"]
    return track if at_least is None else track.filter("apad", whole_len=-(-at_least * rate // 1))


def _labels() -> dict[str, str]:
    return {"metadata:g:0": f"comment={LABEL}", "metadata:g:1": f"description={LABEL} Digital source type: {SOURCE_TYPE}"}


def _with_text(video: Any, height: int, text: Path, font: Path) -> Any:
    """Return the stream with the content of the file `text` in its lower left corner."""
    small = max(12, height // 40)
    style = {"x": small // 2, "y": f"h-th-{small // 2}", "fontsize": small, "fontcolor": "white", "box": 1, "boxcolor": "black@0.5"}
    return video.filter("drawtext", textfile=str(text), fontfile=str(font), expansion="none", boxborderw=small // 4, **style)


def _raw_frames(like: VideoStream) -> Any:
    size, rate = f"{like.width}x{like.height}", str(like.frame_rate)
    frames = ffmpeg.input("pipe:0", f="rawvideo", pix_fmt="yuv420p", s=size, framerate=rate)["v:0"]
    return frames.filter("setparams", **frame_tags(like.colour))


def _video_options(like: VideoStream, *, quality: int, preset: str, encoder: str) -> dict[str, Any]:
    """Return the options of the encoder. NVENC has no constant rate factor: it gets the quantiser itself that x264 aims at in the mean."""
    location = CHROMA_LOCATIONS.get(like.chroma_location or "")
    placed = {} if location is None else {"chroma_sample_location": location}
    chosen = {"preset": preset, "crf": quality} if encoder == X264 else {"preset": NVENC_PRESET, "rc": "constqp", "qp": quality}
    return {"vcodec": encoder, **chosen, "pix_fmt": "yuv420p", **placed}


def try_encoder(like: VideoStream, *, quality: int, preset: str, encoder: str = X264) -> Command:
    """Read I420 frames from standard input and write them to standard output, with the options and in the container of `encode`."""
    video = _raw_frames(like).filter("setsar", str(like.sample_aspect))
    options = _video_options(like, quality=quality, preset=preset, encoder=encoder)
    return _compile(ffmpeg.output(video, "pipe:1", f="mp4", movflags="+frag_keyframe+empty_moov", **options))


def encode(
    path: Path,
    *,
    like: VideoStream,
    audio: AudioStream,
    audio_pipe: int,
    channels: Channels,
    frames: int,
    pad_audio: bool,
    quality: int,
    preset: str,
    text: Path | None = None,
    font: Path | None = None,
    encoder: str = X264,
) -> Command:
    """Read I420 frames of the size of `like` from standard input, and the audio from `audio_pipe`; write one mp4.

    audio_pipe: a file descriptor from which `decode_audio` of the track `audio` is read. pad_audio: add silence after the recording up to
    the end of the video. text, font: a file with a visible label, and its font. encoder: X264 or NVENC; preset: of x264.
    """
    video = _raw_frames(like)
    if text is not None and font is not None:
        video = _with_text(video, like.height, text, font)
    video = video.filter("setsar", str(like.sample_aspect))
    track = _audio_track(audio_pipe, audio, channels, at_least=Fraction(frames) / like.frame_rate if pad_audio else None)
    output = ffmpeg.output(
        video,
        track,
        _graph_url(path),
        f="mp4",
        acodec="aac",
        movflags="+faststart",
        map_metadata=-1,
        map_chapters=-1,
        **{"b:a": aac_bits(channel_count(result_layout(audio, channels))), "fflags": "+bitexact"},
        **_video_options(like, quality=quality, preset=preset, encoder=encoder),
        **_labels(),
    )
    return _compile(output.overwrite_output())
