"""Measure how well a predicted mouth follows a real one: the metrics of speech drivers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from heygem_daemon.lipsync.adaptation.clips import AvClip
from heygem_daemon.lipsync.arrays import Bool, Float32

SHUT: Final = 0.15
"""Lips are shut below this fraction of the 95th percentile of the opening."""
_FEWEST_SHUT: Final = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class Prediction:
    """Opening and width that a driver predicts at a clip's frames (at `AvClip.true_times`): float32 [T], fractions."""

    opening: Float32
    width: Float32


@dataclass(frozen=True, kw_only=True)
class DriverMetrics:
    """opening_r, width_r: Pearson r, mean over clips weighted by their frames; opening_r_mean and _median: over clips.

    amplitude:     deviation of the predicted opening over that of the true one (as a fraction of its clip's 95th percentile)
    closures_hit:  fraction of the instants with truly shut lips at which the prediction is shut too
    closures_false: fraction of the instants with open lips at which the prediction is shut
    """

    opening_r: float
    opening_r_mean: float
    opening_r_median: float
    width_r: float
    amplitude: float
    closures_hit: float
    closures_false: float
    clips: int


def is_shut(opening: Float32) -> Bool:
    """Return bool [T]: below 15 % of the curve's own 95th percentile."""
    return np.asarray(opening < SHUT * np.percentile(opening, 95))


def driver_metrics(clips: Sequence[AvClip], predictions: Mapping[str, Prediction]) -> DriverMetrics:
    """Compare predictions, by clip name, with the measured mouths. Clips without a prediction are left out."""
    known = [clip for clip in clips if clip.name in predictions]
    predicted = [predictions[clip.name] for clip in known]
    frames = np.array([len(clip.times) for clip in known], float)
    opening = np.array([correlation(p.opening, clip.opening) for p, clip in zip(predicted, known, strict=True)])
    width = np.array([correlation(p.width, clip.width) for p, clip in zip(predicted, known, strict=True)])
    deviations = np.array([(p.opening.std(), true_fraction(clip).std()) for p, clip in zip(predicted, known, strict=True)])
    hits, falses = _closures(known, predicted)
    return DriverMetrics(
        opening_r=float(np.average(opening, weights=frames)),
        opening_r_mean=float(opening.mean()),
        opening_r_median=float(np.median(opening)),
        width_r=float(np.average(width, weights=frames)),
        amplitude=float(deviations[:, 0].mean() / deviations[:, 1].mean()),
        closures_hit=hits,
        closures_false=falses,
        clips=len(known),
    )


def true_fraction(clip: AvClip) -> Float32:
    """Return float32 [T]: the clip's opening as a fraction of its 95th percentile."""
    return np.asarray(clip.opening / max(1e-6, float(np.percentile(clip.opening, 95))), np.float32)


def correlation(a: Float32, b: Float32) -> float:
    """Return Pearson's r, 0 where one of them does not move."""
    if min(a.std(), b.std()) < 1e-6:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _closures(clips: Sequence[AvClip], predictions: Sequence[Prediction]) -> tuple[float, float]:
    hit = shut = false = opened = 0
    for clip, prediction in zip(clips, predictions, strict=True):
        truth, predicted = is_shut(clip.opening), is_shut(prediction.opening)
        false, opened = false + int((predicted & ~truth).sum()), opened + int((~truth).sum())
        if truth.sum() > _FEWEST_SHUT:
            hit, shut = hit + int((predicted & truth).sum()), shut + int(truth.sum())
    return hit / max(1, shut), false / max(1, opened)
