"""The mouth of another frame: where its pixels come from, and the exact sampling of those where the map bends."""

from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Image, Int32
from heygem_daemon.lipsync.imaging.kernels import kernel

STRETCH: Final = 0.1
BEND: Final = 0.06
SHEAR: Final = 0.12
"""By how much, in pixels of the source, a pixel may be wider than one of the source, its sides may differ, and it may be sheared, to be
sampled once; else its four parts are."""
_CUBIC: Final = -0.75
"""The parameter of the bicubic kernel, OpenCV's."""
_STEPS: Final = 256
_STEP_BITS: Final = 8
_OFFSET: Final = 2**20
"""Positions between two pixels that are distinguished, that as bits, and what is added before numbers are cut to integers."""


@kernel
def needed_pixels(alpha: Float32, skin: Float32, cell: int, origin: tuple[int, int], needed: Image) -> None:
    """Write 1 into `needed` (uint8 [h, w]) where a cell, or one beside it, is drawn on or is skin that colours are compared on.

    alpha, skin: [hc, wc]; origin: x, y of the first pixel of the cells, in pixels of `needed`.
    """
    rows, columns = alpha.shape
    height, width = needed.shape
    needed[:] = 0
    for j in range(rows):
        top, bottom = max(0, (j - 1) * cell + origin[1]), min(height, (j + 2) * cell + origin[1])
        for i in range(columns):
            if alpha[j, i] > 1e-4 or skin[j, i] > 0:
                for y in range(top, bottom):
                    for x in range(max(0, (i - 1) * cell + origin[0]), min(width, (i + 2) * cell + origin[0])):
                        needed[y, x] = 1


@kernel
def pixel_sources(
    fine_across: Float32,
    fine_down: Float32,
    fine_covered: Image,
    exact: tuple[int, int, int, int],
    covered: Image,
    across: Float32,
    down: Float32,
) -> Int32:
    """Reduce a map at twice the resolution [2h, 2w] to the places of the pixels [h, w] themselves; return int32 [k], the pixels
    (y * w + x) whose four parts must be sampled one by one, because the map bends or folds there, or because they lie in `exact`.

    exact: x0, y0, x1, y1 in pixels; covered: uint8 [h, w], on entry which pixels are needed; on return those of them all four parts of
    which have a source.
    """
    height, width = across.shape
    bent, count = np.empty(height * width, np.int32), 0
    for y in range(height):
        for x in range(width):
            if not covered[y, x]:
                continue
            j, i = 2 * y, 2 * x
            if fine_covered[j, i] + fine_covered[j, i + 1] + fine_covered[j + 1, i] + fine_covered[j + 1, i + 1] < 4:
                covered[y, x] = 0
                continue
            a, b, c, d = fine_across[j, i], fine_across[j, i + 1], fine_across[j + 1, i], fine_across[j + 1, i + 1]
            e, f, g, k = fine_down[j, i], fine_down[j, i + 1], fine_down[j + 1, i], fine_down[j + 1, i + 1]
            across[y, x], down[y, x] = np.float32(0.25) * (a + b + c + d), np.float32(0.25) * (e + f + g + k)
            wide, high = np.float32(0.5) * (b - a + d - c), np.float32(0.5) * (g - e + k - f)
            bends = max(abs(a + d - b - c), abs(e + k - f - g)) > BEND or max(abs(c - a), abs(f - e)) > SHEAR
            lips = exact[0] <= x < exact[2] and exact[1] <= y < exact[3]
            if lips or bends or max(abs(wide - 0.5), abs(high - 0.5)) > STRETCH:
                bent[count] = y * width + x
                count += 1
    return bent[:count]


@kernel
def cubic_weights() -> Float32:
    """Return float32 [256, 4]: the bicubic weights (Keys 1981, a = -.75) of four pixels at each position between the middle two."""
    weights = np.empty((_STEPS, 4), np.float32)
    for step in range(_STEPS):
        for k in range(4):
            t = abs(k - 1 - step / _STEPS)
            near = ((_CUBIC + 2) * t - (_CUBIC + 3)) * t * t + 1
            far = ((_CUBIC * t - 5 * _CUBIC) * t + 8 * _CUBIC) * t - 4 * _CUBIC
            weights[step, k] = near if t <= 1 else far
    return weights


@kernel
def sample_bent(image: Float32, fine_across: Float32, fine_down: Float32, bent: Int32, weights: Float32, out: Float32) -> None:
    """Write into `out` [h, w] the mean of the four bicubic samples of `image` that make up each of the pixels `bent`."""
    width = out.shape[1]
    for k in range(len(bent)):
        y, x = bent[k] // width, bent[k] % width
        total = np.float32(0)
        for j in range(2 * y, 2 * y + 2):
            for i in range(2 * x, 2 * x + 2):
                total += _bicubic(image, fine_across[j, i], fine_down[j, i], weights)
        out[y, x] = np.float32(0.25) * total


@kernel
def _bicubic(image: Float32, x: float, y: float, weights: Float32) -> float:
    """Return `image` at (x, y), its border repeated."""
    height, width = image.shape
    column, row = int(x * _STEPS + (_OFFSET + 0.5)) - _OFFSET, int(y * _STEPS + (_OFFSET + 0.5)) - _OFFSET
    left, top = (column >> _STEP_BITS) - 1, (row >> _STEP_BITS) - 1
    across, down = weights[column & (_STEPS - 1)], weights[row & (_STEPS - 1)]
    total = np.float32(0)
    if left >= 0 and top >= 0 and left + 3 < width and top + 3 < height:
        for j in range(4):
            line = image[top + j]
            total += down[j] * (
                across[0] * line[left] + across[1] * line[left + 1] + across[2] * line[left + 2] + across[3] * line[left + 3]
            )
        return total
    for j in range(4):
        line = image[min(max(top + j, 0), height - 1)]
        for i in range(4):
            total += down[j] * across[i] * line[min(max(left + i, 0), width - 1)]
    return total
