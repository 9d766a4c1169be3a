"""The detector learns to separate easy examples in a few steps, and its metrics count what it lets through."""

import numpy as np
import pytest
import torch

from heygem_daemon.lipsync.speech.network import DETECTOR_REACH, DETECTOR_STRIDE, SpeechDetector
from training.detector import CROP, _crop, detection, speech_labels, train_detector
from training.encoder import Schedule
from training.features import Rows


def toy(seed: int, *, speech: bool) -> Rows:
    """Five seconds: speech is syllables, four in a second; what is none is a steady tone of the same band."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(500, np.int8)
    mel = np.full((500, 80), -2.0)
    first = int(rng.integers(10, 50))
    mel[:, first : first + 20] = 0.5
    if speech:
        silent = np.arange(500) % 25 < 10
        mel[silent] = -2.0
        labels[~silent] = 10
    return Rows(mel=(mel + rng.normal(0, 0.1, mel.shape)).astype(np.float16), labels=labels)


def both(*seeds: int) -> list[Rows]:
    return [toy(seed, speech=speech) for seed in seeds for speech in (True, False)]


def train(rows: list[Rows], *, steps: int, seed: int = 1) -> tuple[SpeechDetector, list[tuple[int, float]]]:
    losses: list[tuple[int, float]] = []
    schedule = Schedule(steps=steps, batch=8, warm_up=5)
    return train_detector(rows, schedule, seed=seed, device="cpu", on_step=lambda step, loss: losses.append((step, loss))), losses


def test_a_detector_learns() -> None:
    detector, losses = train(both(*range(10)), steps=60)
    assert [step for step, _ in losses] == list(range(1, 61))
    assert losses[-1][1] < losses[0][1]
    assert not detector.training
    found = detection(detector, both(100, 101, 102))
    assert found.speech_kept > 0.95
    assert found.music_passed < 0.1
    swapped = [Rows(mel=there.mel, labels=here.labels) for there, here in zip(both(100), reversed(both(100)), strict=True)]
    assert detection(detector, swapped).music_passed > 0.9


def test_the_same_seed_gives_the_same_detector() -> None:
    there, here, elsewhere = (train(both(1), steps=2, seed=seed)[0].exit.weight for seed in (3, 3, 4))
    assert torch.equal(there, here)
    assert not torch.equal(there, elsewhere)


def test_somebody_speaks_near_a_phoneme_and_nobody_far_from_it() -> None:
    labels = np.zeros(400, np.int8)
    labels[200:210] = 3
    speaks, counts = speech_labels(labels)
    assert np.flatnonzero(speaks)[[0, -1]].tolist() == [180, 229]
    assert np.flatnonzero(counts == 0).tolist() == [*range(120, 180), *range(230, 290)]


@pytest.mark.parametrize("away", [1, 50])
def test_what_is_further_away_than_its_reach_changes_nothing(away: int) -> None:
    torch.manual_seed(0)
    detector, mel = SpeechDetector().eval(), torch.randn(1, 80, 800)
    changed = mel.clone()
    row = 50
    changed[..., row * DETECTOR_STRIDE + DETECTOR_REACH + away :] = 0
    with torch.inference_mode():
        assert torch.equal(detector(mel)[0, : row + 1], detector(changed)[0, : row + 1])
        assert not torch.equal(detector(mel)[0], detector(changed)[0])


def test_a_crop_is_at_times_slowed_and_at_times_a_word_alone() -> None:
    """The rows of its labels are those of its audio: what is loud is labelled, whatever was done."""
    rng = np.random.default_rng(0)
    spoken = Rows(mel=toy(1, speech=True).mel, labels=toy(1, speech=True).labels)
    crops = [_crop(spoken, rng) for _ in range(100)]
    fractions = [float((labels > 0).mean()) for _, labels in crops]
    assert 0.2 < np.mean(np.array(fractions) < 0.45) < 0.5  # a word alone; 60 % of the toy is speech
    syllables = [np.flatnonzero(np.diff(labels.astype(int)) > 0) for _, labels in crops]
    apart = [np.diff(starts).mean() for starts in syllables if len(starts) > 2]
    assert min(apart) < 25.5
    assert max(apart) > 40
    for mel, labels in crops:
        assert len(mel) == len(labels) <= CROP
        loud = mel.max(1)
        assert loud[labels > 0].min() > loud[labels == 0].max()
