"""Trust is earned by moving with the speech, lost by not doing so, and regained."""

from fractions import Fraction

import numpy as np
import pytest

from heygem_daemon.lipsync.wav2lip.correlation import RunningCorrelation

RATE = Fraction(25)


def syllables(seconds: float, seed: int, frame_rate: Fraction = RATE) -> np.ndarray:
    """Return openings [n] like those of speech: some four a second, none like another, 0-1."""
    t = np.arange(round(seconds * frame_rate)) / float(frame_rate)
    random = np.random.default_rng(seed)
    waves = zip(random.uniform(2, 6, 12), random.uniform(0, 2 * np.pi, 12), strict=True)
    curve = sum(np.sin(2 * np.pi * pitch * t + phase) for pitch, phase in waves)
    return np.clip(0.4 + 0.12 * np.asarray(curve), 0, 1)


def followed(correlation: RunningCorrelation, read: np.ndarray, heard: np.ndarray) -> np.ndarray:
    """Return the trust after every frame, [n]."""
    confidence = []
    for pair in zip(read.tolist(), heard.tolist(), strict=True):
        correlation.push(*pair)
        confidence.append(correlation.confidence)
    return np.array(confidence)


def half_right(seconds: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (read, heard): as alike, .5, as the real mouth of a presenter and what the companion hears."""
    heard = syllables(seconds, seed)
    return 0.5 * heard + 0.866 * syllables(seconds, seed + 1000), heard


def test_who_is_expected_to_agree_is_trusted_from_the_start_and_who_is_not_is_not() -> None:
    assert RunningCorrelation(RATE).confidence == 1
    assert RunningCorrelation(RATE, prior=0.0).confidence == 0


@pytest.mark.parametrize("seed", range(5))
def test_a_mouth_that_moves_like_a_real_one_keeps_its_trust(seed: int) -> None:
    confidence = followed(RunningCorrelation(RATE), *half_right(60, seed))
    assert confidence.min() > 0.3
    assert confidence.mean() > 0.95


def test_a_mouth_that_says_something_else_loses_it_mostly() -> None:
    confidence = [followed(RunningCorrelation(RATE), syllables(60, seed), syllables(60, seed + 50)) for seed in range(8)]
    assert np.mean(confidence, axis=0)[20 * 25 :].mean() < 0.25


def test_a_mouth_that_moves_against_the_speech_loses_it_within_seconds() -> None:
    heard = syllables(10, 0)
    assert followed(RunningCorrelation(RATE), 1 - heard, heard)[4 * 25 :].max() == 0


def test_a_mouth_that_holds_still_loses_it() -> None:
    confidence = followed(RunningCorrelation(RATE), np.full(60 * 25, 0.3), syllables(60, 0))
    assert confidence[-1] < 0.05


@pytest.mark.parametrize("seed", range(3))
def test_trust_can_be_earned(seed: int) -> None:
    heard = syllables(20, seed)
    confidence = followed(RunningCorrelation(RATE, prior=0.0), 0.2 + 0.3 * heard, heard)
    assert confidence[5 * 25 :].min() == 1


@pytest.mark.parametrize("seed", range(3))
def test_what_was_long_ago_is_forgotten(seed: int) -> None:
    correlation, heard = RunningCorrelation(RATE), syllables(120, seed)
    assert followed(correlation, heard, heard)[-1] == 1
    assert followed(correlation, 1 - syllables(40, seed), syllables(40, seed))[-1] == 0
    assert followed(correlation, heard, heard)[-1] == 1


def test_only_the_course_counts_not_how_far_a_mouth_goes() -> None:
    read, heard = half_right(20, 3)
    usual, smaller = (followed(RunningCorrelation(RATE), read * size + shift, heard) for size, shift in ((1, 0), (0.7, 0.1)))
    assert np.abs(usual - smaller)[10 * 25 :].max() < 0.15


def test_seconds_count_not_frames() -> None:
    lost = []
    for frame_rate in (Fraction(25), Fraction(50)):
        correlation, heard = RunningCorrelation(frame_rate), syllables(40, 1, frame_rate)
        assert followed(correlation, heard, heard)[-1] == 1
        lost.append(int(np.argmax(followed(correlation, 1 - heard, heard) < 0.5)) / float(frame_rate))
    assert 2 < lost[0] < 8
    assert lost[1] == pytest.approx(lost[0], abs=0.3)


def test_silence_proves_nothing() -> None:
    """Two mouths that stay shut agree no less than before."""
    correlation = RunningCorrelation(RATE)
    heard = syllables(10, 2)
    before = followed(correlation, heard, heard)[-1]
    assert followed(correlation, np.zeros(60 * 25), np.zeros(60 * 25)).min() == before == 1
    assert -1 <= correlation.r <= 1
