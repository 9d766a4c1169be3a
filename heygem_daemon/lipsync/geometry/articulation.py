"""What lips do beyond opening and width: they press on p b m, the lower one meets the teeth on f v, both are pursed on u o w.

Figures in brackets were measured on 36 clips of 26 talking people, where the driver is sure of a viseme (above .6): what the mouth did
beyond what the driver says. The tracker hardly sees lips roll in or push forward (.002 of the eye distance, as much as its noise);
those displacements are small, and in the directions of anatomy.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice, repeat
from typing import Final

import numpy as np
import numpy.typing as npt

from heygem_daemon.lipsync.arrays import Float64
from heygem_daemon.lipsync.geometry.landmarks import INNER_LOWER, LIPS, MOUTH_CORNERS, OUTER_CORNERS, OUTER_LOWER, OUTER_UPPER
from heygem_daemon.lipsync.motion import VISEMES, MouthMotion

TEETH_OPENING: Final = 0.15
"""The lips are this far apart at most on f and v, as a share of the range [.19 in the mean, .06 at the tenth percentile]."""
PURSED_WIDTH: Final = 0.03
"""A pursed mouth is narrower than the width heard by this share of the range: people the driver learnt from need nothing beyond what
it says, with weights that knew them less it was [oh .11, RR .10, CH .11, ou .05]."""

_PRESSED: Final = ("PP",)
_TEETH: Final = ("FF",)
_PURSED: Final = ("ou", "oh", "CH", "RR")
_SURE: Final = (0.1, 0.8)
_LEAD: Final = 0.045
"""Lips are at their place this long (s) before the sound is at its clearest [f v .02-.06, p b m .06-.08]."""
_BREADTH: Final = 0.06
"""A gesture comes and goes over this time (s): a lip is not there at once."""
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
    """Yield the gesture of every frame of the motion; a frame is known when what is heard a tenth of a second later is."""
    timed = ((float(time), row) for block in motion for time, row in zip(block.times, _weights(block.visemes), strict=True))
    begin = list(islice(timed, 2))
    if not begin:
        return
    step = begin[1][0] - begin[0][0] if len(begin) > 1 else 1.0
    back, ahead = int((_BREADTH - _LEAD) / step), int((_BREADTH + _LEAD) / step)
    shares = np.maximum(0, 1 - np.abs(np.arange(-back, ahead + 1) * step - _LEAD) / _BREADTH) + 1e-9
    rows = (row for _, row in chain(begin, timed))
    for window in _windows(rows, back, ahead):
        pressed, teeth, pursed = _smoothstep(shares @ window / shares.sum())
        yield Gesture(pressed=float(pressed), teeth=float(teeth), pursed=float(pursed))


def _windows(rows: Iterator[Float64], back: int, ahead: int) -> Iterator[Float64]:
    """Yield [back + 1 + ahead, 3] around every row."""
    length = back + 1 + ahead
    held: deque[Float64] = deque(maxlen=length)
    for row in _continued(rows, back, ahead):
        held.append(row)
        if len(held) == length:
            yield np.array(held)


def _continued(rows: Iterator[Float64], back: int, ahead: int) -> Iterator[Float64]:
    """Yield the rows, the first one `back` times more before them, the last one `ahead` times more after them."""
    row = next(rows)
    yield from repeat(row, back + 1)
    for row in rows:
        yield row
    yield from repeat(row, ahead)


def lip_shift(rest: Float64, gesture: Gesture) -> Float64:
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


def _weights(visemes: npt.NDArray[np.floating]) -> Float64:
    """Return [T, 3] for visemes [T, 16]."""
    groups = (_PRESSED, _TEETH, _PURSED)
    return np.stack([visemes[:, [VISEMES.index(name) for name in group]].sum(1) for group in groups], axis=1).astype(np.float64)


def _smoothstep(x: Float64) -> Float64:
    t = np.clip((x - _SURE[0]) / (_SURE[1] - _SURE[0]), 0.0, 1.0)
    return np.asarray(t * t * (3 - 2 * t))
