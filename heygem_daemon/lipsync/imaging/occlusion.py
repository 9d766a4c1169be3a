"""Detect what covers a mouth: the skin around it, unrolled by the landmarks, is compared with that of clear frames."""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from heygem_daemon.lipsync.arrays import Bool, Float64, Int64
from heygem_daemon.lipsync.geometry.landmarks import MOUTH_HULL, OUTER_OUTLINE
from heygem_daemon.lipsync.geometry.pose import angle_difference
from heygem_daemon.lipsync.geometry.triangulation import Triangulation
from heygem_daemon.lipsync.imaging.planes import cut_out, mouth_box, to_bgr
from heygem_daemon.lipsync.imaging.polygons import triangle_labels
from heygem_daemon.media.frame import Frame

_SIDE: Final = 28
"""The hull around mouth and chin is sampled on a grid of this many points each way."""
_LIP_MARGIN: Final = 1.0
"""Skin nearer to the lips than this is left out, in points of the grid."""
_PERCENTILE: Final = 95
"""The residual of a frame is this percentile of the differences of its samples."""
_NEIGHBOURS: Final = 8
"""Frames in the most similar poses that a frame is compared with."""
_TOLERANCE: Final = 4.5
"""A frame is covered when its residual exceeds the median by this many standard deviations. Beards, nods and motion blur alone reach
1.9 medians, and a mouth that stops speaking for no reason is worse than one drawn over a finger."""
_LEAST_LIMIT: Final = 28.0
"""Grey levels; below that it is compression noise, a shadow or a crease."""
_NEAR_IN_TIME: Final = 12
"""Frames at most this far apart are neighbours in time."""
_FEWEST: Final = 40
"""Of fewer frames each counts as clear: they are too few to compare."""
_MAD_TO_DEVIATION: Final = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""


class SkinSampler:
    """Reads the skin around the mouth at the same points of the face in every frame: uint8 [p, 3]."""

    def __init__(self, face: Float64, mesh: Triangulation) -> None:
        hull = face[list(MOUTH_HULL), :2]
        low, high = hull.min(0), hull.max(0)
        points = (face[:, :2] - low) / (high - low) * (_SIDE - 1)
        labels = triangle_labels(points, mesh.skin, (_SIDE, _SIDE))
        inside = _polygon(points[list(MOUTH_HULL)]) & ~_polygon(points[list(OUTER_OUTLINE)], _LIP_MARGIN) & (labels >= 0)
        y, x = np.nonzero(inside)
        self._triangles = mesh.skin[labels[inside]]
        self._weights = _barycentric(points[self._triangles], np.stack([x, y], 1).astype(np.float64))

    def __call__(self, crop: Frame, points: Float64, scale: float) -> npt.NDArray[np.uint8]:
        """Return uint8 [p, 3], blue first. points: landmarks [468, 2] in pixels of the crop; scale: pixels per IOD."""
        factor = max(1, min(round(scale / _SIDE), min(crop.height, crop.width) // 4))
        height, width = crop.height // factor, crop.width // factor
        halves = (-(-height * factor // 2), -(-width * factor // 2))
        small = [cv2.resize(crop.y[: height * factor, : width * factor], (width, height), interpolation=cv2.INTER_AREA)]
        small += [cv2.resize(plane[: halves[0], : halves[1]], (width, height), interpolation=cv2.INTER_AREA) for plane in (crop.u, crop.v)]
        places = np.einsum("pk,pkd->pd", self._weights, points[self._triangles])
        x, y = ((places + 0.5) / factor - 0.5).T.astype(np.float32)
        read = cv2.remap(cv2.merge(small).astype(np.float32), x[None], y[None], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        return np.rint(to_bgr(read[0], crop.space)).astype(np.uint8)

    def of_frame(self, frame: Frame, points: Float64, scale: float) -> npt.NDArray[np.uint8]:
        """Return the skin [p, 3] of a frame whose face is at `points` [468, 2], pixels."""
        box = mouth_box(points, scale)
        return self(cut_out(frame, box), points - box[:2], scale)


class OcclusionTest:
    """Compares the skin of a frame with the samples [n, p, 3] of an atlas; `limit` is in grey levels."""

    def __init__(self, skin_samples: npt.NDArray[np.uint8], angles: Float64, limit: float) -> None:
        self._skin_samples, self._angles, self.limit = skin_samples, angles, limit

    def is_covered(self, skin: npt.NDArray[np.uint8], angles: Float64) -> bool:
        """Return whether the skin [p, 3] of a head at `angles` [3] differs from that of every frame in a similar pose."""
        rows = np.argsort(np.abs(angle_difference(self._angles, angles)).sum(1), kind="stable")[:_NEIGHBOURS]
        return all(residual(skin, self._skin_samples[row : row + 1]) > self.limit for row in rows)


def residual(skin: npt.NDArray[np.uint8], others: npt.NDArray[np.uint8]) -> float:
    """Return the 95th percentile of the difference, in grey levels, to the most similar of `others` [n, p, 3];
    overall light is ignored."""
    difference = skin.astype(np.float32) - others
    difference -= np.median(difference, axis=1, keepdims=True)
    return float(np.percentile(np.abs(difference).mean(2), _PERCENTILE, axis=1).min())


def clear_rows(skin_samples: npt.NDArray[np.uint8], angles: Float64, index: Int64) -> tuple[Bool, float]:
    """Return (bool [n], limit): which frames of a clip have a clear view of the mouth, and the residual beyond which one has not.

    Each frame is compared with frames in a similar pose that are not its neighbours in time, so that a hand is not compared with itself.
    """
    values = np.zeros(len(index))
    if len(index) < _FEWEST:
        return np.ones(len(index), bool), np.inf
    for row in range(len(index)):
        distance = np.abs(angle_difference(angles, angles[row])).sum(1)
        distance[np.abs(index - index[row]) <= _NEAR_IN_TIME] = np.inf
        rows = np.argsort(distance, kind="stable")[:_NEIGHBOURS]
        rows = rows[np.isfinite(distance[rows])]
        values[row] = residual(skin_samples[row], skin_samples[rows]) if len(rows) else 0.0
    middle = float(np.median(values))
    deviation = _MAD_TO_DEVIATION * float(np.median(np.abs(values - middle)))
    limit = max(_LEAST_LIMIT, middle + _TOLERANCE * deviation)
    return values <= limit, limit


def _polygon(polygon: Float64, growth: float = 0.0) -> Bool:
    """Return bool [side, side]: the pixels inside a polygon [n, 2], grown by some pixels."""
    mask = np.zeros((_SIDE, _SIDE), np.uint8)
    outward = polygon - polygon.mean(0)
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    cv2.fillPoly(mask, [np.round(polygon + growth * outward).astype(np.int32)], 1)
    return mask > 0


def _barycentric(corners: Float64, points: Float64) -> Float64:
    """Return weights [p, 3] of points [p, 2] in triangles [p, 3, 2]."""
    edges = np.stack([corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]], axis=2)
    inner = np.linalg.solve(edges, (points - corners[:, 0])[..., None])[..., 0]
    return np.concatenate([1 - inner.sum(1, keepdims=True), inner], axis=1)
