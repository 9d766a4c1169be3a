"""Draw the interiors of the mouths of a batch, as `atlas.interior` draws one."""

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
from heygem_daemon.lipsync.imaging.kernels.interior import (
    LIP_EDGE,
    LOWER_SHARE,
    LOWER_TEETH,
    SHUT,
    SOFT_EDGE,
    STRETCH,
    TONGUE,
    UPPER_SHARE,
    UPPER_SHARE_WIDER,
    UPPER_TEETH,
    WIDER,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class InteriorTensors:
    """The interiors of m frames of a batch, on the device.

    frames: int64 [m]; corner: int64 [m, 2], x and y of the hole in the part that is drawn on; sizes: int64 [m, 2], its height and width
    alpha: float32 [m, h, w]; upper, lower: float32 [m, n, 2]; numbers: float32 [m, 4], corners, opening and softness;
    colours: float32 [m, 2, 3]; tint: float32 [m, 3, 4]; offsets: float32 [m, 3]: see `InteriorPlan`
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
    target: Tensor
    source: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class ShownTensors:
    """The frames whose interior is shown in some of the interiors of a batch. numbers: int64 [k], of these interiors; tables: int64
    [3, k, 3], of the crops in the resident textures; to_crop: float32 [k, 2, 3]; upper, lower: float32 [k, n, 2]: see `SourcePlan`."""

    numbers: Tensor
    tables: Tensor
    to_crop: Tensor
    upper: Tensor
    lower: Tensor


def interior_arrays(plans: Sequence[DrawPlan], interiors: Sequence[InteriorPlan]) -> dict[str, npt.NDArray[Any]]:
    """Return the fields of `InteriorTensors` that come from the plans, as arrays."""
    numbers = [(*each.corners, each.opening, each.softness) for each in interiors]
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
    }


def shown_arrays(sources: Sequence[SourcePlan]) -> dict[str, npt.NDArray[Any]]:
    """Return the fields of `ShownTensors` that come from the plans, as arrays."""
    return {
        "to_crop": np.stack([each.to_crop for each in sources]),
        "upper": np.stack([each.upper for each in sources]).astype(np.float32),
        "lower": np.stack([each.lower for each in sources]).astype(np.float32),
    }


def draw_interiors(canvas: Canvas, interiors: InteriorTensors, source: ShownTensors | None, there: Resident) -> Canvas:
    """Return the parts under the holes, `canvas`, with the interiors drawn in."""
    height, width = canvas.luma.shape[1:]
    triangles = triangle_table(interiors.target, interiors.source, there.opening, interiors.sizes)
    places = there.kernels.rasterise(triangles, (height, width))
    covered, places = ~torch.isnan(places[:, 0]), torch.nan_to_num(places)
    painted = _painted(places, interiors) * within(interiors.sizes, (height, width))[:, None]
    softness = interiors.numbers[:, 3]
    painted = apply_separable(gaussian(softness, height), painted, gaussian(softness, width)) + interiors.offsets[:, :, None, None]
    if source is not None:
        shown, visible = _shown_by(places[source.numbers], interiors, source, there)
        painted[source.numbers] += (shown - painted[source.numbers]) * visible[:, None]
    return canvas.blend(painted[:, 0], painted[:, 1:], interiors.alpha * covered)


def _painted(places: Tensor, interiors: InteriorTensors) -> Tensor:
    """Return float32 [m, 3, h, w]: what `kernels.interior.paint_interior` gives at canonical places [m, 2, h, w]."""
    u, v = places.unbind(1)
    left, right, opening, _ = interiors.numbers[:, :, None, None].unbind(1)
    aside = (u - (left + right) / 2) / ((right - left) / 2)
    top, bottom = _heights(u, interiors.upper), _heights(u, interiors.lower)
    rise = (bottom - v) / (0.55 * opening + 0.01)
    tongue = TONGUE * smoothstep(opening, 0.03, 0.12) * torch.exp(-((aside / 0.62) ** 2) - ((rise - 0.15) / 0.55) ** 2)
    shadow = 0.58 + 0.42 * smoothstep(torch.minimum(v - top, 1.6 * (bottom - v)), -0.002, 0.016)
    cavity, flesh = (interiors.colours[:, k, :, None, None] for k in range(2))
    colour = (cavity + tongue[:, None] * (flesh - cavity)) * shadow[:, None]
    return torch.einsum("mcd,mdhw->mchw", interiors.tint[:, :, :3], colour) + interiors.tint[:, :, 3, None, None]


def _source_places(places: Tensor, edges: tuple[Tensor, Tensor], source: ShownTensors) -> tuple[Tensor, Tensor]:
    """Return [k, h, w] each: what `kernels.interior.source_places` gives at places [k, 2, h, w]. edges: [k, n, 2], of the drawn lips."""
    u, v = places.unbind(1)
    top, bottom = (_heights(u, edge) for edge in edges)
    source_top, source_bottom = _heights(u, source.upper), _heights(u, source.lower)
    lift, drop = (source_top - top).clamp_min(0), source_bottom - bottom
    room, source_room = bottom - top, source_bottom - top - lift
    both = torch.minimum(room, source_room).clamp_min(0)
    wider = smoothstep(room / source_room.clamp_min(1e-4), *WIDER)
    high = ((UPPER_SHARE + UPPER_SHARE_WIDER * wider) * both).clamp_max(UPPER_TEETH)
    low = (LOWER_SHARE * both).clamp_max(LOWER_TEETH)
    between = (room - high - low).clamp_min(1e-4)
    stretch = between / (source_room - high - low).clamp_min(1e-4)
    part = ((v - top - high) / between).clamp(0, 1)
    inside = torch.minimum(v - top - high, bottom - low - v)
    empty = smoothstep(stretch, *STRETCH) * smoothstep(inside, 0.0, SOFT_EDGE)
    at = v + lift + part * (drop - lift)
    lowest = torch.maximum(source_bottom, source_top + 2 * LIP_EDGE) - LIP_EDGE
    at = torch.minimum(torch.maximum(at, source_top + LIP_EDGE), lowest)
    return at, (1 - empty) * smoothstep(source_room, *SHUT)


def _heights(u: Tensor, polylines: Tensor) -> Tensor:
    """Return [m, h, w]: the heights at u of polylines [m, n, 2] that rise in x; constant beyond their ends."""
    x, y = polylines.unbind(2)
    flat = u.flatten(1).contiguous()
    after = torch.searchsorted(x.contiguous(), flat, right=True).clamp(1, x.shape[1] - 1)
    x0, x1, y0, y1 = (values.gather(1, index) for values in (x, y) for index in (after - 1, after))
    part = ((flat - x0) / (x1 - x0).clamp_min(1e-9)).clamp(0, 1)
    return (y0 + (y1 - y0) * part).view_as(u)


def _shown_by(places: Tensor, interiors: InteriorTensors, source: ShownTensors, there: Resident) -> tuple[Tensor, Tensor]:
    """Return (colour [k, 3, h, w] in codes, where it is visible [k, h, w]): the interiors of other frames at canonical places."""
    edges = interiors.upper[source.numbers], interiors.lower[source.numbers]
    down, visible = _source_places(places, edges, source)
    at = torch.einsum("kcd,kdhw->kchw", source.to_crop[:, :, :2], torch.stack([places[:, 0], down], dim=1))
    at = at + source.to_crop[:, :, 2, None, None]
    kernels, texels = there.kernels, there.texels
    luma = kernels.sample(texels, source.tables[0], at, Kernel.CUBIC)
    colour = [kernels.sample(texels, table, at / 2 - 0.25, Kernel.LINEAR) for table in source.tables[1:]]
    return torch.stack([luma, *colour], dim=1), visible
