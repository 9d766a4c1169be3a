"""The types that the kernels are called with: they are compiled for these at set-up, and for others when those first come."""

from collections.abc import Iterator
from typing import Any, Final

from numba import float32, float64, int16, int32, int64, types, uint8, uint16

from heygem_daemon.lipsync.imaging.kernels import blend, displacement, gaussian, interior, membrane, rasterise, transfer

_PLANE: Final = float32[:, ::1]
_COLOUR: Final = float32[:, :, ::1]
_FIELDS: Final = _COLOUR
"""[channels, rows, columns]"""
_MASK: Final = uint8[:, ::1]
_POINTS: Final = float64[:, ::1]
_TRIANGLES: Final = int32[:, ::1]
_types: Any = types
_PAIR: Final = _types.UniTuple(int64, 2)
_ROIS: Final = ((_PLANE, _COLOUR, _MASK), (float32[:, :], float32[:, :, :], uint8[:, :]))
"""Luma, colour and what changed of a whole region that is drawn on, and of a part of it."""

SIGNATURES: Final[tuple[tuple[Any, tuple[Any, ...]], ...]] = (
    (gaussian.gaussian_taps, (float64,)),
    (gaussian.blur, (_FIELDS, float64)),
    (rasterise.rasterise, (_POINTS, _POINTS, _TRIANGLES, _PLANE, _PLANE, _MASK)),
    (displacement.displacement, (_POINTS, _POINTS, _TRIANGLES, int64, int64, float64)),
    (displacement.moving_cells, (_FIELDS, float64)),
    (displacement.sampling_maps, (_FIELDS, int64, _PAIR, _PAIR, float64, int16[:, :, ::1], uint16[:, ::1], _FIELDS, _MASK)),
    (displacement.colour_maps, (_PLANE, _PLANE, _PLANE, _PLANE)),
    (transfer.needed_pixels, (_PLANE, _PLANE, int64, _PAIR, _MASK)),
    (transfer.pixel_sources, (_PLANE, _PLANE, _MASK, _types.UniTuple(int64, 4), _MASK, _PLANE, _PLANE)),
    (transfer.cubic_weights, ()),
    (transfer.sample_bent, (_PLANE, _PLANE, _PLANE, int32[::1], _PLANE, _PLANE)),
    (interior.paint_interior, (_PLANE, _PLANE, _POINTS, _POINTS, _types.UniTuple(float64, 2), float64, _POINTS, _POINTS)),
    (interior.source_places, (_PLANE, _PLANE, _POINTS, _POINTS, _POINTS, _POINTS)),
    (blend.write_back, (_PLANE, _COLOUR, _MASK, _PAIR, _MASK, _MASK, _MASK)),
)


def warm_up() -> None:
    """Compile all of them, or load what is compiled."""
    for kernel, arguments in signatures():
        kernel.compile(arguments)


def signatures() -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Yield each kernel that is called from Python with the types of its arguments."""
    yield from SIGNATURES
    for luma, colour, changed in _ROIS:
        over = (luma, colour, _PLANE, _COLOUR, _MASK)
        yield membrane.colour_membrane, (*over, _PLANE, int64, _PAIR, float64, float64, float64)
        yield blend.blend_mouth, (*over, _PLANE, _FIELDS, float64, int64, _PAIR, changed)
        yield interior.blend_interior, (luma, colour, _FIELDS, _PLANE, changed)
