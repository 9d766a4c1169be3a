"""The part of a frame that is drawn on, and the drawing itself: warp the face, lay another mouth over it, blend."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from heygem_daemon.lipsync.arrays import Bool, Float64
from heygem_daemon.lipsync.geometry.landmarks import JAW, MOUTH_HULL, NOSE_BASE, OUTER_LOWER, OUTER_UPPER
from heygem_daemon.lipsync.geometry.triangulation import Triangulation, ring
from heygem_daemon.lipsync.imaging.warp import blur, enlarge, fill, sample, shrink, triangle_warp
from heygem_daemon.media.frame import Box, Frame

_CELLS_PER_IOD: Final = 43
"""Resolution of everything that is smooth (displacements, masks, colour correction): its cost does not grow with the picture."""
_MARGIN: Final = 0.09
_CROP_MARGIN: Final = 0.1
_ABOVE_NOSE: Final = 0.25
_SMOOTHNESS: Final = 0.035
_SUPERSAMPLING: Final = 2
"""Without it near-closed lips show specks."""
_EDGE: Final = 0.075
_UNSHARP: Final = 0.2
_UNSHARP_RADIUS: Final = 0.009
_MEMBRANE: Final = 0.11
_MEMBRANE_FAR: Final = 0.05
_MEMBRANE_LIMIT: Final = 60.0
_LIP_MARGIN: Final = 0.03
_LEAST_SHIFT: Final = 0.02
_LEAST_ALPHA: Final = 1 / 512


@dataclass(frozen=True, kw_only=True, eq=False)
class Canvas:
    """A box of a picture, a whole number of cells wide and high.

    image: float32 [3, h, w], 0-255, blue first; origin: x, y of its corner in the picture; scale: pixels per IOD; cell: pixels
    """

    image: Tensor
    origin: tuple[int, int]
    scale: float
    cell: int

    @property
    def size(self) -> tuple[int, int]:
        return self.image.shape[1], self.image.shape[2]

    @property
    def cells(self) -> tuple[int, int]:
        return self.image.shape[1] // self.cell, self.image.shape[2] // self.cell

    @property
    def box(self) -> Box:
        (x, y), (height, width) = self.origin, self.size
        return (x, y, x + width, y + height)

    def local(self, points: Float64) -> Float64:
        """Return points of the picture [n, 2] in pixels of the canvas."""
        return np.asarray(points - self.origin)

    def showing(self, image: Tensor) -> "Canvas":
        """Return the same canvas with another image."""
        return Canvas(image=image, origin=self.origin, scale=self.scale, cell=self.cell)

    def within(self, other: "Canvas") -> tuple[slice, slice]:
        """Return the rows and columns of `other` that this canvas covers."""
        x, y = self.origin[0] - other.origin[0], self.origin[1] - other.origin[1]
        return slice(y, y + self.size[0]), slice(x, x + self.size[1])

    def part(self, low: Float64, high: Float64) -> "Canvas":
        """Return the canvas of the cells between the points `low` and `high` (x, y in canvas pixels), clipped to this one."""
        height, width = self.size
        x0, y0 = (int(max(0, np.floor(v / self.cell))) * self.cell for v in low)
        x1, y1 = (int(np.ceil(v / self.cell)) * self.cell for v in high)
        x0, y0 = min(x0, width - self.cell), min(y0, height - self.cell)
        x1, y1 = max(x0 + self.cell, min(x1, width)), max(y0 + self.cell, min(y1, height))
        return Canvas(
            image=self.image[:, y0:y1, x0:x1], origin=(self.origin[0] + x0, self.origin[1] + y0), scale=self.scale, cell=self.cell
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Lent:
    """A mouth lent by another frame. image: float32 [3, h, w]; points: [468, 2] in its pixels; share: its part of a cross-fade."""

    image: Tensor
    points: Float64
    share: float


def open_canvas(frame: Frame, points: Float64, moved: Float64, scale: float, device: torch.device) -> Canvas:
    """Return the canvas of all that moves when landmarks go from `points` to `moved` ([468, 2], pixels): jaw, neck, cheeks."""
    outline = ring(moved, moved[NOSE_BASE], scale)
    low, high = outline.min(0) - _MARGIN * scale, outline.max(0) + _MARGIN * scale
    low[1] = points[NOSE_BASE, 1] - _ABOVE_NOSE * scale
    high[1] = max(high[1], points[list(JAW), 1].max() + _MARGIN * scale)
    return canvas_between(frame, low, high, scale, device)


def canvas_between(frame: Frame, low: Float64, high: Float64, scale: float, device: torch.device) -> Canvas:
    """Return the canvas of at least the picture between the corners `low` and `high` (x, y in pixels)."""
    cell = max(1, round(scale / _CELLS_PER_IOD))
    x0, y0 = (int(v) for v in np.floor(low))
    columns, rows = (max(2, int(np.ceil(v / cell))) for v in high - (x0, y0))
    box = (x0, y0, x0 + columns * cell, y0 + rows * cell)
    return Canvas(image=to_tensor(padded_bgr(frame, box), device), origin=(x0, y0), scale=scale, cell=cell)


def mouth_box(points: Float64, scale: float) -> Box:
    """Return the box around mouth and chin of a face [468, 2] in pixels, with a margin for what is read beside it."""
    hull = points[list(MOUTH_HULL)]
    low, high = hull.min(0) - _CROP_MARGIN * scale, hull.max(0) + _CROP_MARGIN * scale
    return (int(np.floor(low[0])), int(np.floor(low[1])), int(np.ceil(high[0])), int(np.ceil(high[1])))


def padded_bgr(frame: Frame, box: Box) -> npt.NDArray[np.uint8]:
    """Return uint8 [h, w, 3] of exactly `box`; what lies outside the picture repeats its border."""
    x0, y0, x1, y1 = frame.clip(box)
    if x0 >= x1 or y0 >= y1:
        return np.zeros((box[3] - box[1], box[2] - box[0], 3), np.uint8)
    border = ((y0 - box[1], box[3] - y1), (x0 - box[0], box[2] - x1), (0, 0))
    inside = frame.bgr((x0, y0, x1, y1))
    return inside if not any(map(any, border)) else np.pad(inside, border, mode="edge")


def to_tensor(bgr: npt.NDArray[np.uint8], device: torch.device) -> Tensor:
    """Return float32 [3, h, w] of uint8 [h, w, 3]."""
    return torch.from_numpy(bgr).to(device).permute(2, 0, 1).float()


def to_bgr(image: Tensor) -> npt.NDArray[np.uint8]:
    """Return uint8 [h, w, 3] of float32 [3, h, w], rounded and clipped."""
    return image.clamp(0, 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()


def warp_face(canvas: Canvas, points: Float64, moved: Float64, mesh: Triangulation) -> tuple[Tensor, Tensor]:
    """Move the lower face from `points` to `moved` ([468, 2], canvas pixels); the ring around the jaw holds still.

    Returns the image float32 [3, h, w] and where it differs, bool [h, w]. The displacement is smooth, also at the lips: they
    are covered by a lent mouth.
    """
    still = ring(moved, moved[NOSE_BASE], canvas.scale)
    source, target = np.concatenate([points, still]), np.concatenate([moved, still])
    height, width = canvas.cells
    device = canvas.image.device
    coordinates, covered = triangle_warp(in_cells(target, canvas.cell), in_cells(source, canvas.cell), mesh.whole, (height, width), device)
    shift = (coordinates - pixel_grid((height, width), device)) * covered
    shift = enlarge(blur(shift, _SMOOTHNESS * canvas.scale / canvas.cell), canvas.cell) * canvas.cell
    return sample(canvas.image, pixel_grid(canvas.size, device) + shift), shift.abs().amax(0) > _LEAST_SHIFT


def lend_mouth(canvas: Canvas, lent: Lent, moved: Float64, mesh: Triangulation) -> tuple[Tensor, Tensor]:
    """Return (image float32 [3, h, w], covered float32 [h, w]): the mouth of another frame, with its landmarks at `moved`."""
    height, width = canvas.size
    fine = (moved + 0.5) * _SUPERSAMPLING - 0.5
    size = (height * _SUPERSAMPLING, width * _SUPERSAMPLING)
    coordinates, covered = triangle_warp(fine, lent.points, mesh.mouth, size, canvas.image.device)
    image = shrink(sample(lent.image, coordinates), _SUPERSAMPLING)
    return image, (shrink(covered[None].float(), _SUPERSAMPLING)[0] > 0.99).float()


def lay_over(canvas: Canvas, lent: list[Lent], moved: Float64, mesh: Triangulation, strength: float) -> tuple[Tensor, Tensor]:
    """Blend lent mouths, weighted by their shares, into the canvas whose face is at `moved` ([468, 2], canvas pixels).

    Returns the image and its alpha, float32 [h, w]. The mouth takes the light of the skin around it: a colour membrane is the
    normalised convolution of the difference over the skin, without the lips.
    """
    layers = [lend_mouth(canvas, one, moved, mesh) for one in lent]
    over = torch.stack([one.share * image for one, (image, _) in zip(lent, layers, strict=True)]).sum(0)
    covered = torch.stack([mask for _, mask in layers]).amin(0)
    over = over + _UNSHARP * (over - blur(over, max(0.8, _UNSHARP_RADIUS * canvas.scale)))
    over = over + enlarge(_membrane(canvas, over, covered, moved), canvas.cell)
    alpha = enlarge(_soft_hull(canvas, moved)[None], canvas.cell)[0] * covered * strength
    return canvas.image + (over - canvas.image) * alpha, alpha


def mouth_canvas(canvas: Canvas, image: Tensor, moved: Float64) -> Canvas:
    """Return the part of the canvas, showing `image` instead, that holds the hull around mouth and chin."""
    hull = canvas.local(moved[list(MOUTH_HULL)])
    return canvas.showing(image).part(hull.min(0) - 0.03 * canvas.scale, hull.max(0) + 0.03 * canvas.scale)


def changed(difference: Tensor, alpha: Tensor) -> Bool:
    """Return bool [h, w]: the pixels to paste, where something moved or was laid over."""
    return np.asarray((difference | (alpha > _LEAST_ALPHA)).cpu().numpy())


def lip_skin(canvas: Canvas, moved: Float64, margin: float) -> Tensor:
    """Return float32 [h, w] in cells: 1 inside the outer lips of `moved` ([468, 2], canvas pixels) and up to `margin` IOD around them."""
    points = in_cells(moved[[*OUTER_UPPER, *OUTER_LOWER[-2:0:-1]]], canvas.cell)
    return fill(grown(points, margin * canvas.scale / canvas.cell), canvas.cells, canvas.image.device)


def colour_membrane(canvas: Canvas, over: Tensor, skin: Tensor) -> Tensor:
    """Return what to add to `over` (float32 [3, h, w]) so that it takes the light of the canvas, float32 [3, h, w] in cells.

    skin: float32 [h, w] in cells, 1 where both show the same skin. It is the normalised convolution of the difference over it.
    """
    difference = (shrink(canvas.image, canvas.cell) - shrink(over, canvas.cell)).clamp(-_MEMBRANE_LIMIT, _MEMBRANE_LIMIT)
    stacked = torch.cat([difference * skin, skin[None]])
    sigma = _MEMBRANE * canvas.scale / canvas.cell
    spread = blur(stacked, sigma) + _MEMBRANE_FAR * blur(stacked, 3 * sigma)
    return spread[:3] / (spread[3:] + 1e-4)


def _membrane(canvas: Canvas, over: Tensor, covered: Tensor, moved: Float64) -> Tensor:
    """Return the colour correction of a lent mouth, float32 [3, h, w] in cells."""
    hull = cv2.convexHull(in_cells(moved, canvas.cell)[list(MOUTH_HULL)].astype(np.float32))[:, 0].astype(np.float64)
    inside = fill(hull, canvas.cells, canvas.image.device)
    skin = inside * (1 - lip_skin(canvas, moved, _LIP_MARGIN)) * shrink(covered[None], canvas.cell)[0]
    return colour_membrane(canvas, over, skin)


def _soft_hull(canvas: Canvas, moved: Float64) -> Tensor:
    """Return float32 [h, w] in cells: 1 around the mouth, falling softly to 0 inside the hull's edge."""
    size = canvas.cells
    points = in_cells(moved[list(MOUTH_HULL)], canvas.cell).astype(np.float32)
    hull = cv2.convexHull(points)[:, 0].astype(np.float64)
    edge = _EDGE * canvas.scale / canvas.cell
    return blur(fill(grown(hull, -edge), size, canvas.image.device)[None], edge / 2)[0]


def grown(polygon: Float64, distance: float) -> Float64:
    """Return the polygon [n, 2] with its corners `distance` further from its centre (nearer, if negative)."""
    outward = polygon - polygon.mean(0)
    length = np.linalg.norm(outward, axis=1, keepdims=True) + 1e-9
    return np.asarray(polygon + outward / length * np.maximum(distance, -0.9 * length))


def in_cells(points: Float64, cell: int) -> Float64:
    """Return points in pixels of a canvas as points of the grid of its cells."""
    return np.asarray((points + 0.5) / cell - 0.5)


def pixel_grid(size: tuple[int, int], device: torch.device) -> Tensor:
    """Return float32 [2, h, w]: x and y of every pixel."""
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float32, device=device) for n in size), indexing="ij")
    return torch.stack([x, y])
