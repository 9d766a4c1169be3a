"""Measurements of tracked mouths: their opening, and how late it follows a target."""

from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt

from heygem_daemon.lipsync.arrays import Float32, Float64
from heygem_daemon.lipsync.geometry.landmarks import EYE_CORNERS, INNER_MIDDLE

_LONGEST_OFFSET: Final = 0.4
"""Offsets are searched up to this long, either way, in s."""
_FEWEST: Final = 8
"""Frames, valid in both curves, below which their correlation is NaN."""


def lip_opening(landmarks: Float32) -> Float32:
    """Return float32 [T]: the 3D distance of the inner lips over that of the outer eye corners; NaN where landmarks are.

    landmarks: float32 [T, 468, 3], any unit.
    """
    upper, lower = (landmarks[:, i] for i in INNER_MIDDLE)
    left, right = (landmarks[:, i] for i in EYE_CORNERS)
    opening = np.linalg.norm(upper - lower, axis=1) / np.linalg.norm(left - right, axis=1)
    return np.asarray(opening, np.float32)


def measured_opening(face: Float64) -> float:
    """Return the opening of one face [468, 3] as the tracker would measure it (see `lip_opening`), in double precision."""
    upper, lower, left, right = face[[*INNER_MIDDLE, *EYE_CORNERS]]
    return float(np.linalg.norm(lower - upper) / np.linalg.norm(right - left))


def sync_offset(target: npt.ArrayLike, measured: npt.ArrayLike, frame_rate: Fraction) -> tuple[float, float]:
    """Return (offset in ms, Pearson r at that offset) of the measured opening against the target.

    target, measured: [T] per frame; frames where either is NaN are left out. A positive offset means that the mouth is late.
    The offset is searched within 0.4 s and refined between frames by a parabola through the three best correlations.
    Both are NaN where too few frames are left or a curve does not move.
    """
    wanted, found = np.asarray(target, np.float64), np.asarray(measured, np.float64)
    count = min(len(wanted), len(found))
    wanted, found = wanted[:count], found[:count]
    longest = min(round(_LONGEST_OFFSET * frame_rate), max(0, count - _FEWEST))
    lags = range(-longest, longest + 1)
    curve = np.array([_correlation(wanted[max(0, -k) : count - max(0, k)], found[max(0, k) : count - max(0, -k)]) for k in lags])
    if not np.isfinite(curve).any():
        return float("nan"), float("nan")
    best = int(np.nanargmax(curve))
    shift = _peak(curve, best)
    return (lags[best] + shift) / float(frame_rate) * 1000, float(curve[best])


def _correlation(a: Float64, b: Float64) -> float:
    """Return Pearson's r over the frames where both curves are valid; NaN where they are few or a curve does not move."""
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < _FEWEST:
        return float("nan")
    x, y = a[both] - a[both].mean(), b[both] - b[both].mean()
    power = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / power if power > 1e-9 else float("nan")


def _peak(curve: Float64, best: int) -> float:
    """Return where the parabola through the samples around `best` has its top, in samples from `best` (-0.5 to 0.5)."""
    if not 0 < best < len(curve) - 1:
        return 0.0
    before, top, after = curve[best - 1 : best + 2]
    bend = before - 2 * top + after
    if not np.isfinite(bend) or bend >= 0:
        return 0.0
    return float(np.clip((before - after) / (2 * bend), -0.5, 0.5))
