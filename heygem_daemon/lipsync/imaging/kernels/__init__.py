"""Compiled loops over pixels (numba). They release the GIL, so that several frames are drawn at once, and are compiled at set-up.

Pixel (x, y) means the centre of that pixel at coordinates (x, y), as in OpenCV. Luma and colour are float32 in codes; the colour of a
4:2:0 image is [rows / 2, columns / 2, 2], blue difference first, one value for each block of 2x2 pixels.

rasterise     triangles -> where each pixel comes from
gaussian      blur on coarse grids
displacement  how the face moves, on a coarse grid; the maps that cv2.remap takes
transfer      where the pixels of another frame's mouth come from
membrane      the colour correction of a mouth from another frame
blend         mouths and interiors into the moved face; what changed into the frame
interior      where the interior of another frame's mouth is read, and the painted cavity
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from heygem_daemon.lipsync.compiled import compiled_function

Function = TypeVar("Function", bound=Callable[..., Any])

_OPTIONS: Final[dict[str, Any]] = {"fastmath": True, "boundscheck": False, "error_model": "numpy"}


def kernel(function: Function) -> Function:
    """Compile the function when it is first called, and keep what was compiled on disk."""
    return compiled_function(function, **_OPTIONS)
