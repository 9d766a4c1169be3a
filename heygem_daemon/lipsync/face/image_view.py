"""Crop squares for a network, from BGR images and from planar YUV frames alike.

Only the square is converted to RGB: turning a whole 1080x1920 frame into BGR takes 2.5 ms on one core, as long as finding a
face in it.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import cv2
import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Float64, Image
from heygem_daemon.media.frame import LUMA_WEIGHTS, Frame, YuvSpace

_GREY: Final = 128
"""Code of chroma without colour."""
THUMBNAIL: Final = 64
"""Pixels of the longer side of a thumbnail."""
_SAMPLED: Final = 6
"""A pixel of a thumbnail is the mean of so many times so many pixels of the image, evenly spread: it is as still from frame to frame as
the mean of all of them, which takes ten times as long."""
_CAST: Final = 25.0
_CAST_RESIDUAL: Final = 2.5
"""Codes of chroma: a frame has a cast of colour where chroma is so far from grey in the mean, and is a function of brightness up to this
root mean square. Seven clips in night-vision green: 28-64 and at most 1.3; in their own colours at least 7 from the function; in sepia up
to 21. The networks find no face in most of the green ones, and in all of them once they are grey."""
_CAST_SAMPLES: Final = 32
"""Samples of chroma along the shorter side that decide it."""


@dataclass(frozen=True, kw_only=True)
class Roi:
    """A square of an image in pixels: its centre, the length of a side, and its angle in radians (clockwise on screen)."""

    x: float
    y: float
    size: float
    angle: float = 0.0


class ImageView:
    """One image or decoded frame to find faces in."""

    def __init__(self, source: Image | Frame) -> None:
        """`source`: BGR uint8 [h, w, 3], or a decoded frame."""
        self._planes: tuple[Image, ...] = (source.y, source.u, source.v) if isinstance(source, Frame) else (source,)
        self._space = source.space if isinstance(source, Frame) else None
        self._luma: Image = source.y if isinstance(source, Frame) else source[:, :, 1]
        self._is_cast = isinstance(source, Frame) and _has_cast(source)
        self.height, self.width = self._luma.shape[:2]

    def crop(self, roi: Roi, pixels: int, *, extend: bool) -> Float32:
        """Return RGB float32 [pixels, pixels, 3] in 0-255: what `roi` shows.

        A frame in one colour, as of night vision, is shown in grey. Outside the image is black, or with `extend` the nearest pixel.
        Strong reductions are averaged first, so that sampling noise does not make landmarks jitter.
        """
        count = 1 if self._is_cast else len(self._planes)
        planes = [self._crop_plane(index, roi, pixels, extend) for index in range(count)]
        if self._space is None:
            return np.asarray(planes[0][:, :, ::-1], np.float32)
        planes += [np.full((pixels, pixels), _GREY, np.uint8)] * (len(self._planes) - count)
        rgb = np.asarray(cv2.transform(cv2.merge(planes).astype(np.float32), _matrix(self._space)), np.float32)
        return np.clip(rgb, 0, 255, out=rgb)

    def crop_brightness(self, roi: Roi, pixels: int) -> Image:
        """Return uint8 [pixels, pixels]: the brightness of what `roi` shows, outside the image that of the nearest pixel."""
        plane = self._crop_plane(0, roi, pixels, extend=True)
        return plane if plane.ndim == 2 else plane[:, :, 1]

    def thumbnail(self) -> Float32:
        """Return the brightness, float32 [h, w] in 0-255, the longer side 64: enough to detect scene cuts and changes."""
        scale = THUMBNAIL / max(self.height, self.width)
        width, height = max(1, round(self.width * scale)), max(1, round(self.height * scale))
        sampled = cv2.resize(self._luma, (width * _SAMPLED, height * _SAMPLED), interpolation=cv2.INTER_NEAREST_EXACT)
        return np.asarray(cv2.resize(sampled, (width, height), interpolation=cv2.INTER_AREA), np.float32)

    def _crop_plane(self, index: int, roi: Roi, pixels: int, extend: bool) -> Image:
        """Return uint8 [pixels, pixels, ...]: what `roi` shows of one plane."""
        plane = self._planes[index]
        if plane is not self._luma and plane.ndim == 2:  # chroma: half as many samples, its grid centred between two of luma
            roi = Roi(x=roi.x / 2 - 0.25, y=roi.y / 2 - 0.25, size=roi.size / 2, angle=roi.angle)
        plane, roi = _downscale(plane, roi, max(1, int(roi.size / pixels)))
        cos, sin, scale = np.cos(roi.angle), np.sin(roi.angle), pixels / roi.size
        matrix = np.array([[cos * scale, sin * scale, 0], [-sin * scale, cos * scale, 0]], np.float64)
        matrix[:, 2] = pixels / 2 - matrix[:, :2] @ (roi.x, roi.y)
        border = cv2.BORDER_REPLICATE if extend else cv2.BORDER_CONSTANT
        black = (self._black(index),) * 3
        return np.asarray(
            cv2.warpAffine(plane, matrix, (pixels, pixels), flags=cv2.INTER_LINEAR, borderMode=border, borderValue=black), np.uint8
        )

    def _black(self, index: int) -> int:
        """Return the code of black in a plane."""
        if self._space is None:
            return 0
        if index > 0:
            return _GREY
        return 0 if self._space.full_range else 16


def _downscale(plane: Image, roi: Roi, factor: int) -> tuple[Image, Roi]:
    """Return the part of the plane under `roi`, averaged `factor` x `factor`, and `roi` in its pixels."""
    if factor < 2:
        return plane, roi
    height, width = plane.shape[:2]
    reach = roi.size / 2 * (abs(math.cos(roi.angle)) + abs(math.sin(roi.angle))) + 2 * factor
    x0, y0 = (max(0, int(value - reach) // factor * factor) for value in (roi.x, roi.y))
    x1, y1 = min(width, int(roi.x + reach)), min(height, int(roi.y + reach))
    columns, rows = (x1 - x0) // factor, (y1 - y0) // factor
    if columns < 1 or rows < 1:
        return plane, roi
    part = plane[y0 : y0 + rows * factor, x0 : x0 + columns * factor]
    smaller = np.asarray(cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
    x, y = ((value + 0.5) / factor - 0.5 for value in (roi.x - x0, roi.y - y0))
    return smaller, Roi(x=x, y=y, size=roi.size / factor, angle=roi.angle)


def _has_cast(frame: Frame) -> bool:
    """Return whether all of the frame has one colour, by brightness, that is far from grey."""
    rows, columns = frame.height // 2, frame.width // 2
    stride = max(1, min(rows, columns) // _CAST_SAMPLES)
    samples = [plane[:rows:stride, :columns:stride] for plane in (frame.u, frame.v)]
    if math.hypot(*(float(plane.mean()) - _GREY for plane in samples)) < _CAST:
        return False
    chroma = np.stack([plane.ravel() for plane in samples], axis=1).astype(np.float64) - _GREY
    corners = [frame.y[row : 2 * rows : 2 * stride, column : 2 * columns : 2 * stride] for row in (0, 1) for column in (0, 1)]
    brightness = np.mean(corners, axis=0).ravel()
    line = np.column_stack([brightness, np.ones_like(brightness)])
    residual = chroma - line @ np.linalg.lstsq(line, chroma, rcond=None)[0]
    return bool(np.sqrt(np.square(residual).sum(1).mean()) < _CAST_RESIDUAL)


@lru_cache(maxsize=16)
def _matrix(space: YuvSpace) -> Float64:
    """Return the 3x4 matrix from Y, Cb, Cr codes to RGB in 0-255 (ITU-R BT.601-7 section 2.5, with the weights of the space)."""
    kr, kb = LUMA_WEIGHTS.get(space.matrix, LUMA_WEIGHTS["bt709"])
    kg = 1 - kr - kb
    red, blue = 2 * (1 - kr), 2 * (1 - kb)
    turn = np.array([[1, 0, red], [1, -blue * kb / kg, -red * kr / kg], [1, blue, 0]])
    gain = np.array([1.0, 1.0, 1.0]) if space.full_range else np.array([255 / 219, 255 / 224, 255 / 224])
    offset = np.array([0, 128, 128]) if space.full_range else np.array([16, 128, 128])
    linear = turn * gain
    return np.hstack([linear, -(linear @ offset)[:, None]])
