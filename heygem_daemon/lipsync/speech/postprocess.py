"""Turn the output of the networks into the curve of a mouth: amplitude, closures, and rest where nobody speaks."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Bool, Float32
from heygem_daemon.lipsync.geometry.smoothstep import smoothstep
from heygem_daemon.lipsync.motion import viseme_index
from heygem_daemon.lipsync.moving_window import moving_maximum, moving_mean, moving_minimum, weighted_sum
from heygem_daemon.lipsync.speech.model import AcousticFeatures, Calibration, MotionPrediction
from heygem_daemon.lipsync.speech.stream import Curve
from heygem_daemon.lipsync.speech.voice_activity import SPEECH

REACH: Final = 54
"""Rows (20 ms) on each side that one row depends on."""

_NEAR: Final = 8
"""Rows from speech in which a mouth is free to move; the detector of speech has widened it by ten already."""
_PAUSE: Final = 0.6
_PAUSE_ROWS: Final = 25
"""Where nobody speaks but something is to be heard the mouth goes to this part of its mean opening over half a second on both sides: it
neither snaps shut nor chews. On people held out all rules together cost about .003 of r so; shutting the lips wherever nobody speaks
costs .06."""
_QUIET: Final = -1.0
_QUIET_ROWS: Final = 4
"""A mouth holds still where the audio is 30 dB below the level of the speech (see network.loudness_rows) for this many rows before and
after: whatever real mouths do there to get ready, a viewer who hears nothing takes it for an error. It takes .002 from r."""
_HELD: Final = 0.85
_HELD_ROWS: Final = 50
"""It is held at this part of its mean opening over a second on both sides."""
_REST: Final = 25
"""Rows from speech beyond which the mouth comes to rest: shut lips, half wide."""
_REST_RAMP: Final = 15
"""Rows in which it comes to rest."""
_BILABIAL_PROBABILITY: Final = (0.4, 0.7)
"""Probabilities of p, b or m from which the lips begin to close for it, and at which they are shut. On held-out people this finds 7 more
of 100 closures, at 2 more false ones and .001 of r."""
_CLOSURE_LEAD: Final = 3
"""Rows by which the lips meet before the phone is audible: two rows cost .003 of r, one row .01."""
_SHUT_EDGE: Final = 0.15
"""The lips close from this much below the threshold of "shut" to as much above it."""
_OPENING_WEIGHT: Final = 2.0
"""Logarithm of odds of "shut" for each deviation that the opening is predicted below its mean: with it 3 more of 100 closures are found
where as many are asked."""
_SMALLEST_APART: Final = 0.15
"""Lips that are not shut are this far apart at least, more than what counts as shut."""
_WIDEST_OPENING: Final = 1.25
_WIDEST_WIDTH: Final = 1.1
"""Fractions of the range of normal speech."""
_SMALLEST_OPENING: Final = 0.05
"""An opening below this becomes one of shut lips, by a parabola."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PredictedRows:
    """n rows at 50 Hz: what was predicted, and from what; in_recording bool [n], gate float32 [n] (1 where a transcript makes the lips
    meet)."""

    prediction: MotionPrediction
    acoustic: AcousticFeatures
    in_recording: Bool
    gate: Float32


def mouth_curve(rows: PredictedRows, calibration: Calibration) -> Curve:
    """Return the curve of all rows; the first and last REACH of them lack context."""
    threshold = calibration.shut_threshold
    speaking = _speech_fraction(rows)
    awake = _fade(_dilate(speaking, _REST), _REST_RAMP)
    opening = _apart(np.clip(calibration.opening_mean + calibration.opening_gain * rows.prediction.opening, 0, _WIDEST_OPENING))
    opening = opening * (1 - smoothstep(shut_evidence(rows.prediction), threshold - _SHUT_EDGE, threshold + _SHUT_EDGE))
    opening = opening * (1 - np.maximum(rows.gate, _bilabial_closure(rows.acoustic.posteriors)))
    near = _fade(_dilate(speaking, _NEAR), 4)
    before_pauses = opening
    opening = opening * near + _PAUSE * _slow(opening, _PAUSE_ROWS) * (1 - near)
    held = _fade(moving_minimum((rows.acoustic.loudness[:, 0] < _QUIET).astype(np.float32), 2 * _QUIET_ROWS + 1), 2)
    opening = (opening * (1 - held) + _HELD * _slow(before_pauses, _HELD_ROWS) * held) * awake
    width = 0.5 + (calibration.width_mean - 0.5 + calibration.width_gain * rows.prediction.width) * awake
    visemes = rows.acoustic.posteriors * awake[:, None]
    visemes[:, 0] += 1 - visemes.sum(1)
    return Curve(
        opening=np.asarray(np.where(opening < _SMALLEST_OPENING, opening * opening / _SMALLEST_OPENING, opening), np.float32),
        width=np.clip(width, 0, _WIDEST_WIDTH).astype(np.float32),
        visemes=np.maximum(visemes, 0).astype(np.float32),
    )


def shut_evidence(prediction: MotionPrediction) -> Float32:
    """Return float32 [n], 0-1: how much speaks for shut lips: their probability, and how little the mouth opens."""
    probability = np.clip(prediction.shut, 1e-4, 1 - 1e-4)
    odds = np.log(probability / (1 - probability)) - _OPENING_WEIGHT * prediction.opening
    return np.asarray(1 / (1 + np.exp(-odds)), np.float32)


def _apart(opening: Float32) -> Float32:
    """Return the opening, bent by a parabola so that it does not fall below _SMALLEST_APART."""
    return np.where(opening < 2 * _SMALLEST_APART, _SMALLEST_APART + opening**2 / (4 * _SMALLEST_APART), opening)


def _bilabial_closure(posteriors: Float32) -> Float32:
    """Return float32 [n], 0-1: 1 where the lips are shut for a p, b or m that was clearly recognised, which is before it is audible."""
    low, high = _BILABIAL_PROBABILITY
    closed = np.clip((posteriors[:, viseme_index("PP")] - low) / (high - low), 0, 1)
    return np.concatenate([closed[_CLOSURE_LEAD:], np.zeros(_CLOSURE_LEAD, np.float32)])


def _speech_fraction(rows: PredictedRows) -> Float32:
    """Return float32 [n], 0-1: how certainly somebody speaks. It goes by the detector, not by loudness: noise does not open a mouth."""
    low, high = SPEECH
    return np.asarray(np.clip((rows.acoustic.speech - low) / (high - low), 0, 1) * rows.in_recording, np.float32)


def _slow(values: Float32, rows: int) -> Float32:
    """Return the mean over `rows` rows on both sides, weighted by a triangle."""
    return np.asarray(moving_mean(moving_mean(values, rows), rows), np.float32)


def _dilate(values: Float32, rows: int) -> Float32:
    return np.asarray(moving_maximum(values, 2 * rows + 1), np.float32)


def _fade(values: Float32, rows: int) -> Float32:
    """Return the values with edges as soft as `rows` on both sides."""
    window = np.hanning(2 * rows + 1)[1:-1]
    return np.asarray(weighted_sum(values, window / window.sum()), np.float32)
