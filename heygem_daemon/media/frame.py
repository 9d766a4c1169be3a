"""A decoded frame, kept as the decoder gave it: planar YUV 4:2:0, so that untouched pixels stay bit-identical."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
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
}

# Fixed point of the colour tables: 5 bits keep the largest sum, (255 * 1.164 + 128 * 2.142) * 32, inside int16.
FRACTION_BITS: Final = 5


@dataclass(frozen=True, kw_only=True)
class YuvSpace:
    """The colour space of a frame: `matrix` as ffprobe names it, and whether luma uses 0-255 or 16-235."""

    matrix: str
    full_range: bool

    @property
    def weights(self) -> tuple[float, float, float]:
        """Kr, Kg, Kb: the weights of red, green and blue in luma."""
        kr, kb = LUMA_WEIGHTS[self.matrix]
        return kr, 1 - kr - kb, kb

    @property
    def luma(self) -> tuple[float, float]:
        """Offset and span of luma in 8-bit codes."""
        return (0.0, 255.0) if self.full_range else (16.0, 219.0)

    @property
    def chroma_span(self) -> float:
        return 255.0 if self.full_range else 224.0

    @property
    def offsets(self) -> npt.NDArray[np.float32]:
        """float32 [3]: the codes of black in luma, and of no colour."""
        return np.array([self.luma[0], 128, 128], np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """Frame `index` of its source. y: uint8 [h, w]; u, v: uint8 [ceil(h/2), ceil(w/2)].

    Nothing writes into a plane after the frame was made.
    """

    index: int
    y: Plane
    u: Plane
    v: Plane
    space: YuvSpace
    packed: Plane | None = field(default=None, repr=False)

    @classmethod
    def from_i420(cls, packed: Plane, *, width: int, height: int, index: int, space: YuvSpace) -> "Frame":
        """Wrap `packed`, uint8 [w * h * 3 / 2] (y, u, v one after the other, even size), without copying it."""
        luma, chroma = width * height, (width // 2) * (height // 2)
        half = (height // 2, width // 2)
        return cls(
            index=index,
            y=packed[:luma].reshape(height, width),
            u=packed[luma : luma + chroma].reshape(half),
            v=packed[luma + chroma : luma + 2 * chroma].reshape(half),
            space=space,
            packed=packed,
        )

    @classmethod
    def from_bgr(cls, bgr: Plane, *, index: int, space: YuvSpace) -> "Frame":
        """Make a frame from uint8 [h, w, 3], blue first. A chroma sample is the mean of its 2x2 block; an odd size gets its last column or
        row once more."""
        even = np.pad(bgr, ((0, bgr.shape[0] % 2), (0, bgr.shape[1] % 2), (0, 0)), mode="edge")
        luma, blue, red = _encode(even, space)
        u, v = (np.rint(_block_sum(difference, (0, 0)) / 4).clip(0, 255).astype(np.uint8) for difference in (blue, red))
        packed = np.concatenate([luma.reshape(-1), u.reshape(-1), v.reshape(-1)])
        return cls.from_i420(packed, width=luma.shape[1], height=luma.shape[0], index=index, space=space)

    @property
    def width(self) -> int:
        return int(self.y.shape[1])

    @property
    def height(self) -> int:
        return int(self.y.shape[0])

    def i420(self) -> Plane:
        """Return y, u and v as one contiguous uint8 [w * h * 3 / 2]: no copy where the frame came from the reader."""
        if self.packed is not None:
            return self.packed
        return np.concatenate([self.y.reshape(-1), self.u.reshape(-1), self.v.reshape(-1)])

    def clip(self, box: Box | None) -> Box:
        """Return the part of `box` that lies in the frame (the whole frame for None); it may be empty."""
        if box is None:
            return (0, 0, self.width, self.height)
        x0, y0, x1, y1 = box
        x0, y0 = min(max(x0, 0), self.width), min(max(y0, 0), self.height)
        return (x0, y0, min(max(x1, x0), self.width), min(max(y1, y0), self.height))

    def bgr(self, box: Box | None = None) -> Plane:
        """Return uint8 [h, w, 3], blue first, of `box` clipped to the frame, by the frame's own matrix and range.

        Each chroma sample colours its 2x2 block, so that `paste` of unchanged pixels changes nothing but rounding.
        """
        x0, y0, x1, y1 = self.clip(box)
        u, v = (self._chroma(plane, (x0, y0, x1, y1)) for plane in (self.u, self.v))
        tables = _decode_tables(self.space)
        light = tables.y[self.y[y0:y1, x0:x1]]
        out = np.empty((y1 - y0, x1 - x0, 3), np.uint8)
        rows, columns = _blocks(y0, y1), _blocks(x0, x1)
        for channel, colour in enumerate((tables.bu[u], tables.gu[u] + tables.gv[v], tables.rv[v])):
            value = colour[rows][:, columns]
            value += light
            value >>= FRACTION_BITS
            np.clip(value, 0, 255, out=out[:, :, channel], casting="unsafe")
        return out

    def paste(self, box: Box, bgr: Plane, mask: Mask) -> "Frame":
        """Return a new frame with the pixels of `bgr` (uint8 [h, w, 3]) where `mask` (bool [h, w]) is set in `box`.

        Luma changes exactly at masked pixels. A chroma sample changes where any pixel of its 2x2 block is masked: to the mean
        of the block's pasted colours and, for its unmasked pixels, its original colour. Everything else stays bit-identical.
        The part of `box` outside the frame is ignored. Raises ValueError when `bgr` or `mask` do not have the size of `box`.
        """
        shape = (box[3] - box[1], box[2] - box[0])
        if bgr.shape != (*shape, 3) or mask.shape != shape:
            raise ValueError(f"box {box} needs {shape} pixels; got bgr {bgr.shape} and mask {mask.shape}")
        x0, y0, x1, y1 = self.clip(box)
        out = Frame.from_i420(self.i420().copy(), width=self.width, height=self.height, index=self.index, space=self.space)
        if x0 >= x1 or y0 >= y1:
            return out
        inside = np.s_[y0 - box[1] : y1 - box[1], x0 - box[0] : x1 - box[0]]
        chosen = mask[inside]
        luma, blue, red = _encode(bgr[inside], self.space)
        np.copyto(out.y[y0:y1, x0:x1], luma, where=chosen)
        counts = _block_sum(chosen.astype(np.float32), (x0, y0))
        for plane, difference in ((out.u, blue), (out.v, red)):
            part = plane[y0 // 2 : (y1 + 1) // 2, x0 // 2 : (x1 + 1) // 2]
            pasted = _block_sum(np.where(chosen, difference, 0), (x0, y0))
            mixed = (pasted + (4 - counts) * part) / 4
            np.copyto(part, np.clip(np.rint(mixed), 0, 255).astype(np.uint8), where=counts > 0)
        return out

    @staticmethod
    def _chroma(plane: Plane, box: Box) -> Plane:
        x0, y0, x1, y1 = box
        return plane[y0 // 2 : (y1 + 1) // 2, x0 // 2 : (x1 + 1) // 2]


def _blocks(start: int, stop: int) -> npt.NDArray[np.intp]:
    """Return for each pixel start..stop-1 the chroma sample it belongs to, counted from the first one needed."""
    return np.arange(start, stop) // 2 - start // 2


def _block_sum(values: npt.NDArray[np.float32], origin: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Sum `values` (float32 [h, w], its corner at pixel `origin` = x, y) over the 2x2 chroma blocks of the frame."""
    (height, width), left, top = values.shape, origin[0] % 2, origin[1] % 2
    even = np.pad(values, ((top, (top + height) % 2), (left, (left + width) % 2)))
    rows = even[0::2] + even[1::2]
    total: npt.NDArray[np.float32] = rows[:, 0::2] + rows[:, 1::2]
    return total


@lru_cache(maxsize=16)
def bgr_matrix(space: YuvSpace) -> npt.NDArray[np.float64]:
    """Return [3, 3]: from blue, green and red (0-255) to luma and both colour differences in codes, without their offsets."""
    kr, kg, kb = space.weights
    light = np.array([kb, kg, kr])
    blue, red = ((np.array(unit) - light) / (2 * (1 - weight)) for unit, weight in (((1, 0, 0), kb), ((0, 0, 1), kr)))
    return np.stack([light * space.luma[1], blue * space.chroma_span, red * space.chroma_span]) / 255


@lru_cache(maxsize=16)
def from_yuv_matrix(space: YuvSpace) -> npt.NDArray[np.float64]:
    """Return [3, 3]: the inverse of `bgr_matrix`."""
    return np.asarray(np.linalg.inv(bgr_matrix(space)), np.float64)


@dataclass(frozen=True, kw_only=True)
class _DecodeTables:
    """The contribution of each 8-bit code to blue, green and red: int16 [256] each, in 1/32 of a code; `y` includes the rounding."""

    y: npt.NDArray[np.int16]
    bu: npt.NDArray[np.int16]
    gu: npt.NDArray[np.int16]
    gv: npt.NDArray[np.int16]
    rv: npt.NDArray[np.int16]


@lru_cache(maxsize=16)
def _decode_tables(space: YuvSpace) -> _DecodeTables:
    kr, kg, kb = space.weights
    offset, span = space.luma
    unit = 255.0 * 2**FRACTION_BITS
    codes = np.arange(256, dtype=np.float64)
    light = (codes - offset) / span * unit + 2 ** (FRACTION_BITS - 1)
    chroma = (codes - 128) / space.chroma_span * unit

    def table(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int16]:
        return np.rint(values).astype(np.int16)

    return _DecodeTables(
        y=table(light),
        bu=table(chroma * 2 * (1 - kb)),
        gu=table(-chroma * 2 * (1 - kb) * kb / kg),
        gv=table(-chroma * 2 * (1 - kr) * kr / kg),
        rv=table(chroma * 2 * (1 - kr)),
    )


def _encode(bgr: Plane, space: YuvSpace) -> tuple[Plane, npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return luma as uint8 [h, w], and both colour differences as float32 [h, w] codes, not yet rounded."""
    kr, kg, kb = space.weights
    offset, span = space.luma
    blue, green, red = (bgr[:, :, channel].astype(np.float32) for channel in range(3))
    light = np.float32(kb) * blue + np.float32(kg) * green + np.float32(kr) * red
    scale = space.chroma_span / 255.0
    luma = np.rint(light * np.float32(span / 255.0) + np.float32(offset)).astype(np.uint8)
    cb = (blue - light) * np.float32(scale / (2 * (1 - kb))) + np.float32(128)
    cr = (red - light) * np.float32(scale / (2 * (1 - kr))) + np.float32(128)
    return luma, cb, cr
