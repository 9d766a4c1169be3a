"""Lip articulation beyond opening and width: the lips press together on p b m, the lower lip meets the teeth on f v, both are rounded
on u o w.

Values in brackets were measured on 36 clips of 26 talking people, where the driver is sure of a viseme (above .6): what the mouth did
beyond what the driver predicts. The tracker hardly sees lips roll in or push forward (.002 of the eye distance, as much as its noise);
those displacements are small, and in anatomical directions.
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
from heygem_daemon.lipsync.geometry.smoothstep import smoothstep
from heygem_daemon.lipsync.motion import MouthMotion, viseme_index

LABIODENTAL_OPENING: Final = 0.15
"""The largest lip opening on f and v, as a fraction of the person's range [.19 in the mean, .06 at the tenth percentile]."""
ROUNDED_NARROWING: Final = 0.03
"""How much narrower rounded lips are than the predicted width, as a fraction of the person's range. People the driver was trained on
need nothing beyond the prediction; with weights that knew them less it was [oh .11, RR .10, CH .11, ou .05]."""

_BILABIAL: Final = ("PP",)
_LABIODENTAL: Final = ("FF",)
_ROUNDED: Final = ("ou", "oh", "CH", "RR")
_GROUPS: Final = tuple([viseme_index(name) for name in group] for group in (_BILABIAL, _LABIODENTAL, _ROUNDED))
"""Columns of MouthMotion.visemes, in the order of the fields of `Articulation`."""
_WEIGHT_RANGE: Final = (0.1, 0.8)
"""Viseme weights between which an articulation grows from 0 to 1."""
_LEAD: Final = 0.045
"""Lips are in place this long (s) before the phone is at its clearest [f v .02-.06, p b m .06-.08]."""
_FADE: Final = 0.06
"""An articulation comes and goes over this time (s): a lip does not jump."""

_LABIODENTAL_RISE: Final = 0.010
_LABIODENTAL_ROLL: Final = (0.010, 0.010)
_ROUNDED_RISE: Final = 0.004
_ROUNDED_PROTRUSION: Final = 0.015
"""Displacements in IOD. On f and v both lips rise (the lower one goes to the teeth, the upper one does not come down to it), the outer
edge of the lower lip rises as much again, and that lip goes back. When rounded each lip gets higher, and both come forward."""
_TYPICAL_WIDTH: Final = 0.55
"""Mouth width at rest, in IOD, for which the displacements hold; others scale with it."""

_IS_UPPER, _IS_OUTER_LOWER = np.isin(LIPS, OUTER_UPPER), np.isin(LIPS, OUTER_LOWER)
_IS_LOWER, _IS_CORNER = np.isin(LIPS, (*INNER_LOWER, *OUTER_LOWER)), np.isin(LIPS, MOUTH_CORNERS)


@dataclass(frozen=True, kw_only=True)
class Articulation:
    """How far the lips press together, the lower one meets the teeth, and both are rounded, each 0-1."""

    bilabial: float = 0.0
    labiodental: float = 0.0
    rounded: float = 0.0


def articulations(motion: Iterable[MouthMotion]) -> Iterator[Articulation]:
    """Yield the articulation of every frame of the motion; a frame needs the motion of the next tenth of a second."""
    timed = ((float(time), row) for block in motion for time, row in zip(block.times, _group_weights(block.visemes), strict=True))
    begin = list(islice(timed, 2))
    if not begin:
        return
    step = begin[1][0] - begin[0][0] if len(begin) > 1 else 1.0
    back, ahead = int((_FADE - _LEAD) / step), int((_FADE + _LEAD) / step)
    kernel = np.maximum(0, 1 - np.abs(np.arange(-back, ahead + 1) * step - _LEAD) / _FADE) + 1e-9
    rows = (row for _, row in chain(begin, timed))
    for window in _windows(rows, back, ahead):
        bilabial, labiodental, rounded = smoothstep(np.asarray(kernel @ window / kernel.sum(), np.float64), *_WEIGHT_RANGE)
        yield Articulation(bilabial=float(bilabial), labiodental=float(labiodental), rounded=float(rounded))


def _windows(rows: Iterator[Float64], back: int, ahead: int) -> Iterator[Float64]:
    """Yield [back + 1 + ahead, 3] around every row."""
    length = back + 1 + ahead
    window: deque[Float64] = deque(maxlen=length)
    for row in _pad(rows, back, ahead):
        window.append(row)
        if len(window) == length:
            yield np.array(window)


def _pad(rows: Iterator[Float64], back: int, ahead: int) -> Iterator[Float64]:
    """Yield the rows, the first one `back` times more before them, the last one `ahead` times more after them."""
    row = next(rows)
    yield from repeat(row, back + 1)
    for row in rows:
        yield row
    yield from repeat(row, ahead)


def lip_displacement(rest: Float64, articulation: Articulation) -> Float64:
    """Return the displacement [40, 3] of the lip landmarks of a canonical face `rest` [468, 3] that leaves opening and width alone."""
    left, right = (rest[i] for i in OUTER_CORNERS)
    half = float(np.linalg.norm(right - left)) / 2
    across = (rest[list(LIPS), 0] - (left[0] + right[0]) / 2) / half
    bell = np.clip(1 - across**2, 0, 1) * (2 * half / _TYPICAL_WIDTH)
    roll_up, roll_back = _LABIODENTAL_ROLL
    moved = np.zeros((len(LIPS), 3))
    moved[:, 1] -= articulation.labiodental * bell * (_LABIODENTAL_RISE + roll_up * _IS_OUTER_LOWER)
    moved[:, 2] += articulation.labiodental * roll_back * bell * _IS_LOWER
    moved[:, 1] += articulation.rounded * _ROUNDED_RISE * bell * (_IS_OUTER_LOWER.astype(float) - _IS_UPPER)
    moved[:, 2] -= articulation.rounded * _ROUNDED_PROTRUSION * bell
    moved[_IS_CORNER] = 0
    return moved


def _group_weights(visemes: npt.NDArray[np.floating]) -> Float64:
    """Return [T, 3], the summed weight of each group of visemes, for visemes [T, 16]."""
    return np.stack([visemes[:, columns].sum(1) for columns in _GROUPS], axis=1).astype(np.float64)
