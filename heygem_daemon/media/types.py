"""The properties of a media file that are known before a frame of it is decoded, and the limits for them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Colour:
    """Colour tags as ffprobe names them (`bt709`, `smpte170m`, ...); None where the file has none."""

    primaries: str | None = None
    transfer: str | None = None
    matrix: str | None = None
    full_range: bool = False

    @property
    def is_hdr(self) -> bool:
        """PQ, HLG, or ICtCp, which ITU-R BT.2100 defines for these two only."""
        return self.transfer in {"smpte2084", "arib-std-b67"} or self.matrix == "ictcp"


GAP_SECONDS: Final = 5.0
"""s. The longest time for which one frame is held; a longer step of the time stamps is a hole, and is left out."""

BT709: Final = Colour(primaries="bt709", transfer="bt709", matrix="bt709")


@dataclass(frozen=True, kw_only=True)
class VideoStream:
    """A video track as it is decoded: upright (rotation applied), 8-bit 4:2:0, constant frame rate, even size.

    `frame_rate` is exact; for variable frame rate it is the constant rate it is read at. `frames` is the number of frames at
    that rate (exact after decoding only; from the container it may be off by some). `colour` is that of the decoded frames;
    `source_colour` and the coded size are those of the file. `start` is the time of the first frame, `time_base` the unit of
    the file's time stamps, both in s. `is_seekable`: a frame has the same time stamp after a seek as in order. `seek_margin`: s by
    which a seek must aim earlier, where the container has no index of key frames.
    `phase`: s by which the time stamps lie beside the grid of the rate. `is_mirrored`: the display matrix flips the image.
    `images`: how many the file holds, 0 where that is unknown; `end`: the number of frames after which reading ends, None: with the file.
    `changes_shape`: the size or the shape of the pixels changes within the track; the coded size and `sample_aspect` are those of most
    of it. `chroma_location`: of the decoded frames, as ffprobe names it; None: left, or unknown. `needs_dolby_vision`: without its
    metadata the colours cannot be known. `is_transparent`: some pixels are; `background`: "#rrggbb", what they become.
    """

    width: int
    height: int
    frame_rate: Fraction
    frames: int
    seconds: float
    codec: str
    pixel_format: str
    sample_aspect: Fraction = Fraction(1)
    rotation: int = 0
    is_variable: bool = False
    is_still: bool = False
    is_mirrored: bool = False
    changes_shape: bool = False
    is_seekable: bool = True
    seek_margin: float = 0.0
    phase: Fraction = Fraction(0)
    colour: Colour = Colour()
    source_colour: Colour = Colour()
    chroma_location: str | None = None
    needs_dolby_vision: bool = False
    is_transparent: bool = False
    background: str = "#000000"
    coded_width: int = 0
    coded_height: int = 0
    index: int = 0
    start: Fraction = Fraction(0)
    time_base: Fraction = Fraction(1, 1000)
    images: int = 0
    end: int | None = None

    def until(self, frames: int) -> "VideoStream":
        """Return this video as if it ended after so many frames, or itself where it has no more."""
        if self.is_still or self.frames <= frames:
            return self
        return replace(self, end=frames, frames=frames, seconds=float(frames / self.frame_rate))

    @property
    def reading(self) -> str:
        """How the frames are read: what anything computed from them depends on besides the file."""
        background = self.background if self.is_transparent else ""
        end = "" if self.end is None else f", the first {self.end}"
        return f"track {self.index}, {self.width}x{self.height} at {self.frame_rate}, {background}{end}"

    @property
    def frame_bytes(self) -> int:
        """Size of one decoded frame."""
        return self.width * self.height * 3 // 2


@dataclass(frozen=True, kw_only=True)
class AudioStream:
    """One audio track. `start` is the time of the first sample in s, on the clock of the file (as `VideoStream.start`).

    layout: ffprobe's name of the channel layout, "" where it has none; index: of the stream in the file; number: of the track among the
    audio tracks, counted from 1; title: "" where it has none; is_default: flagged as the one to play. spoken: weight of each channel in
    what the driver hears; downmix: in the result, where it has two channels instead of more; () = the usual mix (see media.channels).
    """

    codec: str
    sample_rate: int
    channels: int
    seconds: float
    layout: str = ""
    index: int = 0
    number: int = 1
    title: str = ""
    is_default: bool = False
    start: Fraction = Fraction(0)
    spoken: tuple[float, ...] = ()
    downmix: tuple[float, ...] = ()

    @property
    def is_usable(self) -> bool:
        """Whether ffmpeg can decode it: it has no more than 64 channels in a filter, and 0 where the codec is unknown."""
        return self.sample_rate > 0 and 0 < self.channels <= 64


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file that was identified by its content, and how every command opens it: with ffmpeg's `demuxer` and its `demuxer_options`."""

    path: Path
    demuxer: str
    demuxer_options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class MediaInfo(Source):
    """What a file holds.

    audio: the track that is used, of `audio_tracks`; start: the earliest time stamp of the file in s; is_cut: data that its container
    declares is missing; warnings: code of core.warning_codes -> a sentence about this file, "" where that of the code is enough.
    """

    size: int
    streams: int
    video: VideoStream | None
    audio: AudioStream | None
    audio_tracks: tuple[AudioStream, ...] = ()
    seconds: float = 0.0
    start: Fraction = Fraction(0)
    is_cut: bool = False
    warnings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class MediaLimits:
    """The largest file that is accepted; every command that inspects one may take `probe_seconds` of processor time, and of
    wall clock `patience` times as long as run.PATIENCE allows. See settings.Limits.

    streams: tracks of video and audio; more are an attack, not a recording.
    """

    recording_seconds: float = 3 * 3600
    video_seconds: float = 3 * 3600
    megapixels: float = 40.0
    still_megapixels: float = 250.0
    file_bytes: int = 64 * 2**30
    streams: int = 256
    probe_seconds: float = 20.0
    patience: float = 1.0


DEFAULT_LIMITS: Final = MediaLimits()
