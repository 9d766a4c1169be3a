"""Measure the mouth of a generated face: paste the lower face into the crop that the face mesh takes of the frame, and run the mesh.

A generated face has 96 pixels, the face mesh sees 128, so no detail is lost. Above the mouth, which gives the pose, the crop is the frame.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Float64
from heygem_daemon.lipsync.face.image_view import ImageView, Roi
from heygem_daemon.lipsync.face.mesh import INPUT, FaceMesh, region_of
from heygem_daemon.lipsync.geometry.mouth_model import opening_of, width_of
from heygem_daemon.lipsync.geometry.pose import fit_pose
from heygem_daemon.lipsync.wav2lip.framing import FaceBox
from heygem_daemon.lipsync.wav2lip.network import SIDE
from heygem_daemon.media.frame import Frame

_SEAM: Final = 4.0
"""Pixels of the face over which the frame fades into the generated rows."""


@dataclass(frozen=True, kw_only=True)
class MouthMeasurement:
    """opening and width in IOD, as `geometry.mouth_model` measures them; score: 0-1, the confidence of the mesh that there is a face."""

    opening: float
    width: float
    score: float


class MouthMeasurer:
    """Measures the mouths of generated faces with the face mesh."""

    def __init__(self, models: Path) -> None:
        """Load the face mesh. models: the directory of the model files. Raises SetupError (`models_missing`)."""
        self._mesh = FaceMesh(models)

    def measure(self, frame: Frame, landmarks: Float32, box: FaceBox, lower: Float32, reference: Float64) -> MouthMeasurement:
        """Return the mouth of `lower`, float32 [n, 96, 3] in 0-255, blue first: the lowest n rows of the face in `box`.

        landmarks: float32 [468, 3], of the original frame; reference: [468, 3], the mean canonical face of the person.
        """
        region = region_of(landmarks)
        crop = ImageView(frame).crop(region, INPUT, extend=True)
        points, score = self._mesh.read_crop(_paste(crop, region, box, lower), region)
        face = points[None].astype(np.float64)
        canonical = fit_pose(face, reference).unproject(face)[0]
        return MouthMeasurement(opening=float(opening_of(canonical)), width=float(width_of(canonical)), score=score)


def _paste(crop: Float32, region: Roi, box: FaceBox, lower: Float32) -> Float32:
    """Return `crop`, RGB float32 [192, 192, 3], with the generated rows in their place."""
    above = SIDE - len(lower)
    to_crop = _affine(region)
    matrix = to_crop[:, :2] @ box.matrix + np.array([[0, 0, 1]]) * to_crop[:, 2:]
    matrix[:, 2] += matrix[:, 1] * above
    size = (INPUT, INPUT)
    warped = cv2.warpAffine(lower, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.warpAffine(_alpha(len(lower)), matrix, size, flags=cv2.INTER_LINEAR)[..., None]
    return np.asarray(crop + alpha * (warped[..., ::-1] - crop), np.float32)


def _affine(region: Roi) -> Float64:
    """Return [2, 3]: from the image to the pixels of the crop (see ImageView.crop)."""
    cos, sin, scale = np.cos(region.angle), np.sin(region.angle), INPUT / region.size
    turn = np.array([[cos, sin], [-sin, cos]]) * scale
    return np.column_stack([turn, INPUT / 2 - turn @ (region.x, region.y)])


def _alpha(rows: int) -> Float32:
    """Return float32 [rows, 96]: 0 at the upper edge and the sides, 1 inside; the lower edge is that of the face."""
    down = np.clip(np.arange(rows) / _SEAM, 0, 1)
    side = np.clip(np.minimum(np.arange(SIDE), np.arange(SIDE)[::-1]) / _SEAM, 0, 1)
    return np.outer(down, side).astype(np.float32)
