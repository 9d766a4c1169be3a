"""Draw the interiors of the mouths of a batch, as `atlas.interior` draws one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from heygem_daemon.lipsync.atlas.card.canvas import Canvas, within
from heygem_daemon.lipsync.atlas.card.resident import Resident
from heygem_daemon.lipsync.atlas.draw_plan import DrawPlan
from heygem_daemon.lipsync.atlas.interior import InteriorPlan, SourcePlan
from heygem_daemon.lipsync.geometry.smoothstep import smoothstep
from heygem_daemon.lipsync.imaging.card.rasterising import triangle_table
from heygem_daemon.lipsync.imaging.card.sampling import Kernel
from heygem_daemon.lipsync.imaging.card.separable import apply_separable, gaussian
from heygem_daemon.lipsync.imaging.card.staging import stacked
from heygem_daemon.lipsync.imaging.kernels.interior import TEETH_ARC, TEETH_DROP, TEETH_PITCH

_NOTHING = np.zeros((1, 1), np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class InteriorTensors:
    """The interiors of m frames of a batch, on the device.

    frames: int64 [m]; corner: int64 [m, 2], x and y of the hole in the part that is drawn on; sizes: int64 [m, 2], its height and width
    alpha: float32 [m, h, w]; upper, lower: float32 [m, n, 2]; numbers: float32 [m, 5], corners, line, opening and softness;
    colours: float32 [m, 3, 3]; tint: float32 [m, 3, 4]; offsets: float32 [m, 3]: see `InteriorPlan`
    to_crop: float32 [m, 2, 3]; tables: int64 [3, m, 3], of the crops; masks: float32 [k], one after the other; mask_table: int64 [m, 3];
    mask_corner: float32 [m, 2]: see `SourcePlan`; where the source shows no interior the mask is a single zero
    target, source: float64 [m, 468, 2], the landmarks in pixels of the hole, and canonical x and y
    """

    frames: Tensor
    corner: Tensor
    sizes: Tensor
    alpha: Tensor
    upper: Tensor
    lower: Tensor
    numbers: Tensor
    colours: Tensor
    tint: Tensor
    offsets: Tensor
    to_crop: Tensor
    tables: Tensor
    masks: Tensor
    mask_table: Tensor
    mask_corner: Tensor
    target: Tensor
    source: Tensor


def interior_arrays(plans: Sequence[DrawPlan], interiors: Sequence[InteriorPlan]) -> dict[str, npt.NDArray[Any]]:
    """Return the fields of `InteriorTensors` that come from the plans, as arrays."""
    numbers = [(*each.corners, each.line, each.opening, each.softness) for each in interiors]
    pairs = list(zip(plans, interiors, strict=True))
    return {
        "corner": np.array([(each.hole[0] - plan.box[0], each.hole[1] - plan.box[1]) for plan, each in pairs], np.int64),
        "sizes": np.array([each.alpha.shape for each in interiors], np.int64),
        "alpha": stacked([each.alpha for each in interiors]),
        "upper": np.stack([each.upper for each in interiors]).astype(np.float32),
        "lower": np.stack([each.lower for each in interiors]).astype(np.float32),
        "numbers": np.array(numbers, np.float32),
        "colours": np.stack([each.colours for each in interiors]).astype(np.float32),
        "tint": np.stack([each.tint for each in interiors]).astype(np.float32),
        "offsets": np.stack([each.offsets for each in interiors]),
        "target": np.stack([plan.moved - each.hole[:2] for plan, each in pairs]),
        "source": np.stack([plan.spec.target[:, :2] for plan in plans]),
        **_source_arrays([each.source for each in interiors]),
    }


def _source_arrays(sources: Sequence[SourcePlan | None]) -> dict[str, npt.NDArray[Any]]:
    masks = [_NOTHING if source is None else source.mask for source in sources]
    ends = np.cumsum([0, *(mask.size for mask in masks)])
    table = [(int(begin), *mask.shape) for begin, mask in zip(ends[:-1], masks, strict=True)]
    to_crop = [np.zeros((2, 3), np.float32) if source is None else source.to_crop for source in sources]
    return {
        "to_crop": np.stack(to_crop),
        "masks": np.concatenate([mask.reshape(-1) for mask in masks]),
        "mask_table": np.array(table, np.int64),
        "mask_corner": np.array([(0, 0) if source is None else source.corner for source in sources], np.float32),
    }


def draw_interiors(canvas: Canvas, interiors: InteriorTensors, there: Resident) -> Canvas:
    """Return the parts under the holes, `canvas`, with the interiors painted in."""
    height, width = canvas.luma.shape[1:]
    triangles = triangle_table(interiors.target, interiors.source, there.opening, interiors.sizes)
    places = there.kernels.rasterise(triangles, (height, width))
    covered, places = ~torch.isnan(places[:, 0]), torch.nan_to_num(places)
    painted = _painted(places, interiors) * within(interiors.sizes, (height, width))[:, None]
    softness = interiors.numbers[:, 4]
    painted = apply_separable(gaussian(softness, height), painted, gaussian(softness, width)) + interiors.offsets[:, :, None, None]
    shown, visible = _shown_by_source(places, interiors, there)
    painted = painted + (shown - painted) * visible[:, None]
    return canvas.blend(painted[:, 0], painted[:, 1:], interiors.alpha * covered)


def _painted(places: Tensor, interiors: InteriorTensors) -> Tensor:
    """Return float32 [m, 3, h, w]: what `kernels.interior.paint_interior` gives at canonical places [m, 2, h, w]."""
    u, v = places.unbind(1)
    left, right, line, opening, _ = interiors.numbers[:, :, None, None].unbind(1)
    middle = (left + right) / 2
    aside = (u - middle) / ((right - left) / 2)
    top, bottom = _heights(u, interiors.upper), _heights(u, interiors.lower)
    rise = (bottom - v) / (0.55 * opening + 0.01)
    tongue = 0.75 * smoothstep(opening, 0.03, 0.12) * torch.exp(-((aside / 0.62) ** 2) - ((rise - 0.15) / 0.55) ** 2)
    low = smoothstep(0.030 - (bottom - v) + 0.012 * (1 - aside * aside), -0.006, 0.006)
    low = low * 0.55 * smoothstep(opening, 0.09, 0.2) * smoothstep(1 - aside.abs(), 0.2, 0.55)
    teeth, shade = _upper_teeth(u - middle, v, aside, top, line)
    shadow = 0.58 + 0.42 * smoothstep(torch.minimum(v - top, 1.6 * (bottom - v)), -0.002, 0.016)
    cavity, flesh, enamel = (interiors.colours[:, k, :, None, None] for k in range(3))
    colour = cavity + tongue[:, None] * (flesh - cavity)
    colour = colour + low[:, None] * (0.6 * enamel - colour)
    colour = (colour + 0.92 * teeth[:, None] * (1.16 * shade[:, None] * enamel - colour)) * shadow[:, None]
    return torch.einsum("mcd,mdhw->mchw", interiors.tint[:, :, :3], colour) + interiors.tint[:, :, 3, None, None]


def _upper_teeth(u: Tensor, v: Tensor, aside: Tensor, top: Tensor, line: Tensor) -> tuple[Tensor, Tensor]:
    """Return (whether the upper teeth are there, how bright they are). u: from the middle; v, top, line: canonical heights."""
    phase = u / TEETH_PITCH
    phase = phase - phase.floor()
    gap = torch.minimum(phase, 1 - phase)
    edge = line + TEETH_DROP - TEETH_ARC * aside * aside - 0.006 * smoothstep(0.12 - gap, 0.0, 0.12)
    where = smoothstep(edge - v, -0.007, 0.007) * smoothstep(1 - aside.abs(), 0.06, 0.5)
    shade = (0.72 + 0.28 * smoothstep(v - top, 0.0, 0.025)) * (1 - 0.5 * aside.clamp(-1, 1) ** 2)
    return where, shade * (1 - 0.20 * smoothstep(0.05 - gap, 0.0, 0.05)) * (1.04 - 0.10 * torch.cos(2 * math.pi * phase))


def _heights(u: Tensor, polylines: Tensor) -> Tensor:
    """Return [m, h, w]: the heights at u of polylines [m, n, 2] that rise in x; constant beyond their ends."""
    x, y = polylines.unbind(2)
    flat = u.flatten(1).contiguous()
    after = torch.searchsorted(x.contiguous(), flat, right=True).clamp(1, x.shape[1] - 1)
    x0, x1, y0, y1 = (values.gather(1, index) for values in (x, y) for index in (after - 1, after))
    part = ((flat - x0) / (x1 - x0).clamp_min(1e-9)).clamp(0, 1)
    return (y0 + (y1 - y0) * part).view_as(u)


def _shown_by_source(places: Tensor, interiors: InteriorTensors, there: Resident) -> tuple[Tensor, Tensor]:
    """Return (colour [m, 3, h, w] in codes, where it is visible [m, h, w]): the source's interior at the same canonical places."""
    at = torch.einsum("mcd,mdhw->mchw", interiors.to_crop[:, :, :2], places) + interiors.to_crop[:, :, 2, None, None]
    kernels, texels = there.kernels, there.texels
    luma = kernels.sample(texels, interiors.tables[0], at, Kernel.CUBIC)
    colour = [kernels.sample(texels, table, at / 2 - 0.25, Kernel.LINEAR) for table in interiors.tables[1:]]
    mask_at = at - interiors.mask_corner[:, :, None, None]
    visible = kernels.sample(interiors.masks, interiors.mask_table, mask_at, Kernel.CUBIC).clamp(0, 1)
    return torch.stack([luma, *colour], dim=1), visible
