"""Test whether an audio track belongs to a mouth, and measure how late the mouth is.

The opening that a driver predicts from the audio is correlated with the opening measured in the video, at every offset within 0.2 s.
The best of many correlations is high for any audio, so it is compared with the same value for audio that cannot belong to the mouth:
the video's own audio rotated by more than a second, and the audio of other videos.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Float64
from heygem_daemon.lipsync.moving_window import moving_mean
from heygem_daemon.lipsync.style.speech_track import SPEECH_TRACK_RATE, SpeechTrack

ACCEPTED_Z: Final = 3.0
"""Standard deviations above mismatched audio from which audio and mouth belong together."""

_LARGEST_LAG: Final = 0.2
_LAG_STEP: Final = 0.01
"""Seconds."""
_LAGS: Final[Float64] = np.arange(-round(_LARGEST_LAG / _LAG_STEP), round(_LARGEST_LAG / _LAG_STEP) + 1, dtype=np.float64) * _LAG_STEP
_COMPARED_RATE: Final = 25
"""Rows per second that are compared: the mouth does nothing faster than 12 Hz."""
_SLOW: Final = 1.0
"""Motion slower than this (s) is removed: phrases and pauses of a dubbed voice follow the image, its syllables do not."""
_MISMATCHED: Final = 1.0
"""Audio rotated by at least this (s) is mismatched."""
_COMPARED_SECONDS: Final = 1200.0
"""Seconds of speech that are compared at most, spread over the video."""
_FEWEST_MISMATCHED: Final = 100


@dataclass(frozen=True, kw_only=True, eq=False)
class MouthTrack:
    """The opening measured in one span of a video, and what a driver predicts from the audio of the video.

    times: float64 [T], s, on the clock of the audio; opening: float32 [T]
    """

    times: Float64
    opening: Float32
    speech: SpeechTrack


@dataclass(frozen=True, kw_only=True)
class SyncEvidence:
    """lag: s, positive = the mouth is late; r: correlation there; z: standard deviations above mismatched audio; seconds: length
    of the speech compared.

    z is 0 where there was too little to compare with.
    """

    lag: float
    r: float
    z: float
    seconds: float

    @property
    def is_in_sync(self) -> bool:
        return self.z >= ACCEPTED_Z and abs(self.lag) < _LARGEST_LAG - _LAG_STEP

    def __str__(self) -> str:
        return f"r {self.r:.2f} at {self.lag * 1000:+.0f} ms, z {self.z:.1f} of {ACCEPTED_Z:g}, {self.seconds:.0f} s"


def sync_evidence(mouths: Sequence[MouthTrack], others: Sequence[SpeechTrack] = ()) -> SyncEvidence:
    """Compare audio and mouth over all spans of a video, which have one offset together.

    others: the speech of other videos; of no use for a long video, of much use for a short one.
    """
    chosen = _subsample(mouths)
    measured = np.concatenate([_measured_curve(mouth) for mouth in chosen])
    predicted = np.concatenate([_predicted_curves(mouth) for mouth in chosen], axis=1)
    rows, apart = len(measured), round(_MISMATCHED * _COMPARED_RATE)
    curve = _rotated_correlation(measured, predicted)
    mismatched = [curve[:, apart : rows - apart].max(0)] if rows > 2 * apart else []
    mismatched += [
        _rotated_correlation(measured, _tile(_curves_without_mouth(other), rows)).max(0) for other in others if other.speech.any()
    ]
    matched = curve[:, 0]
    best = int(matched.argmax())
    return SyncEvidence(
        lag=float(_LAGS[best]) + _LAG_STEP * _peak(matched, best),
        r=float(matched[best]),
        z=_z_score(float(matched[best]), np.concatenate(mismatched)) if mismatched else 0.0,
        seconds=rows / _COMPARED_RATE,
    )


def agreement(mouth: MouthTrack, lag: float) -> float:
    """Return the correlation of audio and mouth of one span at the offset `lag` of its video."""
    measured, predicted = _measured_curve(mouth), _predicted_curves(mouth, np.array([lag]))[0]
    return float(measured @ predicted / len(measured))


def _z_score(value: float, mismatched: Float64) -> float:
    if len(mismatched) < _FEWEST_MISMATCHED or mismatched.std() < 1e-6:
        return 0.0
    return float((value - mismatched.mean()) / mismatched.std())


def _subsample(mouths: Sequence[MouthTrack]) -> list[MouthTrack]:
    """Return spans of _COMPARED_SECONDS in all, evenly over the video, or all of them."""
    seconds = sum(float(mouth.times[-1] - mouth.times[0]) for mouth in mouths)
    step = max(1.0, seconds / _COMPARED_SECONDS)
    return [mouths[int(i)] for i in np.arange(0, len(mouths), step)]


def _grid(mouth: MouthTrack) -> Float64:
    return np.arange(mouth.times[0], mouth.times[-1], 1 / _COMPARED_RATE)


def _measured_curve(mouth: MouthTrack) -> Float64:
    """Return [n]: the quick part of the opening, mean 0, deviation 1."""
    opening = np.interp(_grid(mouth), mouth.times, mouth.opening)
    return np.asarray(_standardise(_high_pass(opening, _COMPARED_RATE)[None])[0])


def _predicted_curves(mouth: MouthTrack, lags: Float64 = _LAGS) -> Float64:
    """Return [lags, n]: the quick part of the opening predicted from the audio, as a mouth late by each lag would show it."""
    quick, grid = _high_pass(mouth.speech.opening.astype(np.float64), SPEECH_TRACK_RATE), _grid(mouth)
    rows = (grid - lags[:, None]) * SPEECH_TRACK_RATE
    return _standardise(np.interp(rows, np.arange(len(quick)), quick))


def _curves_without_mouth(track: SpeechTrack) -> Float64:
    """Return [lags, n] of audio that comes without a mouth: the part in which somebody speaks."""
    spoken = np.flatnonzero(track.speech)
    times = np.arange(spoken[0], max(spoken[-1], spoken[0] + 2 * SPEECH_TRACK_RATE)) / SPEECH_TRACK_RATE
    return _predicted_curves(MouthTrack(times=times, opening=np.zeros(len(times), np.float32), speech=track))


def _high_pass(opening: Float64, rate: int) -> Float64:
    return np.asarray(opening - moving_mean(opening, max(1, round(_SLOW * rate))), np.float64)


def _standardise(curves: Float64) -> Float64:
    centred = curves - curves.mean(1, keepdims=True)
    return np.asarray(centred / np.maximum(centred.std(1, keepdims=True), 1e-6))


def _tile(curves: Float64, rows: int) -> Float64:
    return np.tile(curves, (1, -(-rows // curves.shape[1])))[:, :rows]


def _rotated_correlation(measured: Float64, predicted: Float64) -> Float64:
    """Return [lags, n]: the correlation with the audio rotated by each number of rows (column 0: not rotated)."""
    spectrum = np.conj(np.fft.rfft(measured)) * np.fft.rfft(predicted, axis=1)
    return np.asarray(np.fft.irfft(spectrum, len(measured), axis=1) / len(measured))


def _peak(curve: Float64, best: int) -> float:
    """Return where the parabola through the three values around `best` has its peak, in steps from `best`."""
    if not 0 < best < len(curve) - 1:
        return 0.0
    before, top, after = curve[best - 1 : best + 2]
    bend = before - 2 * top + after
    return float(np.clip((before - after) / (2 * bend), -0.5, 0.5)) if bend < 0 else 0.0
