"""Take a few frames from the beginning of a video, or the one of an image, and write one of them as a JPEG."""

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from heygem_daemon.core.errors import error
from heygem_daemon.media.formats import display_name
from heygem_daemon.media.frame import Frame
from heygem_daemon.media.reader import VideoReader
from heygem_daemon.media.types import MediaInfo

SAMPLE_RATE: Final = 2
SAMPLES: Final = 4
"""Frames per second that are looked at, and their number: of the first second and a half, whose decoding takes 0.4 s for 1080x1920 HEVC."""
DECODING_SECONDS: Final = 1.0
"""s after which no further frame is waited for: one of a long group of 8K frames would take more than a face check may."""
STILL_SIDE: Final = 1280
"""Pixels of the longest side of a still."""
QUALITY: Final = 85


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """Frames of a video in their order, and the shape of its pixels."""

    frames: Sequence[Frame]
    sample_aspect: Fraction


@dataclass(frozen=True, kw_only=True)
class Shown:
    """The frame that is shown, with the shape of its pixels."""

    frame: Frame
    sample_aspect: Fraction

    @property
    def width(self) -> int:
        """Pixels, as the browser shows them: square."""
        return round(self.frame.width * float(self.sample_aspect))

    @property
    def height(self) -> int:
        return self.frame.height


def sample(info: MediaInfo) -> Sampled:
    """Return a few frames from the beginning. Raises HeygemError where not even the first can be decoded."""
    video = info.video
    if video is None:
        raise error("not_a_video", name=display_name(info.path), type="a file without video")
    step = max(1, round(video.frame_rate / SAMPLE_RATE))
    kept: list[Frame] = []
    deadline = time.monotonic() + DECODING_SECONDS
    with closing(VideoReader(info).frames(0, step * (SAMPLES - 1) + 1)) as frames:
        for frame in frames:
            if frame.index % step == 0:
                kept.append(frame)
            if time.monotonic() > deadline:
                break
    return Sampled(frames=kept, sample_aspect=video.sample_aspect)


def sharpest(sampled: Sampled) -> Shown:
    """Return the frame with the most detail: not the black one that a video fades in from."""
    best = max(sampled.frames, key=lambda frame: _detail(frame.y))
    return Shown(frame=best, sample_aspect=sampled.sample_aspect)


def _detail(luma: np.ndarray) -> float:
    return float(cv2.Laplacian(np.ascontiguousarray(luma[::2, ::2]), cv2.CV_32F).std())


def write_still(shown: Shown, path: Path) -> None:
    """Write a JPEG with square pixels, at most STILL_SIDE on its longest side. Raises OSError."""
    factor = min(1.0, STILL_SIDE / max(shown.width, shown.height))
    size = (max(1, round(shown.width * factor)), max(1, round(shown.height * factor)))
    image = shown.frame.bgr()
    if size != (image.shape[1], image.shape[0]):
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    done, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise ValueError(f"an image of {size[0]}x{size[1]} cannot be encoded")
    path.write_bytes(encoded.tobytes())
