"""A region of a frame as a tensor, on which the mouth is drawn."""

from typing import Final

import numpy as np
import torch
from torch import Tensor

from heygem_daemon.lipsync.arrays import Float32, Float64
from heygem_daemon.lipsync.geometry.landmarks import MOUTH_HULL, NOSE_BASE
from heygem_daemon.lipsync.geometry.triangulation import Triangulation, ring
from heygem_daemon.lipsync.imaging import roi
from heygem_daemon.media.frame import Box, Frame, YuvSpace, bgr_matrix

_CELLS_PER_IOD: Final = 43
_MARGIN: Final = 0.09
"""How far the moving region goes beyond the triangles that move, in IOD: as far as the smoothing of their displacement."""
_HULL_MARGIN: Final = 0.03
"""How far the region a mouth is drawn on goes beyond the hull around mouth and chin, in IOD."""


class RoiTensor(roi.RoiTensor):
    """A region of which parts are drawn on."""

    def with_image(self, image: Tensor) -> "RoiTensor":
        """Return the same region with another image."""
        return RoiTensor(image=image, origin=self.origin, scale=self.scale, cell=self.cell)

    def slices_in(self, other: "RoiTensor") -> tuple[slice, slice]:
        """Return the rows and columns of `other` that this region covers."""
        x, y = self.origin[0] - other.origin[0], self.origin[1] - other.origin[1]
        return slice(y, y + self.size[0]), slice(x, x + self.size[1])

    def part(self, low: Float64, high: Float64) -> "RoiTensor":
        """Return the region of the cells between the points `low` and `high` (x, y in pixels of this region), clipped to it."""
        height, width = self.size
        x0, y0 = (int(max(0, np.floor(v / self.cell))) * self.cell for v in low)
        x1, y1 = (int(np.ceil(v / self.cell)) * self.cell for v in high)
        x0, y0 = min(x0, width - self.cell), min(y0, height - self.cell)
        x1, y1 = max(x0 + self.cell, min(x1, width)), max(y0 + self.cell, min(y1, height))
        return RoiTensor(
            image=self.image[:, y0:y1, x0:x1], origin=(self.origin[0] + x0, self.origin[1] + y0), scale=self.scale, cell=self.cell
        )


def moving_region(frame: Frame, points: Float64, moved: Float64, *, mesh: Triangulation, scale: float, device: torch.device) -> RoiTensor:
    """Return the region of all that moves when landmarks go from `points` to `moved` ([468, 2], pixels): jaw, neck, cheeks.

    It is where the triangles are, whichever way up the face is.
    """
    corners = np.unique(mesh.whole)
    outline = np.concatenate([moved, ring(moved, moved[NOSE_BASE], scale)])[corners]
    reached = np.concatenate([outline, points[corners[corners < len(points)]]])
    return region_between(frame, reached.min(0) - _MARGIN * scale, reached.max(0) + _MARGIN * scale, scale, device)


def region_between(frame: Frame, low: Float64, high: Float64, scale: float, device: torch.device) -> RoiTensor:
    """Return the region that covers at least the frame between the corners `low` and `high` (x, y in pixels)."""
    cell = max(1, round(scale / _CELLS_PER_IOD))
    x0, y0 = (int(v) for v in np.floor(low))
    columns, rows = (max(2, int(np.ceil(v / cell))) for v in high - (x0, y0))
    box = (x0, y0, x0 + columns * cell, y0 + rows * cell)
    return RoiTensor(image=to_tensor(padded_bgr(frame, box), device), origin=(x0, y0), scale=scale, cell=cell)


def mouth_region(roi: RoiTensor, image: Tensor, moved: Float64) -> RoiTensor:
    """Return the part of the region, with `image` instead of its own, that holds the hull around mouth and chin."""
    hull = roi.local(moved[list(MOUTH_HULL)])
    return roi.with_image(image).part(hull.min(0) - _HULL_MARGIN * roi.scale, hull.max(0) + _HULL_MARGIN * roi.scale)


def padded_bgr(frame: Frame, box: Box) -> Float32:
    """Return float32 [h, w, 3] of exactly `box`, not rounded; outside the frame its border is repeated."""
    x, y = np.arange(box[0], box[2]).clip(0, frame.width - 1), np.arange(box[1], box[3]).clip(0, frame.height - 1)
    planes = [frame.y[np.ix_(y, x)], *(plane[np.ix_(y // 2, x // 2)] for plane in (frame.u, frame.v))]
    codes = np.stack(planes, axis=-1) - frame.space.offsets
    return np.asarray(codes @ np.linalg.inv(bgr_matrix(frame.space)).T, np.float32)


def to_tensor(bgr: Float32, device: torch.device) -> Tensor:
    """Return float32 [3, h, w] of float32 [h, w, 3]."""
    return torch.from_numpy(np.ascontiguousarray(bgr)).to(device).permute(2, 0, 1)


def to_bgr(image: Tensor, space: YuvSpace) -> Float32:
    """Return float32 [h, w, 3] of float32 [3, h, w], clipped where luma or colour leave their 8 bits."""
    codes = image.permute(1, 2, 0).cpu().numpy() @ bgr_matrix(space).T + space.offsets
    return np.asarray((codes.clip(0, 255) - space.offsets) @ np.linalg.inv(bgr_matrix(space)).T, np.float32)
