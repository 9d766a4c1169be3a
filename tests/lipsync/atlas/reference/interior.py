"""Draw the interior of a mouth: that of other frames, the upper teeth fixed to the skull, the lower ones to the lower lip, over a painted
cavity."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from heygem_daemon.lipsync.arrays import Float64
from heygem_daemon.lipsync.geometry.landmarks import CHEEKS, INNER_CORNERS, INNER_LOWER, INNER_OUTLINE, INNER_UPPER, LIPS
from heygem_daemon.lipsync.geometry.mouth_model import opening_of
from heygem_daemon.lipsync.geometry.smoothstep import smoothstep
from heygem_daemon.lipsync.geometry.triangulation import Triangulation, lip_triangles
from heygem_daemon.lipsync.imaging.grading import LUMA, UNGRADED, Grading
from heygem_daemon.lipsync.imaging.kernels import interior as kernel
from heygem_daemon.lipsync.imaging.warp import blur, fill, sample
from tests.lipsync.atlas.reference.compositing import SourceMouth
from tests.lipsync.atlas.reference.roi import RoiTensor
from tests.lipsync.atlas.reference.warp import triangle_warp

_CAVITY: Final = (0.16, 0.12, 0.20)
_TONGUE: Final = (0.42, 0.33, 0.52)
"""Blue, green, red as fractions of the skin's."""
_APPEARS: Final = (0.004, 0.02)
"""Openings in IOD between which the interior appears."""
_COLOUR_BLUR: Final = (0.5, 0.008)
_OPENING_BLUR: Final = (0.6, 0.009)
"""Sigma that softens the painted colour, and the edge of the opening: at least so many pixels, and in IOD."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SourceInterior:
    """The interior that another frame shows. mouth: its crop; canonical: its canonical face [468, 3]."""

    mouth: SourceMouth
    canonical: Float64


def draw_interior(
    roi: RoiTensor,
    moved: Float64,
    target: Float64,
    *,
    rest: Float64,
    mesh: Triangulation,
    weight: float,
    skin: Tensor,
    grading: Grading = UNGRADED,
    source: SourceInterior | None = None,
) -> tuple[Tensor, Tensor]:
    """Paint the opening between the lips; return the image float32 [3, h, w] and its alpha [h, w].

    moved: landmarks [468, 2] in pixels of the region; target: the canonical face drawn; rest: the canonical face with closed lips;
    weight: 0 leaves what is there, 1 replaces it; skin: [3], its colour; grading: of the video; source: whose interior is shown.
    """
    device = roi.image.device
    outline = moved[list(INNER_OUTLINE)]
    hole = roi.part(outline.min(0) - 3, outline.max(0) + 4)
    offset = np.subtract(hole.origin, roi.origin)
    triangles = np.concatenate([lip_triangles(mesh), mesh.inside])
    place, covered = triangle_warp(moved - offset, target[:, :2], triangles, hole.size, device)
    colour = tint(grading, _painted_colour(place, target, rest, skin))
    colour = blur(colour, _sigma(_COLOUR_BLUR, roi.scale))
    if source is not None:
        shown, visible = _source_colour(place, target, source)
        colour = colour + (shown - colour) * visible
    alpha = blur(fill(outline - offset, hole.size, device)[None], _sigma(_OPENING_BLUR, roi.scale))[0]
    alpha = alpha * _smoothstep_float32(float(opening_of(target)), *_APPEARS) * weight * covered
    image, mask = roi.image.clone(), torch.zeros(roi.size, device=device)
    (x, y), (height, width) = offset, hole.size
    rows, columns = slice(y, y + height), slice(x, x + width)
    image[:, rows, columns] += (colour - hole.image) * alpha
    mask[rows, columns] = alpha
    return image, mask


def tint(grading: Grading, image: Tensor) -> Tensor:
    """Return painted colours [3, h, w] as a graded video shows them: drawn towards its tone by what it lacks of saturation."""
    brightness = torch.einsum("c,chw->hw", image.new_tensor(LUMA), image)
    (blue_offset, red_offset), (blue_slope, red_slope) = grading.tone.tolist()
    blue, red = ((1 + slope) * brightness + offset for slope, offset in ((blue_slope, blue_offset), (red_slope, red_offset)))
    toned = torch.stack([blue, (brightness - LUMA[0] * blue - LUMA[2] * red) / LUMA[1], red])
    return toned + grading.saturation * (image - toned)


def _source_colour(place: Tensor, target: Float64, source: SourceInterior) -> tuple[Tensor, Tensor]:
    """Return (image [3, h, w], where it is visible [h, w]): another frame's interior at canonical places [2, h, w] of the drawn one."""
    corners, points = list(LIPS), source.mouth.points
    homogeneous = np.concatenate([source.canonical[corners, :2], np.ones((len(corners), 1))], axis=1)
    ((ax, ay), (bx, by), (cx, cy)) = np.linalg.lstsq(homogeneous, points[corners], rcond=None)[0].tolist()
    u, v, visible = _source_place(place, target, source.canonical)
    coordinates = torch.stack([ax * u + bx * v + cx, ay * u + by * v + cy])
    return sample(source.mouth.image, coordinates), visible


def _source_place(place: Tensor, target: Float64, canonical: Float64) -> tuple[Tensor, Tensor, Tensor]:
    """Return [h, w] each: canonical x and y in the source, and how much of it is visible.

    Nothing is stretched as far below the upper lip as the upper teeth reach, and as far above the lower lip as the lower ones do.
    """
    u, v = place
    top, bottom = (_curve(u, target[list(row), :2]) for row in (INNER_UPPER, INNER_LOWER))
    source_top = _curve(u, canonical[list(INNER_UPPER), :2])
    source_bottom = _curve(u, canonical[list(INNER_LOWER), :2])
    begin = torch.maximum(source_top, top)
    room, source_room = bottom - top, source_bottom - begin
    smaller = torch.minimum(room, source_room).clamp(min=0)
    wider = smoothstep(room / source_room.clamp(min=1e-4), *kernel.WIDER)
    teeth = torch.minimum((kernel.UPPER_SHARE + kernel.UPPER_SHARE_WIDER * wider) * smaller, torch.full_like(u, kernel.UPPER_TEETH))
    low_teeth = torch.minimum(kernel.LOWER_SHARE * smaller, torch.full_like(u, kernel.LOWER_TEETH))
    edge, low_edge = top + teeth, bottom - low_teeth
    middle, source_middle = ((size - teeth - low_teeth).clamp(min=1e-4) for size in (room, source_room))
    above, below = v + (begin - top), v + (source_bottom - bottom)
    part = ((v - edge) / middle).clamp(0, 1)
    there = above * (1 - part) + below * part
    first, last = source_top + kernel.LIP_EDGE, source_bottom - kernel.LIP_EDGE
    there = torch.minimum(torch.maximum(there, first), torch.maximum(first, last))
    cavity = smoothstep(middle / source_middle, *kernel.STRETCH) * smoothstep(torch.minimum(v - edge, low_edge - v), 0.0, kernel.SOFT_EDGE)
    return u, there, (1 - cavity) * smoothstep(source_room, *kernel.SHUT)


def _painted_colour(place: Tensor, target: Float64, rest: Float64, skin: Tensor) -> Tensor:
    """Return float32 [3, h, w]: the painted cavity and tongue at canonical places [2, h, w]. skin: [3], its colour."""
    u, v = place
    left, right = (rest[i, 0] for i in INNER_CORNERS)
    across = (u - (left + right) / 2) / ((right - left) / 2)
    upper, lower = (_curve(u, target[list(row), :2]) for row in (INNER_UPPER, INNER_LOWER))
    opening = max(1e-3, float(opening_of(target)))
    height = (lower - v) / (0.55 * opening + 0.01)
    tongue = torch.exp(-((across / 0.62) ** 2) - ((height - 0.15) / 0.55) ** 2) * _smoothstep_float32(opening, 0.03, 0.12)
    flesh = kernel.TONGUE * tongue * (_tint(skin, _TONGUE) - _tint(skin, _CAVITY))[:, None, None]
    shadow = 0.58 + 0.42 * smoothstep(torch.minimum(v - upper, 1.6 * (lower - v)), -0.002, 0.016)
    return (_tint(skin, _CAVITY)[:, None, None] + flesh) * shadow


def skin_colour(roi: RoiTensor, points: Float64) -> Tensor:
    """Return [3]: the mean colour of the cheeks of a face with landmarks `points` [468, 2] in pixels of the region.

    A cheek that lies outside, at the border of the frame, counts as the border of the region.
    """
    height, width = roi.size
    x, y = np.round(points[list(CHEEKS)]).astype(int).T
    return roi.image[:, np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)].mean(1)


def _curve(u: Tensor, points: Float64) -> Tensor:
    """Return the height [h, w] of the polyline through points [n, 2] at each u; constant beyond its ends."""
    points = points[np.argsort(points[:, 0], kind="stable")]
    heights = np.interp(u.cpu().numpy(), points[:, 0], points[:, 1]).astype(np.float32)
    return torch.from_numpy(heights).to(u.device)


def _tint(colour: Tensor, factors: tuple[float, float, float]) -> Tensor:
    return colour * colour.new_tensor(factors)


def _sigma(blur_of: tuple[float, float], scale: float) -> float:
    """Return a sigma in pixels, given as (least pixels, IOD)."""
    return max(blur_of[0], blur_of[1] * scale)


def _smoothstep_float32(value: float, low: float, high: float) -> float:
    """Return the smooth step of one number in single precision, as of the images."""
    return float(smoothstep(torch.tensor(value), low, high))
