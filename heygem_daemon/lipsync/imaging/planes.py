"""Parts of a frame in its own YUV 4:2:0: cut out with whole blocks of colour, as numbers to draw on, and written back."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Float64, Image
from heygem_daemon.lipsync.geometry.landmarks import MOUTH_HULL
from heygem_daemon.lipsync.imaging.kernels.blend import write_back
from heygem_daemon.media.frame import Box, Frame, YuvSpace, from_yuv_matrix

_CROP_MARGIN: Final = 0.1
"""How far the crop of a mouth goes beyond the hull around mouth and chin, in IOD."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Planes:
    """Luma float32 [h, w] and colour float32 [h / 2, w / 2, 2] in codes, blue difference first."""

    luma: Float32
    colour: Float32


@dataclass(frozen=True, kw_only=True, eq=False)
class PlanarRoi:
    """A part of a frame that is drawn on. corner: x, y in the frame, even; changed: uint8 [h, w], 1 where a pixel is to be written back."""

    planes: Planes
    corner: tuple[int, int]
    changed: Image

    def part(self, box: Box) -> "PlanarRoi":
        """Return the part under `box` (pixels of the frame, even), sharing its memory."""
        x0, y0, x1, y1 = (value - self.corner[k % 2] for k, value in enumerate(box))
        luma, colour = self.planes.luma[y0:y1, x0:x1], self.planes.colour[y0 // 2 : y1 // 2, x0 // 2 : x1 // 2]
        return PlanarRoi(planes=Planes(luma=luma, colour=colour), corner=(box[0], box[1]), changed=self.changed[y0:y1, x0:x1])

    def written_on(self, frame: Frame) -> Frame:
        """Return the frame with the changed pixels; all others stay bit-identical."""
        out = Frame.from_i420(frame.i420().copy(), width=frame.width, height=frame.height, index=frame.index, space=frame.space)
        write_back(self.planes.luma, self.planes.colour, self.changed, self.corner, out.y, out.u, out.v)
        return out


def even_box(low: Float64, high: Float64) -> Box:
    """Return the smallest box of whole 2x2 blocks that holds the points `low` to `high` (x, y; half open)."""
    x0, y0 = (int(np.floor(value / 2)) * 2 for value in low)
    x1, y1 = (int(np.ceil(value / 2)) * 2 for value in high)
    return (x0, y0, max(x1, x0 + 2), max(y1, y0 + 2))


def mouth_box(points: Float64, scale: float) -> Box:
    """Return the even box around mouth and chin of a face [468, 2] in pixels, with a margin for what is read beside it."""
    hull = points[list(MOUTH_HULL)]
    return even_box(hull.min(0) - _CROP_MARGIN * scale, hull.max(0) + _CROP_MARGIN * scale)


def cut_out(frame: Frame, box: Box) -> Frame:
    """Return exactly `box` (even) of the frame as a frame; outside the frame its border is repeated."""
    halved = (box[0] // 2, box[1] // 2, box[2] // 2, box[3] // 2)
    return Frame(index=frame.index, y=_cut(frame.y, box), u=_cut(frame.u, halved), v=_cut(frame.v, halved), space=frame.space)


def _cut(plane: Image, box: Box) -> Image:
    x0, y0, x1, y1 = box
    if x0 >= 0 and y0 >= 0 and x1 <= plane.shape[1] and y1 <= plane.shape[0]:
        return plane[y0:y1, x0:x1]
    return plane.take(range(y0, y1), axis=0, mode="clip").take(range(x0, x1), axis=1, mode="clip")


def colour_plane(frame: Frame) -> Float32:
    """Return the colour of a frame, float32 [h / 2, w / 2, 2]."""
    return np.asarray(cv2.merge([frame.u, frame.v]), np.float32)


def to_bgr(codes: Float32, space: YuvSpace) -> Float32:
    """Return float32 [..., 3], blue first, 0-255, of luma and both colours in codes [..., 3]."""
    return np.asarray(((codes - space.offsets) @ from_yuv_matrix(space).T).clip(0, 255), np.float32)
