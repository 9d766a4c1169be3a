"""Draw the interior of a mouth: that of a frame whose mouth is as far open, chosen apart from the frame the lips are taken from. Upper
teeth stay where they are in the skull, lower teeth move with the lower lip; where no frame shows anything a dark cavity is painted in the
tone of the skin."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Float64, Image, Triangles
from heygem_daemon.lipsync.atlas.draw_plan import DrawPlan
from heygem_daemon.lipsync.atlas.face_warp import KERNEL_REACH, sample_luma
from heygem_daemon.lipsync.atlas.source_mouth import SourceMouth
from heygem_daemon.lipsync.geometry.landmarks import CHEEKS, INNER_CORNERS, INNER_LOWER, INNER_OUTLINE, INNER_UPPER, LIPS
from heygem_daemon.lipsync.geometry.mouth_model import opening_of
from heygem_daemon.lipsync.geometry.smoothstep import smoothstep
from heygem_daemon.lipsync.imaging.grading import UNGRADED, Grading
from heygem_daemon.lipsync.imaging.kernels.gaussian import blur
from heygem_daemon.lipsync.imaging.kernels.interior import blend_interior, paint_interior, source_places
from heygem_daemon.lipsync.imaging.kernels.rasterise import rasterise
from heygem_daemon.lipsync.imaging.planes import PlanarRoi, colour_plane, cut_out, even_box
from heygem_daemon.lipsync.imaging.polygons import fill
from heygem_daemon.media.frame import Box, Frame, YuvSpace, bgr_matrix, from_yuv_matrix

_CAVITY: Final = (0.16, 0.12, 0.20)
_TONGUE: Final = (0.42, 0.33, 0.52)
"""Blue, green, red as fractions of the skin's."""
_APPEARS: Final = (0.004, 0.02)
"""Openings in IOD between which the interior appears."""
_HOLE_MARGIN: Final = 4
"""Pixels around the inner lips that are painted."""
_COLOUR_BLUR: Final = (0.5, 0.008)
_OPENING_BLUR: Final = (0.6, 0.009)
"""Sigma that softens the painted colour, and the edge of the opening: at least so many pixels, and in IOD."""

_OUTLINE: Final = np.array(INNER_OUTLINE)
_CHEEKS: Final = np.array(CHEEKS)
_LIPS: Final = np.array(LIPS)


@dataclass(frozen=True, kw_only=True, eq=False)
class SourceInterior:
    """The interior that another frame shows. mouth: its crop; canonical: its canonical face [468, 3]."""

    mouth: SourceMouth
    canonical: Float64


@dataclass(frozen=True, kw_only=True, eq=False)
class Palette:
    """What an interior is painted with. skin: [3], the colour of the skin, blue first, 0-255; grading and space: of the video."""

    skin: Float64
    grading: Grading = UNGRADED
    space: YuvSpace

    def colours(self) -> Float64:
        """Return [2, 3]: luma and both colour differences, without offsets, of cavity and tongue."""
        return np.stack([self.skin * _CAVITY, self.skin * _TONGUE]) @ bgr_matrix(self.space).T

    def tint(self) -> Float64:
        """Return [3, 4]: the affine map from such colours to those that the video shows."""
        matrix, offset = self.grading.tint_map()
        change = bgr_matrix(self.space)
        return np.column_stack([change @ matrix @ from_yuv_matrix(self.space), change @ offset])


@dataclass(frozen=True, kw_only=True, eq=False)
class SourcePlan:
    """Where the interior of another frame is read. to_crop: float32 [2, 3], from canonical x, y to pixels of its crop; upper, lower:
    [n, 2], the inner edges of its lips, canonical, rising in x."""

    to_crop: Float32
    upper: Float64
    lower: Float64


@dataclass(frozen=True, kw_only=True, eq=False)
class InteriorPlan:
    """The plan of an interior, the same for every way of drawing.

    hole:     the box that is painted, inside that of the mouth
    alpha:    float32 [h, w] of the hole
    upper, lower: [n, 2], the inner edges of the lips, canonical, rising in x
    corners:  canonical x of the corners of the resting mouth; line: canonical y of its lip line; opening: IOD
    colours, tint: see `Palette`; offsets: see `YuvSpace`
    softness: sigma in pixels that softens the painted colour
    source:   the frame whose interior is shown, None where there is none
    """

    hole: Box
    alpha: Float32
    upper: Float64
    lower: Float64
    corners: tuple[float, float]
    opening: float
    colours: Float64
    tint: Float64
    offsets: Float32
    softness: float
    source: SourcePlan | None


def plan_interior(plan: DrawPlan, *, rest: Float64, palette: Palette, source: SourcePlan | None = None) -> InteriorPlan:
    """Return what is drawn inside the lips. rest: the canonical face with closed lips; source: see `plan_source`."""
    hole, target = _hole(plan), plan.spec.target
    weight = plan.spec.interior * plan.spec.strength * smoothstep(float(opening_of(target)), *_APPEARS)
    mask = fill(plan.moved[_OUTLINE] - hole[:2], (hole[3] - hole[1], hole[2] - hole[0]))
    left, right = (float(rest[i, 0]) for i in INNER_CORNERS)
    return InteriorPlan(
        hole=hole,
        alpha=blur(mask[None], _sigma(_OPENING_BLUR, plan.scale))[0] * np.float32(weight),
        upper=_rising(target[list(INNER_UPPER), :2]),
        lower=_rising(target[list(INNER_LOWER), :2]),
        corners=(left, right),
        opening=max(1e-3, float(opening_of(target))),
        colours=palette.colours(),
        tint=palette.tint(),
        offsets=palette.space.offsets,
        softness=_sigma(_COLOUR_BLUR, plan.scale),
        source=source,
    )


def plan_source(points: Float64, canonical: Float64) -> SourcePlan:
    """Return where an interior is read. points: [468, 2], pixels of the crop; canonical: [468, 3], the same face."""
    places = np.concatenate([canonical[_LIPS, :2], np.ones((len(_LIPS), 1))], axis=1)
    return SourcePlan(
        to_crop=np.linalg.lstsq(places, points[_LIPS], rcond=None)[0].T.astype(np.float32),
        upper=_rising(canonical[list(INNER_UPPER), :2]),
        lower=_rising(canonical[list(INNER_LOWER), :2]),
    )


def draw_interior(
    roi: PlanarRoi, plan: DrawPlan, *, rest: Float64, triangles: Triangles, palette: Palette, source: SourceInterior | None = None
) -> None:
    """Draw what is between the lips into the part of the frame under `plan.mouth`, in place.

    triangles: of the lips and the opening; source: the frame whose interior is shown; the rest: see `plan_interior`.
    """
    shows = None if source is None else plan_source(source.mouth.points, source.canonical)
    interior = plan_interior(plan, rest=rest, palette=palette, source=shows)
    across, down, covered = _skull_places(plan, interior.hole, triangles)
    colour = blur(_painted(interior, across, down), interior.softness)
    colour += interior.offsets[:, None, None]
    if source is not None and shows is not None:
        shown, visible = _shown_by(source.mouth, shows, interior, across, down)
        colour += (shown - colour) * visible
    inside = roi.part(interior.hole)
    blend_interior(inside.planes.luma, inside.planes.colour, colour, interior.alpha * covered, inside.changed)


def skin_colour(frame: Frame, points: Float64) -> Float64:
    """Return [3]: the mean colour, blue first, of the cheeks of a face at `points` [468, 2]; outside the frame its border counts."""
    x, y = np.round(points[_CHEEKS]).astype(int).T
    x, y = np.clip(x, 0, frame.width - 1), np.clip(y, 0, frame.height - 1)
    codes = np.array([frame.y[y, x].mean(), frame.u[y // 2, x // 2].mean(), frame.v[y // 2, x // 2].mean()])
    return np.clip(from_yuv_matrix(frame.space) @ (codes - frame.space.offsets), 0, 255)


def _hole(plan: DrawPlan) -> Box:
    """Return the box of the inner lips, within that of the mouth."""
    outline = plan.moved[_OUTLINE]
    low, high = outline.min(0) - _HOLE_MARGIN, outline.max(0) + _HOLE_MARGIN
    x0, y0, x1, y1 = even_box(np.maximum(low, plan.mouth[:2]), np.minimum(high, plan.mouth[2:]))
    x0, y0 = min(x0, plan.mouth[2] - 2), min(y0, plan.mouth[3] - 2)
    return x0, y0, min(max(x1, x0 + 2), plan.mouth[2]), min(max(y1, y0 + 2), plan.mouth[3])


def _skull_places(plan: DrawPlan, hole: Box, triangles: Triangles) -> tuple[Float32, Float32, Image]:
    """Return canonical x and y of each pixel of the hole, float32 [h, w] each, and where there is one, uint8 [h, w]."""
    size = (hole[3] - hole[1], hole[2] - hole[0])
    across, down, covered = np.zeros(size, np.float32), np.zeros(size, np.float32), np.zeros(size, np.uint8)
    target = np.ascontiguousarray(plan.spec.target[:, :2])
    rasterise(plan.moved - hole[:2], target, triangles, across, down, covered)
    return across, down, covered


def _painted(plan: InteriorPlan, across: Float32, down: Float32) -> Float32:
    """Return float32 [3, h, w]: luma and both colour differences of the painted interior, without their offsets."""
    edges = (plan.upper, plan.lower, plan.corners, plan.opening)
    return np.asarray(paint_interior(across, down, *edges, plan.colours, plan.tint), np.float32)


def _shown_by(mouth: SourceMouth, source: SourcePlan, plan: InteriorPlan, across: Float32, down: Float32) -> tuple[Float32, Float32]:
    """Return (colour [3, h, w] in codes, where it is visible [h, w]): the interior of another frame."""
    there, visible = source_places(across, down, plan.upper, plan.lower, source.upper, source.lower)
    (ax, bx, cx), (ay, by, cy) = source.to_crop
    x, y = ax * across + bx * there + cx, ay * across + by * there + cy
    box = even_box(np.array([x.min(), y.min()]) - KERNEL_REACH, np.array([x.max(), y.max()]) + KERNEL_REACH + 1)
    crop = cut_out(mouth.crop, box)
    x, y = x - np.float32(box[0]), y - np.float32(box[1])
    colour = cv2.remap(colour_plane(crop), x / 2 - 0.25, y / 2 - 0.25, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.stack([sample_luma(crop.y.astype(np.float32), x, y), colour[:, :, 0], colour[:, :, 1]]), visible


def _rising(polyline: Float64) -> Float64:
    """Return the points [n, 2] in the order of their x."""
    return np.ascontiguousarray(polyline[np.argsort(polyline[:, 0], kind="stable")])


def _sigma(blur_of: tuple[float, float], scale: float) -> float:
    """Return a sigma in pixels, given as (least pixels, IOD)."""
    return max(blur_of[0], blur_of[1] * scale)
