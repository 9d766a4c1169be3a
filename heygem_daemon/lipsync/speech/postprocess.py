"""Turn the output of the networks into the curve of a mouth: amplitude, closures, and rest where nobody speaks."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.ndimage import correlate1d, maximum_filter1d, minimum_filter1d

from heygem_daemon.lipsync.arrays import Bool, Float32
from heygem_daemon.lipsync.geometry.smoothstep import smoothstep
from heygem_daemon.lipsync.motion import viseme_index
from heygem_daemon.lipsync.speech.model import Calibration, MotionPrediction
from heygem_daemon.lipsync.speech.stream import Curve

REACH: Final = 32
"""Rows (20 ms) on each side that one row depends on."""

_BEFORE: Final = 5
_AFTER: Final = 4
"""Rows for which a mouth moves before a phrase begins to be audible, and after it ends. Longer follows real mouths a little better (r .612
here, .619 at 7 and 5) but keeps moving in the silence of short pauses, where a viewer sees it (lip speed in pauses of half a
second, as a fraction of that in speech: .13 and .21)."""
_WIDTH_AROUND: Final = 16
"""The same for the width, before and after: shut lips already spread or round for what comes, and jitter of the width is not seen."""
_SHORTEST: Final = 3
"""Rows of the shortest speech; anything shorter is a click."""
_RAMP: Final = np.hanning(7)[1:-1] / np.hanning(7).sum()
"""Weights of five rows: the soft edges of speech."""
_SPEECH_PROBABILITY: Final = (0.05, 0.25)
"""Probabilities of speech from which a mouth begins to move, and at which it moves freely. Higher ones cut soft phones off: at
(.35, .65) r falls by .02, and pauses are hardly quieter. Music and noise were taken out before, by the detector."""
_BILABIAL_PROBABILITY: Final = (0.4, 0.7)
"""Probabilities of p, b or m from which the lips begin to close for it, and at which they are shut. On held-out people this finds 2 more
of 100 closures, at one more false one and the same r."""
_CLOSURE_LEAD: Final = 3
"""Rows by which the lips meet before the phone is audible: later costs r (.604 at none, .629 at three)."""
_WIDEST_OPENING: Final = 1.25
_WIDEST_WIDTH: Final = 1.1
"""Fractions of the range of normal speech."""
_SMALLEST_OPENING: Final = 0.05
"""An opening below this becomes one of shut lips, by a parabola."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PredictedRows:
    """n rows at 50 Hz: posteriors float32 [n, 16], in_recording bool [n], gate float32 [n] (1 where a transcript makes the lips meet)."""

    prediction: MotionPrediction
    posteriors: Float32
    in_recording: Bool
    gate: Float32


def mouth_curve(rows: PredictedRows, calibration: Calibration) -> Curve:
    """Return the curve of all rows; the first and last REACH of them lack context."""
    speaking = _speaking(rows, _BEFORE, _AFTER)
    opening = calibration.opening_mean + calibration.opening_gain * rows.prediction.opening
    opening = np.clip(opening, 0, _WIDEST_OPENING) * (1 - smoothstep(rows.prediction.shut, *calibration.shut))
    opening = opening * (1 - np.maximum(rows.gate, _bilabial_closure(rows.posteriors))) * speaking
    width_moves = _speaking(rows, _WIDTH_AROUND, _WIDTH_AROUND)
    width = 0.5 + (calibration.width_mean - 0.5 + calibration.width_gain * rows.prediction.width) * width_moves
    visemes = rows.posteriors * speaking[:, None]
    visemes[:, 0] += 1 - visemes.sum(1)
    return Curve(
        opening=np.asarray(np.where(opening < _SMALLEST_OPENING, opening * opening / _SMALLEST_OPENING, opening), np.float32),
        width=np.clip(width, 0, _WIDEST_WIDTH).astype(np.float32),
        visemes=np.maximum(visemes, 0).astype(np.float32),
    )


def _bilabial_closure(posteriors: Float32) -> Float32:
    """Return float32 [n], 0-1: 1 where the lips are shut for a p, b or m that was clearly recognised, which is before it is audible."""
    low, high = _BILABIAL_PROBABILITY
    closed = np.clip((posteriors[:, viseme_index("PP")] - low) / (high - low), 0, 1)
    return np.concatenate([closed[_CLOSURE_LEAD:], np.zeros(_CLOSURE_LEAD, np.float32)])


def _speaking(rows: PredictedRows, before: int, after: int) -> Float32:
    """Return float32 [n], 0-1: 1 from `before` rows before somebody speaks to `after` rows after it, with soft edges.

    It goes by what the encoder takes for speech, not by loudness: noise does not open a mouth.
    """
    voice = (1 - rows.posteriors[:, 0]) * rows.in_recording
    low, high = _SPEECH_PROBABILITY
    speech = np.clip((voice - low) / (high - low), 0, 1)
    lasting = maximum_filter1d(minimum_filter1d(speech, _SHORTEST, mode="nearest"), _SHORTEST, mode="nearest")
    wide = maximum_filter1d(lasting, before + after + 1, origin=(after - before) // 2, mode="nearest")
    return np.asarray(correlate1d(wide, _RAMP, mode="nearest"), np.float32)
