"""Plan what is drawn on one frame: where the face moves, where the mouth is and how it is blended. The same for every way of drawing.

Everything that is smooth (displacement, masks, colour correction) is planned on a grid of cells, whose number does not grow with the frame.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Float64, Triangles
from heygem_daemon.lipsync.geometry.drift import turned_weight
from heygem_daemon.lipsync.geometry.landmarks import MOUTH_HULL, NOSE_BASE, OUTER_OUTLINE
from heygem_daemon.lipsync.geometry.pose import Face
from heygem_daemon.lipsync.geometry.triangulation import Triangulation, ring
from heygem_daemon.lipsync.imaging.kernels.displacement import displacement, moving_cells
from heygem_daemon.lipsync.imaging.kernels.gaussian import blur
from heygem_daemon.lipsync.imaging.kernels.rasterise import rasterise
from heygem_daemon.lipsync.imaging.planes import even_box
from heygem_daemon.lipsync.imaging.polygons import fill, grow_polygon
from heygem_daemon.media.frame import Box

LEAST_SHIFT: Final = 0.02
"""Pixels; what moves less stays as it is."""
_CELLS_PER_IOD: Final = 43
_MARGIN: Final = 0.09
"""How far the moving region goes beyond the triangles that move, in IOD: as far as the smoothing of their displacement."""
_SMOOTHNESS: Final = 0.035
"""Sigma of the Gaussian that smooths the displacement of the face, in IOD."""
_HULL_MARGIN: Final = 0.03
"""How far the region a mouth is drawn on goes beyond the hull around mouth and chin, in IOD."""
_MASK_EDGE: Final = 0.075
"""Width over which the mask of the mouth falls to 0 inside the hull, in IOD."""
_SILHOUETTE_EDGE: Final = 0.13
"""Width over which the mask of a turned head falls to 0 at the silhouette, in IOD: there the mesh is off by up to .06."""
_LIP_MARGIN: Final = 0.03
"""How far around the lips colours are not compared, in IOD."""

_HULL: Final = np.array(MOUTH_HULL)
_LIPS: Final = np.array(OUTER_OUTLINE)


@dataclass(frozen=True, kw_only=True)
class DrawSpec:
    """The description of what is drawn on one frame.

    target:   canonical face [468, 3] to show
    rows:     atlas rows and their weights (they sum to 1)
    interior: 0-1, how much of what is between the lips is drawn apart rather than taken from the mouths of `rows`
    strength: 0-1, 0 leaves the frame as it is
    interior_row: the atlas row whose interior is shown then; None: a dark cavity is painted
    """

    target: Float64
    rows: tuple[tuple[int, float], ...]
    interior: float
    strength: float
    interior_row: int | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class CellGrid:
    """A grid of square cells. cell: pixels of a side; corner: x, y of its first pixel in the frame."""

    cell: int
    corner: tuple[int, int]

    def to_cells(self, points: Float64) -> Float64:
        """Return points [n, 2] of the frame in cells."""
        return np.asarray((points - self.corner + 0.5) / self.cell - 0.5)

    def part(self, left: int, top: int) -> "CellGrid":
        """Return the grid that begins at this cell."""
        return CellGrid(cell=self.cell, corner=(self.corner[0] + left * self.cell, self.corner[1] + top * self.cell))

    def origin_in(self, box: Box) -> tuple[int, int]:
        """Return x, y of the first pixel of the grid, in pixels of a box of the frame."""
        return self.corner[0] - box[0], self.corner[1] - box[1]


@dataclass(frozen=True, kw_only=True, eq=False)
class DrawPlan:
    """The plan of one frame; boxes have whole 2x2 blocks and may reach beyond the frame.

    spec:   what is drawn
    scale:  pixels per IOD
    points: [468, 2], the landmarks as they are; moved: [468, 2], as they will be; pixels of the frame
    box:    of all that changes
    grid:   of the displacement `shift`, float32 [2, hc, wc], in cells
    mouth:  the box of the mouth, inside `box`; mouth_grid: its cells
    alpha:  float32 [h, w] in these cells: 1 around the mouth, falling softly to 0 inside the hull around mouth and chin
    skin:   float32 [h, w] in these cells: 1 inside the hull, 0 on the lips and around them
    """

    spec: DrawSpec
    scale: float
    points: Float64
    moved: Float64
    box: Box
    grid: CellGrid
    shift: Float32
    mouth: Box
    mouth_grid: CellGrid
    alpha: Float32
    skin: Float32


class Planner:
    """Plans frames of one presenter. mesh: of their face; weight: [468], how far speech moves each landmark."""

    def __init__(self, mesh: Triangulation, weight: Float64) -> None:
        self._triangles: Triangles = np.ascontiguousarray(mesh.whole)
        self._mouth: Triangles = np.ascontiguousarray(mesh.mouth)
        self._corners = np.unique(mesh.whole)
        self._weight = weight

    def plan(self, face: Face, spec: DrawSpec) -> DrawPlan:
        """Return the plan of `spec` on a face."""
        moved = face.shifted(spec.strength * (self._weight[:, None] * (spec.target - face.canonical)))
        still = ring(moved, moved[NOSE_BASE], face.scale)
        source, target = np.concatenate([face.points, still]), np.concatenate([moved, still])
        grid, size = self._moving_grid(source, target, face.scale)
        sigma = _SMOOTHNESS * face.scale / grid.cell
        shift = displacement(grid.to_cells(target), grid.to_cells(source), self._triangles, *size, sigma)
        cells = _mouth_cells(grid, size, moved, face.scale)
        mouth_grid, mouth_size = grid.part(cells[0], cells[1]), (cells[3] - cells[1], cells[2] - cells[0])
        alpha, skin = _masks(mouth_grid, mouth_size, moved, face.scale)
        if (turned := turned_weight(face.angles[0])) > 0:
            shown = 1 - turned * (1 - self._shown(grid, size, moved, face.scale)[cells[1] : cells[3], cells[0] : cells[2]])
            alpha, skin = alpha * shown, skin * shown**4
        return DrawPlan(
            spec=spec,
            scale=face.scale,
            points=face.points,
            moved=moved,
            box=_pixels(grid, _union(moving_cells(shift, LEAST_SHIFT / grid.cell), cells)),
            grid=grid,
            shift=shift,
            mouth=_pixels(grid, cells),
            mouth_grid=mouth_grid,
            alpha=alpha,
            skin=skin,
        )

    def _shown(self, grid: CellGrid, size: tuple[int, int], moved: Float64, scale: float) -> Float32:
        """Return float32 [h, w] in cells: 0 at the silhouette of the face and beyond, 1 where it is as far away as a mask takes to fall.

        The hull of the mouth on a turned head bridges what the cheek curves in, and reaches the silhouette on the far side.
        """
        points, covered = grid.to_cells(moved), np.zeros(size, np.uint8)
        rasterise(points, points, self._mouth, np.empty(size, np.float32), np.empty(size, np.float32), covered)
        soft = blur(covered.astype(np.float32)[None], _SILHOUETTE_EDGE * scale / grid.cell / 2)[0]
        return np.asarray(np.clip(2 * soft - 1, 0, 1), np.float32)

    def _moving_grid(self, source: Float64, target: Float64, scale: float) -> tuple[CellGrid, tuple[int, int]]:
        """Return the grid over all that moves (jaw, neck, cheeks), whichever way up the face is, and its rows and columns."""
        reached = np.concatenate([source[self._corners], target[self._corners]])
        low, high = reached.min(0) - _MARGIN * scale, reached.max(0) + _MARGIN * scale
        cell = max(1, round(scale / _CELLS_PER_IOD))
        grid = CellGrid(cell=cell, corner=(int(np.floor(low[0])), int(np.floor(low[1]))))
        columns, rows = (max(2, int(np.ceil(value / cell))) for value in high - grid.corner)
        return grid, (rows, columns)


def _mouth_cells(grid: CellGrid, size: tuple[int, int], moved: Float64, scale: float) -> Box:
    """Return left, top, right, bottom of the cells that hold the hull around mouth and chin, within `size` (rows, columns)."""
    hull = moved[_HULL] - grid.corner
    low, high = (hull.min(0) - _HULL_MARGIN * scale) / grid.cell, (hull.max(0) + _HULL_MARGIN * scale) / grid.cell
    rows, columns = size
    left, top = min(max(0, int(np.floor(low[0]))), columns - 1), min(max(0, int(np.floor(low[1]))), rows - 1)
    return left, top, max(left + 1, min(int(np.ceil(high[0])), columns)), max(top + 1, min(int(np.ceil(high[1])), rows))


def _masks(grid: CellGrid, size: tuple[int, int], moved: Float64, scale: float) -> tuple[Float32, Float32]:
    """Return `DrawPlan.alpha` and `DrawPlan.skin`."""
    hull = cv2.convexHull(grid.to_cells(moved[_HULL]).astype(np.float32))[:, 0].astype(np.float64)
    edge = _MASK_EDGE * scale / grid.cell
    alpha = blur(fill(grow_polygon(hull, -edge), size)[None], edge / 2)[0]
    lips = fill(grow_polygon(grid.to_cells(moved[_LIPS]), _LIP_MARGIN * scale / grid.cell), size)
    return alpha, fill(hull, size) * (1 - lips)


def _union(a: Box, b: Box) -> Box:
    """Return the box around both; `a` may be empty."""
    if a[2] <= a[0] or a[3] <= a[1]:
        return b
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def _pixels(grid: CellGrid, cells: Box) -> Box:
    """Return the box of whole blocks of the frame that holds these cells."""
    corners = np.array(cells, np.float64).reshape(2, 2) * grid.cell + grid.corner
    return even_box(corners[0], corners[1])
