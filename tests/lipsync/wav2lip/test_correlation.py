"""Confidence rises while a mouth moves with the speech, and falls while it does not."""

from fractions import Fraction

import numpy as np
import pytest

from heygem_daemon.lipsync.wav2lip.correlation import RunningCorrelation

RATE = Fraction(25)


def syllables(seconds: float, seed: int, frame_rate: Fraction = RATE) -> np.ndarray:
    """Return openings [n] like those of speech, 0-1: some four a second, all different."""
    t = np.arange(round(seconds * frame_rate)) / float(frame_rate)
    random = np.random.default_rng(seed)
    waves = zip(random.uniform(2, 6, 12), random.uniform(0, 2 * np.pi, 12), strict=True)
    curve = sum(np.sin(2 * np.pi * pitch * t + phase) for pitch, phase in waves)
    return np.clip(0.4 + 0.12 * np.asarray(curve), 0, 1)


def followed(correlation: RunningCorrelation, measured: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return the confidence after every frame, [n]."""
    confidence = []
    for pair in zip(measured.tolist(), predicted.tolist(), strict=True):
        correlation.push(*pair)
        confidence.append(correlation.confidence)
    return np.array(confidence)


def half_alike(seconds: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (measured, predicted): r is .5, as for a real presenter and the fallback driver."""
    predicted = syllables(seconds, seed)
    return 0.5 * predicted + 0.866 * syllables(seconds, seed + 1000), predicted


def test_the_prior_sets_the_confidence_at_the_start() -> None:
    assert RunningCorrelation(RATE).confidence == 1
    assert RunningCorrelation(RATE, prior=0.0).confidence == 0


@pytest.mark.parametrize("seed", range(5))
def test_a_mouth_that_moves_like_a_real_one_keeps_its_confidence(seed: int) -> None:
    confidence = followed(RunningCorrelation(RATE), *half_alike(60, seed))
    assert confidence.min() > 0.3
    assert confidence.mean() > 0.95


def test_a_mouth_that_speaks_other_words_mostly_loses_it() -> None:
    confidence = [followed(RunningCorrelation(RATE), syllables(60, seed), syllables(60, seed + 50)) for seed in range(8)]
    assert np.mean(confidence, axis=0)[20 * 25 :].mean() < 0.25


def test_a_mouth_that_moves_against_the_speech_loses_it_within_seconds() -> None:
    predicted = syllables(10, 0)
    assert followed(RunningCorrelation(RATE), 1 - predicted, predicted)[4 * 25 :].max() == 0


def test_a_mouth_that_holds_still_loses_it() -> None:
    confidence = followed(RunningCorrelation(RATE), np.full(60 * 25, 0.3), syllables(60, 0))
    assert confidence[-1] < 0.05


@pytest.mark.parametrize("seed", range(3))
def test_confidence_can_be_earned(seed: int) -> None:
    predicted = syllables(20, seed)
    confidence = followed(RunningCorrelation(RATE, prior=0.0), 0.2 + 0.3 * predicted, predicted)
    assert confidence[5 * 25 :].min() == 1


@pytest.mark.parametrize("seed", range(3))
def test_the_distant_past_is_forgotten(seed: int) -> None:
    correlation, predicted = RunningCorrelation(RATE), syllables(120, seed)
    assert followed(correlation, predicted, predicted)[-1] == 1
    assert followed(correlation, 1 - syllables(40, seed), syllables(40, seed))[-1] == 0
    assert followed(correlation, predicted, predicted)[-1] == 1


def test_the_scale_of_an_opening_does_not_matter() -> None:
    measured, predicted = half_alike(20, 3)
    usual, smaller = (followed(RunningCorrelation(RATE), measured * size + shift, predicted) for size, shift in ((1, 0), (0.7, 0.1)))
    assert np.abs(usual - smaller)[10 * 25 :].max() < 0.15


def test_seconds_count_not_frames() -> None:
    lost = []
    for frame_rate in (Fraction(25), Fraction(50)):
        correlation, predicted = RunningCorrelation(frame_rate), syllables(40, 1, frame_rate)
        assert followed(correlation, predicted, predicted)[-1] == 1
        lost.append(int(np.argmax(followed(correlation, 1 - predicted, predicted) < 0.5)) / float(frame_rate))
    assert 2 < lost[0] < 8
    assert lost[1] == pytest.approx(lost[0], abs=0.3)


def test_silence_proves_nothing() -> None:
    """Two mouths that stay shut correlate no less than before."""
    correlation = RunningCorrelation(RATE)
    predicted = syllables(10, 2)
    before = followed(correlation, predicted, predicted)[-1]
    assert followed(correlation, np.zeros(60 * 25), np.zeros(60 * 25)).min() == before == 1
    assert -1 <= correlation.r <= 1
