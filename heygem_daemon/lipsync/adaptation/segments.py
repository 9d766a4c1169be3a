"""A segment of footage as numbers, and the file that holds it. docs/learning.md describes the format.

No image, no name, no path: 70 points of the face without pose and place, the audio, and the time of each frame.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from heygem_daemon.durable import write_durably
from heygem_daemon.lipsync.adaptation.clips import AvClip
from heygem_daemon.lipsync.arrays import Float32, Float64
from heygem_daemon.lipsync.geometry.landmarks import (
    CHIN,
    FOREHEAD,
    INNER_LOWER,
    INNER_MIDDLE,
    INNER_UPPER,
    JAW,
    OUTER_CORNERS,
    OUTER_LOWER,
    OUTER_UPPER,
)

LIP_POINTS: Final = (*OUTER_LOWER, *OUTER_UPPER[-2:0:-1], *INNER_LOWER, *INNER_UPPER[-2:0:-1])
"""The 40 landmarks of the lip edges in the order of a clip's file: around the outer edge, then around the inner one."""
NOSE_TIP: Final = 1
POINTS: Final = (*LIP_POINTS, *JAW, NOSE_TIP, 2, 4, 168, 33, 133, 362, 263, FOREHEAD)
"""The landmarks of a clip's file: lips, jaw, nose, eye corners, forehead."""

_OUTER_MIDDLE: Final = (0, 17)
_THREE_GAPS: Final = ((82, 87), INNER_MIDDLE, (312, 317))


@dataclass(frozen=True, kw_only=True, eq=False)
class SpeechSegment:
    """One face speaking without interruption.

    audio:   int16 [n], 16 kHz mono
    times:   float64 [T], s: the times of the frames, counted from the first sample of `audio`, as found
    points:  float32 [T, 70, 3], the landmarks POINTS without pose: x right, y down, z back, the tip of the nose at the origin in
             the mean, outer eye corners 1 apart
    opening: float32 [T], inner lips over outer eye corners (geometry.mouth_metrics.lip_opening)
    iod:     pixels between the outer eye corners, median
    """

    audio: npt.NDArray[np.int16]
    times: Float64
    points: Float32
    opening: Float32
    iod: float

    @property
    def seconds(self) -> float:
        """The length from the first frame to the last one."""
        return float(self.times[-1] - self.times[0])

    def clip(self, *, name: str, person: str, lag: float) -> AvClip:
        """Return the segment as training reads it. lag: s, positive = the mouth is late."""
        return AvClip(
            name=name,
            person=person,
            audio=self.audio.astype(np.float32) / np.float32(32768),
            times=self.times,
            lag=lag,
            opening=self.opening,
            width=shape_of(self.points)[:, 1],
            lips=self.points[:, : len(LIP_POINTS)],
        )

    def write(self, path: Path, *, person: str, lag: float) -> None:
        """Write the clip's file, whole or not at all, readable by its owner only."""
        points = self.points.astype(np.float16)
        content = io.BytesIO()
        np.savez_compressed(
            content,
            audio=self.audio,
            t=self.times.astype(np.float32),
            av_lag=np.float64(lag),
            lm=points,
            idx=np.array(POINTS, np.int64),
            lips=points[:, : len(LIP_POINTS)],
            P=shape_of(self.points),
            raw=self.opening,
            iod=np.float64(self.iod),
            person=np.str_(person),
        )
        write_durably(path, content.getvalue(), mode=0o600)


def shape_of(points: Float32) -> Float32:
    """Return float32 [T, 6] of points [T, 70, 3]: inner opening, width, outer height, jaw drop, protrusion, mean of three openings.

    Protrusion follows width in what the tracker sees: it is kept for completeness, not for training.
    """
    at = {landmark: points[:, row] for row, landmark in enumerate(POINTS)}

    def apart(pair: tuple[int, int]) -> Float32:
        return np.asarray(np.linalg.norm(at[pair[0]] - at[pair[1]], axis=1), np.float32)

    corners = np.mean([at[i][:, 2] for i in OUTER_CORNERS], axis=0)
    middle = np.mean([at[i][:, 2] for i in (*_OUTER_MIDDLE, *INNER_MIDDLE)], axis=0)
    columns = (
        apart(INNER_MIDDLE),
        apart(OUTER_CORNERS),
        apart(_OUTER_MIDDLE),
        at[CHIN][:, 1] - at[NOSE_TIP][:, 1],
        corners - middle,
        np.mean([apart(pair) for pair in _THREE_GAPS], axis=0),
    )
    return np.stack(columns, axis=1).astype(np.float32)
