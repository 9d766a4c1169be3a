"""Move the lower face of a frame as planned."""

from typing import Any, Final

import cv2
import numpy as np

from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.atlas.draw_plan import LEAST_SHIFT, DrawPlan
from heygem_daemon.lipsync.imaging.kernels.displacement import colour_maps, sampling_maps
from heygem_daemon.lipsync.imaging.planes import PlanarRoi, Planes, colour_plane, cut_out
from heygem_daemon.media.frame import Box, Frame

KERNEL_REACH: Final = 3
"""Pixels that sampling reads beyond the place it samples."""


def warp_face(frame: Frame, plan: DrawPlan) -> PlanarRoi:
    """Return the part of the frame under `plan.box` with the face moved; `changed` marks what moves."""
    x0, y0, x1, y1 = plan.box
    height, width = y1 - y0, x1 - x0
    box = source_box(plan)
    source = cut_out(frame, box)
    places, steps = np.empty((height, width, 2), np.int16), np.empty((height, width), np.uint16)
    colour_places, changed = np.empty((2, height // 2, width // 2), np.float32), np.empty((height, width), np.uint8)
    origin, corner = plan.grid.origin_in(plan.box), (box[0] - x0, box[1] - y0)
    sampling_maps(plan.shift, plan.grid.cell, origin, corner, LEAST_SHIFT, places, steps, colour_places, changed)
    luma = cv2.remap(source.y.astype(np.float32), places, steps, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    colour = cv2.remap(colour_plane(source), colour_places[0], colour_places[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return PlanarRoi(planes=Planes(luma=_float32(luma), colour=_float32(colour)), corner=(x0, y0), changed=changed)


def source_box(plan: DrawPlan) -> Box:
    """Return the box of the frame that is read for a plan: as far around `plan.box` as anything moves."""
    x0, y0, x1, y1 = plan.box
    reach = (int(np.abs(plan.shift).max() * plan.grid.cell) + KERNEL_REACH) // 2 * 2 + 2
    return (x0 - reach, y0 - reach, x1 + reach, y1 + reach)


def sample_luma(image: Float32, across: Float32, down: Float32) -> Float32:
    """Return image [h, w] read bicubically (a = -.75); its border is repeated."""
    return _float32(cv2.remap(image, across, down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))


def sample_colour(image: Float32, across: Float32, down: Float32) -> Float32:
    """Return colour [h / 2, w / 2, 2] read bilinearly for the maps [h, w] of luma; its border is repeated."""
    height, width = across.shape
    colour_across, colour_down = np.empty((height // 2, width // 2), np.float32), np.empty((height // 2, width // 2), np.float32)
    colour_maps(across, down, colour_across, colour_down)
    read = cv2.remap(image, colour_across, colour_down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return _float32(read)


def _float32(image: Any) -> Float32:
    return np.asarray(image, np.float32)
