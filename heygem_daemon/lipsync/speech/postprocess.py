"""From what the networks say to a mouth: amplitude, closures, and rest where nobody speaks."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.ndimage import correlate1d, maximum_filter1d, minimum_filter1d

from heygem_daemon.lipsync.arrays import Bool, Float32
from heygem_daemon.lipsync.motion import viseme_index
from heygem_daemon.lipsync.speech.model import Calibration, Told
from heygem_daemon.lipsync.speech.stream import Curve

REACH: Final = 32
"""Rows (20 ms) on each side that one row depends on."""

_BEFORE: Final = 5
_AFTER: Final = 4
"""Rows that a mouth moves before the sound of a phrase begins, and after it ends. Longer follows real mouths a little better (r .612
here, .619 at 7 and 5) but keeps moving in the silence of short pauses, where a viewer sees it (lip speed in pauses of half a second, as a
share of that in speech: .13 and .21)."""
_WIDTH_AROUND: Final = 16
"""Rows before and after for the width: lips that are shut already spread or round for what comes, and nobody sees chatter in that."""
_SHORTEST: Final = 3
"""Rows of speech that are a word; anything shorter is a click."""
_RAMP: Final = np.hanning(7)[1:-1] / np.hanning(7).sum()
_VOICE: Final = (0.05, 0.25)
"""Probabilities of speech from which a mouth begins to move, and at which it moves freely. Higher ones cut soft sounds off: at
(.35, .65) r falls by .02, and pauses are hardly quieter. Music and noise were taken out before, by the detector."""
_HEARD_CLEARLY: Final = (0.4, 0.7)
"""Probabilities of p, b or m from which the lips begin to close for it, and at which they are shut. On people held back this finds 2
more of 100 closures, at one more false one and the same r."""
_LIPS_AHEAD: Final = 3
"""Rows by which they do: later costs r (.604 at none, .629 at three)."""
_HIGHEST: Final = 1.25
_LEAST: Final = 0.05
"""An opening below this is drawn as shut lips."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """n rows at 50 Hz: told, posteriors float32 [n, 16], is_sound bool [n], gate float32 [n] (1 where a script says the lips meet)."""

    told: Told
    posteriors: Float32
    is_sound: Bool
    gate: Float32


def mouth_curve(rows: Rows, calibration: Calibration) -> Curve:
    """Return the curve of all rows; the first and last REACH of them lack context."""
    speaking = _speaking(rows, _BEFORE, _AFTER)
    opening = calibration.opening_mean + calibration.opening_gain * rows.told.opening
    low, high = calibration.shut
    shut = np.clip((rows.told.shut - low) / (high - low), 0, 1)
    opening = np.clip(opening, 0, _HIGHEST) * (1 - shut * shut * (3 - 2 * shut))
    opening = opening * (1 - np.maximum(rows.gate, _lips_together(rows.posteriors))) * speaking
    width_moves = _speaking(rows, _WIDTH_AROUND, _WIDTH_AROUND)
    width = 0.5 + (calibration.width_mean - 0.5 + calibration.width_gain * rows.told.width) * width_moves
    visemes = rows.posteriors * speaking[:, None]
    visemes[:, 0] += 1 - visemes.sum(1)
    return Curve(
        opening=np.asarray(np.where(opening < _LEAST, opening * opening / _LEAST, opening), np.float32),
        width=np.clip(width, 0, 1.1).astype(np.float32),
        visemes=np.maximum(visemes, 0).astype(np.float32),
    )


def _lips_together(posteriors: Float32) -> Float32:
    """Return 0-1: 1 where a p, b or m is heard clearly. The lips meet before it is heard."""
    low, high = _HEARD_CLEARLY
    heard = np.clip((posteriors[:, viseme_index("PP")] - low) / (high - low), 0, 1)
    return np.concatenate([heard[_LIPS_AHEAD:], np.zeros(_LIPS_AHEAD, np.float32)])


def _speaking(rows: Rows, before: int, after: int) -> Float32:
    """Return 0-1: 1 from `before` rows before somebody speaks to `after` rows after it, with soft edges.

    By what the encoder takes for speech, not by loudness: noise does not open a mouth.
    """
    voice = (1 - rows.posteriors[:, 0]) * rows.is_sound
    heard = np.clip((voice - _VOICE[0]) / (_VOICE[1] - _VOICE[0]), 0, 1)
    lasting = maximum_filter1d(minimum_filter1d(heard, _SHORTEST, mode="nearest"), _SHORTEST, mode="nearest")
    wide = maximum_filter1d(lasting, before + after + 1, origin=(after - before) // 2, mode="nearest")
    return np.asarray(correlate1d(wide, _RAMP, mode="nearest"), np.float32)
