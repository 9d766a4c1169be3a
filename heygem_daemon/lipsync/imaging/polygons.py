"""Masks of polygons, and labels of triangles."""

from typing import Final

import cv2
import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Float64, Int32, Triangles

_SHIFT: Final = 4
"""Fractional bits of the coordinates given to OpenCV's rasteriser."""
_LEAST_AREA: Final = 1e-3
"""Twice the area below which a triangle is degenerate, in pixels."""


def fill(polygon: Float64, size: tuple[int, int]) -> Float32:
    """Return float32 [height, width]: 1 inside the polygon [n, 2], 0 outside, in between on its anti-aliased edge."""
    mask = np.zeros(size, np.uint8)
    cv2.fillPoly(mask, [np.round(polygon * (1 << _SHIFT)).astype(np.int32)], 255, lineType=cv2.LINE_AA, shift=_SHIFT)
    return mask * np.float32(1 / 255)


def grow_polygon(polygon: Float64, distance: float) -> Float64:
    """Return the polygon [n, 2] with its corners `distance` further from its centre (nearer, if negative)."""
    outward = polygon - polygon.mean(0)
    length = np.linalg.norm(outward, axis=1, keepdims=True) + 1e-9
    return np.asarray(polygon + outward / length * np.maximum(distance, -0.9 * length))


def triangle_labels(points: Float64, triangles: Triangles, size: tuple[int, int]) -> Int32:
    """Return int32 [height, width]: the row of the triangle that covers each pixel, the last one drawn; -1 where none does.

    points: [n, 2], pixels; size: height, width. Degenerate and mirrored (folded) triangles are left out.
    """
    labels = np.full(size, -1, np.int32)
    corners = points[triangles]
    p, q = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    areas = p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]
    fixed = np.round(corners * (1 << _SHIFT)).astype(np.int32)
    for row in np.flatnonzero(areas > _LEAST_AREA):
        cv2.fillConvexPoly(labels, fixed[row], int(row), lineType=cv2.LINE_8, shift=_SHIFT)
    return labels
