"""The interior of a mouth: where the interior of another one is read, and the cavity that is painted where nothing is known."""

import math
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Float64, Image
from heygem_daemon.lipsync.imaging.kernels import kernel
from heygem_daemon.lipsync.imaging.kernels.blend import mix_colour

TONGUE: Final = 0.6
"""How much of the colour of the tongue the painted interior has, at most."""
LIP_EDGE: Final = 0.011
"""What is nearer to a lip of the source than this is not read: it is lip, and what is next to it is repeated. In IOD, as all below."""
UPPER_TEETH: Final = 0.08
LOWER_TEETH: Final = 0.05
"""How far below the upper and above the lower lip nothing is stretched."""
UPPER_SHARE: Final = 0.35
LOWER_SHARE: Final = 0.25
"""But no more than this part of the opening of either mouth,"""
UPPER_SHARE_WIDER: Final = 0.45
WIDER: Final = (1.2, 2.0)
"""and so much more of the upper one, as the mouth is so many times further open than the source: then all upper teeth are seen."""
STRETCH: Final = (2.0, 4.0)
"""Stretched by the first the middle is shown as it is, by the second it is not: the cavity is painted there."""
SOFT_EDGE: Final = 0.012
"""Over which the painted middle begins."""
SHUT: Final = (0.02, 0.03)
"""Openings of the source between which it begins to show its interior, at each place."""
_LEAST_ALPHA: Final = 1 / 512
"""Smaller alphas leave a pixel as it is."""


@kernel
def smooth_step(x: float, low: float, high: float) -> float:
    """Return 0 below `low`, 1 above `high`, and 3t² - 2t³ in between."""
    t = min(1.0, max(0.0, (x - low) / (high - low)))
    return t * t * (3 - 2 * t)


@kernel
def _height(u: float, polyline: Float64) -> float:
    """Return the height at u of a polyline [n, 2] that rises in x; constant beyond its ends."""
    if u <= polyline[0, 0]:
        return polyline[0, 1]
    for k in range(1, len(polyline)):
        if u < polyline[k, 0]:
            before, after = polyline[k - 1], polyline[k]
            return before[1] + (after[1] - before[1]) * (u - before[0]) / (after[0] - before[0])
    return polyline[-1, 1]


@kernel
def paint_interior(
    across: Float32,
    down: Float32,
    upper: Float64,
    lower: Float64,
    corners: tuple[float, float],
    opening: float,
    colours: Float64,
    tint: Float64,
) -> Float32:
    """Return float32 [3, h, w]: luma and both colour differences, without their offsets, of the interior.

    across, down: [h, w], canonical x and y of each pixel; upper, lower: [n, 2], the inner edges of the lips, canonical, rising in x;
    corners: canonical x of the corners of the resting mouth; opening: IOD; colours: [2, 3], of cavity and tongue;
    tint: [3, 4], the affine map that grades colours as those of the video.
    """
    height, width = across.shape
    out = np.empty((3, height, width), np.float32)
    middle, half = (corners[0] + corners[1]) / 2, (corners[1] - corners[0]) / 2
    tongue_shows = TONGUE * smooth_step(opening, 0.03, 0.12)
    colour = np.empty(3)
    for y in range(height):
        for x in range(width):
            u, v = across[y, x], down[y, x]
            aside = (u - middle) / half
            top, bottom = _height(u, upper), _height(u, lower)
            rise = (bottom - v) / (0.55 * opening + 0.01)
            tongue = tongue_shows * math.exp(-((aside / 0.62) ** 2) - ((rise - 0.15) / 0.55) ** 2)
            shadow = 0.58 + 0.42 * smooth_step(min(v - top, 1.6 * (bottom - v)), -0.002, 0.016)
            for c in range(3):
                colour[c] = (colours[0, c] + tongue * (colours[1, c] - colours[0, c])) * shadow
            for c in range(3):
                out[c, y, x] = tint[c, 0] * colour[0] + tint[c, 1] * colour[1] + tint[c, 2] * colour[2] + tint[c, 3]
    return out


@kernel
def source_places(
    across: Float32, down: Float32, upper: Float64, lower: Float64, source_upper: Float64, source_lower: Float64
) -> tuple[Float32, Float32]:
    """Return (canonical y in the source of each pixel, how much of what is there is shown, 0-1), float32 [h, w] each.

    across, down: [h, w], canonical x and y of each pixel; the others: [n, 2], the inner edges of the lips, canonical, rising in x.
    The upper teeth stay where they are in the skull, the lower ones move with the lower lip, and between them the source is
    stretched or squeezed; where it would be stretched far nothing is shown. Where the source's upper lip hides what the drawn one
    uncovers, what lies under it follows the lip.
    """
    height, width = across.shape
    out, shown = np.empty((height, width), np.float32), np.empty((height, width), np.float32)
    for y in range(height):
        for x in range(width):
            u, v = across[y, x], down[y, x]
            top, bottom = _height(u, upper), _height(u, lower)
            source_top, source_bottom = _height(u, source_upper), _height(u, source_lower)
            lift = max(0.0, source_top - top)
            drop = source_bottom - bottom
            room, source_room = bottom - top, source_bottom - top - lift
            both = max(0.0, min(room, source_room))
            wider = smooth_step(room / max(1e-4, source_room), WIDER[0], WIDER[1])
            high = min(UPPER_TEETH, (UPPER_SHARE + UPPER_SHARE_WIDER * wider) * both)
            low = min(LOWER_TEETH, LOWER_SHARE * both)
            between = max(1e-4, room - high - low)
            stretch = between / max(1e-4, source_room - high - low)
            part = min(1.0, max(0.0, (v - top - high) / between))
            inside = min(v - top - high, bottom - low - v)
            empty = smooth_step(stretch, STRETCH[0], STRETCH[1]) * smooth_step(inside, 0.0, SOFT_EDGE)
            at = v + lift + part * (drop - lift)
            out[y, x] = min(max(at, source_top + LIP_EDGE), max(source_bottom, source_top + 2 * LIP_EDGE) - LIP_EDGE)
            shown[y, x] = (1 - empty) * smooth_step(source_room, SHUT[0], SHUT[1])
    return out, shown


@kernel
def blend_interior(luma: Float32, colour: Float32, interior: Float32, alpha: Float32, changed: Image) -> None:
    """Blend an interior [3, h, w] (codes, with their offsets) by alpha [h, w] into luma [h, w] and colour [h / 2, w / 2, 2], and mark in
    `changed` (uint8 [h, w]) what that changes."""
    height, width = luma.shape
    sums = np.zeros((width // 2, 3), np.float32)
    for y in range(height):
        for x in range(width):
            a = alpha[y, x]
            if a <= 0:
                continue
            luma[y, x] += (interior[0, y, x] - luma[y, x]) * a
            if a > _LEAST_ALPHA:
                changed[y, x] = 1
            sums[x >> 1, 0] += a
            sums[x >> 1, 1] += a * interior[1, y, x]
            sums[x >> 1, 2] += a * interior[2, y, x]
        if y & 1:
            mix_colour(colour[y >> 1], sums)
