"""Draw the interior of a mouth that is wider open than its source mouth: what the source shows stays where it is in the skull, the
rest (cavity, tongue, teeth) is painted in the tone of the skin. Stretching the source's interior instead would stretch its teeth."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from heygem_daemon.lipsync.arrays import Float64
from heygem_daemon.lipsync.geometry.landmarks import CHEEKS, INNER_CORNERS, INNER_LIPS, INNER_LOWER, INNER_OUTLINE, INNER_UPPER, LIPS
from heygem_daemon.lipsync.geometry.mouth_model import opening_of
from heygem_daemon.lipsync.geometry.smoothstep import smoothstep
from heygem_daemon.lipsync.geometry.triangulation import Triangulation, lip_triangles
from heygem_daemon.lipsync.imaging.grading import LUMA, UNGRADED, Grading
from heygem_daemon.lipsync.imaging.warp import blur, fill, sample
from tests.lipsync.atlas.reference.compositing import SourceMouth
from tests.lipsync.atlas.reference.roi import RoiTensor
from tests.lipsync.atlas.reference.warp import triangle_warp

_CAVITY: Final = (0.16, 0.12, 0.20)
_TONGUE: Final = (0.42, 0.33, 0.52)
"""Blue, green, red as fractions of the skin's."""
_ENAMEL: Final = (0.90, 0.95, 0.98)
"""Tint of the teeth: blue, green, red as fractions of the pale tone of the skin."""
_UPPER_LINE: Final = (13, 312, 82, 311, 81)
"""Landmarks in the middle of the inner upper lip: the resting lip line."""
_TEETH_DROP: Final = 0.047
_TEETH_ARC: Final = 0.03
_TEETH_PITCH: Final = 0.058
"""The upper teeth are fixed to the skull: this far below the resting lip line, on this arc, this wide. In IOD."""
_APPEARS: Final = (0.004, 0.02)
"""Openings in IOD between which the interior appears."""
_COLOUR_BLUR: Final = (0.5, 0.008)
_OPENING_BLUR: Final = (0.6, 0.009)
_SOURCE_BLUR: Final = (0.6, 0.012)
"""Sigma that softens the painted colour, the edge of the opening and that of the source's interior: at least so many pixels, and in IOD."""
_SOURCE_INSET: Final = 0.06
"""Fraction of the way to the centre by which the source's interior is smaller than its lips' inner edge."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SourceInterior:
    """The interior that a source mouth shows. canonical: its canonical face [468, 3]."""

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
    weight: 0 leaves what is there, 1 replaces it; skin: [3], its colour; grading: of the video; source: the interior of the source mouth,
    None where that is shut.
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
        shown, visible = _source_colour(place, source, roi.scale)
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


def _source_colour(place: Tensor, source: SourceInterior, scale: float) -> tuple[Tensor, Tensor]:
    """Return (image [3, h, w], where it is visible [h, w]): the source's interior at the same canonical places [2, h, w] of its skull."""
    corners, points = list(LIPS), source.mouth.points
    homogeneous = np.concatenate([source.canonical[corners, :2], np.ones((len(corners), 1))], axis=1)
    ((ax, ay), (bx, by), (cx, cy)) = np.linalg.lstsq(homogeneous, points[corners], rcond=None)[0].tolist()
    u, v = place
    coordinates = torch.stack([ax * u + bx * v + cx, ay * u + by * v + cy])
    image = source.mouth.image
    outline = points[list(INNER_OUTLINE)]
    outline = outline + (points[list(INNER_LIPS)].mean(0) - outline) * _SOURCE_INSET
    height, width = int(image.shape[1]), int(image.shape[2])
    mask = blur(fill(outline, (height, width), image.device)[None], _sigma(_SOURCE_BLUR, scale))
    return sample(image, coordinates), sample(mask, coordinates)[0].clamp(0, 1)


def _painted_colour(place: Tensor, target: Float64, rest: Float64, skin: Tensor) -> Tensor:
    """Return float32 [3, h, w]: the painted cavity, tongue and teeth at canonical places [2, h, w]. skin: [3], its colour."""
    u, v = place
    left, right = (rest[i, 0] for i in INNER_CORNERS)
    across = (u - (left + right) / 2) / ((right - left) / 2)
    upper, lower = (_curve(u, target[list(row), :2]) for row in (INNER_UPPER, INNER_LOWER))
    opening = max(1e-3, float(opening_of(target)))
    enamel = _tint(0.78 * float(skin @ skin.new_tensor(LUMA)) + 0.22 * skin, _ENAMEL)
    colour = _tint(skin, _CAVITY)[:, None, None].expand(3, *u.shape).clone()
    height = (lower - v) / (0.55 * opening + 0.01)
    tongue = torch.exp(-((across / 0.62) ** 2) - ((height - 0.15) / 0.55) ** 2) * _smoothstep_float32(opening, 0.03, 0.12)
    colour += 0.75 * tongue * (_tint(skin, _TONGUE) - _tint(skin, _CAVITY))[:, None, None]
    low = smoothstep(0.030 - (lower - v) + 0.012 * (1 - across**2), -0.006, 0.006) * smoothstep(1 - across.abs(), 0.2, 0.55)
    colour += 0.55 * low * _smoothstep_float32(opening, 0.09, 0.2) * (0.6 * enamel[:, None, None] - colour)
    teeth, shade = _upper_teeth(u, v, across, upper, rest)
    colour += 0.92 * teeth * (1.16 * shade * enamel[:, None, None] - colour)
    shadow = 0.58 + 0.42 * smoothstep(torch.minimum(v - upper, 1.6 * (lower - v)), -0.002, 0.016)
    return colour * shadow


def _upper_teeth(u: Tensor, v: Tensor, across: Tensor, upper: Tensor, rest: Float64) -> tuple[Tensor, Tensor]:
    """Return (where the upper teeth are, how bright), both [h, w]."""
    line = float(rest[list(_UPPER_LINE), 1].mean())
    middle = float(rest[list(INNER_CORNERS), 0].mean())
    phase = ((u - middle) / _TEETH_PITCH) % 1
    gap = torch.minimum(phase, 1 - phase)
    edge = line + _TEETH_DROP - _TEETH_ARC * across**2 - 0.006 * smoothstep(0.12 - gap, 0.0, 0.12)
    where = smoothstep(edge - v, -0.007, 0.007) * smoothstep(1 - across.abs(), 0.06, 0.5)
    shade = (0.72 + 0.28 * smoothstep(v - upper, 0.0, 0.025)) * (1 - 0.5 * across.clamp(-1, 1) ** 2)
    return where, shade * (1 - 0.20 * smoothstep(0.05 - gap, 0.0, 0.05)) * (1.04 - 0.10 * torch.cos(2 * torch.pi * phase))


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
