"""Move the lower faces of a batch of frames as planned."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from heygem_daemon.lipsync.arrays import Image, Int64
from heygem_daemon.lipsync.atlas.card.canvas import Canvas, block_means, cells_to_pixels
from heygem_daemon.lipsync.atlas.draw_plan import LEAST_SHIFT, DrawPlan
from heygem_daemon.lipsync.atlas.face_warp import source_box
from heygem_daemon.lipsync.imaging.card.device_kernels import TorchKernels
from heygem_daemon.lipsync.imaging.card.sampling import Kernel
from heygem_daemon.lipsync.imaging.card.separable import apply_separable
from heygem_daemon.lipsync.imaging.card.staging import stacked
from heygem_daemon.lipsync.imaging.card.textures import planes_table
from heygem_daemon.lipsync.imaging.kernels.displacement import STEPS
from heygem_daemon.lipsync.imaging.planes import cut_out
from heygem_daemon.media.frame import Frame


@dataclass(frozen=True, kw_only=True, eq=False)
class FaceTensors:
    """What the faces of a batch are moved by, on the device.

    texels: uint8 [n], the parts of the frames that are read; tables: int64 [3, b, 3], see `textures.planes_table`
    corner: int64 [b, 2], x and y of the part that is drawn on, in the part that is read; sizes: int64 [b, 2], its height and width
    shift: float32 [b, 2, hc, wc]; cell: int64 [b]; origin: int64 [b, 2], x and y; cells: int64 [b, 2], rows and columns: see `DrawPlan`
    """

    texels: Tensor
    tables: Tensor
    corner: Tensor
    sizes: Tensor
    shift: Tensor
    cell: Tensor
    origin: Tensor
    cells: Tensor


def face_arrays(frames: Sequence[Frame], plans: Sequence[DrawPlan]) -> dict[str, npt.NDArray[Any]]:
    """Return the fields of `FaceTensors` as arrays."""
    boxes = [source_box(plan) for plan in plans]
    parts = [_packed(cut_out(frame, box)) for frame, box in zip(frames, boxes, strict=True)]
    ends = np.cumsum([0, *(part.size for part in parts)])
    size = _sizes(boxes)
    return {
        "texels": np.concatenate(parts),
        "tables": planes_table(ends[:-1].astype(np.int64), size[:, 0], size[:, 1]),
        "corner": np.array([(plan.box[0] - box[0], plan.box[1] - box[1]) for plan, box in zip(plans, boxes, strict=True)], np.int64),
        "sizes": _sizes([plan.box for plan in plans]),
        "shift": stacked([plan.shift for plan in plans]),
        "cell": np.array([plan.grid.cell for plan in plans], np.int64),
        "origin": np.array([plan.grid.origin_in(plan.box) for plan in plans], np.int64),
        "cells": np.array([plan.shift.shape[1:] for plan in plans], np.int64),
    }


def warp_faces(faces: FaceTensors, size: tuple[int, int], kernels: TorchKernels) -> Canvas:
    """Return the parts with the faces moved. size: height and width of the largest."""
    (height, width), (rows, columns) = size, faces.shift.shape[2:]
    down = cells_to_pixels(height, faces.origin[:, 1], faces.cell, rows, faces.cells[:, 0])
    across = cells_to_pixels(width, faces.origin[:, 0], faces.cell, columns, faces.cells[:, 1])
    shift = apply_separable(down, faces.shift, across) * faces.cell[:, None, None, None]
    places = shift + _pixel_grid(size, faces.corner)
    return Canvas(
        luma=kernels.sample(faces.texels, faces.tables[0], _in_steps(places), Kernel.CUBIC),
        colour=sample_colour(faces.texels, faces.tables, places, kernels),
        changed=shift.abs().amax(1) > LEAST_SHIFT,
    )


def sample_colour(texels: Tensor, tables: Tensor, places: Tensor, kernels: TorchKernels) -> Tensor:
    """Return float32 [b, 2, h / 2, w / 2]: the colour at places [b, 2, h, w] of luma, in the middle of each block."""
    blocks = block_means(places) / 2 - 0.25
    read = kernels.sample(texels, tables[1:].flatten(0, 1), blocks.repeat(2, 1, 1, 1), Kernel.LINEAR)
    return read.view(2, len(places), *read.shape[1:]).transpose(0, 1)


def original(faces: FaceTensors, size: tuple[int, int], kernels: TorchKernels) -> Canvas:
    """Return the parts as they are in the frames; nothing of them has changed."""
    places = _pixel_grid(size, faces.corner)
    return Canvas(
        luma=kernels.sample(faces.texels, faces.tables[0], places, Kernel.LINEAR),
        colour=sample_colour(faces.texels, faces.tables, places, kernels),
        changed=torch.zeros(len(places), *size, dtype=torch.bool, device=places.device),
    )


def _in_steps(places: Tensor) -> Tensor:
    """Return the places rounded as the maps of the CPU are."""
    return torch.floor(places * STEPS + 0.5) / STEPS


def _pixel_grid(size: tuple[int, int], corner: Tensor) -> Tensor:
    """Return float32 [b, 2, h, w]: x and y of the pixels of parts at `corner` [b, 2]."""
    y, x = torch.meshgrid(*(torch.arange(n, device=corner.device) for n in size), indexing="ij")
    return (torch.stack([x, y]) + corner[:, :, None, None]).float()


def _sizes(boxes: Sequence[tuple[int, int, int, int]]) -> Int64:
    return np.array([(y1 - y0, x1 - x0) for x0, y0, x1, y1 in boxes], np.int64)


def _packed(frame: Frame) -> Image:
    return np.concatenate([plane.reshape(-1) for plane in (frame.y, frame.u, frame.v)])
