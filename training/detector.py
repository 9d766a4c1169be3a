"""Stage A, beside the encoder: the detector of speech, trained on the same synthetic speech and on music."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import maximum_filter1d
from torch import Tensor
from torch.nn import functional

from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.speech.mel import BANDS, SILENCE
from heygem_daemon.lipsync.speech.network import DETECTOR_STRIDE, SpeechDetector
from training.encoder import OnStep, Schedule, optimise, vary
from training.features import Rows

CROP: Final = 400
_NEAR: Final = 20
"""Rows (10 ms) around a phoneme that count as speech."""
_FAR: Final = 80
"""Rows from any phoneme that count as no speech; those between do not count."""
_NO_SPEECH_CHANCE: Final = 0.4
"""Fraction of the crops without any speech."""
_NARROW_BAND_CHANCE: Final = 0.4
"""Fraction of the crops with nothing above some frequency: the band of a telephone belongs to speech and music alike."""
_BAND_LIMIT_LEVEL: Final = -2.2
_SLOWED_CHANCE: Final = 0.4
_SLOWED: Final = (0.5, 1.0)
"""Tempo of the slowed crops: orators take their time, synthetic voices do not."""
_WORD_ALONE_CHANCE: Final = 0.35
_WORD_ALONE_ROWS: Final = (25, 130)
"""Length of the speech that is left where the rest of a crop is blanked out: a word between long pauses is speech too."""


@dataclass(frozen=True, kw_only=True)
class Detection:
    """speech_kept: fraction of the rows near speech that are taken for it; music_passed: fraction of the rows without any that are."""

    speech_kept: float
    music_passed: float


def train_detector(rows: Sequence[Rows], schedule: Schedule, *, seed: int, device: str, on_step: OnStep) -> SpeechDetector:
    """Return a trained detector, in evaluation mode, on the CPU."""
    torch.manual_seed(seed)
    detector = SpeechDetector().to(device)
    batches = _batches(rows, schedule.batch, np.random.default_rng(seed))

    def loss() -> Tensor:
        mel, speaks, counts = (part.to(device) for part in next(batches))
        losses = functional.binary_cross_entropy_with_logits(detector(mel), speaks, reduction="none")
        return (losses * counts).sum() / counts.sum()

    optimise(detector, loss, schedule, on_step)
    return detector.cpu().eval()


def detection(detector: SpeechDetector, rows: Sequence[Rows]) -> Detection:
    """Measure a detector on rows that it was not trained on, at a probability of one half."""
    accepted, passed = [np.zeros(0)], [np.zeros(0)]
    with torch.inference_mode():
        for one in rows:
            mel = torch.from_numpy(one.mel.astype(np.float32).T[None])
            detected = detector(mel)[0].numpy() > 0
            speaks, counts = (part[::DETECTOR_STRIDE] for part in speech_labels(one.labels))
            accepted.append(detected[(speaks > 0) & (counts > 0)])
            passed.append(detected[(speaks == 0) & (counts > 0)])
    return Detection(speech_kept=_mean(accepted), music_passed=_mean(passed))


def speech_labels(labels: npt.NDArray[np.int8]) -> tuple[Float32, Float32]:
    """Return float32 [n] each: 1 where somebody speaks, and 1 where the row counts, from visemes int8 [n] at 100 Hz."""
    spoken = (labels > 0).astype(np.int8)
    near, far = (maximum_filter1d(spoken, 2 * rows + 1, mode="constant") for rows in (_NEAR, _FAR))
    return near.astype(np.float32), ((near > 0) | (far == 0)).astype(np.float32)


def _batches(rows: Sequence[Rows], batch: int, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield (mel [B, 80, CROP], whether somebody speaks [B, CROP / 4], whether the row counts [B, CROP / 4]) without end."""
    kinds = [[one for one in rows if one.labels.any()], [one for one in rows if not one.labels.any()]]
    lengths = [np.array([len(one.labels) for one in some], float) for some in kinds]
    while True:
        mel = np.full((batch, BANDS, CROP), SILENCE, np.float32)
        speaks, counts = np.zeros((batch, CROP), np.float32), np.zeros((batch, CROP), np.float32)
        for i in range(batch):
            kind = int(rng.random() < _NO_SPEECH_CHANCE)
            chosen = kinds[kind][int(rng.choice(len(kinds[kind]), p=lengths[kind] / lengths[kind].sum()))]
            part, labels = _crop(chosen, rng)
            mel[i, :, : len(labels)] = part.T
            speaks[i, : len(labels)], counts[i, : len(labels)] = speech_labels(labels)
            vary(mel[i], rng)
            if rng.random() < _NARROW_BAND_CHANCE:
                first = int(rng.integers(BANDS // 2, BANDS))
                np.minimum(mel[i, first:], rng.normal(_BAND_LIMIT_LEVEL, 0.1, (BANDS - first, 1)), out=mel[i, first:])
            np.maximum(mel[i], SILENCE, out=mel[i])
        yield torch.from_numpy(mel), torch.from_numpy(speaks[:, ::DETECTOR_STRIDE]), torch.from_numpy(counts[:, ::DETECTOR_STRIDE])


def _crop(chosen: Rows, rng: np.random.Generator) -> tuple[Float32, npt.NDArray[np.int8]]:
    """Return mel [n, 80] and labels [n] of CROP rows or fewer: at times slowed, at times all but a word or two blanked out."""
    tempo = float(rng.uniform(*_SLOWED)) if rng.random() < _SLOWED_CHANCE else 1.0
    start = int(rng.integers(0, max(1, len(chosen.labels) - round(CROP * tempo))))
    places = start + np.floor(np.arange(CROP) * tempo).astype(np.int64)
    places = places[places < len(chosen.labels)]
    mel, labels = chosen.mel[places].astype(np.float32), chosen.labels[places]
    if labels.any() and rng.random() < _WORD_ALONE_CHANCE:
        length, centre = rng.integers(*_WORD_ALONE_ROWS), rng.choice(np.flatnonzero(labels))
        outside = np.abs(np.arange(len(labels)) - centre) > length / 2
        floor = np.percentile(mel, 5, axis=0)
        mel[outside] = floor + rng.normal(0, 0.08, (int(outside.sum()), BANDS))
        labels = np.where(outside, 0, labels).astype(np.int8)
    return mel, labels


def _mean(parts: Sequence[npt.NDArray[np.generic]]) -> float:
    return float(np.concatenate(parts).mean()) if sum(map(len, parts)) else 0.0
