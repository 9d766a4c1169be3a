"""Blend a generated lower face into the frame, with a soft mask that follows the face, and the colour and the detail of the frame."""

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
from heygem_daemon.lipsync.imaging.grading import UNGRADED, Grading
from heygem_daemon.lipsync.imaging.roi import RoiTensor, pixel_grid, region_between, to_bgr, to_cells
from heygem_daemon.lipsync.imaging.warp import blur, enlarge, fill, sample, shrink
from heygem_daemon.lipsync.wav2lip.framing import FaceBox
from heygem_daemon.lipsync.wav2lip.generator import TOP
from heygem_daemon.lipsync.wav2lip.network import SIDE
from heygem_daemon.media.frame import Frame

_JAW: Final = JAW[3:-3]
"""Landmarks of the lower edge of the mask."""
_CHIN: Final = slice(4, -4)
"""Those of `_JAW` that sink when the mouth opens."""
_CHEEKS: Final = (426, 326, 97, 206)
"""Landmarks of the upper edge of the mask: beside and below the nose."""
_SIDE_INSET: Final = 0.06
_CHIN_ROOM: Final = 0.05
"""IOD by which the mask stays inside the face at its sides, and reaches beyond the chin: a jaw that opens further moves the chin."""
_SOFTNESS: Final = 0.045
"""IOD, the standard deviation of the blur of the mask."""
_MARGIN: Final = 0.2
"""IOD around the mask that are processed."""
_LIP_ROOM: Final = 0.1
"""IOD around the lips where the colour is not compared: they may be open in one image and shut in the other."""
_BORDER: Final = 3.0
"""Pixels of the generated face at its edges that are not used: convolutions lack context there."""
_SIMILARITY_BLUR: Final = 0.7
"""Standard deviation in cells of the blur of the difference between frame and generated face."""
_SIMILAR: Final = 9.0
"""Grey levels by which the two may differ, without their detail, where the detail of the frame is added to the generated face."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Patch:
    """A generated lower face. lower: float32 [52, 96, 3] in 0-255, blue first; strength: 0-1; has_detail: add the detail of the frame;
    grading: of the video."""

    lower: Float32
    box: FaceBox
    strength: float
    has_detail: bool
    grading: Grading = UNGRADED


def blend_patch(frame: Frame, face: Face, patch: Patch, device: torch.device) -> Frame:
    """Return the frame with the patch on its face; pixels outside the mask stay bit-identical."""
    outline = mask_outline(face)
    margin = _MARGIN * face.scale
    roi = region_between(frame, outline.min(0) - margin, outline.max(0) + margin, face.scale, device)
    generated, inside = _warp(roi, patch)
    mask = _soft_mask(roi, outline) * inside
    skin = shrink((mask > 0.5).float()[None], roi.cell)[0] * (1 - lip_mask(roi, roi.local(face.points), _LIP_ROOM))
    generated = patch.grading.limit(generated + enlarge(colour_membrane(roi, generated, skin), roi.cell))
    if patch.has_detail:
        generated = generated + _detail(roi, generated)
    alpha = mask * patch.strength
    blended = roi.image + (generated - roi.image) * alpha
    return frame.paste(roi.box, to_bgr(blended), changed_pixels(alpha))


def mask_outline(face: Face) -> Float64:
    """Return the corners [n, 2] of the lower face in pixels: a little inside the jaw, a little beyond the chin, up to the nose."""
    jaw, cheeks = face.points[list(_JAW)], face.points[list(_CHEEKS)]
    middle = cheeks.mean(0)
    outward = jaw - middle
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    moved = np.full(len(jaw), -_SIDE_INSET)
    moved[_CHIN] = _CHIN_ROOM
    points = np.concatenate([jaw + face.scale * moved[:, None] * outward, cheeks])
    return cv2.convexHull(points.astype(np.float32))[:, 0].astype(np.float64)


def _warp(roi: RoiTensor, patch: Patch) -> tuple[Tensor, Tensor]:
    """Return the generated face in the region, float32 [3, h, w], and float32 [h, w]: 1 well inside of it, 0 outside."""
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


def _detail(roi: RoiTensor, generated: Tensor) -> Tensor:
    """Return the detail of the frame, float32 [3, h, w], where both are similar without it: skin, beard, teeth of a mouth equally open.

    Detail is what is finer than a cell, which is 1.5 pixels of the generated face, which is blurred by about one.
    """
    coarse = shrink(roi.image, roi.cell)
    difference = blur((coarse - shrink(generated, roi.cell)).abs().amax(0)[None], _SIMILARITY_BLUR)
    similar = enlarge(torch.exp(-((difference / _SIMILAR) ** 2)), roi.cell)
    return (roi.image - enlarge(coarse, roi.cell)) * similar
