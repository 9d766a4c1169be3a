"""Did the mouth do what was asked? The finished file is tracked again and compared."""

from array import array
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from heygem_daemon.lipsync.face.measure import lip_opening, sync_offset
from heygem_daemon.lipsync.face.tracker import FaceTracker, FollowedFace
from heygem_daemon.lipsync.face.tracks import FaceTracks
from heygem_daemon.lipsync.ports import RenderedFrame
from heygem_daemon.media.reader import VideoReader
from heygem_daemon.media.types import MediaInfo

FloatArray = npt.NDArray[np.float32]

LONGEST: Final = 60
"""Seconds of the result that are tracked again: enough for the figures, and cheap beside rendering."""
_LEAST_MOTION: Final = 0.003
"""Standard deviation of the opening (eye corners 1 apart) below which a mouth counts as still: tracker noise is about .002."""


@dataclass(kw_only=True)
class Asked:
    """What was asked of the first frames: the opening, and the frame of the source each shows. Two numbers per frame."""

    limit: int
    opening: "array[float]" = field(default_factory=lambda: array("f"))
    source: "array[int]" = field(default_factory=lambda: array("l"))

    def note(self, rendered: RenderedFrame) -> None:
        if len(self.opening) < self.limit:
            self.opening.append(rendered.asked_opening)
            self.source.append(rendered.frame.index)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """sync_offset_ms: how late the mouth is against what was asked; correlation: Pearson r of the opening at lag 0.

    Both None where nothing moved, or too little was drawn to tell.
    """

    sync_offset_ms: float | None = None
    correlation: float | None = None


def measure(result: MediaInfo, asked: Asked, tracks: FaceTracks, models: Path, on_frame: Callable[[int], None]) -> Outcome:
    """Track the beginning of the finished file `result` and compare its mouth with what was asked.

    tracks: those of the source; they tell which of several faces was drawn on. on_frame hears the number of frames done.
    """
    rate, count = tracks.frame_rate, len(asked.opening)
    tracker = FaceTracker(models, frame_rate=rate)
    obtained = np.full(count, np.nan, np.float32)
    with closing(VideoReader(result).frames(0, count)) as frames:
        for i, frame in enumerate(frames):
            wanted = tracks.landmarks(asked.source[i], asked.source[i] + 1)[0]
            face = _nearest(tracker.follow(frame), wanted)
            if face is not None:
                obtained[i] = lip_opening(face.landmarks[None])[0]
            on_frame(i + 1)
    return compare(np.array(asked.opening, np.float32), obtained, rate)


def compare(asked: FloatArray, obtained: FloatArray, frame_rate: Fraction) -> Outcome:
    """Compare two curves of the opening: float32 [n] each, NaN where nothing was drawn or seen."""
    both = np.isfinite(asked) & np.isfinite(obtained)
    if both.sum() < 2 or asked[both].std() < _LEAST_MOTION:
        return Outcome()
    offset, _ = sync_offset(asked, obtained, frame_rate)
    still = obtained[both].std() < 1e-6
    correlation = 0.0 if still else float(np.corrcoef(asked[both], obtained[both])[0, 1])
    return Outcome(sync_offset_ms=None if np.isnan(offset) else round(offset, 1), correlation=round(correlation, 3))


def _nearest(faces: tuple[FollowedFace, ...], wanted: FloatArray) -> FollowedFace | None:
    """Return the face that lies where `wanted` (float32 [468, 3], NaN where there was none) lay, within half its width."""
    if not faces or not np.isfinite(wanted).all():
        return None
    reach = 0.5 * float(np.ptp(wanted[:, 0]))
    distances = [float(np.linalg.norm(face.landmarks[:, :2].mean(0) - wanted[:, :2].mean(0))) for face in faces]
    best = int(np.argmin(distances))
    return faces[best] if distances[best] < reach else None
