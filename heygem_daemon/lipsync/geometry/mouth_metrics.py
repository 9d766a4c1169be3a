"""What a mouth does on tracked frames, and how late it does it."""

from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt

from heygem_daemon.lipsync.arrays import Float32, Float64

_INNER_LIPS: Final = (13, 14)
_OUTER_EYES: Final = (33, 263)
_REACH: Final = 0.4
_FEWEST: Final = 8


def lip_opening(landmarks: Float32) -> Float32:
    """Return float32 [T]: the 3D distance of the inner lips over that of the outer eye corners; NaN where landmarks are.

    landmarks: float32 [T, 468, 3], any unit.
    """
    upper, lower = (landmarks[:, i] for i in _INNER_LIPS)
    left, right = (landmarks[:, i] for i in _OUTER_EYES)
    opening = np.linalg.norm(upper - lower, axis=1) / np.linalg.norm(left - right, axis=1)
    return np.asarray(opening, np.float32)


def sync_offset(asked: npt.ArrayLike, obtained: npt.ArrayLike, frame_rate: Fraction) -> tuple[float, float]:
    """Return (offset in ms, Pearson r at that offset) of the obtained opening against the asked one.

    asked, obtained: [T] per frame; frames where either is NaN are left out. A positive offset means that the mouth is late.
    The offset is searched within 0.4 s and refined between frames by a parabola through the three best correlations.
    Both are NaN where too few frames are left or a curve does not move.
    """
    want, have = np.asarray(asked, np.float64), np.asarray(obtained, np.float64)
    count = min(len(want), len(have))
    want, have = want[:count], have[:count]
    reach = min(round(_REACH * frame_rate), max(0, count - _FEWEST))
    lags = range(-reach, reach + 1)
    curve = np.array([_correlation(want[max(0, -k) : count - max(0, k)], have[max(0, k) : count - max(0, -k)]) for k in lags])
    if not np.isfinite(curve).any():
        return float("nan"), float("nan")
    best = int(np.nanargmax(curve))
    shift = _peak(curve, best)
    return (lags[best] + shift) / float(frame_rate) * 1000, float(curve[best])


def _correlation(a: Float64, b: Float64) -> float:
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
