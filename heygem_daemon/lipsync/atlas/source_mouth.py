"""Put the mouth of other frames into a moved face: transfer, sharpen, take the light of the face, blend."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import cv2
import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Float64, Image, Triangles
from heygem_daemon.lipsync.atlas.draw_plan import DrawPlan
from heygem_daemon.lipsync.atlas.face_warp import sample_colour, sample_luma
from heygem_daemon.lipsync.geometry.landmarks import INNER_LIPS
from heygem_daemon.lipsync.imaging.kernels.blend import blend_mouth
from heygem_daemon.lipsync.imaging.kernels.gaussian import gaussian_taps
from heygem_daemon.lipsync.imaging.kernels.membrane import colour_membrane
from heygem_daemon.lipsync.imaging.kernels.rasterise import rasterise
from heygem_daemon.lipsync.imaging.kernels.transfer import cubic_weights, needed_pixels, pixel_sources, sample_bent
from heygem_daemon.lipsync.imaging.planes import PlanarRoi, Planes, colour_plane
from heygem_daemon.media.frame import Box, Frame

SUPERSAMPLING: Final = 2
"""Without it near-closed lips show specks."""
_PREFILTER: Final = np.array([1, 30, 1], np.float32) / 32
"""One bicubic sample of the image after this filter, both ways, is nearly the mean of four a quarter of a pixel away."""
_LIP_ROOM: Final = 3
_SMALL: Final = 100.0
"""Four samples are taken of every pixel that is no further from the inner lips than this, where contrasts are hard; and of all pixels of
faces with a smaller IOD, where they are hard everywhere and cost little. In pixels."""
UNSHARP: Final = 0.2
UNSHARP_RADIUS: Final = 0.0045
UNSHARP_LEAST: Final = 0.8
"""Unsharp masking of a source mouth: its amount, and its sigma in IOD, at least .8 pixels."""
MEMBRANE: Final = 0.11
MEMBRANE_FAR: Final = 0.05
MEMBRANE_LIMIT: Final = 60.0
"""The colour membrane: sigma of its Gaussian in IOD, weight of a second one three times as wide, the largest difference in codes."""

_INNER_LIPS: Final = np.array(INNER_LIPS)


@dataclass(frozen=True, kw_only=True, eq=False)
class SourceMouth:
    """The mouth of another frame. crop: its lower face; points: [468, 2] in pixels of it; weight: its part in a cross-fade."""

    crop: Frame
    points: Float64
    weight: float

    @property
    def luma(self) -> Float32:
        return self.crop.y.astype(np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class TransferredMouth:
    """A mouth in the box of a plan. planes: its image; covered: uint8 [h, w], 1 where it shows."""

    planes: Planes
    covered: Image


def put_mouth(roi: PlanarRoi, plan: DrawPlan, sources: Sequence[SourceMouth], triangles: Triangles) -> None:
    """Blend the mouths, each by its weight, into the moved face of a plan; roi: its part under `plan.mouth`, changed in place."""
    over, ours = transfer_mouths(plan, sources, triangles), roi.planes
    planes, grid = sharpened(_completed(over, ours), plan.scale), plan.mouth_grid
    origin = grid.origin_in(plan.mouth)
    correction = colour_membrane(
        ours.luma,
        ours.colour,
        planes.luma,
        planes.colour,
        over.covered,
        plan.skin,
        grid.cell,
        origin,
        MEMBRANE * plan.scale / grid.cell,
        MEMBRANE_FAR,
        MEMBRANE_LIMIT,
    )
    blend_mouth(
        ours.luma,
        ours.colour,
        planes.luma,
        planes.colour,
        over.covered,
        plan.alpha,
        correction,
        plan.spec.strength,
        grid.cell,
        origin,
        roi.changed,
    )


def transfer_mouths(plan: DrawPlan, sources: Sequence[SourceMouth], triangles: Triangles) -> TransferredMouth:
    """Return the weighted sum of the mouths, their landmarks at `plan.moved`. triangles: those of the mouth and the skin around it."""
    x0, y0, x1, y1 = plan.mouth
    height, width = y1 - y0, x1 - x0
    luma, colour = np.zeros((height, width), np.float32), np.zeros((height // 2, width // 2, 2), np.float32)
    covered = np.empty((height, width), np.uint8)
    needed_pixels(plan.alpha, plan.skin, plan.mouth_grid.cell, plan.mouth_grid.origin_in(plan.mouth), covered)
    fine = (plan.moved - (x0, y0) + 0.5) * SUPERSAMPLING - 0.5
    exact = exact_box(plan)
    for source in sources:
        places = _fine_places(fine, source.points, triangles, (height * SUPERSAMPLING, width * SUPERSAMPLING))
        across, down = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
        bent = pixel_sources(*places, exact, covered, across, down)
        image = source.luma
        smooth = cv2.sepFilter2D(image, cv2.CV_32F, _PREFILTER, _PREFILTER, borderType=cv2.BORDER_REPLICATE)
        read = sample_luma(np.asarray(smooth, np.float32), across, down)
        sample_bent(image, places[0], places[1], bent, _cubic_weights(), read)
        weight = np.float32(source.weight)
        luma += weight * read
        colour += weight * sample_colour(colour_plane(source.crop), across, down)
    return TransferredMouth(planes=Planes(luma=luma, colour=colour), covered=covered)


def exact_box(plan: DrawPlan) -> Box:
    """Return the box, in pixels of `plan.mouth`, in which four samples are taken of every pixel."""
    x0, y0, x1, y1 = plan.mouth
    if plan.scale < _SMALL:
        return 0, 0, x1 - x0, y1 - y0
    lips = plan.moved[_INNER_LIPS] - (x0, y0)
    (left, top), (right, bottom) = (bound.astype(int).tolist() for bound in (lips.min(0) - _LIP_ROOM, lips.max(0) + _LIP_ROOM))
    return left, top, right, bottom


def _completed(over: TransferredMouth, face: Planes) -> Planes:
    """Return the mouth with the face around it where it shows nothing: sharpening its edge needs both sides."""
    blocks = over.covered[::2, ::2] | over.covered[1::2, ::2] | over.covered[::2, 1::2] | over.covered[1::2, 1::2]
    luma = np.where(over.covered, over.planes.luma, face.luma)
    return Planes(luma=luma, colour=np.where(blocks[:, :, None], over.planes.colour, face.colour))


def sharpened(planes: Planes, scale: float) -> Planes:
    """Return the planes after unsharp masking, which makes up for what sampling lost. scale: pixels per IOD."""
    sigma = max(UNSHARP_LEAST, UNSHARP_RADIUS * scale)
    return Planes(luma=_unsharp(planes.luma, sigma), colour=_unsharp(planes.colour, sigma / 2))


def _fine_places(target: Float64, source: Float64, triangles: Triangles, size: tuple[int, int]) -> tuple[Float32, Float32, Image]:
    """Return x and y in the source for each pixel, float32 [h, w] each, and where there is one, uint8 [h, w]."""
    across, down, covered = np.empty(size, np.float32), np.empty(size, np.float32), np.zeros(size, np.uint8)
    rasterise(target, source, triangles, across, down, covered)
    return across, down, covered


def _unsharp(image: Float32, sigma: float) -> Float32:
    taps = gaussian_taps(sigma)
    smooth = cv2.sepFilter2D(image, cv2.CV_32F, taps, taps, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(cv2.addWeighted(image, 1 + UNSHARP, smooth, -UNSHARP, 0), np.float32)


@lru_cache(maxsize=1)
def _cubic_weights() -> Float32:
    return cubic_weights()
