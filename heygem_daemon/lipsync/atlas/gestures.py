"""What lips do beyond opening and width: they press on p b m, the lower one meets the teeth on f v, both are pursed on u o w.

Figures in brackets were measured on 36 clips of 26 talking people, where the driver is sure of a viseme (above .6): what the mouth did
beyond what the driver says. The tracker hardly sees lips roll in or push forward (.002 of the eye distance, as much as its noise);
those displacements are small, and in the directions of anatomy.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from heygem_daemon.lipsync.face.topology import INNER_LOWER, LIPS, MOUTH_CORNERS, OUTER_CORNERS, OUTER_LOWER, OUTER_UPPER
from heygem_daemon.lipsync.ports import VISEMES, MouthMotion

FloatArray = npt.NDArray[np.float64]

TEETH_OPENING: Final = 0.15
"""The lips are this far apart at most on f and v, as a share of the range [.19 in the mean, .06 at the tenth percentile]."""
PURSED_WIDTH: Final = 0.1
"""A pursed mouth is narrower than the width heard by this share of the range [oh .11, RR .10, CH .11, ou .05]."""

_PRESSED: Final = ("PP",)
_TEETH: Final = ("FF",)
_PURSED: Final = ("ou", "oh", "CH", "RR")
_SURE: Final = (0.3, 0.7)
_SHARES: Final = (0.25, 0.5, 0.25)
"""Of the frame before, the frame and the one after: a lip is not there at once."""
_LIFTED: Final = 0.010
"""How far both lips rise on f and v: the lower one goes to the teeth, the upper one does not come down to it. In IOD."""
_ROLLED_IN: Final = (0.010, 0.010)
"""How far the lower lip's outer edge rises on f and v, and the lip goes back, in IOD."""
_PUSHED: Final = (0.004, 0.015)
"""How much higher each lip is when pursed, and how far both come forward, in IOD."""
_TYPICAL_WIDTH: Final = 0.55
"""Mouth width at rest, in IOD, for which the displacements hold; others scale with it."""


@dataclass(frozen=True, kw_only=True)
class Gesture:
    """How far the lips press, meet the teeth, and are pursed, each 0-1."""

    pressed: float = 0.0
    teeth: float = 0.0
    pursed: float = 0.0


def gestures(motion: Iterable[MouthMotion]) -> Iterator[Gesture]:
    """Yield the gesture of every frame of the motion; a frame is known when the next one is."""
    rows = (row for block in motion for row in _weights(block.visemes))
    before = here = next(rows, None)
    while here is not None and before is not None:
        after = next(rows, None)
        smooth = sum(s * row for s, row in zip(_SHARES, (before, here, here if after is None else after), strict=True))
        pressed, teeth, pursed = _smoothstep(np.asarray(smooth))
        yield Gesture(pressed=float(pressed), teeth=float(teeth), pursed=float(pursed))
        before, here = here, after


def lip_shift(rest: FloatArray, gesture: Gesture) -> FloatArray:
    """Return the displacement [40, 3] of the lip landmarks of a canonical face `rest` [468, 3] that leaves opening and width alone."""
    left, right = (rest[i] for i in OUTER_CORNERS)
    half = float(np.linalg.norm(right - left)) / 2
    across = (rest[list(LIPS), 0] - (left[0] + right[0]) / 2) / half
    bell = np.clip(1 - across**2, 0, 1) * (2 * half / _TYPICAL_WIDTH)
    is_upper, is_lower, is_outer_lower = (np.isin(LIPS, row) for row in (OUTER_UPPER, (*INNER_LOWER, *OUTER_LOWER), OUTER_LOWER))
    is_corner = np.isin(LIPS, MOUTH_CORNERS)
    shift = np.zeros((len(LIPS), 3))
    shift[:, 1] -= gesture.teeth * bell * (_LIFTED + _ROLLED_IN[0] * is_outer_lower)
    shift[:, 2] += gesture.teeth * _ROLLED_IN[1] * bell * is_lower
    shift[:, 1] += gesture.pursed * _PUSHED[0] * bell * (is_outer_lower.astype(float) - is_upper)
    shift[:, 2] -= gesture.pursed * _PUSHED[1] * bell
    shift[is_corner] = 0
    return shift


def _weights(visemes: npt.NDArray[np.floating]) -> FloatArray:
    """Return [T, 3] for visemes [T, 16]."""
    groups = (_PRESSED, _TEETH, _PURSED)
    return np.stack([visemes[:, [VISEMES.index(name) for name in group]].sum(1) for group in groups], axis=1).astype(np.float64)


def _smoothstep(x: FloatArray) -> FloatArray:
    t = np.clip((x - _SURE[0]) / (_SURE[1] - _SURE[0]), 0.0, 1.0)
    return np.asarray(t * t * (3 - 2 * t))
