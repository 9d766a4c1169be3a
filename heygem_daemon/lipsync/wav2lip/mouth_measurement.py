"""The mouth of a generated face, in numbers: the lower face is laid over the frame as the face mesh sees it, and read there.

A generated face has 96 pixels, the face mesh looks at 128: nothing is lost on the way, and what lies above the mouth, which holds the
pose, is the frame itself.
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
"""Pixels of the face over which the frame gives way to what was generated."""


@dataclass(frozen=True, kw_only=True)
class Lips:
    """opening and width in IOD, as `atlas.mouth` measures them; score: 0-1, how sure the face mesh is that there is a face."""

    opening: float
    width: float
    score: float


class LipReader:
    """Reads the lips of generated faces. reference: [468, 3], the mean canonical face of the person."""

    def __init__(self, models: Path) -> None:
        """Raises SetupError (`models_missing`)."""
        self._mesh = FaceMesh(models)

    def read(self, frame: Frame, landmarks: Float32, box: FaceBox, lower: Float32, reference: Float64) -> Lips:
        """Return the lips of `lower`, float32 [n, 96, 3] in 0-255, blue first: the lowest n rows of the face in `box`.

        landmarks: float32 [468, 3], those of the frame as it is; reference: [468, 3], the mean canonical face of the person.
        """
        region = region_of(landmarks)
        seen = ImageView(frame).crop(region, INPUT, extend=True)
        points, score = self._mesh.read_crop(_laid_over(seen, region, box, lower), region)
        face = points[None].astype(np.float64)
        canonical = fit_pose(face, reference).unproject(face)[0]
        return Lips(opening=float(opening_of(canonical)), width=float(width_of(canonical)), score=score)


def _laid_over(seen: Float32, region: Roi, box: FaceBox, lower: Float32) -> Float32:
    """Return the square `seen`, RGB float32 [192, 192, 3], with the generated rows in their place."""
    above = SIDE - len(lower)
    to_square = _affine(region)
    onto = to_square[:, :2] @ box.matrix + np.array([[0, 0, 1]]) * to_square[:, 2:]
    onto[:, 2] += onto[:, 1] * above
    size = (INPUT, INPUT)
    laid = cv2.warpAffine(lower, onto, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    share = cv2.warpAffine(_share(len(lower)), onto, size, flags=cv2.INTER_LINEAR)[..., None]
    return np.asarray(seen + share * (laid[..., ::-1] - seen), np.float32)


def _affine(region: Roi) -> Float64:
    """Return [2, 3]: from the picture to the pixels of the square (see ImageView.crop)."""
    cos, sin, scale = np.cos(region.angle), np.sin(region.angle), INPUT / region.size
    turn = np.array([[cos, sin], [-sin, cos]]) * scale
    return np.column_stack([turn, INPUT / 2 - turn @ (region.x, region.y)])


def _share(rows: int) -> Float32:
    """Return float32 [rows, 96]: 0 at the upper edge and the sides, 1 inside; the lower edge is that of the face."""
    down = np.clip(np.arange(rows) / _SEAM, 0, 1)
    side = np.clip(np.minimum(np.arange(SIDE), np.arange(SIDE)[::-1]) / _SEAM, 0, 1)
    return np.outer(down, side).astype(np.float32)
