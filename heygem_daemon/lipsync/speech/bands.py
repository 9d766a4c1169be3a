"""A driver without any learned weights: loudness and a few bands of the spectrum, turned into soft visemes by rules."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import correlate1d, maximum_filter1d, minimum_filter1d

from heygem_daemon.lipsync.ports import VISEMES, MouthMotion
from heygem_daemon.lipsync.speech.activity import AFTER, BEFORE, Activity, activity
from heygem_daemon.lipsync.speech.features import BandFeatures, band_features, mel_frequencies, prepare_filters
from heygem_daemon.lipsync.speech.sampling import sample
from heygem_daemon.lipsync.speech.stream import Curve, reblock
from heygem_daemon.lipsync.speech.visemes import TABLE, column

FloatArray = npt.NDArray[np.float32]

LEAD: Final = Fraction(60, 1000)
"""The mouth is ahead of the sound it makes: mouth(t) = curve(t + 60 ms)."""

_EDGE: Final = 12
"""Rows of context of the rules and the smoothing, on each side."""
_DIP_REACH: Final = 9
_KERNEL: Final = np.hanning(13)[1:-1] / np.hanning(13).sum()
_PAUSE_KERNEL: Final = np.hanning(17)[1:-1] / np.hanning(17).sum()


class BandDriver:
    """A Driver (see lipsync.ports) of rules: honest, small, and good for a mouth that moves with the sound, not for phonemes."""

    name = "bands"

    def __init__(self) -> None:
        prepare_filters()  # librosa compiles at its first use: that belongs to the start of a worker, not to its first order

    def motion(self, speech: Iterable[FloatArray], frame_rate: Fraction, frames: int) -> Iterator[MouthMotion]:
        """Yield motion in blocks of about a second."""
        return sample(self.curve(speech), frame_rate, frames, LEAD)

    def curve(self, speech: Iterable[FloatArray]) -> Iterator[Curve]:
        """Yield the motion at 100 rows per second, in time with the sound, without end: at rest after the speech."""
        before, after = BEFORE + _EDGE, AFTER + _EDGE
        held = _silence(before)
        for block in band_features(reblock(speech)):
            held = _joined(held, block)
            ready = len(held) - before - after
            if ready > 0:
                yield _curve(held)
                held = _since(held, ready)


def _curve(held: BandFeatures) -> Curve:
    """Return the curve of the rows of `held` that have context on both sides."""
    wide = activity(held.level_db, held.is_sound)
    inner = slice(BEFORE, len(held) - AFTER)
    features = BandFeatures(
        mel_db=held.mel_db[inner], level_db=held.level_db[inner], crossing=held.crossing[inner], is_sound=held.is_sound[inner]
    )
    weights = _viseme_weights(features, wide)
    shape = weights @ TABLE
    voice = np.minimum(1.0, correlate1d(wide.voice, _PAUSE_KERNEL, mode="nearest") * 1.15)
    voice = np.where(voice < 0.12, 0.0, voice)
    opening = correlate1d(shape[:, 0] * (0.25 + 0.95 * wide.loudness), _KERNEL, mode="nearest") * voice
    width = correlate1d(shape[:, 1], _KERNEL, mode="nearest")
    smooth = np.maximum(correlate1d(weights, _KERNEL, axis=0, mode="nearest"), 0.0)
    keep = slice(_EDGE, len(features) - _EDGE)
    return Curve(
        opening=opening[keep].astype(np.float32),
        width=width[keep].astype(np.float32),
        visemes=(smooth / smooth.sum(1, keepdims=True))[keep].astype(np.float32),
    )


def _viseme_weights(features: BandFeatures, heard: Activity) -> FloatArray:
    """Return float32 [n, 16], rows sum to 1: which viseme the bands sound like."""
    power = np.asarray(10 ** (features.mel_db / 10), np.float32)
    low, high = _share(power, 60, 700), _share(power, 3500, 8000)
    hiss = _ramp(high + features.crossing, 0.45, 0.85) * _ramp(-low, -0.5, -0.2)
    dip = _dip(features.level_db) * heard.loudness.clip(0.2, 1)
    centre = _centre(power, 2500, 8000)
    height = _ramp(_centre(power, 200, 1100), 380, 620)
    front = _ramp(_ratio_db(power, (1700, 3000), (700, 1400)), -9, 3)
    scores = np.zeros((len(features), len(VISEMES)), np.float32)
    vowel = (1 - hiss) * (1 - dip)
    scores[:, column("aa")] = vowel * height
    scores[:, column("E")] = vowel * _bump(height, 0.5) * front
    scores[:, column("ih")] = vowel * (1 - height) * front
    scores[:, column("oh")] = vowel * _bump(height, 0.4) * (1 - front) * 0.7
    scores[:, column("ou")] = vowel * (1 - height) * (1 - front) * 0.7
    scores[:, column("ax")] = vowel * 0.25
    scores[:, column("SS")] = hiss * _ramp(centre, 4200, 5200)
    scores[:, column("CH")] = hiss * (1 - _ramp(centre, 4200, 5200))
    scores[:, column("FF")] = hiss * (1 - heard.loudness) * 0.6
    scores[:, column("PP")] = dip * 0.7 * (1 - hiss)
    scores[:, column("DD")] = dip * 0.2
    scores[:, column("nn")] = dip * 0.1 * (1 - hiss)
    scores /= np.maximum(scores.sum(1, keepdims=True), 1e-6)
    scores *= heard.voice[:, None]
    scores[:, column("sil")] += 1 - scores.sum(1)
    return scores


def _dip(level_db: FloatArray) -> FloatArray:
    """Return 0-1: how much quieter than the louder moments up to 90 ms before and after: a closure between voiced parts."""
    size = 2 * _DIP_REACH + 1
    before = maximum_filter1d(level_db, _DIP_REACH + 1, origin=_DIP_REACH // 2, mode="nearest")
    after = maximum_filter1d(level_db, _DIP_REACH + 1, origin=-(_DIP_REACH // 2), mode="nearest")
    deepest = minimum_filter1d(level_db, size, mode="nearest")
    depth = np.minimum(before, after) - level_db
    return _ramp(depth, 8, 16) * _ramp(deepest - level_db, -6, -2)


def _share(power: FloatArray, lowest: float, highest: float) -> FloatArray:
    """Return the share of the energy between two frequencies in Hz."""
    return np.asarray(_band(power, lowest, highest) / np.maximum(power.sum(1), 1e-12), np.float32)


def _ratio_db(power: FloatArray, over: tuple[float, float], under: tuple[float, float]) -> FloatArray:
    return np.asarray(10 * np.log10(_band(power, *over) + 1e-9) - 10 * np.log10(_band(power, *under) + 1e-9), np.float32)


def _band(power: FloatArray, lowest: float, highest: float) -> FloatArray:
    frequencies = mel_frequencies()
    return np.asarray(power[:, (frequencies >= lowest) & (frequencies < highest)].sum(1), np.float32)


def _centre(power: FloatArray, lowest: float, highest: float) -> FloatArray:
    """Return the centre of gravity of the spectrum between two frequencies, in Hz."""
    frequencies = mel_frequencies()
    chosen = (frequencies >= lowest) & (frequencies < highest)
    part = np.sqrt(power[:, chosen])
    return np.asarray(part @ frequencies[chosen] / np.maximum(part.sum(1), 1e-9), np.float32)


def _ramp(values: FloatArray, zero: float, one: float) -> FloatArray:
    return np.asarray(np.clip((values - zero) / (one - zero), 0, 1), np.float32)


def _bump(values: FloatArray, top: float) -> FloatArray:
    """Return 1 at `top`, falling to 0 at a distance of 0.5."""
    return np.asarray(np.clip(1 - 2 * np.abs(values - top), 0, 1), np.float32)


def _silence(rows: int) -> BandFeatures:
    return BandFeatures(
        mel_db=np.full((rows, len(mel_frequencies())), -80, np.float32),
        level_db=np.full(rows, -80, np.float32),
        crossing=np.zeros(rows, np.float32),
        is_sound=np.zeros(rows, bool),
    )


def _joined(first: BandFeatures, second: BandFeatures) -> BandFeatures:
    return BandFeatures(
        mel_db=np.concatenate([first.mel_db, second.mel_db]),
        level_db=np.concatenate([first.level_db, second.level_db]),
        crossing=np.concatenate([first.crossing, second.crossing]),
        is_sound=np.concatenate([first.is_sound, second.is_sound]),
    )


def _since(features: BandFeatures, row: int) -> BandFeatures:
    return BandFeatures(
        mel_db=features.mel_db[row:], level_db=features.level_db[row:], crossing=features.crossing[row:], is_sound=features.is_sound[row:]
    )
