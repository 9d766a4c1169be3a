"""Copies of recordings: different every time, the same for a seed, and in time with their originals."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from heygem_daemon.lipsync.adaptation.augment import DEFAULT, Strength, augment, babble, coloured_noise, hum, mix, music
from heygem_daemon.lipsync.arrays import Float32
from tests.lipsync.adaptation.conftest import make_clip

RATE = 16000
PLAIN = Strength(speed_chance=0, equalise_chance=0, reverb_chance=0, noise_chance=0, codec_chance=0, clip_chance=0)
CLICKS = (0.5, 1.25, 2.75)
VOICES = [make_clip(name, name, seed=seed, seconds=3).audio for seed, name in enumerate("bcd")]


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return make_clip("a", "a", seed=9, seconds=4).audio


def clicks() -> np.ndarray:
    wave = np.zeros(4 * RATE, np.float32)
    wave[[round(time * RATE) for time in CLICKS]] = 0.5
    return wave


def test_the_same_seed_gives_the_same_copy_and_another_seed_another(speech: np.ndarray) -> None:
    first, again, other = (augment(speech, np.random.default_rng(seed), VOICES) for seed in (1, 1, 2))
    assert np.array_equal(first.wave, again.wave)
    assert (first.speed, first.lead) == (again.speed, again.lead)
    assert not np.array_equal(first.wave[:RATE], other.wave[:RATE])


def test_a_copy_is_no_change_of_the_original(speech: np.ndarray) -> None:
    kept = speech.copy()
    augment(speech, np.random.default_rng(3), VOICES)
    assert np.array_equal(speech, kept)


@pytest.mark.parametrize(
    "strength",
    [
        replace(PLAIN, speed_chance=1),
        replace(PLAIN, equalise_chance=1),
        replace(PLAIN, reverb_chance=1),
        replace(PLAIN, codec_chance=1),
        replace(PLAIN, clip_chance=1),
    ],
    ids=["speed", "equalise", "reverb", "codec", "clip"],
)
@pytest.mark.parametrize("seed", range(3))
def test_a_moment_of_the_copy_is_where_its_speed_and_lead_put_it(strength: Strength, seed: int) -> None:
    copy = augment(clicks(), np.random.default_rng(seed), (), strength)
    loud = np.abs(copy.wave)
    for time in CLICKS:
        place = round((time / copy.speed + copy.lead) * RATE)
        near = loud[place - 1600 : place + 1600]
        found = (place - 1600 + int(np.flatnonzero(near > 0.3 * near.max())[0])) / RATE  # the direct click; an echo may be louder
        assert (found - copy.lead) * copy.speed == pytest.approx(time, abs=0.002)


def test_speeds_and_leads_stay_in_their_range(speech: np.ndarray) -> None:
    rng = np.random.default_rng(4)
    made = [augment(speech, rng, (), replace(PLAIN, speed_chance=0.7), longest_lead=0.2) for _ in range(40)]
    speeds = {copy.speed for copy in made}
    assert 1.0 in speeds
    assert len(speeds) > 15
    assert all(0.85 <= speed <= 1.18 for speed in speeds)
    assert all(0 <= copy.lead <= 0.2 for copy in made)
    lengths = [len(copy.wave) / RATE - len(speech) / RATE / copy.speed - copy.lead for copy in made]
    assert all(-0.001 <= rest <= 0.201 for rest in lengths)


@pytest.mark.parametrize("seed", range(8))
def test_any_copy_is_a_recording_at_a_usual_level(speech: np.ndarray, seed: int) -> None:
    copy = augment(speech, np.random.default_rng(seed), VOICES, DEFAULT).wave
    assert copy.dtype == np.float32
    assert np.isfinite(copy).all()
    assert -46 < 10 * np.log10(np.mean(copy**2)) < -6


def test_augmented_silence_is_finite() -> None:
    assert np.isfinite(augment(np.zeros(RATE, np.float32), np.random.default_rng(0), VOICES).wave).all()


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 12.5, 30.0])
@pytest.mark.parametrize("length", [1000, 64000, 100000])
def test_what_is_mixed_is_below_the_speech_by_the_requested_ratio(speech: np.ndarray, snr_db: float, length: int) -> None:
    other = 3 * np.random.default_rng(5).normal(0, 1, length).astype(np.float32)
    background = mix(speech, other, snr_db).astype(np.float64) - speech
    assert 10 * np.log10(np.mean(speech.astype(np.float64) ** 2) / np.mean(background**2)) == pytest.approx(snr_db, abs=0.05)


def test_background_noise_is_as_loud_as_requested(speech: np.ndarray) -> None:
    """With noise at 0 dB half of the power is not speech."""
    noisy = augment(speech, np.random.default_rng(6), VOICES, replace(PLAIN, noise_chance=1, snr_db=(0.0, 0.0)), longest_lead=0.0)
    explained = np.corrcoef(noisy.wave, speech)[0, 1] ** 2
    assert explained == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("make", [music, hum, coloured_noise, lambda samples, rng: babble(VOICES, samples, rng)])
def test_audio_without_words_is_as_long_as_requested_and_the_same_for_a_seed(
    make: Callable[[int, np.random.Generator], Float32],
) -> None:
    first, again, other = (make(20001, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (first.shape, first.dtype.name) == ((20001,), "float32")
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.std() > 0


def test_babble_is_several_voices_of_equal_weight() -> None:
    alone = np.random.default_rng(7).normal(0, 1, RATE).astype(np.float32)
    made = babble([alone, 100 * alone], RATE, np.random.default_rng(8))
    assert 1.5 < made.std() < 3.5
