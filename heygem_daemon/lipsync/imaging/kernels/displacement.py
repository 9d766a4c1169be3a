"""How the lower face moves: a smooth displacement on a coarse grid of cells, and the maps by which OpenCV samples pixels."""

from typing import Final

import numpy as np
import numpy.typing as npt

from heygem_daemon.lipsync.arrays import Float32, Float64, Image, Triangles
from heygem_daemon.lipsync.imaging.kernels import kernel
from heygem_daemon.lipsync.imaging.kernels.gaussian import blur
from heygem_daemon.lipsync.imaging.kernels.rasterise import rasterise

Int16 = npt.NDArray[np.int16]
UInt16 = npt.NDArray[np.uint16]

STEPS: Final = 32
_STEP_BITS: Final = 5
_OFFSET: Final = 2**20
"""Positions between two pixels that OpenCV distinguishes, that as bits, and what is added before numbers are cut to integers."""


@kernel
def displacement(target: Float64, source: Float64, triangles: Triangles, height: int, width: int, sigma: float) -> Float32:
    """Return float32 [2, height, width] in cells: by how much (x, y) further away each cell comes from, smoothed by `sigma` cells."""
    across, down = np.empty((height, width), np.float32), np.empty((height, width), np.float32)
    covered = np.zeros((height, width), np.uint8)
    rasterise(target, source, triangles, across, down, covered)
    shift = np.zeros((2, height, width), np.float32)
    for y in range(height):
        for x in range(width):
            if covered[y, x]:
                shift[0, y, x] = across[y, x] - x
                shift[1, y, x] = down[y, x] - y
    return blur(shift, sigma)


@kernel
def moving_cells(shift: Float32, least: float) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom (half open) of the cells that move by more than `least` cells, with one cell more around them;
    an empty box where none does."""
    _, height, width = shift.shape
    left, top, right, bottom = width, height, 0, 0
    for y in range(height):
        for x in range(width):
            if max(abs(shift[0, y, x]), abs(shift[1, y, x])) > least:
                left, right, top, bottom = min(left, x), max(right, x + 1), min(top, y), max(bottom, y + 1)
    return max(0, left - 1), max(0, top - 1), min(width, right + 1), min(height, bottom + 1)


@kernel
def sampling_maps(
    shift: Float32,
    cell: int,
    origin: tuple[int, int],
    corner: tuple[int, int],
    least: float,
    places: Int16,
    steps: UInt16,
    colour_places: Float32,
    moved: Image,
) -> None:
    """Write where each pixel of an image part comes from, in pixels of the part whose corner in the frame is `corner` (x, y), as OpenCV
    keeps such maps: `places` int16 [h, w, 2], x and y rounded down, and `steps` uint16 [h, w], 32 times the rest, y above x in 5 bits each.

    colour_places: float32 [2, h / 2, w / 2], where the blocks of colour come from, the mean of their pixels; moved: uint8 [h, w], whether a
    pixel comes from more than `least` pixels away; shift: [2, hc, wc] in cells; origin: x, y of the first pixel of the grid of cells, in
    pixels of the part that is written.
    """
    height, width = steps.shape
    colour_places[:] = 0
    _, rows, columns = shift.shape
    left, right, share = np.empty(width, np.int32), np.empty(width, np.int32), np.empty(width, np.float32)
    for x in range(width):
        place = min(max((x - origin[0] + 0.5) / cell - 0.5, 0.0), columns - 1.0)
        left[x] = int(place)
        right[x], share[x] = min(left[x] + 1, columns - 1), place - left[x]
    line = np.empty((2, columns), np.float32)
    for y in range(height):
        place = min(max((y - origin[1] + 0.5) / cell - 0.5, 0.0), rows - 1.0)
        upper = int(place)
        lower, part = min(upper + 1, rows - 1), np.float32(place - upper)
        for d in range(2):
            for x in range(columns):
                line[d, x] = (shift[d, upper, x] + (shift[d, lower, x] - shift[d, upper, x]) * part) * cell
        for x in range(width):
            dx = line[0, left[x]] + (line[0, right[x]] - line[0, left[x]]) * share[x]
            dy = line[1, left[x]] + (line[1, right[x]] - line[1, left[x]]) * share[x]
            u, v = np.float32(x - corner[0]) + dx, np.float32(y - corner[1]) + dy
            column, row = int(u * STEPS + (_OFFSET + 0.5)) - _OFFSET, int(v * STEPS + (_OFFSET + 0.5)) - _OFFSET
            places[y, x, 0], places[y, x, 1] = column >> _STEP_BITS, row >> _STEP_BITS
            steps[y, x] = ((row & (STEPS - 1)) << _STEP_BITS) + (column & (STEPS - 1))
            colour_places[0, y >> 1, x >> 1] += u * np.float32(0.125) - np.float32(0.0625)
            colour_places[1, y >> 1, x >> 1] += v * np.float32(0.125) - np.float32(0.0625)
            moved[y, x] = max(abs(dx), abs(dy)) > least


@kernel
def colour_maps(across: Float32, down: Float32, colour_across: Float32, colour_down: Float32) -> None:
    """Write the maps [h / 2, w / 2] of the colour for maps [h, w] of luma: a block comes from where its four pixels do, in the mean."""
    rows, columns = colour_across.shape
    for j in range(rows):
        for i in range(columns):
            x, y = _block_mean(across, i, j), _block_mean(down, i, j)
            colour_across[j, i], colour_down[j, i] = np.float32(0.5) * x - np.float32(0.25), np.float32(0.5) * y - np.float32(0.25)


@kernel
def _block_mean(image: Float32, i: int, j: int) -> float:
    """Return the mean of the 2x2 block in column i and row j."""
    x, y = 2 * i, 2 * j
    return np.float32(0.25) * (image[y, x] + image[y, x + 1] + image[y + 1, x] + image[y + 1, x + 1])
