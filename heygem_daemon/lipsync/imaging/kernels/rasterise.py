"""Piecewise affine maps: the triangles of a mesh are filled line by line with the places that their pixels come from."""

import math
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Float64, Image, Triangles
from heygem_daemon.lipsync.imaging.kernels import kernel

_LEAST_AREA: Final = 1e-3
"""Twice the area in pixels up to which a triangle is left out: degenerate, or mirrored (folded over)."""
_EDGE: Final = 0.02
"""Pixels that a triangle reaches beyond its edges, so that no pixel between two of them stays empty."""


@kernel
def rasterise(target: Float64, source: Float64, triangles: Triangles, across: Float32, down: Float32, covered: Image) -> None:
    """Write into `across` and `down` [h, w] the x and y that each covered pixel comes from, and 1 into `covered` (uint8 [h, w]).

    target: [n, 2], the corners in this image; source: [n, 2], where they come from. Of triangles that overlap the last one counts.
    """
    height, width = across.shape
    for t in range(len(triangles)):
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, bx, by, cx, cy = target[i, 0], target[i, 1], target[j, 0], target[j, 1], target[k, 0], target[k, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area <= _LEAST_AREA:
            continue
        top, bottom = max(0, math.ceil(min(ay, by, cy) - _EDGE)), min(height - 1, math.floor(max(ay, by, cy) + _EDGE))
        first, last = max(0.0, min(ax, bx, cx) - _EDGE), min(width - 1.0, max(ax, bx, cx) + _EDGE)
        p, q, r, s = source[j, 0] - source[i, 0], source[k, 0] - source[i, 0], source[j, 1] - source[i, 1], source[k, 1] - source[i, 1]
        ux, uy = (p * (cy - ay) - q * (by - ay)) / area, (q * (bx - ax) - p * (cx - ax)) / area
        vx, vy = (r * (cy - ay) - s * (by - ay)) / area, (s * (bx - ax) - r * (cx - ax)) / area
        slope_ab, slope_bc, slope_ca = _slope(ax, ay, bx, by), _slope(bx, by, cx, cy), _slope(cx, cy, ax, ay)
        step_u, step_v = np.float32(ux), np.float32(vx)
        for y in range(top, bottom + 1):
            low, high = first, last
            low, high = _clip(low, high, ax, ay, bx, by, slope_ab, y)
            low, high = _clip(low, high, bx, by, cx, cy, slope_bc, y)
            low, high = _clip(low, high, cx, cy, ax, ay, slope_ca, y)
            begin, end = math.ceil(low), math.floor(high) + 1
            u = np.float32(source[i, 0] + ux * (begin - ax) + uy * (y - ay))
            v = np.float32(source[i, 1] + vx * (begin - ax) + vy * (y - ay))
            for x in range(begin, end):
                across[y, x] = u + step_u * np.float32(x - begin)
                down[y, x] = v + step_v * np.float32(x - begin)
                covered[y, x] = 1


@kernel
def _slope(ax: float, ay: float, bx: float, by: float) -> float:
    """Return by how much x grows with y along the edge a -> b, 0 where that is level."""
    return (bx - ax) / (by - ay) if by != ay else 0.0


@kernel
def _clip(low: float, high: float, ax: float, ay: float, bx: float, by: float, slope: float, y: float) -> tuple[float, float]:
    """Return the part of the line low..high at y that lies on the inner (right-hand) side of the edge a -> b."""
    dx, dy = bx - ax, by - ay
    if dy > 0:
        return low, min(high, ax + slope * (y - ay) + _EDGE)
    if dy < 0:
        return max(low, ax + slope * (y - ay) - _EDGE), high
    return (low, high) if dx * (y - ay) >= -_EDGE * abs(dx) else (low, low - 1.0)
