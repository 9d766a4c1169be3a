"""FaceMesh: 468 landmarks of one face.

Kartynnik et al. 2019, "Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs". The network sees a levelled square
of 192x192 pixels, half as wide again as the face.
"""

import math
from pathlib import Path
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.face.image_view import ImageView, Roi
from heygem_daemon.lipsync.face.tflite import TfliteNetwork
from heygem_daemon.lipsync.geometry.landmarks import EYE_CORNERS
from heygem_daemon.lipsync.model_files import model_path

SCORE: Final = 0.5
"""Score above which the square shows a face."""
MARGIN: Final = 1.5
"""Side of the square over the extent of the face in it."""
INPUT: Final = 192
"""Pixels of a side of the square that the network sees."""
_LARGEST_STEP: Final = 0.12
_LARGEST_TURN: Final = math.radians(15)
"""A face that lies further from its region than this, in sides of the region (or twice this in the logarithm of its size), or is turned
further against it, is read again: at 30 degrees landmarks are off by 2-3 % of the region."""


class FaceMesh:
    """Reads the landmarks of the face in a square of an image."""

    def __init__(self, models: Path) -> None:
        """Raises SetupError (`models_missing`)."""
        self._network = TfliteNetwork(model_path(models, "face_mesh"), ("conv2d_21", "conv2d_31"))

    def read(self, view: ImageView, region: Roi) -> tuple[Float32, float]:
        """Return landmarks float32 [468, 3] in pixels (z towards the back, same unit) and the score that there is a face (0-1)."""
        return self.read_crop(view.crop(region, INPUT, extend=True), region)

    def read_crop(self, pixels: Float32, region: Roi) -> tuple[Float32, float]:
        """Read from the crop of `region`: RGB float32 [192, 192, 3] in 0-255."""
        points, logit = self._network(pixels / np.float32(255))
        score = 1 / (1 + np.exp(-float(np.clip(logit.ravel()[0], -50, 50))))
        return _to_image(points.reshape(-1, 3), region), score

    def refine(self, view: ImageView, region: Roi) -> tuple[Float32, float]:
        """Read, and read once more where the face turns out to lie clearly elsewhere than `region`: after fast motion, or from the
        box of a detector, the second reading is the exact one."""
        points, score = self.read(view, region)
        if score <= SCORE:
            return points, score
        better = region_of(points)
        moved = np.hypot(better.x - region.x, better.y - region.y) / region.size
        turned = abs(math.remainder(better.angle - region.angle, math.tau))
        if moved < _LARGEST_STEP and abs(np.log(better.size / region.size)) < 2 * _LARGEST_STEP and turned < _LARGEST_TURN:
            return points, score
        return self.read(view, better)


def region_of(landmarks: Float32) -> Roi:
    """Return the square to read the next frame in: levelled by the outer eye corners, 1.5 times the extent of the face."""
    left, right = (landmarks[corner].tolist() for corner in EYE_CORNERS)
    angle = math.atan2(right[1] - left[1], right[0] - left[0])
    cos, sin = math.cos(angle), math.sin(angle)
    across, down = np.array([[cos, sin], [-sin, cos]]) @ landmarks[:, :2].T
    low, high = (float(across.min()), float(down.min())), (float(across.max()), float(down.max()))
    x, y = (low[0] + high[0]) / 2, (low[1] + high[1]) / 2
    size = max(high[0] - low[0], high[1] - low[1])
    return Roi(x=cos * x - sin * y, y=sin * x + cos * y, size=max(1.0, size * MARGIN), angle=angle)


def _to_image(points: Float32, region: Roi) -> Float32:
    """Return landmarks in pixels of the image for landmarks in pixels of the network's input."""
    scale = region.size / INPUT
    cos, sin = np.cos(region.angle) * scale, np.sin(region.angle) * scale
    x, y = points[:, 0] - INPUT / 2, points[:, 1] - INPUT / 2
    return np.stack([region.x + cos * x - sin * y, region.y + sin * x + cos * y, points[:, 2] * scale], axis=1).astype(np.float32)
