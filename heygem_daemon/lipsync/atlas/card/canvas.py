"""The parts of a batch of frames that are drawn on, on the device."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from heygem_daemon.lipsync.imaging.card.separable import cell_places, interpolation, membership

LEAST_ALPHA: Final = 1 / 512
"""Smaller alphas leave a pixel as it is, as in `kernels.blend`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Canvas:
    """b parts of the size of the largest, with no meaning beyond the size of each.

    luma: float32 [b, h, w]; colour: float32 [b, 2, h / 2, w / 2], blue difference first; changed: bool [b, h, w]
    """

    luma: Tensor
    colour: Tensor
    changed: Tensor

    def blend(self, over: Tensor, over_colour: Tensor, alpha: Tensor) -> "Canvas":
        """Return the canvas with `over` [b, h, w] and `over_colour` [b, 2, h, w] blended in by alpha [b, h, w]."""
        rest = 1 - block_means(alpha)[:, None]
        return Canvas(
            luma=self.luma + (over - self.luma) * alpha,
            colour=self.colour * rest + block_means(alpha[:, None] * over_colour),
            changed=self.changed | (alpha > LEAST_ALPHA),
        )

    def part(self, frames: Tensor, corner: Tensor, size: tuple[int, int]) -> "Canvas":
        """Return parts of some frames. frames: int64 [m]; corner: int64 [m, 2], x and y, even; size: height and width of the largest.

        Beyond the canvas its border is repeated.
        """
        return Canvas(
            luma=_cut(self.luma[frames], corner, size),
            colour=_cut(self.colour[frames], corner // 2, (size[0] // 2, size[1] // 2)),
            changed=_cut(self.changed[frames], corner, size),
        )

    def with_part(self, part: "Canvas", frames: Tensor, corner: Tensor, sizes: Tensor) -> "Canvas":
        """Return the canvas with a part put back where `part` took it from. sizes: int64 [m, 2], height and width of each."""
        halves = corner // 2, sizes // 2
        return Canvas(
            luma=_put(self.luma, part.luma, frames, corner, sizes),
            colour=_put(self.colour, part.colour, frames, *halves),
            changed=_put(self.changed, part.changed, frames, corner, sizes),
        )


def block_means(values: Tensor) -> Tensor:
    """Return the means of blocks of 2x2 pixels: float32 [..., h, w] to [..., h / 2, w / 2]."""
    return functional.avg_pool2d(values, 2)


def to_pixels(blocks: Tensor) -> Tensor:
    """Return each block as 2x2 pixels: [..., h, w] to [..., 2 h, 2 w]."""
    return blocks.repeat_interleave(2, dim=-2).repeat_interleave(2, dim=-1)


def within(sizes: Tensor, size: Sequence[int]) -> Tensor:
    """Return bool [b, h, w]: the pixels within the height and width of each part. sizes: int64 [b, 2]; size: of the largest."""
    rows, columns = (torch.arange(n, device=sizes.device) < sizes[:, axis, None] for axis, n in enumerate(size))
    return rows[:, :, None] & columns[:, None, :]


def pixels_to_cells(count: int, origin: Tensor, cell: Tensor, cells: int, used: Tensor) -> Tensor:
    """Return the matrices [b, cells, count] that sum the first `used` [b] of `count` pixels of a row, cell by cell.

    origin, cell: [b], the first pixel of the grid, and pixels of a cell.
    """
    pixel = torch.arange(count, device=origin.device)
    cell_of = torch.div(pixel - origin[:, None], cell[:, None], rounding_mode="floor")
    return membership(torch.where(pixel < used[:, None], cell_of, -1), cells)


def cells_to_pixels(count: int, origin: Tensor, cell: Tensor, cells: int, used: Tensor) -> Tensor:
    """Return the matrices [b, count, cells] that enlarge the first `used` [b] of a row of cells to `count` pixels, bilinearly."""
    pixel = torch.arange(count, device=origin.device) - origin[:, None]
    return interpolation(cell_places(pixel.float(), cell), used, cells)


def _grid(corner: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return the rows [m, h, 1] and columns [m, 1, w] of parts at `corner` [m, 2]."""
    rows = corner[:, 1, None, None] + torch.arange(size[0], device=corner.device)[:, None]
    return rows, corner[:, 0, None, None] + torch.arange(size[1], device=corner.device)


def _cut(planes: Tensor, corner: Tensor, size: tuple[int, int]) -> Tensor:
    rows, columns = _grid(corner, size)
    place = rows.clamp(0, planes.shape[-2] - 1) * planes.shape[-1] + columns.clamp(0, planes.shape[-1] - 1)
    lines = place.view(len(corner), *[1] * (planes.ndim - 3), -1).expand(*planes.shape[:-2], -1)
    return planes.flatten(-2).gather(-1, lines).view(*planes.shape[:-2], *size)


def _put(planes: Tensor, part: Tensor, frames: Tensor, corner: Tensor, sizes: Tensor) -> Tensor:
    """Return planes [b, ..., h, w] with the parts [m, ..., h', w'] of `frames` [m] in place of what was there."""
    height, width = planes.shape[-2:]
    rows, columns = _grid(-corner, (height, width))
    inside = (rows >= 0) & (rows < sizes[:, 0, None, None]) & (columns >= 0) & (columns < sizes[:, 1, None, None])
    here = _cut(part, -corner, (height, width))
    keep = inside.view(len(corner), *[1] * (planes.ndim - 3), height, width)
    out = planes.clone()
    out[frames] = torch.where(keep, here, planes[frames])
    return out
