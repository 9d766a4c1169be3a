"""The light of the face for what is blended into it, on a region as a tensor."""

from typing import Final

import numpy as np
import torch
from torch import Tensor

from heygem_daemon.lipsync.arrays import Bool, Float64
from heygem_daemon.lipsync.geometry.landmarks import OUTER_OUTLINE
from heygem_daemon.lipsync.imaging.polygons import grow_polygon
from heygem_daemon.lipsync.imaging.roi import RoiTensor, to_cells
from heygem_daemon.lipsync.imaging.warp import blur, fill, shrink

_MEMBRANE: Final = 0.11
_MEMBRANE_FAR: Final = 0.05
_MEMBRANE_LIMIT: Final = 60.0
"""The colour membrane: sigma of its Gaussian in IOD, weight of a second one three times as wide, the largest difference taken in grey
levels."""
_LEAST_ALPHA: Final = 1 / 512
"""Smaller alphas leave a pixel as it is."""


def changed_pixels(alpha: Tensor) -> Bool:
    """Return bool [h, w]: the pixels to paste, of alpha [h, w]."""
    return np.asarray((alpha > _LEAST_ALPHA).cpu().numpy())


def lip_mask(roi: RoiTensor, moved: Float64, margin: float) -> Tensor:
    """Return float32 [h, w] in cells: 1 inside the outer lips of `moved` ([468, 2], region pixels) and up to `margin` IOD around them."""
    points = to_cells(moved[list(OUTER_OUTLINE)], roi.cell)
    return fill(grow_polygon(points, margin * roi.scale / roi.cell), roi.cells, roi.image.device)


def colour_membrane(roi: RoiTensor, over: Tensor, skin: Tensor) -> Tensor:
    """Return what to add to `over` (float32 [3, h, w]) so that it takes the light of the region, float32 [3, h, w] in cells.

    skin: float32 [h, w] in cells, 1 where both show the same skin. It is the normalised convolution of the difference over it.
    """
    difference = (shrink(roi.image, roi.cell) - shrink(over, roi.cell)).clamp(-_MEMBRANE_LIMIT, _MEMBRANE_LIMIT)
    stacked = torch.cat([difference * skin, skin[None]])
    sigma = _MEMBRANE * roi.scale / roi.cell
    spread = blur(stacked, sigma) + _MEMBRANE_FAR * blur(stacked, 3 * sigma)
    return spread[:3] / (spread[3:] + 1e-4)
