"""Crop the face that Wav2Lip sees: a box as the detector of its training data framed it, turned upright with the head.

The checkpoints were trained on boxes of S3FD (Zhang et al. 2017), stretched to 96x96 pixels whatever their shape. The box here comes
from the mean face of the person, posed as the head is in the frame: it does not change size with the jaw.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import cv2
import numpy as np

from heygem_daemon.lipsync.arrays import Float64, Image
from heygem_daemon.lipsync.face_tracks import FaceTracks
from heygem_daemon.lipsync.geometry.landmarks import JAW, OVAL_TOP, RIGID
from heygem_daemon.lipsync.geometry.pose import Face, FaceReader
from heygem_daemon.lipsync.imaging.roi import padded_bgr
from heygem_daemon.lipsync.wav2lip.network import SIDE
from heygem_daemon.media.frame import Frame

_OVAL: Final = tuple(sorted({*JAW, *OVAL_TOP}))
_EDGES: Final = (-0.005, 0.115, -0.005, 0.045)
"""Left, top, right and bottom edge of the box beyond the face oval, in fractions of its width and height. Fitted to the mean box of three
detectors of the same training data (WIDER FACE) on 14 people, |yaw| <= 22 degrees: intersection over union .935, off by 1.3 % of the
height at the sides and the chin and 2.4 % at the forehead from person to person. S3FD itself was not available. The bottom includes what
the reference adds to the box, 10 pixels, on a face of 200; without it the chin is cut off in 44 % of the frames. See docs/wav2lip.md."""
_SMOOTHING_REACH: Final = 2
"""Frames on either side that a box is averaged with: the reference averages five, forwards, also across cuts."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FaceBox:
    """A parallelogram in the image. matrix: float64 [2, 3], from pixels of the 96x96 face (centres at whole numbers) to image pixels."""

    matrix: Float64

    @cached_property
    def inverse(self) -> Float64:
        """float64 [2, 3], from pixels of the image to those of the face."""
        return np.asarray(cv2.invertAffineTransform(self.matrix), np.float64)

    @property
    def enlargement(self) -> float:
        """Pixels of the image per pixel of the face, the geometric mean of both directions."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix[:, :2]))))

    def face(self, frame: Frame) -> Image:
        """Return uint8 [96, 96, 3], blue first. Large faces are averaged, not sampled: sampling noise would make the mouth jitter."""
        corners = cv2.transform(np.array([[[-1.0, -1.0], [SIDE, -1.0], [SIDE, SIDE], [-1.0, SIDE]]]), self.matrix)[0]
        x0, y0 = (int(v) for v in np.floor(corners.min(0)))
        factor = max(1, int(self.enlargement))
        columns, rows = (int(np.ceil(v / factor)) + 1 for v in corners.max(0) - (x0, y0))
        image = padded_bgr(frame, (x0, y0, x0 + columns * factor, y0 + rows * factor))
        if factor > 1:
            image = np.asarray(cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
        matrix = self.matrix.copy()
        matrix[:, 2] = matrix[:, 2] - (x0, y0) + 0.5
        matrix /= factor
        matrix[:, 2] -= 0.5
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(image, matrix, (SIDE, SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8)


class Framing:
    """The box of any frame of a video, in any order."""

    def __init__(self, tracks: FaceTracks, reference: Float64) -> None:
        """reference: [468, 3], the mean canonical face of the person (geometry.pose.mean_face)."""
        self._tracks, self._reference = tracks, reference
        self.face_of = FaceReader(tracks, reference)

    def __call__(self, index: int) -> FaceBox | None:
        """Return the box of frame `index`, None where it has no face. It is the mean with its neighbours, never across cuts and gaps."""
        if self.face_of(index) is None:
            return None
        matrices = [self._matrix(face) for face in self._around(index)]
        return FaceBox(matrix=np.mean(matrices, axis=0))

    def _around(self, index: int) -> Iterator[Face]:
        """Yield the faces of the frames about `index`, as many before as after it."""
        reach = 0
        while reach < _SMOOTHING_REACH and self._continues(index - reach, -1) and self._continues(index + reach, 1):
            reach += 1
        for number in range(index - reach, index + reach + 1):
            face = self.face_of(number)
            if face is not None:
                yield face

    def _continues(self, index: int, step: int) -> bool:
        """Return whether the next frame shows the same face in the same shot."""
        return self.face_of(index + step) is not None and bool(self._tracks.shot[index] == self._tracks.shot[index + step])

    def _matrix(self, face: Face) -> Float64:
        """Return float64 [2, 3]: the box of one frame by itself."""
        roll = np.arctan2(face.rotation[1, 0], face.rotation[0, 0])
        turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
        oval = face.scale * (self._reference[list(_OVAL)] @ face.rotation.T)[:, :2] @ turn
        low, high = oval.min(0), oval.max(0)
        size = high - low
        low, high = low - size * _EDGES[:2], high + size * _EDGES[2:]
        rigid = list(RIGID)
        middle = (face.points[rigid] - face.scale * (face.canonical[rigid] @ face.rotation.T)[:, :2]).mean(0)
        axes = turn * ((high - low) / SIDE)
        return np.asarray(np.column_stack([axes, middle + turn @ low + axes @ (0.5, 0.5) - 0.5]))
