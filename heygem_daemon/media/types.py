"""What is known about a media file before a frame of it is decoded."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Colour:
    """Colour tags as ffprobe names them (`bt709`, `smpte170m`, ...); None where the file says nothing."""

    primaries: str | None = None
    transfer: str | None = None
    matrix: str | None = None
    full_range: bool = False

    @property
    def is_hdr(self) -> bool:
        return self.transfer in {"smpte2084", "arib-std-b67"}


@dataclass(frozen=True, kw_only=True)
class VideoStream:
    """A picture track as it will be decoded: upright (rotation applied), 8-bit 4:2:0, constant frame rate.

    `frame_rate` is exact; for variable frame rate it is the constant rate it is read at. `frames` is the number of frames at
    that rate (exact after decoding only; from the container it may be off by some).
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
    colour: Colour = Colour()


@dataclass(frozen=True, kw_only=True)
class AudioStream:
    codec: str
    sample_rate: int
    channels: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class MediaInfo:
    path: Path
    container: str
    size: int
    streams: int
    video: VideoStream | None
    audio: AudioStream | None


@dataclass(frozen=True, kw_only=True)
class MediaLimits:
    """What a file may at most be; `seconds` of wall clock bound every external command on it."""

    recording_seconds: float = 3 * 3600
    video_seconds: float = 3 * 3600
    megapixels: float = 40.0
    file_bytes: int = 64 * 2**30
    streams: int = 16
    probe_seconds: float = 20.0
