"""Draw on a region of a frame: warp the face, composite the mouth of other frames over it, blend."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import torch
from torch import Tensor

from heygem_daemon.lipsync.arrays import Bool, Float64
from heygem_daemon.lipsync.geometry.landmarks import MOUTH_HULL, NOSE_BASE, OUTER_OUTLINE
from heygem_daemon.lipsync.geometry.triangulation import Triangulation, ring
from heygem_daemon.lipsync.imaging.polygons import grow_polygon
from heygem_daemon.lipsync.imaging.roi import pixel_grid, to_cells
from heygem_daemon.lipsync.imaging.warp import blur, enlarge, fill, sample, shrink
from tests.lipsync.atlas.reference.roi import RoiTensor
from tests.lipsync.atlas.reference.warp import rasterise, triangle_warp

_SMOOTHNESS: Final = 0.035
"""Sigma of the Gaussian that smooths the displacement of the face, in IOD."""
_SUPERSAMPLING: Final = 2
"""Without it near-closed lips show specks."""
_COVERED: Final = 0.99
"""Fraction of its samples that must show the source mouth for a pixel to be taken from it."""
_MASK_EDGE: Final = 0.075
"""Width over which the mask of the mouth falls to 0 inside the hull, in IOD."""
_SILHOUETTE_EDGE: Final = 0.13
"""Width over which the mask of a turned head falls to 0 at the silhouette, in IOD."""
_BEYOND: Final = 12
"""Cells around the region in which triangles count for its blurred masks."""
_UNSHARP: Final = 0.2
_UNSHARP_RADIUS: Final = 0.0045
_UNSHARP_LEAST: Final = 0.8
"""Unsharp masking of a source mouth: its amount, and its sigma in IOD, at least .8 pixels."""
_MEMBRANE: Final = 0.11
_MEMBRANE_FAR: Final = 0.05
_MEMBRANE_LIMIT: Final = 60.0
_LIP_MARGIN: Final = 0.03
"""The colour membrane: sigma of its Gaussian in IOD, weight of a second one three times as wide, the largest difference taken in grey
levels, and how far around the lips colours are not compared, in IOD."""
_LEAST_SHIFT: Final = 0.02
_LEAST_ALPHA: Final = 1 / 512
"""Smaller displacements (pixels) and alphas leave a pixel as it is."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SourceMouth:
    """The mouth of another frame. image: float32 [3, h, w]; points: [468, 2] in its pixels; weight: its part in a cross-fade."""

    image: Tensor
    points: Float64
    weight: float


def warp_face(roi: RoiTensor, points: Float64, moved: Float64, mesh: Triangulation) -> tuple[Tensor, Tensor]:
    """Move the lower face from `points` to `moved` ([468, 2], region pixels); the ring around the jaw does not move.

    Returns the image float32 [3, h, w] and where it differs, bool [h, w]. The displacement is smooth, also at the lips: a source mouth
    covers them.
    """
    still = ring(moved, moved[NOSE_BASE], roi.scale)
    source, target = np.concatenate([points, still]), np.concatenate([moved, still])
    height, width = roi.cells
    device = roi.image.device
    coordinates, covered = triangle_warp(to_cells(target, roi.cell), to_cells(source, roi.cell), mesh.whole, (height, width), device)
    shift = (coordinates - pixel_grid((height, width), device)) * covered
    shift = enlarge(blur(shift, _SMOOTHNESS * roi.scale / roi.cell), roi.cell) * roi.cell
    return sample(roi.image, pixel_grid(roi.size, device) + shift), shift.abs().amax(0) > _LEAST_SHIFT


def transfer_mouth(roi: RoiTensor, source: SourceMouth, moved: Float64, mesh: Triangulation) -> tuple[Tensor, Tensor]:
    """Return (image float32 [3, h, w], covered float32 [h, w]): the mouth of another frame, with its landmarks at `moved`."""
    height, width = roi.size
    fine = (moved + 0.5) * _SUPERSAMPLING - 0.5
    size = (height * _SUPERSAMPLING, width * _SUPERSAMPLING)
    coordinates, covered = triangle_warp(fine, source.points, mesh.mouth, size, roi.image.device)
    image = shrink(sample(source.image, coordinates), _SUPERSAMPLING)
    return image, (shrink(covered[None].float(), _SUPERSAMPLING)[0] > _COVERED).float()


def composite(
    roi: RoiTensor, sources: list[SourceMouth], moved: Float64, mesh: Triangulation, strength: float, turned: float
) -> tuple[Tensor, Tensor]:
    """Blend source mouths, each by its weight, into the region whose face is at `moved` ([468, 2], region pixels).

    turned: see `geometry.drift.turned_weight`.
    Returns the image and its alpha, float32 [h, w]. The mouth takes the light of the skin around it: a colour membrane is the
    normalised convolution of the difference over the skin, without the lips.
    """
    layers = [transfer_mouth(roi, source, moved, mesh) for source in sources]
    over = torch.stack([source.weight * image for source, (image, _) in zip(sources, layers, strict=True)]).sum(0)
    covered = torch.stack([mask for _, mask in layers]).amin(0)
    over = torch.where(covered > 0, over, roi.image)
    over = over + _UNSHARP * (over - blur(over, max(_UNSHARP_LEAST, _UNSHARP_RADIUS * roi.scale)))
    shown = 1 - turned * (1 - _within_silhouette(roi, moved, mesh))
    over = over + enlarge(_mouth_membrane(roi, over, covered, moved, shown), roi.cell)
    alpha = enlarge((_soft_mask(roi, moved) * shown)[None], roi.cell)[0] * covered * strength
    return roi.image + (over - roi.image) * alpha, alpha


def changed_pixels(difference: Tensor, alpha: Tensor) -> Bool:
    """Return bool [h, w]: the pixels to paste, where something moved or was composited."""
    return np.asarray((difference | (alpha > _LEAST_ALPHA)).cpu().numpy())


def lip_mask(roi: RoiTensor, moved: Float64, margin: float) -> Tensor:
    """Return float32 [h, w] in cells: 1 inside the outer lips of `moved` ([468, 2], region pixels) and up to `margin` IOD around them."""
    points = to_cells(moved[list(OUTER_OUTLINE)], roi.cell)
    return fill(grow_polygon(points, margin * roi.scale / roi.cell), roi.cells, roi.image.device)


def colour_membrane(roi: RoiTensor, over: Tensor, covered: Tensor, skin: Tensor) -> Tensor:
    """Return what to add to `over` (float32 [3, h, w]) so that it takes the light of the region, float32 [3, h, w] in cells.

    covered: float32 [h, w], 1 where `over` shows something; skin: float32 [h, w] in cells, 1 where both show the same skin. It is the
    normalised convolution of the difference over it.
    """
    share = shrink(covered[None], roi.cell)
    difference = shrink((roi.image - over) * covered, roi.cell) / share.clamp(min=1e-6)
    difference = difference.clamp(-_MEMBRANE_LIMIT, _MEMBRANE_LIMIT)
    stacked = torch.cat([difference * skin, skin[None]])
    sigma = _MEMBRANE * roi.scale / roi.cell
    spread = blur(stacked, sigma) + _MEMBRANE_FAR * blur(stacked, 3 * sigma)
    return spread[:3] / (spread[3:] + 1e-4)


def _within_silhouette(roi: RoiTensor, moved: Float64, mesh: Triangulation) -> Tensor:
    """Return float32 [h, w] in cells: 0 at the edge of the triangles that face the camera and beyond, 1 well inside them."""
    (height, width), beyond = roi.cells, _BEYOND
    labels = rasterise(to_cells(moved, roi.cell) + beyond, mesh.mouth, (height + 2 * beyond, width + 2 * beyond))
    covered = torch.from_numpy((labels >= 0).astype(np.float32)).to(roi.image.device)
    soft = blur(covered[None], _SILHOUETTE_EDGE * roi.scale / roi.cell / 2)[0]
    return (2 * soft[beyond : beyond + height, beyond : beyond + width] - 1).clamp(0, 1)


def _mouth_membrane(roi: RoiTensor, over: Tensor, covered: Tensor, moved: Float64, shown: Tensor) -> Tensor:
    """Return the colour correction of a source mouth, float32 [3, h, w] in cells. shown: [h, w] in cells, 0 at the silhouette."""
    inside = fill(_mouth_hull(roi, moved), roi.cells, roi.image.device)
    skin = inside * (1 - lip_mask(roi, moved, _LIP_MARGIN)) * shown**4 * shrink(covered[None], roi.cell)[0]
    return colour_membrane(roi, over, covered, skin)


def _soft_mask(roi: RoiTensor, moved: Float64) -> Tensor:
    """Return float32 [h, w] in cells: 1 around the mouth, falling softly to 0 inside the edge of the hull."""
    edge = _MASK_EDGE * roi.scale / roi.cell
    return blur(fill(grow_polygon(_mouth_hull(roi, moved), -edge), roi.cells, roi.image.device)[None], edge / 2)[0]


def _mouth_hull(roi: RoiTensor, moved: Float64) -> Float64:
    """Return the corners [n, 2] of the convex hull around mouth and chin, in cells."""
    points = to_cells(moved[list(MOUTH_HULL)], roi.cell).astype(np.float32)
    return cv2.convexHull(points)[:, 0].astype(np.float64)
