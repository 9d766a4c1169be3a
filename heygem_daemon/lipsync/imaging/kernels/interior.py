"""The painted interior of a mouth: cavity, tongue and teeth at their places in the skull."""

import math
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Float64, Image
from heygem_daemon.lipsync.imaging.kernels import kernel
from heygem_daemon.lipsync.imaging.kernels.blend import mix_colour

TEETH_DROP: Final = 0.047
TEETH_ARC: Final = 0.03
TEETH_PITCH: Final = 0.058
"""The upper teeth are fixed to the skull: this far below the resting lip line, on this arc, this wide. In IOD."""
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
    line: float,
    opening: float,
    colours: Float64,
    tint: Float64,
) -> Float32:
    """Return float32 [3, h, w]: luma and both colour differences, without their offsets, of the interior.

    across, down: [h, w], canonical x and y of each pixel; upper, lower: [n, 2], the inner edges of the lips, canonical, rising in x;
    corners: canonical x of the corners of the resting mouth; line: canonical y of the resting lip line; opening: IOD;
    colours: [3, 3], of cavity, tongue and teeth; tint: [3, 4], the affine map that grades colours as those of the video.
    """
    height, width = across.shape
    out = np.empty((3, height, width), np.float32)
    middle, half = (corners[0] + corners[1]) / 2, (corners[1] - corners[0]) / 2
    tongue_shows, low_teeth_show = 0.75 * smooth_step(opening, 0.03, 0.12), 0.55 * smooth_step(opening, 0.09, 0.2)
    colour = np.empty(3)
    for y in range(height):
        for x in range(width):
            u, v = across[y, x], down[y, x]
            aside = (u - middle) / half
            top, bottom = _height(u, upper), _height(u, lower)
            rise = (bottom - v) / (0.55 * opening + 0.01)
            tongue = tongue_shows * math.exp(-((aside / 0.62) ** 2) - ((rise - 0.15) / 0.55) ** 2)
            low_teeth = smooth_step(0.030 - (bottom - v) + 0.012 * (1 - aside * aside), -0.006, 0.006)
            low_teeth *= low_teeth_show * smooth_step(1 - abs(aside), 0.2, 0.55)
            teeth, shade = _upper_teeth(u - middle, v, aside, top, line)
            shadow = 0.58 + 0.42 * smooth_step(min(v - top, 1.6 * (bottom - v)), -0.002, 0.016)
            for c in range(3):
                value = colours[0, c] + tongue * (colours[1, c] - colours[0, c])
                value += low_teeth * (0.6 * colours[2, c] - value)
                colour[c] = (value + 0.92 * teeth * (1.16 * shade * colours[2, c] - value)) * shadow
            for c in range(3):
                out[c, y, x] = tint[c, 0] * colour[0] + tint[c, 1] * colour[1] + tint[c, 2] * colour[2] + tint[c, 3]
    return out


@kernel
def _upper_teeth(u: float, v: float, aside: float, top: float, line: float) -> tuple[float, float]:
    """Return (whether the upper teeth are there, how bright they are). u: from the middle; v, top, line: canonical heights."""
    phase = u / TEETH_PITCH
    phase -= math.floor(phase)
    gap = min(phase, 1 - phase)
    edge = line + TEETH_DROP - TEETH_ARC * aside * aside - 0.006 * smooth_step(0.12 - gap, 0.0, 0.12)
    where = smooth_step(edge - v, -0.007, 0.007) * smooth_step(1 - abs(aside), 0.06, 0.5)
    rounded = min(1.0, max(-1.0, aside))
    shade = (0.72 + 0.28 * smooth_step(v - top, 0.0, 0.025)) * (1 - 0.5 * rounded * rounded)
    return where, shade * (1 - 0.20 * smooth_step(0.05 - gap, 0.0, 0.05)) * (1.04 - 0.10 * math.cos(2 * math.pi * phase))


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
