"""How faces move in general: the prior for a presenter whose clip shows little or no speech.

The curves approximate the regression of lower-face landmarks on lip opening and mouth width over talking people (about 90 % of the
motion for a frontal face); x and y below are canonical, in units of the distance of the outer eye corners.
"""

from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Float64
from heygem_daemon.lipsync.geometry.landmarks import (
    BETWEEN_LOWER,
    BETWEEN_UPPER,
    INNER_CORNERS,
    INNER_LOWER,
    INNER_MIDDLE,
    INNER_UPPER,
    MOUTH_CORNERS,
    NOSE_BASE,
    OUTER_LOWER,
    OUTER_UPPER,
)
from heygem_daemon.lipsync.geometry.smoothstep import smoothstep

TYPICAL_OPENING: Final = 0.15
"""Lip opening of loud vowels where the presenter shows none, in IOD (95th percentile of talking people: .06 to .23)."""
LEAST_OPENING: Final = 0.11
"""The widest opening is at least this, in IOD: less looks like mumbling."""
LEAST_WIDTH_RANGE: Final = 0.035
"""A rounded and a spread mouth differ from the mouth at rest by at least this, in IOD."""

UPPER_LIP: Final = tuple(sorted({*INNER_UPPER, *OUTER_UPPER, *(i for row in BETWEEN_UPPER for i in row)} - {*MOUTH_CORNERS}))
LOWER_LIP: Final = tuple(sorted({*INNER_LOWER, *OUTER_LOWER, *(i for row in BETWEEN_LOWER for i in row)} - {*MOUTH_CORNERS}))

_CHIN_DROP: Final = 0.8
_CHIN_SPREAD: Final = 0.5
_JAW_BACK: Final = 0.6
"""The chin sinks by .8 of the lip opening, half an IOD to its sides by 1/e of that, and goes back by .6 of what it sinks."""
_CLOSED_GAP: Final = 0.008
_GAP_SPREAD: Final = 0.2
"""Inner lips of a relaxed closed mouth are this far apart in the middle, and 1/e of that so far to the side, in IOD."""
_NEARLY_CLOSED: Final = 0.012
"""A mouth open by less than this is left as it is, in IOD."""
_UPPER_LIP_PART: Final = 0.35
_LOWER_LIP_PART: Final = 0.65
_CHIN_PART: Final = 0.5
"""Fractions of the gap by which the upper lip comes down, the lower lip rises, and the skin below it rises, to close a mouth."""


def opening_motion(face: Float64) -> Float64:
    """Return [468, 3]: the displacement of every landmark of a canonical face per unit of lip opening."""
    x, y = face[:, 0], face[:, 1]
    lips = face[INNER_MIDDLE[0], 1]
    skin = _CHIN_DROP * np.exp(-((x / _CHIN_SPREAD) ** 2)) * smoothstep((y - face[NOSE_BASE, 1]) / (2 * (lips - face[NOSE_BASE, 1])))
    half = (face[INNER_CORNERS[1], 0] - face[INNER_CORNERS[0], 0]) / 2
    across = np.clip(np.abs(x) / half, 0, 1.15)
    motion = np.stack([np.zeros_like(x), skin, _JAW_BACK * skin], axis=1)
    upper, lower = list(UPPER_LIP), list(LOWER_LIP)
    motion[upper, 1] = 0.05 + 0.30 * across[upper] ** 2.5
    motion[upper, 2] = 0.12 * across[upper] ** 2.5
    motion[lower, 1] = 0.35 + 0.65 * np.sqrt(np.clip(1 - across[lower] ** 2, 0, 1))
    motion[lower, 2] = 0.30
    motion[list(MOUTH_CORNERS)] = (0.0, 0.35, 0.14)
    return motion


def width_motion(face: Float64) -> Float64:
    """Return [468, 3]: the displacement of every landmark of a canonical face per unit of mouth width."""
    x, y = face[:, 0], face[:, 1]
    centre = (face[INNER_MIDDLE[0]] + face[INNER_MIDDLE[1]]) / 2
    half = (face[MOUTH_CORNERS[4], 0] - face[MOUTH_CORNERS[0], 0]) / 2
    near = np.exp(-(((np.maximum(np.abs(x) - half, 0)) / 0.2) ** 2) - ((y - centre[1]) / 0.3) ** 2)
    sideways = 0.5 * np.clip(x / half, -1, 1) * near
    lift = -0.3 * np.exp(-((x / 0.45) ** 2) - ((y - centre[1]) / 0.35) ** 2) * np.clip(np.abs(x) / half, 0, 1) ** 1.5
    back = 0.35 * near * np.clip(np.abs(x) / half, 0, 1) ** 1.5
    return np.stack([sideways, lift, back], axis=1)


def close_lips(face: Float64, weight: Float64) -> Float64:
    """Return the canonical face [468, 3] with its lips closed: the lower lip rises, the upper one comes a little down, the chin follows.

    weight: [468], how far speech may move each landmark. A mouth that is nearly closed stays as it is.
    """
    gap = face[INNER_MIDDLE[1], 1] - face[INNER_MIDDLE[0], 1]
    if gap < _NEARLY_CLOSED:
        return face.copy()
    result = face.copy()
    upper, lower = list(UPPER_LIP), list(LOWER_LIP)
    result[upper, 1] += _UPPER_LIP_PART * _excess_gap(face, face[upper, 0])
    result[lower, 1] -= _LOWER_LIP_PART * _excess_gap(face, face[lower, 0])
    skin = (weight > 0) & (face[:, 1] > face[INNER_MIDDLE[1], 1])
    skin[[*UPPER_LIP, *LOWER_LIP, *MOUTH_CORNERS]] = False
    result[skin, 1] -= _CHIN_PART * (gap - _CLOSED_GAP) * weight[skin]
    return result


def _excess_gap(face: Float64, x: Float64) -> Float64:
    """Return how far the inner lips at `x` are apart beyond what a relaxed closed mouth shows."""
    upper, lower = (np.interp(x, face[row, 0], face[row, 1]) for row in (list(INNER_UPPER), list(INNER_LOWER)))
    return np.asarray(np.maximum(0, lower - upper - _CLOSED_GAP * np.exp(-((x / _GAP_SPREAD) ** 2))))
