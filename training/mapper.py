"""Stage B: train the mappers on real mouths, and evaluate and calibrate them on people held out."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import product, repeat
from multiprocessing import get_context
from typing import Any, Final

import numpy as np
import torch

from heygem_daemon.lipsync.adaptation.augment import babble, mix
from heygem_daemon.lipsync.adaptation.clips import AvClip
from heygem_daemon.lipsync.adaptation.finetune import (
    COPIES,
    DEFAULT,
    TRANSCRIPT_RECIPE,
    Recipe,
    examples_of,
    lip_pca_of,
    train_mappers,
    train_transcript_mappers,
)
from heygem_daemon.lipsync.adaptation.scores import DriverMetrics, Prediction, driver_metrics
from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.speech.model import Calibration, MotionPrediction, PhoneticModel, encode_recording, predict
from heygem_daemon.lipsync.speech.postprocess import PredictedRows, mouth_curve
from heygem_daemon.lipsync.speech.stream import CURVE_RATE, Curve
from training.splits import folds, person_of
from training.transcript_examples import transcript_examples
from training.utterance import Utterance

FOLDS: Final = 6
BABBLE_DB: Final = 10.0
_GAINS: Final = (0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7)
_MEANS: Final = (0.3, 0.35, 0.4, 0.45)
_SHUT: Final = ((0.2, 0.5), (0.3, 0.6), (0.4, 0.7), (0.5, 0.8))
_TRANSCRIPT_REPEATS: Final = 6
"""Clips with a transcript are few: each counts as often as this in the training of the transcript mappers."""
_AMPLITUDE: Final = (0.9, 1.1)
_HITS: Final = 0.7
"""Fraction of the true closures that are to be hit. More cost false ones: .65 and .29, .71 and .33 go together."""
_WIDTH_AMPLITUDE: Final = 0.2
"""Of the width, as a fraction of the range from rounded to spread. Real mouths have .30; width is predicted less well than opening."""


def fit_mappers(
    start: PhoneticModel, clips: Sequence[AvClip], *, seed: int, mappers: Recipe = DEFAULT, transcript_mappers: Recipe = TRANSCRIPT_RECIPE
) -> PhoneticModel:
    """Return `start` with mappers and transcript mappers trained on these clips; its calibration stays."""
    lip_pca = lip_pca_of(clips)
    examples = examples_of(start, clips, lip_pca, seed=seed)
    made = start.with_(lip_pca=lip_pca, mappers=train_mappers(examples, mappers, seed=seed))
    if transcript_mappers.members:
        scripted = transcript_examples(start, clips, examples[:: COPIES + 1]) * _TRANSCRIPT_REPEATS
        made = made.with_(transcript_mappers=train_transcript_mappers([*examples, *scripted], transcript_mappers, seed=seed))
    return made


Predictions = Mapping[str, tuple[MotionPrediction, Float32]]
"""Clip name -> prediction from its audio, and the posteriors."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldOutPredictions:
    """Predictions for clips of persons held out: from the clean audio, and with babble."""

    clean: Predictions
    noisy: Predictions


def cross_validate(start: PhoneticModel, clips: Sequence[AvClip], *, seed: int, recipe: Recipe, workers: int) -> HeldOutPredictions:
    """Train once per fold without the persons of the fold, and predict theirs."""
    clean: dict[str, tuple[MotionPrediction, Float32]] = {}
    noisy: dict[str, tuple[MotionPrediction, Float32]] = {}
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        for fold in pool.map(_fold, repeat(start), repeat(clips), folds(clips, FOLDS), repeat(seed), repeat(recipe)):
            clean |= fold.clean
            noisy |= fold.noisy
    return HeldOutPredictions(clean=clean, noisy=noisy)


def _fold(start: PhoneticModel, clips: Sequence[AvClip], held_out: frozenset[str], seed: int, recipe: Recipe) -> HeldOutPredictions:
    """Train without the persons `held_out`, and predict theirs."""
    torch.set_num_threads(1)
    others = [clip for clip in clips if person_of(clip) not in held_out]
    model = fit_mappers(start, others, seed=seed, mappers=recipe, transcript_mappers=Recipe(members=0))
    chosen = [clip for clip in clips if person_of(clip) in held_out]
    return HeldOutPredictions(
        clean={clip.name: _predict(model, clip.audio) for clip in chosen},
        noisy={clip.name: _predict(model, _with_babble(clip, clips)) for clip in chosen},
    )


def _with_babble(clip: AvClip, clips: Sequence[AvClip]) -> Float32:
    others = [other.audio for other in clips if person_of(other) != person_of(clip)]
    return mix(clip.audio, babble(others, len(clip.audio), np.random.default_rng(len(clip.audio))), BABBLE_DB)


def _predict(model: PhoneticModel, wave: Float32) -> tuple[MotionPrediction, Float32]:
    acoustic = encode_recording(model, wave)
    return predict(model, acoustic.features), acoustic.posteriors


def curve_of(prediction: MotionPrediction, posteriors: Float32, calibration: Calibration) -> Curve:
    """Return the mouth of a whole recording without a transcript."""
    rows = len(posteriors)
    return mouth_curve(
        PredictedRows(prediction=prediction, posteriors=posteriors, in_recording=np.ones(rows, bool), gate=np.zeros(rows, np.float32)),
        calibration,
    )


def metrics_of(clips: Sequence[AvClip], predicted: Predictions, calibration: Calibration) -> DriverMetrics:
    """Return the metrics of the predictions, by clip name, at the clips' true times."""
    predictions = {}
    for clip in clips:
        if clip.name in predicted:
            curve = curve_of(*predicted[clip.name], calibration)
            rows = np.arange(len(curve)) / CURVE_RATE
            at = [np.interp(clip.true_times, rows, values).astype(np.float32) for values in (curve.opening, curve.width)]
            predictions[clip.name] = Prediction(opening=at[0], width=at[1])
    return driver_metrics(clips, predictions)


def best_calibration(clips: Sequence[AvClip], unseen: HeldOutPredictions) -> Calibration:
    """Return the calibration that is best for unknown people.

    The predicted mouth of an unknown person moves less than the true one, by a factor that only people held out show. Of all
    calibrations with the right amplitude and enough closures hit, the one with the best r and the fewest false closures is chosen.
    """
    deviation = float(np.mean([prediction.width.std() for prediction, _ in unseen.clean.values()]))
    width_gain = _WIDTH_AMPLITUDE / max(deviation, 1e-3)

    def quality(calibration: Calibration) -> float:
        found = metrics_of(clips, unseen.clean, calibration)
        off = max(_AMPLITUDE[0] - found.amplitude, found.amplitude - _AMPLITUDE[1], 0.0)
        missed = max(_HITS - found.closures_hit, 0.0)
        return found.opening_r - 0.6 * found.closures_false - 2 * missed - 3 * off

    choices = product(_MEANS, _GAINS, _SHUT)
    tried = [Calibration(opening_mean=m, opening_gain=g, shut=s, width_gain=width_gain) for m, g, s in choices]
    return max(tried, key=quality)


def music_motion(model: PhoneticModel, clips: Sequence[AvClip], pieces: Sequence[Utterance]) -> float:
    """Return lip speed to music alone over lip speed to these people's speech; 0 without any music."""

    def speed(wave: Float32) -> float:
        curve = curve_of(*_predict(model, wave), model.calibration)
        return float(np.abs(np.diff(curve.opening)).mean())

    spoken = [speed(clip.audio) for clip in clips]
    played = [speed(np.asarray(piece.wave / np.float32(32768), np.float32)) for piece in pieces]
    return float(np.mean(played) / np.mean(spoken)) if played else 0.0


def rounded_metrics(found: DriverMetrics) -> dict[str, Any]:
    """Return metrics as rounded JSON values."""
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(found).items()}
