"""Train mappers without footage: for a new encoder, from the predictions of the weights in use on the same speech."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from heygem_daemon.lipsync.adaptation.finetune import TARGETS, Example, Recipe, train_mappers, train_transcript_mappers
from heygem_daemon.lipsync.speech.model import PhoneticModel, encode_recording, predict


def distil_mappers(
    start: PhoneticModel,
    teacher: PhoneticModel,
    waves: Sequence[npt.NDArray[np.int16]],
    *,
    mappers: Recipe,
    transcript_mappers: Recipe,
    seed: int,
) -> PhoneticModel:
    """Return `start` with mappers that predict of `waves` (int16 [n], 16 kHz) what `teacher` predicts; calibration and lip PCA are its."""
    examples = [_example(start, teacher, wave) for wave in waves]
    return start.with_(
        lip_pca=teacher.lip_pca,
        calibration=teacher.calibration,
        mappers=train_mappers(examples, mappers, seed=seed),
        transcript_mappers=train_transcript_mappers(examples, transcript_mappers, seed=seed),
    )


def _example(start: PhoneticModel, teacher: PhoneticModel, wave: npt.NDArray[np.int16]) -> Example:
    samples = np.asarray(wave / np.float32(32768), np.float32)
    prediction = predict(teacher, encode_recording(teacher, samples).features)
    targets = np.zeros((len(prediction.opening), TARGETS), np.float32)
    targets[:, 0], targets[:, 1] = prediction.opening, prediction.width
    mask = np.ones(len(targets), np.float32)
    return Example(
        features=encode_recording(start, samples).features, targets=targets, shut=prediction.shut, mask=mask, person="", weight=len(targets)
    )
