"""A region of a frame as a tensor, on which the mouth is drawn."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from heygem_daemon.lipsync.arrays import Float64, Image
from heygem_daemon.media.frame import Box, Frame

_CELLS_PER_IOD: Final = 43
"""Resolution of everything that is smooth (displacements, masks, colour correction): its cost does not grow with the frame."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RoiTensor:
    """A region of a frame, a whole number of cells wide and high.

    image: float32 [3, h, w], 0-255, blue first; origin: x, y of its corner in the frame; scale: pixels per IOD; cell: pixels
    """

    image: Tensor
    origin: tuple[int, int]
    scale: float
    cell: int

    @property
    def size(self) -> tuple[int, int]:
        return self.image.shape[1], self.image.shape[2]

    @property
    def cells(self) -> tuple[int, int]:
        return self.image.shape[1] // self.cell, self.image.shape[2] // self.cell

    @property
    def box(self) -> Box:
        (x, y), (height, width) = self.origin, self.size
        return (x, y, x + width, y + height)

    def local(self, points: Float64) -> Float64:
        """Return points of the frame [n, 2] in pixels of the region."""
        return np.asarray(points - self.origin)


def region_between(frame: Frame, low: Float64, high: Float64, scale: float, device: torch.device) -> RoiTensor:
    """Return the region that covers at least the frame between the corners `low` and `high` (x, y in pixels)."""
    cell = max(1, round(scale / _CELLS_PER_IOD))
    x0, y0 = (int(v) for v in np.floor(low))
    columns, rows = (max(2, int(np.ceil(v / cell))) for v in high - (x0, y0))
    box = (x0, y0, x0 + columns * cell, y0 + rows * cell)
    return RoiTensor(image=to_tensor(padded_bgr(frame, box), device), origin=(x0, y0), scale=scale, cell=cell)


def padded_bgr(frame: Frame, box: Box) -> Image:
    """Return uint8 [h, w, 3] of exactly `box`; outside the frame its border is repeated."""
    x0, y0, x1, y1 = frame.clip(box)
    if x0 >= x1 or y0 >= y1:
        return np.zeros((box[3] - box[1], box[2] - box[0], 3), np.uint8)
    border = ((y0 - box[1], box[3] - y1), (x0 - box[0], box[2] - x1), (0, 0))
    inside = frame.bgr((x0, y0, x1, y1))
    return inside if not any(map(any, border)) else np.pad(inside, border, mode="edge")


def to_tensor(bgr: Image, device: torch.device) -> Tensor:
    """Return float32 [3, h, w] of uint8 [h, w, 3]."""
    return torch.from_numpy(bgr).to(device).permute(2, 0, 1).float()


def to_bgr(image: Tensor) -> Image:
    """Return uint8 [h, w, 3] of float32 [3, h, w], rounded and clipped."""
    return image.clamp(0, 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()


def to_cells(points: Float64, cell: int) -> Float64:
    """Return points in pixels of a region as points of the grid of its cells."""
    return np.asarray((points + 0.5) / cell - 0.5)


def pixel_grid(size: tuple[int, int], device: torch.device) -> Tensor:
    """Return float32 [2, h, w]: x and y of every pixel."""
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float32, device=device) for n in size), indexing="ij")
    return torch.stack([x, y])
