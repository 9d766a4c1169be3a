"""Tell a face that moves by itself from one that is still: a portrait on a slide, a poster, a photo on the wall.

A flat image of a face changes its place, size, roll and slant as the camera moves, all of which an affine map undoes. A head that turns
or a mouth that speaks changes the shape of the face beyond that.
"""

from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Float64
from heygem_daemon.lipsync.geometry.landmarks import CHEEKS, CHIN, EYE_CORNERS, LIPS, RIGID

LEAST_MOTION: Final = 0.006
"""Motion in IOD from which a face moves by itself. Seven people talking for 3-6 s: .0068-.035, the quietest two seconds of each .0061 and
more. 105 clips of photos of them, filmed by a still, panning, zooming, turning or shaking camera, with and without noise, eyes 27-200
pixels apart: up to .0053, but .0073 where the mesh is torn between a shut and a half-open mouth, and .0094 where the slant of a small
photo changes several times a second."""
FEWEST_FRAMES: Final = 25
"""Frames that motion is judged from: within a second people sit as still as photos."""
_POINTS: Final = np.array(sorted({*LIPS, *RIGID, *CHEEKS, CHIN}))


class ShapeMotion:
    """The motion of one face over a shot, measured frame by frame: memory does not grow with the shot."""

    def __init__(self) -> None:
        self.frames = 0
        self._steps = 0
        self._squares = self._step_squares = 0.0
        self._reference: Float64 | None = None
        self._mean: Float64 = np.zeros((len(_POINTS), 2))
        self._last: tuple[int, Float64] | None = None

    def add(self, frame: int, landmarks: Float32) -> None:
        """Count frame number `frame` with landmarks float32 [468, 3] in pixels."""
        shape = self._aligned(landmarks[_POINTS, :2].astype(np.float64), landmarks)
        self.frames += 1
        before = shape - self._mean
        self._mean = self._mean + before / self.frames
        self._squares += float((before * (shape - self._mean)).sum())
        if self._last is not None and self._last[0] == frame - 1:
            self._steps += 1
            self._step_squares += float(np.square(shape - self._last[1]).sum())
        self._last = frame, shape

    @property
    def amount(self) -> float:
        """The standard deviation of a landmark over time in IOD, less the noise of the tracker; 0 where that is all.

        Noise is independent from frame to frame: half the mean square of its steps is its variance (von Neumann et al. 1941).
        """
        if not self._steps:
            return 0.0
        variance = self._squares / self.frames - self._step_squares / self._steps / 2
        return float(np.sqrt(max(0.0, variance) / len(_POINTS)))

    @property
    def is_alive(self) -> bool:
        """Whether the face moves by itself."""
        return self.frames >= FEWEST_FRAMES and self.amount >= LEAST_MOTION

    def merge(self, other: "ShapeMotion") -> "ShapeMotion":
        """Return the motion of both together, each about its own mean; nothing can be added to it."""
        both = ShapeMotion()
        both.frames, both._steps = self.frames + other.frames, self._steps + other._steps
        both._squares, both._step_squares = self._squares + other._squares, self._step_squares + other._step_squares
        return both

    def _aligned(self, points: Float64, landmarks: Float32) -> Float64:
        """Return the points [n, 2] under the affine map that takes them nearest to the first ones, which have the eyes 1 apart."""
        if self._reference is None:
            left, right = (landmarks[i, :2] for i in EYE_CORNERS)
            self._reference = (points - points.mean(0)) / max(1.0, float(np.linalg.norm(right - left)))
        centred = np.column_stack([points - points.mean(0), np.ones(len(points))])
        return np.asarray(centred @ np.linalg.lstsq(centred, self._reference, rcond=None)[0])
