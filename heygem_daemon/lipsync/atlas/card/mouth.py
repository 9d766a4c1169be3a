"""Put the mouths of other frames into the moved faces of a batch: transfer, sharpen, take the light of the face, blend."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from heygem_daemon.lipsync.arrays import Float64
from heygem_daemon.lipsync.atlas.card.canvas import Canvas, block_means, cells_to_pixels, pixels_to_cells, to_pixels, within
from heygem_daemon.lipsync.atlas.card.face import sample_colour
from heygem_daemon.lipsync.atlas.card.resident import Resident
from heygem_daemon.lipsync.atlas.draw_plan import DrawPlan
from heygem_daemon.lipsync.atlas.source_mouth import (
    MEMBRANE,
    MEMBRANE_FAR,
    MEMBRANE_LIMIT,
    SUPERSAMPLING,
    UNSHARP,
    UNSHARP_LEAST,
    UNSHARP_RADIUS,
    exact_box,
)
from heygem_daemon.lipsync.imaging.card.rasterising import triangle_table
from heygem_daemon.lipsync.imaging.card.sampling import Kernel
from heygem_daemon.lipsync.imaging.card.separable import apply_separable, gaussian, interpolation, membership
from heygem_daemon.lipsync.imaging.card.staging import stacked
from heygem_daemon.lipsync.imaging.kernels.transfer import BEND, SHEAR, STRETCH


@dataclass(frozen=True, kw_only=True, eq=False)
class MouthTensors:
    """The places of the mouths of a batch, on the device.

    corner: int64 [b, 2], x and y of the mouth's box in the part that is drawn on; sizes: int64 [b, 2], its height and width
    alpha, skin: float32 [b, hc, wc]; cell: int64 [b]; origin: int64 [b, 2], x and y; cells: int64 [b, 2], rows and columns: see `DrawPlan`
    exact: int64 [b, 4], the box (x0, y0, x1, y1) in the mouth's box where every pixel is sampled exactly
    scale, strength: float32 [b]
    """

    corner: Tensor
    sizes: Tensor
    alpha: Tensor
    skin: Tensor
    cell: Tensor
    origin: Tensor
    cells: Tensor
    exact: Tensor
    scale: Tensor
    strength: Tensor

    def down(self, height: int) -> Tensor:
        """Return the matrices that enlarge rows of cells to `height` pixels."""
        return cells_to_pixels(height, self.origin[:, 1], self.cell, self.alpha.shape[1], self.cells[:, 0])

    def across(self, width: int) -> Tensor:
        """Return the matrices that enlarge columns of cells to `width` pixels."""
        return cells_to_pixels(width, self.origin[:, 0], self.cell, self.alpha.shape[2], self.cells[:, 1])

    def sums(self, planes: Tensor) -> Tensor:
        """Return the sums [b, c, hc, wc] of planes [b, c, h, w], cell by cell."""
        rows = pixels_to_cells(planes.shape[2], self.origin[:, 1], self.cell, self.alpha.shape[1], self.sizes[:, 0])
        columns = pixels_to_cells(planes.shape[3], self.origin[:, 0], self.cell, self.alpha.shape[2], self.sizes[:, 1])
        return apply_separable(rows, planes, columns)


@dataclass(frozen=True, kw_only=True, eq=False)
class SourceTensors:
    """One source mouth each for some frames of a batch. frames: int64 [m]; weight: float32 [m]; tables: int64 [3, m, 3], of their crops in
    the resident textures; target, source: float64 [m, 468, 2], the landmarks in pixels of twice the resolution of the mouth's box, and in
    pixels of the crop; sizes: int64 [m, 2], height and width at twice the resolution."""

    frames: Tensor
    weight: Tensor
    tables: Tensor
    target: Tensor
    source: Tensor
    sizes: Tensor


def mouth_arrays(plans: Sequence[DrawPlan]) -> dict[str, npt.NDArray[Any]]:
    """Return the fields of `MouthTensors` as arrays."""
    return {
        "corner": np.array([(plan.mouth[0] - plan.box[0], plan.mouth[1] - plan.box[1]) for plan in plans], np.int64),
        "sizes": np.array([mouth_size(plan) for plan in plans], np.int64),
        "alpha": stacked([plan.alpha for plan in plans]),
        "skin": stacked([plan.skin for plan in plans]),
        "cell": np.array([plan.mouth_grid.cell for plan in plans], np.int64),
        "origin": np.array([plan.mouth_grid.origin_in(plan.mouth) for plan in plans], np.int64),
        "cells": np.array([plan.alpha.shape for plan in plans], np.int64),
        "exact": np.array([exact_box(plan) for plan in plans], np.int64),
        "scale": np.array([plan.scale for plan in plans], np.float32),
        "strength": np.array([plan.spec.strength for plan in plans], np.float32),
    }


def mouth_size(plan: DrawPlan) -> tuple[int, int]:
    """Return height and width of the mouth's box."""
    x0, y0, x1, y1 = plan.mouth
    return y1 - y0, x1 - x0


def source_arrays(plans: Sequence[DrawPlan], points: Float64) -> dict[str, npt.NDArray[Any]]:
    """Return the corners of the triangles of source mouths, as arrays. points: [m, 468, 2], in pixels of the crops."""
    fine = np.stack([(plan.moved - plan.mouth[:2] + 0.5) * SUPERSAMPLING - 0.5 for plan in plans])
    return {"target": fine, "source": points, "sizes": np.array([mouth_size(plan) for plan in plans], np.int64) * SUPERSAMPLING}


def put_mouths(canvas: Canvas, mouths: MouthTensors, sources: Sequence[SourceTensors], there: Resident) -> Canvas:
    """Return the parts under the mouths' boxes, `canvas`, with the mouths blended in, each by its weight."""
    over, covered = transfer(canvas, mouths, sources, there)
    over = _sharpened(_completed(over, covered, canvas, mouths), mouths)
    correction = _colour_membrane(canvas, over, covered, mouths)
    height, width = canvas.luma.shape[1:]
    fields = torch.cat([mouths.alpha[:, None] * mouths.strength[:, None, None, None], correction], dim=1)
    fields = apply_separable(mouths.down(height), fields, mouths.across(width))
    return canvas.blend(over.luma + fields[:, 1], to_pixels(over.colour) + fields[:, 2:], fields[:, 0] * covered)


def transfer(canvas: Canvas, mouths: MouthTensors, sources: Sequence[SourceTensors], there: Resident) -> tuple[Canvas, Tensor]:
    """Return (the weighted sum of the mouths, where all of them show, bool [b, h, w])."""
    height, width = canvas.luma.shape[1:]
    luma, colour = torch.zeros_like(canvas.luma), torch.zeros_like(canvas.colour)
    covered, is_exact = _needed(mouths, (height, width)), _in_boxes(mouths.exact, (height, width))
    kernels, texels = there.kernels, there.texels
    for source in sources:
        triangles = triangle_table(source.target, source.source, there.mouth, source.sizes)
        fine = kernels.rasterise(triangles, (height * SUPERSAMPLING, width * SUPERSAMPLING))
        places = block_means(fine)
        shown = covered[source.frames] & ~torch.isnan(places[:, 0])
        places = torch.where(shown[:, None], places, 0)
        once = kernels.sample(texels, source.tables[0], places, Kernel.PREFILTERED)
        parts = block_means(kernels.sample(texels, source.tables[0], fine, Kernel.CUBIC))
        weight = source.weight[:, None, None]
        luma[source.frames] += weight * torch.where(is_exact[source.frames] | _bends(fine), parts, once)
        colour[source.frames] += weight[:, None] * sample_colour(texels, source.tables, places, kernels)
        covered[source.frames] = shown
    return Canvas(luma=luma, colour=colour, changed=canvas.changed), covered


def _any_of_block(pixels: Tensor) -> Tensor:
    """Return bool [b, h / 2, w / 2]: whether any of the 2x2 pixels, bool [b, h, w], holds."""
    return functional.max_pool2d(pixels.float()[:, None], 2)[:, 0] > 0


def _completed(over: Canvas, covered: Tensor, face: Canvas, mouths: MouthTensors) -> Canvas:
    """Return the mouths with the face around them where they show nothing, and zero beyond the size of each."""
    luma = torch.where(covered, over.luma, face.luma) * within(mouths.sizes, covered.shape[1:])
    colour = torch.where(_any_of_block(covered)[:, None], over.colour, face.colour)
    inside = within(mouths.sizes // 2, colour.shape[2:])[:, None]
    return Canvas(luma=luma, colour=colour * inside, changed=over.changed)


def _needed(mouths: MouthTensors, size: tuple[int, int]) -> Tensor:
    """Return bool [b, h, w]: the pixels whose cell, or one beside it, is drawn on or is skin that colours are compared on."""
    used = ((mouths.alpha > 1e-4) | (mouths.skin > 0)).float()[:, None]
    used = functional.max_pool2d(functional.pad(used, (1, 1, 1, 1)), 3, stride=1, padding=1)[:, 0]
    cells = []
    for axis, count in enumerate(size):
        pixel = torch.arange(count, device=used.device) - mouths.origin[:, 1 - axis, None]
        cells.append((torch.div(pixel, mouths.cell[:, None], rounding_mode="floor") + 1).clamp(0, used.shape[1 + axis] - 1))
    frame = torch.arange(len(used), device=used.device)[:, None, None]
    return (used[frame, cells[0][:, :, None], cells[1][:, None, :]] > 0) & within(mouths.sizes, size)


def _in_boxes(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return bool [b, h, w]: the pixels in boxes [b, 4]; x0, y0, x1, y1, half open."""
    x0, y0, x1, y1 = boxes[:, :, None].unbind(1)
    rows, columns = (torch.arange(n, device=boxes.device) for n in size)
    return ((rows >= y0) & (rows < y1))[:, :, None] & ((columns >= x0) & (columns < x1))[:, None]


def _bends(fine: Tensor) -> Tensor:
    """Return bool [b, h, w]: the pixels whose four parts, `fine` [b, 2, 2 h, 2 w], must be sampled one by one; see `pixel_sources`."""
    a, b, c, d = (fine[:, :, j::2, i::2] for j in (0, 1) for i in (0, 1))
    along = torch.stack([(b - a + d - c)[:, 0], (c - a + d - b)[:, 1]]) / 2
    aside = torch.stack([(c - a)[:, 0], (b - a)[:, 1]])
    bent = (a + d - b - c).abs().amax(1) > BEND
    return bent | (aside.abs().amax(0) > SHEAR) | ((along - 0.5).abs().amax(0) > STRETCH)


def _sharpened(over: Canvas, mouths: MouthTensors) -> Canvas:
    """Return the mouths after unsharp masking."""
    sigma = (UNSHARP_RADIUS * mouths.scale).clamp_min(UNSHARP_LEAST)
    luma, colour = (_unsharp(planes, by) for planes, by in ((over.luma[:, None], sigma), (over.colour, sigma / 2)))
    return Canvas(luma=luma[:, 0], colour=colour, changed=over.changed)


def _unsharp(planes: Tensor, sigma: Tensor) -> Tensor:
    smooth = apply_separable(gaussian(sigma, planes.shape[2]), planes, gaussian(sigma, planes.shape[3]))
    return (1 + UNSHARP) * planes - UNSHARP * smooth


def _colour_membrane(canvas: Canvas, over: Canvas, covered: Tensor, mouths: MouthTensors) -> Tensor:
    """Return float32 [b, 3, hc, wc]: the correction of luma, blue and red difference; see `kernels.membrane`."""
    difference = torch.cat([(canvas.luma - over.luma)[:, None], to_pixels(canvas.colour - over.colour)], dim=1)
    sums = mouths.sums(torch.cat([difference, torch.ones_like(difference[:, :1])], dim=1) * covered[:, None])
    count = sums[:, 3:]
    mean = (sums[:, :3] / count.clamp_min(1)).clamp(-MEMBRANE_LIMIT, MEMBRANE_LIMIT)
    weight = count / mouths.cell[:, None, None, None] ** 2 * mouths.skin[:, None]
    stack = torch.cat([mean * weight, weight], dim=1)
    sigma = MEMBRANE * mouths.scale / mouths.cell
    near = apply_separable(gaussian(sigma, stack.shape[2]), stack, gaussian(sigma, stack.shape[3]))
    rows, columns = (_wide_gaussian(sigma, mouths.cells[:, axis], stack.shape[2 + axis]) for axis in (0, 1))
    spread = near + MEMBRANE_FAR * apply_separable(rows, stack, columns)
    return spread[:, :3] / (spread[:, 3:] + 1e-4)


def _wide_gaussian(sigma: Tensor, cells: Tensor, size: int) -> Tensor:
    """Return [b, size, size]: a Gaussian three times as wide as `sigma` [b], computed on half the grid and enlarged."""
    half, place = (size + 1) // 2, torch.arange(size, device=sigma.device)
    halved = membership((place // 2).expand(len(sigma), -1), half) / 2
    enlarged = interpolation(((place + 0.5) / 2 - 0.5).expand(len(sigma), -1), (cells + 1) // 2, half)
    return enlarged @ gaussian(1.5 * sigma, half) @ halved
