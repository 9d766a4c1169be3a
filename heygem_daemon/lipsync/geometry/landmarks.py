"""The 468 landmarks of FaceMesh by name: which index lies where on a face.

Left and right are those of the image, not the person's. Upper and lower lip rows run from the left to the right mouth corner.
The numbering is that of the face landmark model (Kartynnik et al. 2019, "Real-time facial surface geometry from monocular video").
"""

from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Float64
from heygem_daemon.lipsync.geometry.smoothstep import smoothstep

INNER_UPPER: Final = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
INNER_LOWER: Final = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
OUTER_UPPER: Final = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
OUTER_LOWER: Final = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
BETWEEN_UPPER: Final = (
    (76, 184, 74, 73, 72, 11, 302, 303, 304, 408, 306),
    (62, 183, 42, 41, 38, 12, 268, 271, 272, 407, 292),
)
"""Two rows of the upper lip between its outer and its inner edge, the outer one first."""
BETWEEN_LOWER: Final = (
    (76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306),
    (62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292),
)

INNER_OUTLINE: Final = (*INNER_UPPER, *INNER_LOWER[-2:0:-1])
OUTER_OUTLINE: Final = (*OUTER_UPPER, *OUTER_LOWER[-2:0:-1])
"""The edges of the lips as closed polygons, from the left corner over the upper lip and back."""

INNER_LIPS: Final = tuple(sorted({*INNER_UPPER, *INNER_LOWER}))
OUTER_LIPS: Final = tuple(sorted({*OUTER_UPPER, *OUTER_LOWER}))
LIPS: Final = tuple(sorted({*INNER_LIPS, *OUTER_LIPS}))
"""The 40 landmarks of the inner and outer lip edges, ascending: the order of `MouthMotion.lips`."""
LIP_AREA: Final = tuple(sorted({*LIPS, *(i for row in (*BETWEEN_UPPER, *BETWEEN_LOWER) for i in row)}))
"""The 80 landmarks of the lips with the rows between their edges."""
MOUTH_CORNERS: Final = (61, 76, 62, 78, 291, 306, 292, 308)
OUTER_CORNERS: Final = (61, 291)
INNER_CORNERS: Final = (78, 308)
INNER_MIDDLE: Final = (13, 14)

EYE_CORNERS: Final = (33, 263)
"""Outer corners of the eyes; their distance is the unit of length (IOD)."""
NOSE_BASE: Final = 2
FOREHEAD: Final = 10
CHIN: Final = 152
EAR: Final = 454

JAW: Final = (234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454)
"""The lower half of the face oval, from ear to ear over the chin."""
OVAL_TOP: Final = (454, 356, 389, 251, 284, 332, 297, 338, 10, 109, 67, 103, 54, 21, 162, 127, 234)
"""The upper half of the face oval, from ear to ear over the forehead."""
MOUTH_HULL: Final = (97, 326, 426, 436, 432, 430, 431, 428, 199, 208, 211, 210, 212, 216, 206)
"""The outline around mouth and chin, from the base of the nose: the part of a face that is replaced."""
CHEEKS: Final = (205, 425, 50, 280, 192, 416)
"""Points on skin that is clear of lips, nose and, mostly, of a beard."""
UPPER_FACE: Final = (9, 8, 151, 6, 197, 195, 122, 351, 119, 348, 230, 450)
"""Points on the skin of forehead, nose and lower eyelids, which a mask or a scarf leaves free."""
RIGID: Final = (
    *(33, 133, 263, 362, 168, 6, 197, 195, 5, 4, 10, 151, 9, 8, 109, 338, 67, 297, 103, 332),
    *(127, 356, 234, 454, 21, 251, 54, 284, 193, 417, 122, 351),
)
"""Points of eyes, nose bridge, forehead and temples that speech does not move."""

_CHEEK_EDGE: Final = 0.62
_CHEEK_FADE: Final = 0.33
"""From the middle of the face to an ear: where a cheek begins to move less, and over which fraction of the way it stops."""


def lower_face_weight(face: Float64) -> Float64:
    """Return float64 [468]: how far speech may move each landmark, 0 above the nose and at the ears, 1 on lips and chin.

    face: [468, 3], a canonical face (x to the right, y down, outer eye corners 1 apart).
    """
    down = smoothstep((face[:, 1] - face[NOSE_BASE, 1]) / (face[0, 1] - face[NOSE_BASE, 1]))
    aside = np.abs(face[:, 0]) / abs(face[EAR, 0])
    weight: Float64 = down * (1 - smoothstep((aside - _CHEEK_EDGE) / _CHEEK_FADE))
    weight[list(LIP_AREA)] = 1.0
    return weight
