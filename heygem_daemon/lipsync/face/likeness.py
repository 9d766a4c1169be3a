"""Tell whether two shots show the same person, by what the tracker sees: the brightness of the face at its landmarks, and its shape.

No network is asked: the question is only which shots of one video are surely not the presenter's, and in doubt they are.
"""

from typing import Final

import cv2
import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Float64, Image
from heygem_daemon.lipsync.face.image_view import ImageView
from heygem_daemon.lipsync.face.mesh import region_of
from heygem_daemon.lipsync.geometry.landmarks import JAW, LIP_AREA, RIGID
from heygem_daemon.lipsync.geometry.pose import fit_pose, upright

TEXTURE_POINTS: Final = np.setdiff1d(np.arange(468), [*LIP_AREA, *JAW])
"""The landmarks whose brightness is compared: all but the lips, which move, and the edge of the jaw, behind which the background is."""
STRIDE: Final = 3
"""One frame of so many is read."""

_PIXELS: Final = 96
_BLUR: Final = 0.8
"""A face is read from a square of this side, blurred by this sigma, in pixels: its eyes are about 30 apart."""
_FLOOR: Final = 16.0
"""Grey levels added before the logarithm: noise in the dark is no feature."""
_DARK: Final = 24
_LARGEST_DARKNESS: Final = 0.05
"""Grey levels (black is 16) below which nothing is seen, and the fraction of the points that may be so dark: none is in 35 clips, .1-.3 are
where a third of a face lies in the dark."""
_LARGEST_YAW: Final = 25.0
"""Degrees; a head turned further shows too little of one half."""
_FEWEST: Final = 3
_MOST: Final = 8
"""Frames that are averaged to one look, at least and at most: from a third of a second to a second at 25 frames/s."""
_MOST_LOOKS: Final = 12
"""Looks of one person that are kept, spread over the time."""
_SHAPE_WEIGHT: Final = 4.0
_LARGEST_DISTANCE: Final = 0.33
_SURE_LOOKS: Final = 3
_UNSURE_DISTANCE: Final = 0.45
"""Two persons are different where their nearest looks are so far apart, the second where neither has three looks.

The distance of two looks is 1 - r of their textures and four times the residual of their shapes, a fraction of their size. Measured on 32
people (seconds of 34 clips, with grimaces; also in other light, from a random side by a factor of 1.6 to an IOD, and with eyes 34 pixels
apart): the nearest of the same person's other seconds is .06 away, .20 at the 99th percentile, .27 at most; that of another person .65 in
the median, and beyond .33 in 96 % of the pairs. Single seconds of one person are up to .45 apart (.39 for 16 people, .45 for 16 others)."""

_MIRRORED: Final = np.array(
    [
        *(RIGID.index(i) for i in (263, 362, 33, 133, 168, 6, 197, 195, 5, 4, 10, 151, 9, 8, 338, 109, 297, 67, 332, 103)),
        *(RIGID.index(i) for i in (356, 127, 454, 234, 251, 21, 284, 54, 417, 193, 351, 122)),
    ]
)
"""For each of the RIGID points its place in them on the other half of the face."""


class Likeness:
    """The looks of one person at several times, each averaged over some frames."""

    def __init__(self) -> None:
        self._looks: list[_Look] = []
        self._open: _Look | None = None
        self._every, self._seen = 1, 0

    def add(self, landmarks: Float32, texture: Image) -> None:
        """Count a frame with landmarks [468, 3] in pixels and the texture that `read_texture` gives, where it can be judged."""
        face = landmarks.astype(np.float64)
        if (texture < _DARK).mean() > _LARGEST_DARKNESS or abs(fit_pose(face[None], upright(face)).angles()[0, 0]) > _LARGEST_YAW:
            return
        if self._open is None:
            self._open = _Look(upright(face))
        self._open.add(face, texture)
        if self._open.frames == _MOST:
            self._close()

    @property
    def is_known(self) -> bool:
        """Whether enough of the person was seen to be compared."""
        return bool(self._all())

    def merge(self, other: "Likeness") -> "Likeness":
        """Return the looks of both together, who are the same person."""
        both, looks = Likeness(), self._all() + other._all()
        both._looks = [looks[k] for k in np.unique(np.linspace(0, len(looks) - 1, _MOST_LOOKS).astype(int))] if looks else []
        return both

    def distance(self, other: "Likeness") -> float:
        """Return how far the nearest looks of both are apart; 0 where one of them is not known."""
        mine, theirs = self._all(), other._all()
        if not mine or not theirs:
            return 0.0
        textures = np.array([look.texture for look in mine])
        alike = textures @ np.array([look.texture for look in theirs]).T
        residual = _shape_residuals(np.array([look.shape for look in mine]), np.array([look.shape for look in theirs]))
        found = float((1 - alike + _SHAPE_WEIGHT * residual).min())
        if found <= _LARGEST_DISTANCE:
            return found
        mirrored = textures @ np.array([look.mirrored for look in theirs]).T  # a shot may have been turned to fit beside another
        return min(found, float((1 - mirrored + _SHAPE_WEIGHT * residual).min()))

    def differs(self, other: "Likeness") -> bool:
        """Return whether both are surely two persons."""
        is_sure = max(len(self._all()), len(other._all())) >= _SURE_LOOKS
        return self.distance(other) > (_LARGEST_DISTANCE if is_sure else _UNSURE_DISTANCE)

    def _close(self) -> None:
        """Keep the open look, or every second, fourth ... of a long shot."""
        assert self._open is not None  # noqa: S101
        if self._seen % self._every == 0:
            self._looks.append(self._open)
        self._open, self._seen = None, self._seen + 1
        if len(self._looks) == _MOST_LOOKS:
            self._looks, self._every = self._looks[::2], 2 * self._every

    def _all(self) -> "list[_Look]":
        return self._looks + ([self._open] if self._open is not None and self._open.frames >= _FEWEST else [])


class _Look:
    """The mean of some frames. reference: [468, 3], a canonical face of the person."""

    def __init__(self, reference: Float64) -> None:
        self.frames = 0
        self._reference = reference
        self._texture, self._face = np.zeros(len(TEXTURE_POINTS)), np.zeros_like(reference)
        self._mirrored: tuple[int, Float64] | None = None

    def add(self, face: Float64, texture: Image) -> None:
        self.frames += 1
        self._texture += _without_shading(texture, face[TEXTURE_POINTS, :2])
        self._face += fit_pose(face[None], self._reference).unproject(face[None])[0]

    @property
    def texture(self) -> Float64:
        """[367], of norm 1."""
        return np.asarray(self._texture / max(1e-9, float(np.linalg.norm(self._texture))))

    @property
    def mirrored(self) -> Float64:
        """[367], the texture of the mirrored face: at each point that of the nearest one on the other half."""
        if self._mirrored is None or self._mirrored[0] != self.frames:
            places = self._face[TEXTURE_POINTS] / self.frames
            square = np.square(places).sum(1)
            nearest = (square - 2 * (places * (-1, 1, 1)) @ places.T).argmin(1)
            texture = self._texture[nearest]
            self._mirrored = self.frames, np.asarray(texture / max(1e-9, float(np.linalg.norm(texture))))
        return self._mirrored[1]

    @property
    def shape(self) -> Float64:
        """[32, 3], centred and of norm 1, with its mirror image averaged in: what is not symmetric in a face is mostly the error of the
        tracker on a head that is turned."""
        points = self._face[list(RIGID)]
        points = points + points[_MIRRORED] * (-1, 1, 1)
        centred = points - points.mean(0)
        return np.asarray(centred / np.linalg.norm(centred))


def read_texture(view: ImageView, landmarks: Float32) -> Image:
    """Return uint8 [367]: the brightness of the face at TEXTURE_POINTS. landmarks: [468, 3], pixels."""
    region = region_of(landmarks)
    square = cv2.GaussianBlur(view.crop_brightness(region, _PIXELS).astype(np.float32), (0, 0), _BLUR)
    cos, sin = np.cos(region.angle), np.sin(region.angle)
    places = (landmarks[TEXTURE_POINTS, :2] - (region.x, region.y)) @ np.array([[cos, -sin], [sin, cos]])
    x, y = (places * (_PIXELS / region.size) + _PIXELS / 2).T.astype(np.float32)
    values = cv2.remap(square, x[None], y[None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def _without_shading(texture: Image, places: Float64) -> Float64:
    """Return the logarithm of the brightness less its plane over the face [p, 2], of norm 1: light from a side is no feature."""
    light = np.log(texture + _FLOOR)
    plane = np.column_stack([np.ones(len(places)), places - places.mean(0)])
    rest = light - plane @ np.linalg.lstsq(plane, light, rcond=None)[0]
    return np.asarray(rest / max(1e-9, float(np.linalg.norm(rest))))


def _shape_residuals(shapes: Float64, others: Float64) -> Float64:
    """Return [n, m]: the residuals of the best similarities between shapes [n, 32, 3] and [m, 32, 3], each centred and of norm 1."""
    singular = np.linalg.svd(np.einsum("aki,bkj->abij", shapes, others), compute_uv=False)
    return np.asarray(np.sqrt(np.maximum(0.0, 1 - singular.sum(-1) ** 2)))
