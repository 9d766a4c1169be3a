"""One decoded picture, kept as the decoder gave it: planar YUV 4:2:0, so that untouched pixels stay untouched."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels, half open."""

# Luma weights (Kr, Kb) of the matrices ffprobe names; ITU-R BT.601-7, BT.709-6, BT.2020-2, SMPTE 240M.
LUMA_WEIGHTS: Final = {
    "bt709": (0.2126, 0.0722),
    "smpte170m": (0.299, 0.114),
    "bt470bg": (0.299, 0.114),
    "fcc": (0.30, 0.11),
    "smpte240m": (0.212, 0.087),
    "bt2020nc": (0.2627, 0.0593),
    "bt2020c": (0.2627, 0.0593),
}


@dataclass(frozen=True, kw_only=True)
class YuvSpace:
    """How the planes of a frame mean colour: `matrix` as ffprobe names it, and whether luma uses 0-255 or 16-235."""

    matrix: str
    full_range: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """Picture `index` of its source. y: uint8 [h, w]; u, v: uint8 [ceil(h/2), ceil(w/2)]."""

    index: int
    y: Plane
    u: Plane
    v: Plane
    space: YuvSpace
