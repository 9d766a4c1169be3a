"""Stage B: train the mappers on real mouths, and evaluate and calibrate them on people held out."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import product, repeat
from multiprocessing import get_context
from typing import Any, Final

import numpy as np
import torch

from heygem_daemon.lipsync.adaptation.augment import babble, mix
from heygem_daemon.lipsync.adaptation.clips import AvClip
from heygem_daemon.lipsync.adaptation.finetune import (
    DEFAULT,
    TRANSCRIPT_RECIPE,
    EncodedCopy,
    Recipe,
    encoded_copies,
    example,
    lip_pca_of,
    train_mappers,
    train_transcript_mappers,
)
from heygem_daemon.lipsync.adaptation.scores import DriverMetrics, Prediction, driver_metrics, is_shut
from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.speech.model import (
    SHUT_SHARES,
    AcousticFeatures,
    Calibration,
    MotionPrediction,
    PhoneticModel,
    encode_recording,
    predict,
)
from heygem_daemon.lipsync.speech.postprocess import PredictedRows, mouth_curve
from heygem_daemon.lipsync.speech.stream import CURVE_RATE, Curve
from training.splits import folds, person_of
from training.transcript_examples import transcript_examples

FOLDS: Final = 6
BABBLE_DB: Final = 10.0
_GAINS: Final = (0.34, 0.38, 0.42, 0.46)
_MEANS: Final = (0.34, 0.38, 0.42)
_USUAL_THRESHOLDS: Final = (0.6, 0.5, 0.45, 0.4, 0.35, 0.3)
_THRESHOLDS: Final = (1.15, 1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45, 0.4, 0.35, 0.3, 0.25, 0.2, 0.1, 0.05, 0.02)
_HITS: Final = 0.66
_FALSE: Final = 0.22
"""Fractions of the true closures that are to be hit at least, and of the open instants that may be shut at most, of people of whom nothing
is known."""
_TRANSCRIPT_REPEATS: Final = 6
"""Clips with a transcript are few: each counts as often as this in the training of the transcript mappers."""
_AMPLITUDE: Final = (0.93, 1.07)
_WIDTH_AMPLITUDE: Final = 0.2
"""Of the width, as a fraction of the range from rounded to spread. Real mouths have .30; width is predicted less well than opening."""


def encode_clips(start: PhoneticModel, clips: Sequence[AvClip], *, seed: int, workers: int) -> list[list[EncodedCopy]]:
    """Return the copies of every clip that mappers are trained on, and last one with babble, for the evaluation."""
    voices = [[other.audio for other in clips if person_of(other) != person_of(clip)] for clip in clips]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        return list(pool.map(_encode_clip, repeat(start), clips, voices, [(seed, i) for i in range(len(clips))]))


def _encode_clip(start: PhoneticModel, clip: AvClip, voices: Sequence[Float32], seed: tuple[int, int]) -> list[EncodedCopy]:
    torch.set_num_threads(1)
    noisy = mix(clip.audio, babble(voices, len(clip.audio), np.random.default_rng(len(clip.audio))), BABBLE_DB)
    copies = encoded_copies(start, clip, voices, seed=seed)
    return [*copies, replace(copies[0], acoustic=encode_recording(start, noisy))]


def fit_mappers(
    start: PhoneticModel,
    encoded: Sequence[Sequence[EncodedCopy]],
    *,
    seed: int,
    mappers: Recipe = DEFAULT,
    transcript_mappers: Recipe = TRANSCRIPT_RECIPE,
) -> PhoneticModel:
    """Return `start` with mappers and transcript mappers trained on what `encode_clips` returned; its calibration stays."""
    clips = [copies[0].clip for copies in encoded]
    lip_pca = lip_pca_of(clips)
    examples = [[example(copy, lip_pca) for copy in copies[:-1]] for copies in encoded]
    together = [one for some in examples for one in some]
    made = start.with_(lip_pca=lip_pca, mappers=train_mappers(together, mappers, seed=seed))
    if transcript_mappers.members:
        scripted = transcript_examples(clips, [some[0] for some in examples]) * _TRANSCRIPT_REPEATS
        made = made.with_(transcript_mappers=train_transcript_mappers([*together, *scripted], transcript_mappers, seed=seed))
    return made


Predictions = Mapping[str, tuple[MotionPrediction, AcousticFeatures]]
"""Clip name -> prediction from its audio, and what it was predicted from."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldOutPredictions:
    """Predictions for clips of persons held out: from the clean audio, and with babble."""

    clean: Predictions
    noisy: Predictions


def cross_validate(
    start: PhoneticModel, encoded: Sequence[Sequence[EncodedCopy]], *, seed: int, recipe: Recipe, workers: int
) -> HeldOutPredictions:
    """Train once per fold without the persons of the fold, and predict theirs. encoded: from `encode_clips`."""
    clean: dict[str, tuple[MotionPrediction, AcousticFeatures]] = {}
    noisy: dict[str, tuple[MotionPrediction, AcousticFeatures]] = {}
    groups = folds([copies[0].clip for copies in encoded], FOLDS)
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        for fold in pool.map(_fold, repeat(start), repeat(encoded), groups, repeat(seed), repeat(recipe)):
            clean |= fold.clean
            noisy |= fold.noisy
    return HeldOutPredictions(clean=clean, noisy=noisy)


def _fold(
    start: PhoneticModel, encoded: Sequence[Sequence[EncodedCopy]], held_out: frozenset[str], seed: int, recipe: Recipe
) -> HeldOutPredictions:
    """Train without the persons `held_out`, and predict theirs."""
    torch.set_num_threads(1)
    others = [copies for copies in encoded if person_of(copies[0].clip) not in held_out]
    model = fit_mappers(start, others, seed=seed, mappers=recipe, transcript_mappers=Recipe(members=0))
    chosen = [copies for copies in encoded if person_of(copies[0].clip) in held_out]
    return HeldOutPredictions(
        clean={copies[0].clip.name: _predict(model, copies[0].acoustic) for copies in chosen},
        noisy={copies[0].clip.name: _predict(model, copies[-1].acoustic) for copies in chosen},
    )


def _predict(model: PhoneticModel, acoustic: AcousticFeatures) -> tuple[MotionPrediction, AcousticFeatures]:
    return predict(model, acoustic.features), acoustic


def curve_of(prediction: MotionPrediction, acoustic: AcousticFeatures, calibration: Calibration) -> Curve:
    """Return the mouth of a whole recording without a transcript."""
    rows = len(acoustic)
    return mouth_curve(
        PredictedRows(prediction=prediction, acoustic=acoustic, in_recording=np.ones(rows, bool), gate=np.zeros(rows, np.float32)),
        calibration,
    )


def metrics_of(clips: Sequence[AvClip], predicted: Predictions, calibration: Calibration) -> DriverMetrics:
    """Return the metrics of the predictions, by clip name, at the clips' true times."""
    known = [clip for clip in clips if clip.name in predicted]
    return driver_metrics(known, {clip.name: found for clip, found in zip(known, _at_frames(known, predicted, calibration), strict=True)})


def best_calibration(clips: Sequence[AvClip], unseen: HeldOutPredictions) -> Calibration:
    """Return the calibration that is best for unknown people.

    The predicted mouth of an unknown person moves less than the true one, by a factor that only people held out show: of all calibrations
    with the right amplitude and enough closures hit, at few false ones, that with the best r is chosen. The thresholds are those at which
    the finished curves are shut in each of SHUT_SHARES of the time.
    """
    deviation = float(np.mean([prediction.width.std() for prediction, _ in unseen.clean.values()]))
    usual = Calibration(width_gain=_WIDTH_AMPLITUDE / max(deviation, 1e-3))

    def quality(calibration: Calibration) -> float:
        found = metrics_of(clips, unseen.clean, calibration)
        off = max(_AMPLITUDE[0] - found.amplitude, found.amplitude - _AMPLITUDE[1], 0.0)
        missed, false = max(_HITS - found.closures_hit, 0.0), max(found.closures_false - _FALSE, 0.0)
        return found.opening_r - 3 * off - 2 * missed - 2 * false

    choices = product(_MEANS, _GAINS, _USUAL_THRESHOLDS)
    best = max(
        (replace(usual, opening_mean=m, opening_gain=g, shut_thresholds=(t,) * len(SHUT_SHARES)) for m, g, t in choices), key=quality
    )
    thresholds = _thresholds(clips, unseen.clean, best)
    share = float(np.interp(-best.shut_threshold, -np.array(thresholds), SHUT_SHARES))
    return replace(best, shut_thresholds=thresholds, shut_share=round(share, 3))


def _thresholds(clips: Sequence[AvClip], predicted: Predictions, calibration: Calibration) -> tuple[float, ...]:
    """Return the threshold of "shut" at which the curves are shut in each of SHUT_SHARES, in the mean of people."""
    asked = [replace(calibration, shut_thresholds=(threshold,) * len(SHUT_SHARES)) for threshold in _THRESHOLDS]
    found = [_by_person(clips, [shut_share(one.opening) for one in _at_frames(clips, predicted, each)]) for each in asked]
    fits = np.interp(SHUT_SHARES, found, _THRESHOLDS)
    return tuple(round(float(threshold), 3) for threshold in fits)


def shut_share(opening: Float32) -> float:
    """Return the fraction of a curve in which the lips are shut."""
    return float(is_shut(opening).mean())


def shut_shares(clips: Sequence[AvClip], predicted: Predictions, calibration: Calibration) -> tuple[float, float]:
    """Return the fraction of the time in which the lips are shut, in truth and as predicted, in the mean of people."""
    curves = _at_frames(clips, predicted, calibration)
    truth, found = ([shut_share(one.opening) for one in some] for some in (clips, curves))
    return _by_person(clips, truth), _by_person(clips, found)


def _by_person(clips: Sequence[AvClip], values: Sequence[float]) -> float:
    """Return the mean over people of the mean over their frames."""
    frames = np.array([len(clip.times) for clip in clips])
    names = np.array([person_of(clip) for clip in clips])
    return float(np.mean([np.average(np.array(values)[names == name], weights=frames[names == name]) for name in np.unique(names)]))


def _at_frames(clips: Sequence[AvClip], predicted: Predictions, calibration: Calibration) -> list[Prediction]:
    """Return the curves of the predictions at the clips' true times."""
    made = []
    for clip in clips:
        curve = curve_of(*predicted[clip.name], calibration)
        rows = np.arange(len(curve)) / CURVE_RATE
        at = [np.interp(clip.true_times, rows, values).astype(np.float32) for values in (curve.opening, curve.width)]
        made.append(Prediction(opening=at[0], width=at[1]))
    return made


def rounded_metrics(found: DriverMetrics) -> dict[str, Any]:
    """Return metrics as rounded JSON values."""
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(found).items()}
