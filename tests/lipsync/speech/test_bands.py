"""BandDriver keeps the contract of drivers, and hears what its rules promise."""

import time
from fractions import Fraction

import numpy as np
import pytest

from heygem_daemon.lipsync.ports import VISEMES
from heygem_daemon.lipsync.speech.bands import BandDriver
from heygem_daemon.lipsync.speech.visemes import SHAPES, TABLE, column
from tests.lipsync.driver_contract import RATE, DriverContract, joined, talk

NOISE = np.random.default_rng(1)


@pytest.fixture
def driver():
    return BandDriver()


class TestBandDriver(DriverContract):
    """`driver` comes from the module."""


def burst(sound, seconds=0.35, pause=0.35, times=6):
    """Say a sound over and over: it must not look like steady noise."""
    ramp = np.minimum(1, np.minimum(np.arange(len(sound)), np.arange(len(sound))[::-1]) / 400)
    one = np.concatenate([sound * ramp, np.zeros(round(pause * RATE))])
    return np.tile(one, times).astype(np.float32)


def vowel(*formants, seconds=0.35):
    t = np.arange(round(seconds * RATE)) / RATE
    harmonics = [k * 120 for k in range(1, 40)]
    strength = [sum(10 ** (-abs(f - h) / 400) for f in formants) for h in harmonics]
    return 0.05 * sum(s * np.sin(2 * np.pi * h * t) for s, h in zip(strength, harmonics, strict=True))


def hiss(low, high, seconds=0.35):
    spectrum = np.fft.rfft(NOISE.normal(0, 0.3, round(seconds * RATE)))
    frequencies = np.fft.rfftfreq(round(seconds * RATE), 1 / RATE)
    return np.fft.irfft(spectrum * ((frequencies > low) & (frequencies < high)), round(seconds * RATE))


def heard(driver, sound):
    wave = burst(sound)
    motion = joined(driver.motion([wave], Fraction(100), len(wave) // 160))
    middle = ((motion.times + 0.06) % 0.7 > 0.1) & ((motion.times + 0.06) % 0.7 < 0.25)
    return motion.opening[middle].mean(), motion.width[middle].mean(), motion.visemes[middle].mean(0)


def test_an_open_vowel_opens_wider_than_a_close_one(driver):
    assert heard(driver, vowel(750, 1200))[0] > 1.5 * heard(driver, vowel(300, 2300))[0]


def test_a_front_vowel_is_wider_than_a_back_one(driver):
    assert heard(driver, vowel(300, 2300))[1] > heard(driver, vowel(320, 800))[1] + 0.15


def test_hisses_are_told_from_vowels_and_from_each_other(driver):
    sharp, dull = heard(driver, hiss(5000, 8000))[2], heard(driver, hiss(2500, 4200))[2]
    assert sharp[column("SS")] > 0.5
    assert dull[column("CH")] > 0.5
    assert heard(driver, vowel(750, 1200))[2][[column("SS"), column("CH"), column("FF")]].sum() < 0.1


def test_the_lips_close_in_a_short_gap_between_vowels(driver):
    part = vowel(700, 1200, seconds=0.3)
    gap = np.zeros(round(0.08 * RATE))
    wave = np.tile(np.concatenate([part, gap]), 8).astype(np.float32)
    motion = joined(driver.motion([wave], Fraction(100), len(wave) // 160))
    place = (motion.times + 0.06) % 0.38
    inside, outside = np.abs(place - 0.34) < 0.02, np.abs(place - 0.15) < 0.05
    assert motion.opening[inside].mean() < 0.4 * motion.opening[outside].mean()


def test_the_mouth_is_ahead_of_the_sound(driver):
    wave = np.concatenate([np.zeros(2 * RATE), vowel(700, 1200, seconds=0.5), np.zeros(2 * RATE)]).astype(np.float32)
    motion = joined(driver.motion([wave], Fraction(100), 450))
    centre = (motion.times * motion.opening).sum() / motion.opening.sum()
    assert centre == pytest.approx(2.25 - 0.06, abs=0.03)


def test_it_is_a_hundred_times_faster_than_the_speech(driver):
    wave = talk(60)
    list(driver.motion([wave[:RATE]], Fraction(25), 25))
    start = time.process_time()
    list(driver.motion([wave], Fraction(25), 1500))
    assert time.process_time() - start < 0.6


def test_the_table_knows_every_viseme():
    assert set(SHAPES) == set(VISEMES)
    assert TABLE.shape == (16, 2)
    assert TABLE[column("aa")].tolist() == pytest.approx([1.0, 0.6])
