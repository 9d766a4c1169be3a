"""Plain piecewise affine warps: triangles are rasterised into a label image, everything after that is tensor work.

Pixel (x, y) means the centre of that pixel at coordinates (x, y), as in OpenCV.
"""

from typing import Final

import numpy as np
import torch
from torch import Tensor

from heygem_daemon.lipsync.arrays import Float32, Float64, Int32, Triangles

_EDGE: Final = 0.02
_LEAST_AREA: Final = 1e-3
"""Twice the area below which a triangle is degenerate, in pixels."""


def rasterise(points: Float64, triangles: Triangles, size: tuple[int, int]) -> Int32:
    """Return int32 [height, width]: the row of the triangle that covers each pixel, the last one drawn; -1 where none does.

    points: [n, 2], pixels; size: height, width. Degenerate and mirrored (folded) triangles are left out. A pixel is covered where its
    centre is no further than .02 pixels outside each edge, measured along its line.
    """
    labels = np.full(size, -1, np.int32)
    y, x = np.mgrid[: size[0], : size[1]]
    for row in np.flatnonzero(_areas(points[triangles]) > _LEAST_AREA):
        corners = points[triangles[row]]
        (left, top), (right, bottom) = np.floor(corners.min(0)).astype(int), np.ceil(corners.max(0)).astype(int) + 1
        part = np.s_[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
        inside = np.ones(labels[part].shape, bool)
        for a, b in ((0, 1), (1, 2), (2, 0)):
            (ax, ay), (dx, dy) = corners[a], corners[b] - corners[a]
            inside &= dx * (y[part] - ay) - dy * (x[part] - ax) >= -_EDGE * max(abs(dy), abs(dx) * (dy == 0))
        labels[part][inside] = row
    return labels


def affine_maps(target: Float64, source: Float64, triangles: Triangles) -> Float32:
    """Return float32 [m + 1, 6]: for each triangle the map (x, y) -> (ax + by + c, dx + ey + f) from target to source points.

    The last row, which label -1 picks, is the identity.
    """
    a, b, c = (target[triangles[:, k]] for k in range(3))
    u, v, w = (source[triangles[:, k]] for k in range(3))
    area = _areas(target[triangles])
    area = np.where(np.abs(area) > _LEAST_AREA, area, 1.0)
    p, q, r, s = b - a, c - a, v - u, w - u
    xx = (r * q[:, 1:] - s * p[:, 1:]) / area[:, None]
    yy = (s * p[:, :1] - r * q[:, :1]) / area[:, None]
    offset = u - xx * a[:, :1] - yy * a[:, 1:]
    maps = np.stack([xx[:, 0], yy[:, 0], offset[:, 0], xx[:, 1], yy[:, 1], offset[:, 1]], axis=1)
    return np.concatenate([maps, [[1, 0, 0, 0, 1, 0]]]).astype(np.float32)


def source_coordinates(labels: Tensor, maps: Tensor) -> Tensor:
    """Return float32 [2, height, width]: where each pixel comes from. labels: [height, width]; maps: [m + 1, 6]."""
    height, width = labels.shape
    x = torch.arange(width, dtype=torch.float32, device=labels.device)
    y = torch.arange(height, dtype=torch.float32, device=labels.device)[:, None]
    rows = maps[labels]
    return torch.stack([rows[..., 0] * x + rows[..., 1] * y + rows[..., 2], rows[..., 3] * x + rows[..., 4] * y + rows[..., 5]])


def triangle_warp(
    target: Float64, source: Float64, triangles: Triangles, size: tuple[int, int], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return (source coordinates float32 [2, height, width], covered bool [height, width]) of the warp of source to target points."""
    labels = torch.from_numpy(rasterise(target, triangles, size)).to(device)
    maps = torch.from_numpy(affine_maps(target, source, triangles)).to(device)
    return source_coordinates(labels, maps), labels >= 0


def _areas(corners: Float64) -> Float64:
    """Return twice the signed area of triangles [m, 3, 2]; positive where they run clockwise in an image whose y runs down."""
    p, q = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.asarray(p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0])
