"""A generated lower face, laid over the frame so that nobody sees where: a mask of the face itself, its light, and its own skin."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import torch
from torch import Tensor

from heygem_daemon.lipsync.arrays import Float32, Float64
from heygem_daemon.lipsync.geometry.landmarks import JAW
from heygem_daemon.lipsync.geometry.pose import Face
from heygem_daemon.lipsync.imaging.compositing import (
    Canvas,
    canvas_between,
    changed,
    colour_membrane,
    in_cells,
    lip_skin,
    pixel_grid,
    to_bgr,
)
from heygem_daemon.lipsync.imaging.warp import blur, enlarge, fill, sample, shrink
from heygem_daemon.lipsync.wav2lip.framing import FaceBox
from heygem_daemon.lipsync.wav2lip.generator import TOP
from heygem_daemon.lipsync.wav2lip.network import SIDE
from heygem_daemon.media.frame import Frame

_JAW: Final = JAW[3:-3]
_CHIN: Final = slice(4, -4)
"""The corners of `_JAW` that sink when the mouth opens."""
_CHEEKS: Final = (426, 326, 97, 206)
"""The upper edge of the mask: beside and below the nose."""
_PULLED_IN: Final = 0.06
_CHIN_ROOM: Final = 0.05
"""How far the mask stays inside the face at its sides, and reaches beyond the chin, in IOD: a jaw that opens further moves the chin."""
_SOFTNESS: Final = 0.045
_MARGIN: Final = 0.2
_LIP_ROOM: Final = 0.1
"""Around the lips the colour is not compared: they may be open here and closed there. In IOD."""
_BORDER: Final = 3.0
"""Pixels of the generated face at its edges that are not used: a convolution knows nothing beyond them."""
_AROUND: Final = 0.7
_ALIKE: Final = 9.0
"""Grey levels by which frame and generated face may differ, without their detail, for the frame's detail to belong there too."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Patch:
    """What to lay over a frame. lower: float32 [52, 96, 3] in 0-255, blue first; strength: 0-1; has_detail: add the frame's own skin."""

    lower: Float32
    box: FaceBox
    strength: float
    has_detail: bool


def lay_patch(frame: Frame, face: Face, patch: Patch, device: torch.device) -> Frame:
    """Return the frame with the patch on its face; pixels outside the mask stay bit-identical."""
    outline = mask_outline(face)
    margin = _MARGIN * face.scale
    canvas = canvas_between(frame, outline.min(0) - margin, outline.max(0) + margin, face.scale, device)
    over, inside = _enlarged(canvas, patch)
    mask = _soft_mask(canvas, outline) * inside
    skin = shrink((mask > 0.5).float()[None], canvas.cell)[0] * (1 - lip_skin(canvas, canvas.local(face.picture), _LIP_ROOM))
    over = over + enlarge(colour_membrane(canvas, over, skin), canvas.cell)
    if patch.has_detail:
        over = over + _detail(canvas, over)
    alpha = mask * patch.strength
    blended = canvas.image + (over - canvas.image) * alpha
    return frame.paste(canvas.box, to_bgr(blended), changed(torch.zeros_like(alpha, dtype=torch.bool), alpha))


def mask_outline(face: Face) -> Float64:
    """Return the corners [n, 2] of the lower face in pixels: a little inside the jaw, a little beyond the chin, up to the nose."""
    jaw, cheeks = face.picture[list(_JAW)], face.picture[list(_CHEEKS)]
    middle = cheeks.mean(0)
    outward = jaw - middle
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    moved = np.full(len(jaw), -_PULLED_IN)
    moved[_CHIN] = _CHIN_ROOM
    points = np.concatenate([jaw + face.scale * moved[:, None] * outward, cheeks])
    return cv2.convexHull(points.astype(np.float32))[:, 0].astype(np.float64)


def _enlarged(canvas: Canvas, patch: Patch) -> tuple[Tensor, Tensor]:
    """Return the generated face in the canvas, float32 [3, h, w], and float32 [h, w]: 1 well inside of it, 0 outside."""
    device = canvas.image.device
    matrix = torch.from_numpy(patch.box.inverse).float().to(device)
    x, y = pixel_grid(canvas.size, device)
    x, y = x + canvas.origin[0], y + canvas.origin[1]
    across, down = (row[0] * x + row[1] * y + row[2] for row in matrix)
    lower = torch.from_numpy(np.ascontiguousarray(patch.lower)).to(device).permute(2, 0, 1)
    edge = torch.stack([across, SIDE - 1 - across, SIDE - 1 - down, down - TOP]).amin(0)
    return sample(lower, torch.stack([across, down - TOP])), ((edge - _BORDER) / _BORDER).clamp(0, 1)


def _soft_mask(canvas: Canvas, outline: Float64) -> Tensor:
    """Return float32 [h, w]: 1 inside, falling softly to 0 about the outline."""
    inside = fill(in_cells(canvas.local(outline), canvas.cell), canvas.cells, canvas.image.device)
    return enlarge(blur(inside[None], _SOFTNESS * canvas.scale / canvas.cell), canvas.cell)[0]


def _detail(canvas: Canvas, over: Tensor) -> Tensor:
    """Return the detail of the frame, float32 [3, h, w], where both look alike without it: skin, beard, teeth of a mouth equally open.

    Detail is what is finer than a cell. That is 1.5 pixels of the generated face, which is blurred by about one.
    """
    coarse = shrink(canvas.image, canvas.cell)
    difference = blur((coarse - shrink(over, canvas.cell)).abs().amax(0)[None], _AROUND)
    alike = enlarge(torch.exp(-((difference / _ALIKE) ** 2)), canvas.cell)
    return (canvas.image - enlarge(coarse, canvas.cell)) * alike
