"""Rasterise the triangles of many faces at once: where each pixel of a warped face comes from.

The same triangles are drawn for every face, in order, so that the last one that covers a pixel wins.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

LEAST_AREA: Final = 1e-3
"""Twice the area up to which a triangle is degenerate or folded over, in pixels."""
EDGE_SLACK: Final = 0.02
"""Pixels that a triangle reaches beyond its edges, so that no pixel between two of them stays empty. Both as in `kernels.rasterise`."""
EDGES: Final = 9
MAPS: Final = 6
COLUMNS: Final = 2 + EDGES + MAPS
"""Values of a triangle: a corner in whole pixels (x, y), from which all else counts; three edges (a, b, c), inside where a x + b y + c >= 0
for all; the source coordinates u = a x + b y + c, and v."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TriangleTable:
    """The triangles of a batch. values: float32 [b, t, COLUMNS]; boxes: int32 [b, t, 4], the pixels (x0, y0, x1, y1; half open) in which
    each lies, empty where it is not drawn."""

    values: Tensor
    boxes: Tensor


def triangle_table(target: Tensor, source: Tensor, triangles: Tensor, sizes: Tensor) -> TriangleTable:
    """Prepare the triangles of b faces. target, source: float64 [b, n, 2] pixels; triangles: int64 [t, 3]; sizes: [b, 2], height and width
    of each."""
    corners, origin = target[:, triangles], source[:, triangles]
    base, u = corners[:, :, 0].floor(), origin[:, :, 0]
    a, p, q = corners[:, :, 0] - base, corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0]
    area = (p[..., 0] * q[..., 1] - p[..., 1] * q[..., 0])[..., None]
    is_drawn = area > LEAST_AREA
    r, s = (origin[:, :, k] - u for k in (1, 2))
    along_x = (r * q[..., 1:] - s * p[..., 1:]) / torch.where(is_drawn, area, 1.0)
    along_y = (s * p[..., :1] - r * q[..., :1]) / torch.where(is_drawn, area, 1.0)
    maps = torch.stack([along_x, along_y, u - along_x * a[..., :1] - along_y * a[..., 1:]], dim=3)
    values = torch.cat([base, _edges(corners - base[:, :, None]), maps.flatten(2)], dim=2)
    return TriangleTable(values=values.float(), boxes=torch.where(is_drawn, _boxes(corners, sizes), 0).int())


def _boxes(corners: Tensor, sizes: Tensor) -> Tensor:
    """Return [b, t, 4]: the pixels in which triangles [b, t, 3, 2] lie."""
    low = (corners.amin(2) - EDGE_SLACK).ceil().clamp_min(0)
    high = torch.minimum((corners.amax(2) + EDGE_SLACK).floor() + 1, sizes[:, None].flip(2))
    return torch.cat([low, torch.maximum(high, low)], dim=2)


def _edges(corners: Tensor) -> Tensor:
    """Return [b, t, EDGES] of triangles [b, t, 3, 2] that run clockwise in an image whose y runs down.

    An edge that is not level is measured along the row: a is 1 or -1, so that EDGE_SLACK is in pixels.
    """
    along = corners.roll(-1, dims=2) - corners
    dx, dy = along[..., 0], along[..., 1]
    side = -dy.sign()
    b = torch.where(dy == 0, dx.sign(), -side * dx / torch.where(dy == 0, 1.0, dy))
    c = EDGE_SLACK - side * corners[..., 0] - b * corners[..., 1]
    return torch.stack([side, b, c], dim=3).flatten(2)


def rasterise(triangles: TriangleTable, size: tuple[int, int]) -> Tensor:
    """Return float32 [b, 2, height, width]: where each pixel comes from (u, v), NaN where no triangle covers it.

    size: height and width, at least those of every face. Reads how many pixels all boxes have: a card is waited for.
    """
    (faces, count), (height, width) = triangles.values.shape[:2], size
    table, box = triangles.values.reshape(-1, COLUMNS), triangles.boxes.reshape(-1, 4).long()
    wide, high = box[:, 2] - box[:, 0], box[:, 3] - box[:, 1]
    areas = wide * high
    pixels = int(areas.sum())
    number = torch.repeat_interleave(torch.arange(len(table), device=table.device), areas, output_size=pixels)
    within = torch.arange(pixels, device=table.device) - (areas.cumsum(0) - areas)[number]
    x, y = box[number, 0] + within % wide[number], box[number, 1] + within // wide[number]
    place = torch.where(_is_inside(table, number, x, y), (number // count * height + y) * width + x, faces * height * width)
    last = torch.full((faces * height * width + 1,), -1, dtype=torch.long, device=table.device)
    last = last.scatter_reduce(0, place, number, "amax")[:-1].view(faces, height, width)
    return _source_places(table, last)


def _is_inside(table: Tensor, number: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return bool [n]: whether pixel (x, y) lies in triangle `number`, [n] each."""
    x, y = x - table[number, 0], y - table[number, 1]
    inside = torch.ones_like(x, dtype=torch.bool)
    for edge in range(2, 2 + EDGES, 3):
        inside &= table[number, edge] * x + table[number, edge + 1] * y + table[number, edge + 2] >= 0
    return inside


def _source_places(table: Tensor, last: Tensor) -> Tensor:
    """Return [b, 2, height, width] for the triangle that covers each pixel, `last` [b, height, width]; -1 becomes NaN."""
    _, height, width = last.shape
    triangle, is_covered = last.clamp_min(0), last >= 0
    x = torch.arange(width, device=table.device, dtype=torch.float32) - table[:, 0][triangle]
    y = torch.arange(height, device=table.device, dtype=torch.float32)[:, None] - table[:, 1][triangle]
    first = 2 + EDGES
    found = [table[:, k][triangle] * x + table[:, k + 1][triangle] * y + table[:, k + 2][triangle] for k in (first, first + 3)]
    return torch.where(is_covered[:, None], torch.stack(found, dim=1), float("nan"))
