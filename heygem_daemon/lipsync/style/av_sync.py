"""Does this sound belong to this mouth, and how late is the mouth?

The opening that a driver hears in the sound is correlated with the opening that was seen, at every offset within 0.2 s. The best of
many correlations is high for any sound, so it is judged against the same figure for sound that cannot belong to the picture: the
video's own sound rotated by more than a second, and the sound of other videos.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.ndimage import uniform_filter1d

from heygem_daemon.lipsync.adaptation.footage import HEARD_RATE, HeardSpeech
from heygem_daemon.lipsync.arrays import Float32, Float64

ACCEPTED_Z: Final = 3.0
"""Standard deviations above mismatched sound from which sound and mouth belong together."""

_REACH: Final = 0.2
_STEP: Final = 0.01
_LAGS: Final[Float64] = np.arange(-round(_REACH / _STEP), round(_REACH / _STEP) + 1, dtype=np.float64) * _STEP
_RATE: Final = 25
"""Rows per second that are compared: the mouth does nothing faster than 12 Hz."""
_SLOW: Final = 1.0
"""Motion slower than this (s) is taken off: phrases and pauses of a dubbed voice follow the picture, its syllables do not."""
_APART: Final = 1.0
"""Sound rotated by at least this (s) is mismatched."""
_ENOUGH: Final = 1200.0
"""Seconds of speech that are compared at most, spread over the video."""
_FEWEST_NULL: Final = 100


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """A stretch as the test sees it: what the mouth did, and what the sound that comes with it says.

    times: float64 [T], s, on the clock of the sound; opening: float32 [T]
    """

    times: Float64
    opening: Float32
    heard: HeardSpeech


@dataclass(frozen=True, kw_only=True)
class SyncEvidence:
    """lag: s, positive = the mouth is late; r: correlation there; z: how far above mismatched sound; seconds: speech compared.

    z is 0 where there was too little to compare with.
    """

    lag: float
    r: float
    z: float
    seconds: float

    @property
    def is_in_sync(self) -> bool:
        return self.z >= ACCEPTED_Z and abs(self.lag) < _REACH - _STEP

    def __str__(self) -> str:
        return f"r {self.r:.2f} at {self.lag * 1000:+.0f} ms, z {self.z:.1f} of {ACCEPTED_Z:g}, {self.seconds:.0f} s"


def sync_evidence(stretches: Sequence[Seen], others: Sequence[HeardSpeech] = ()) -> SyncEvidence:
    """Compare sound and mouth over all stretches of a video, which have one offset together.

    others: what is heard in other videos; of no use for a long video, of much use for a short one.
    """
    chosen = _spread(stretches)
    seen = np.concatenate([_seen_curve(stretch) for stretch in chosen])
    heard = np.concatenate([_heard_curves(stretch) for stretch in chosen], axis=1)
    rows, apart = len(seen), round(_APART * _RATE)
    curve = _rotated(seen, heard)
    null = [curve[:, apart : rows - apart].max(0)] if rows > 2 * apart else []
    null += [_rotated(seen, _tiled(_heard_alone(other), rows)).max(0) for other in others if other.speech.any()]
    there = curve[:, 0]
    best = int(there.argmax())
    return SyncEvidence(
        lag=float(_LAGS[best]) + _STEP * _top(there, best),
        r=float(there[best]),
        z=_above(float(there[best]), np.concatenate(null)) if null else 0.0,
        seconds=rows / _RATE,
    )


def agreement(stretch: Seen, lag: float) -> float:
    """Return the correlation of sound and mouth of one stretch at the offset `lag` of its video."""
    seen, heard = _seen_curve(stretch), _heard_curves(stretch, np.array([lag]))[0]
    return float(seen @ heard / len(seen))


def _above(value: float, null: Float64) -> float:
    if len(null) < _FEWEST_NULL or null.std() < 1e-6:
        return 0.0
    return float((value - null.mean()) / null.std())


def _spread(stretches: Sequence[Seen]) -> list[Seen]:
    """Return stretches of _ENOUGH seconds in all, evenly over the video, or all of them."""
    seconds = sum(float(stretch.times[-1] - stretch.times[0]) for stretch in stretches)
    step = max(1.0, seconds / _ENOUGH)
    return [stretches[int(i)] for i in np.arange(0, len(stretches), step)]


def _grid(stretch: Seen) -> Float64:
    return np.arange(stretch.times[0], stretch.times[-1], 1 / _RATE)


def _seen_curve(stretch: Seen) -> Float64:
    """Return [n]: the quick part of the opening, mean 0, deviation 1."""
    opening = np.interp(_grid(stretch), stretch.times, stretch.opening)
    return np.asarray(_standardised(_quick(opening, _RATE)[None])[0])


def _heard_curves(stretch: Seen, lags: Float64 = _LAGS) -> Float64:
    """Return [lags, n]: the quick part of the opening heard, as it would be seen if the mouth were late by each lag."""
    quick, grid = _quick(stretch.heard.opening.astype(np.float64), HEARD_RATE), _grid(stretch)
    rows = (grid - lags[:, None]) * HEARD_RATE
    return _standardised(np.interp(rows, np.arange(len(quick)), quick))


def _heard_alone(heard: HeardSpeech) -> Float64:
    """Return [lags, n] of a sound that comes without a mouth: the part of it where somebody speaks."""
    spoken = np.flatnonzero(heard.speech)
    times = np.arange(spoken[0], max(spoken[-1], spoken[0] + 2 * HEARD_RATE)) / HEARD_RATE
    return _heard_curves(Seen(times=times, opening=np.zeros(len(times), np.float32), heard=heard))


def _quick(opening: Float64, rate: int) -> Float64:
    return np.asarray(opening - uniform_filter1d(opening, max(1, round(_SLOW * rate)), mode="nearest"), np.float64)


def _standardised(curves: Float64) -> Float64:
    centred = curves - curves.mean(1, keepdims=True)
    return np.asarray(centred / np.maximum(centred.std(1, keepdims=True), 1e-6))


def _tiled(curves: Float64, rows: int) -> Float64:
    return np.tile(curves, (1, -(-rows // curves.shape[1])))[:, :rows]


def _rotated(seen: Float64, heard: Float64) -> Float64:
    """Return [lags, n]: the correlation with the sound rotated by each number of rows (column 0: as it is)."""
    spectrum = np.conj(np.fft.rfft(seen)) * np.fft.rfft(heard, axis=1)
    return np.asarray(np.fft.irfft(spectrum, len(seen), axis=1) / len(seen))


def _top(curve: Float64, best: int) -> float:
    """Return where the parabola through the three values around `best` has its top, in steps from `best`."""
    if not 0 < best < len(curve) - 1:
        return 0.0
    before, top, after = curve[best - 1 : best + 2]
    bend = before - 2 * top + after
    return float(np.clip((before - after) / (2 * bend), -0.5, 0.5)) if bend < 0 else 0.0
