"""The colour membrane: what to add to the mouth of another frame so that it takes the light of the face it is put on.

A normalised convolution of the difference between the two over the skin that both show (Knutsson and Westin 1993).
"""

import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Image
from heygem_daemon.lipsync.imaging.kernels import kernel
from heygem_daemon.lipsync.imaging.kernels.gaussian import blur


@kernel
def colour_membrane(
    luma: Float32,
    colour: Float32,
    over_luma: Float32,
    over_colour: Float32,
    covered: Image,
    skin: Float32,
    cell: int,
    origin: tuple[int, int],
    sigma: float,
    far: float,
    limit: float,
) -> Float32:
    """Return float32 [3, hc, wc] in cells: the correction of luma, blue and red difference.

    luma [h, w], colour [h / 2, w / 2, 2]: the face; over_*: the mouth on it; covered: uint8 [h, w], where that is; skin: [hc, wc], 1 where
    both show the same skin; origin: x, y of the first pixel of the cells; sigma: of the Gaussian, cells; far: weight of a second one
    three times as wide; limit: the largest difference that counts, codes.
    """
    rows, columns = skin.shape
    stacked = np.zeros((4, rows, columns), np.float32)
    for j in range(rows):
        for i in range(columns):
            if skin[j, i] > 0:
                _cell_difference(luma, colour, over_luma, over_colour, covered, (i, j), cell, origin, limit, stacked)
                stacked[:, j, i] *= skin[j, i]
    near, wide = blur(stacked, sigma), blur(_halved(stacked), 1.5 * sigma)
    return _normalised(near, wide, np.float32(far))


@kernel
def _cell_difference(
    luma: Float32,
    colour: Float32,
    over_luma: Float32,
    over_colour: Float32,
    covered: Image,
    place: tuple[int, int],
    cell: int,
    origin: tuple[int, int],
    limit: float,
    out: Float32,
) -> None:
    """Write the mean differences of one cell, each weighted with how much of the cell is covered, and that weight, into out[:, j, i]."""
    i, j = place
    height, width = luma.shape
    count, light, blue, red = 0, np.float32(0), np.float32(0), np.float32(0)
    for y in range(max(0, j * cell + origin[1]), min(height, (j + 1) * cell + origin[1])):
        for x in range(max(0, i * cell + origin[0]), min(width, (i + 1) * cell + origin[0])):
            if covered[y, x]:
                count += 1
                light += luma[y, x] - over_luma[y, x]
                blue += colour[y >> 1, x >> 1, 0] - over_colour[y >> 1, x >> 1, 0]
                red += colour[y >> 1, x >> 1, 1] - over_colour[y >> 1, x >> 1, 1]
    share, weight = np.float32(1.0 / max(1, count)), np.float32(count / (cell * cell))
    out[0, j, i] = min(limit, max(-limit, light * share)) * weight
    out[1, j, i] = min(limit, max(-limit, blue * share)) * weight
    out[2, j, i] = min(limit, max(-limit, red * share)) * weight
    out[3, j, i] = weight


@kernel
def _halved(image: Float32) -> Float32:
    """Return image [c, h, w] at half the size, the mean of 2x2; what lies outside counts as zero."""
    channels, rows, columns = image.shape
    half = np.zeros((channels, (rows + 1) // 2, (columns + 1) // 2), np.float32)
    for c in range(channels):
        for j in range(rows):
            for i in range(columns):
                half[c, j >> 1, i >> 1] += np.float32(0.25) * image[c, j, i]
    return half


@kernel
def _normalised(near: Float32, wide: Float32, far: float) -> Float32:
    """Return [3, h, w]: differences over weights of near [4, h, w] plus `far` times `wide`, which has half the size."""
    _, rows, columns = near.shape
    _, half_rows, half_columns = wide.shape
    out = np.empty((3, rows, columns), np.float32)
    value = np.empty(4, np.float32)
    for j in range(rows):
        y = min(max((j + 0.5) * 0.5 - 0.5, 0.0), half_rows - 1.0)
        top = int(y)
        bottom, down = min(top + 1, half_rows - 1), np.float32(y - top)
        for i in range(columns):
            x = min(max((i + 0.5) * 0.5 - 0.5, 0.0), half_columns - 1.0)
            left = int(x)
            right, across = min(left + 1, half_columns - 1), np.float32(x - left)
            for c in range(4):
                upper = wide[c, top, left] + (wide[c, top, right] - wide[c, top, left]) * across
                lower = wide[c, bottom, left] + (wide[c, bottom, right] - wide[c, bottom, left]) * across
                value[c] = near[c, j, i] + far * (upper + (lower - upper) * down)
            for c in range(3):
                out[c, j, i] = value[c] / (value[3] + np.float32(1e-4))
    return out
