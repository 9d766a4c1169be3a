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
from heygem_daemon.lipsync.imaging.compositing import changed_pixels, colour_membrane, lip_mask
from heygem_daemon.lipsync.imaging.roi import RoiTensor, pixel_grid, region_between, to_bgr, to_cells
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
    roi = region_between(frame, outline.min(0) - margin, outline.max(0) + margin, face.scale, device)
    over, inside = _enlarged(roi, patch)
    mask = _soft_mask(roi, outline) * inside
    skin = shrink((mask > 0.5).float()[None], roi.cell)[0] * (1 - lip_mask(roi, roi.local(face.points), _LIP_ROOM))
    over = over + enlarge(colour_membrane(roi, over, skin), roi.cell)
    if patch.has_detail:
        over = over + _detail(roi, over)
    alpha = mask * patch.strength
    blended = roi.image + (over - roi.image) * alpha
    return frame.paste(roi.box, to_bgr(blended), changed_pixels(torch.zeros_like(alpha, dtype=torch.bool), alpha))


def mask_outline(face: Face) -> Float64:
    """Return the corners [n, 2] of the lower face in pixels: a little inside the jaw, a little beyond the chin, up to the nose."""
    jaw, cheeks = face.points[list(_JAW)], face.points[list(_CHEEKS)]
    middle = cheeks.mean(0)
    outward = jaw - middle
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    moved = np.full(len(jaw), -_PULLED_IN)
    moved[_CHIN] = _CHIN_ROOM
    points = np.concatenate([jaw + face.scale * moved[:, None] * outward, cheeks])
    return cv2.convexHull(points.astype(np.float32))[:, 0].astype(np.float64)


def _enlarged(roi: RoiTensor, patch: Patch) -> tuple[Tensor, Tensor]:
    """Return the generated face in the canvas, float32 [3, h, w], and float32 [h, w]: 1 well inside of it, 0 outside."""
    device = roi.image.device
    matrix = torch.from_numpy(patch.box.inverse).float().to(device)
    x, y = pixel_grid(roi.size, device)
    x, y = x + roi.origin[0], y + roi.origin[1]
    across, down = (row[0] * x + row[1] * y + row[2] for row in matrix)
    lower = torch.from_numpy(np.ascontiguousarray(patch.lower)).to(device).permute(2, 0, 1)
    edge = torch.stack([across, SIDE - 1 - across, SIDE - 1 - down, down - TOP]).amin(0)
    return sample(lower, torch.stack([across, down - TOP])), ((edge - _BORDER) / _BORDER).clamp(0, 1)


def _soft_mask(roi: RoiTensor, outline: Float64) -> Tensor:
    """Return float32 [h, w]: 1 inside, falling softly to 0 about the outline."""
    inside = fill(to_cells(roi.local(outline), roi.cell), roi.cells, roi.image.device)
    return enlarge(blur(inside[None], _SOFTNESS * roi.scale / roi.cell), roi.cell)[0]


def _detail(roi: RoiTensor, over: Tensor) -> Tensor:
    """Return the detail of the frame, float32 [3, h, w], where both look alike without it: skin, beard, teeth of a mouth equally open.

    Detail is what is finer than a cell. That is 1.5 pixels of the generated face, which is blurred by about one.
    """
    coarse = shrink(roi.image, roi.cell)
    difference = blur((coarse - shrink(over, roi.cell)).abs().amax(0)[None], _AROUND)
    alike = enlarge(torch.exp(-((difference / _ALIKE) ** 2)), roi.cell)
    return (roi.image - enlarge(coarse, roi.cell)) * alike
