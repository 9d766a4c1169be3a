"""Blend mouths into the moved face, and write what changed into the frame."""

from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Image
from heygem_daemon.lipsync.imaging.kernels import kernel

_LEAST_ALPHA: Final = 1 / 512
"""Smaller alphas leave a pixel as it is."""


@kernel
def blend_mouth(
    luma: Float32,
    colour: Float32,
    over_luma: Float32,
    over_colour: Float32,
    covered: Image,
    alpha: Float32,
    correction: Float32,
    strength: float,
    cell: int,
    origin: tuple[int, int],
    changed: Image,
) -> None:
    """Blend a mouth with its colour correction into luma [h, w] and colour [h / 2, w / 2, 2], and mark what that changes.

    over_luma, over_colour: the mouth; covered, changed: uint8 [h, w]; alpha [hc, wc], correction [3, hc, wc]: in cells; origin: x, y of
    the first pixel of the cells; strength: 0-1.
    """
    height, width = luma.shape
    rows, columns = alpha.shape
    fields = np.empty((4, columns), np.float32)
    sums = np.zeros((width // 2, 3), np.float32)
    for y in range(height):
        place = min(max((y - origin[1] + 0.5) / cell - 0.5, 0.0), rows - 1.0)
        upper = int(place)
        lower, part = min(upper + 1, rows - 1), np.float32(place - upper)
        for i in range(columns):
            fields[0, i] = (alpha[upper, i] + (alpha[lower, i] - alpha[upper, i]) * part) * strength
            for c in range(3):
                fields[c + 1, i] = correction[c, upper, i] + (correction[c, lower, i] - correction[c, upper, i]) * part
        for x in range(width):
            if not covered[y, x]:
                continue
            across = min(max((x - origin[0] + 0.5) / cell - 0.5, 0.0), columns - 1.0)
            left = int(across)
            right, share = min(left + 1, columns - 1), np.float32(across - left)
            a = fields[0, left] + (fields[0, right] - fields[0, left]) * share
            if a <= 0:
                continue
            light = fields[1, left] + (fields[1, right] - fields[1, left]) * share
            luma[y, x] += (over_luma[y, x] + light - luma[y, x]) * a
            if a > _LEAST_ALPHA:
                changed[y, x] = 1
            i = x >> 1
            sums[i, 0] += a
            sums[i, 1] += a * (over_colour[y >> 1, i, 0] + fields[2, left] + (fields[2, right] - fields[2, left]) * share)
            sums[i, 2] += a * (over_colour[y >> 1, i, 1] + fields[3, left] + (fields[3, right] - fields[3, left]) * share)
        if y & 1:
            mix_colour(colour[y >> 1], sums)


@kernel
def mix_colour(colour: Float32, sums: Float32) -> None:
    """Mix a row of colour [w / 2, 2] with sums [w / 2, 3] over its pixels, of alpha and of alpha times both colours; clear the sums."""
    for i in range(len(sums)):
        if sums[i, 0] > 0:
            rest = np.float32(1) - np.float32(0.25) * sums[i, 0]
            colour[i, 0] = colour[i, 0] * rest + np.float32(0.25) * sums[i, 1]
            colour[i, 1] = colour[i, 1] * rest + np.float32(0.25) * sums[i, 2]
            sums[i, :] = 0


@kernel
def write_back(
    luma: Float32, colour: Float32, changed: Image, corner: tuple[int, int], y_plane: Image, u_plane: Image, v_plane: Image
) -> None:
    """Write the changed pixels into the planes of a frame, rounded. corner: x, y (even) of the part luma [h, w], colour [h / 2, w / 2, 2].

    Luma changes at the changed pixels (uint8 [h, w]) alone. The colour of a block is mixed with its old one where not all of it changed.
    """
    height, width = luma.shape
    left, top = max(0, -corner[0]), max(0, -corner[1])
    right, bottom = min(width, y_plane.shape[1] - corner[0]), min(height, y_plane.shape[0] - corner[1])
    for y in range(top, bottom, 2):
        j = (corner[1] + y) >> 1
        for x in range(left, right, 2):
            count = 0
            for row in range(y, y + 2):
                for column in range(x, x + 2):
                    if changed[row, column]:
                        count += 1
                        y_plane[corner[1] + row, corner[0] + column] = _code(luma[row, column])
            if count:
                i, share = (corner[0] + x) >> 1, np.float32(0.25) * count
                u_plane[j, i] = _code(colour[y >> 1, x >> 1, 0] * share + u_plane[j, i] * (1 - share))
                v_plane[j, i] = _code(colour[y >> 1, x >> 1, 1] * share + v_plane[j, i] * (1 - share))


@kernel
def _code(value: float) -> int:
    return np.uint8(min(np.float32(255), max(np.float32(0), value)) + np.float32(0.5))
