"""The hum of the mains is taken out of what a driver hears, and nothing else is; what else lies below the voice moves no mouth."""

from collections.abc import Iterator

import numpy as np
import pytest
import scipy.signal

from heygem_daemon.lipsync.adaptation.augment import coloured_noise, mix
from heygem_daemon.lipsync.arrays import Float32, Float64
from heygem_daemon.lipsync.speech.hum import LOOKAHEAD, without_hum
from heygem_daemon.lipsync.speech.phonetic import PhoneticDriver
from heygem_daemon.lipsync.speech.recording_motion import motion_at
from tests.lipsync.driver_contract import RATE, cut, talk
from tests.lipsync.speech.conftest import Spoken

pytestmark = pytest.mark.usefixtures("_equal_speech_is_encoded_once")

HUMS = {
    "50 Hz": (50.0, 0.0, 50),
    "60 Hz": (60.0, 0.0, 60),
    "50 Hz and multiples, falling": (50.0, 1.0, 1000),
    "60 Hz and multiples, falling": (60.0, 1.0, 1000),
    "50 Hz and multiples, falling slowly": (50.0, 0.5, 1000),
    "rectified, 50 Hz": (100.0, 1.0, 1000),
    "rectified, 60 Hz": (120.0, 1.0, 1000),
    "rectified, all alike": (100.0, 0.0, 1000),
    "off the nominal frequency": (49.87, 0.5, 1000),
    "the buzz of a dimmer": (120.0, 0.5, 3500),
}
"""Lowest frequency, power by which multiples fall, highest frequency (Hz)."""
WINDS = ("gusts", "rumble", "offset", "steps")


def comb(frequency: Float64, slope: float, highest: float) -> Float32:
    """Return float32 [n]: the multiples of a frequency (Hz, [n]) up to the highest, multiple k at k ** -slope, in any phases."""
    phase, random = 2 * np.pi * np.cumsum(frequency) / RATE, np.random.default_rng(0)
    multiples = range(1, int(highest / frequency[0]) + 1)
    tones = [k**-slope * np.sin(k * phase + random.uniform(0, 2 * np.pi)) for k in multiples]
    return np.asarray(np.sum(tones, axis=0), np.float32)


def hum(name: str, samples: int) -> Float32:
    lowest, slope, highest = HUMS[name]
    return comb(np.full(samples, lowest), slope, highest)


def below_the_voice(kind: str, samples: int) -> Float32:
    """Return float32 [samples] of wind, of the rumble of traffic, of an offset, or of steps on the floor."""
    random = np.random.default_rng(3)
    t = np.arange(samples) / RATE
    if kind == "offset":
        return np.ones(samples, np.float32)
    if kind == "steps":
        return np.asarray(np.exp(-25 * (t % 0.7)) * np.sin(2 * np.pi * 45 * (t % 0.7)), np.float32)
    corner, order = (200, 4) if kind == "gusts" else (40, 4)
    noise = scipy.signal.sosfilt(scipy.signal.butter(order, corner, fs=RATE, output="sos"), random.standard_normal(samples))
    strength = 10 ** (0.4 * np.sin(2 * np.pi * 0.6 * t)) if kind == "gusts" else 1.0
    return np.asarray(noise * strength, np.float32)


def cleaned(wave: Float32) -> Float32:
    return np.concatenate([wave[:0], *without_hum([wave])])


def level_db(wave: Float32, reference: Float32) -> float:
    """Return the level of a wave over that of another."""
    return float(20 * np.log10(max(1e-9, float(np.std(wave))) / np.std(reference)))


def opening(driver: PhoneticDriver, wave: Float32) -> Float32:
    return motion_at(driver, wave, np.arange(0, len(wave) / RATE, 0.04)).opening


@pytest.fixture(scope="module")
def clean_opening(driver: PhoneticDriver, spoken: Spoken) -> Float32:
    return opening(driver, spoken.wave)


@pytest.mark.family(4)
@pytest.mark.parametrize("louder", [-4.0, 8.0])
@pytest.mark.parametrize("name", HUMS)
def test_hum_is_taken_away_and_speech_stays(spoken: Spoken, name: str, louder: float) -> None:
    noisy = mix(spoken.wave, hum(name, len(spoken.wave)), -louder)
    left = level_db(cleaned(noisy) - spoken.wave, spoken.wave)
    print(f"{name}, {louder:+.0f} dB: {left:.1f} dB left")  # noqa: T201
    assert left < -15


@pytest.mark.family(2)
@pytest.mark.parametrize("lowest", [50.0, 60.0, 100.0])
def test_hum_whose_frequency_drifts_is_taken_away(spoken: Spoken, lowest: float) -> None:
    drift = 0.002 * np.sin(2 * np.pi * np.arange(len(spoken.wave)) / RATE / 20)
    noisy = mix(spoken.wave, comb(lowest * (1 + drift), 1.0, 1000), -8.0)
    assert level_db(cleaned(noisy) - spoken.wave, spoken.wave) < -12


def test_hum_that_begins_later_is_taken_away_from_there_on(spoken: Spoken) -> None:
    half = len(spoken.wave) // 2
    noise = hum("rectified, 50 Hz", len(spoken.wave))
    noise[:half] = 0
    left = cleaned(mix(spoken.wave, noise, -8.0)) - spoken.wave
    assert level_db(left[half + RATE :], spoken.wave) < -15
    assert level_db(left[: half - RATE], spoken.wave) < -40


@pytest.mark.family(2)
@pytest.mark.parametrize("name", HUMS)
def test_hum_alone_becomes_silence(name: str) -> None:
    noise = 0.1 * hum(name, 4 * RATE)
    assert level_db(cleaned(noise), noise) < -30


@pytest.mark.parametrize("kind", ["talk", "spoken", "noise", "silence"])
def test_what_has_no_hum_stays_as_it_is(spoken: Spoken, kind: str) -> None:
    random = np.random.default_rng(4)
    wave = {"talk": talk(8), "spoken": spoken.wave, "noise": coloured_noise(8 * RATE, random), "silence": np.zeros(RATE, np.float32)}[kind]
    difference = cleaned(wave) - wave
    assert float(np.std(difference)) <= 0.003 * float(np.std(wave))  # 50 dB below


@pytest.mark.parametrize("pitch", [100.0, 120.0, 150.0])
def test_a_voice_of_constant_pitch_is_no_hum(pitch: float) -> None:
    t = np.arange(6 * RATE) / RATE
    syllables = np.clip(np.sin(2 * np.pi * 2.1 * t), 0, 1) ** 0.5
    voice = (0.1 * syllables * comb(np.full(len(t), pitch), 1.0, 3000)).astype(np.float32)
    assert level_db(cleaned(voice) - voice, voice) < -40


@pytest.mark.parametrize("samples", [0, 1, 2047, 2048, 8000, 16000, 16001, 18432, 3 * RATE])
def test_no_sample_is_added_or_lost(samples: int) -> None:
    wave = mix(talk(3), hum("50 Hz", 3 * RATE), 0.0)[:samples]
    found = cleaned(wave)
    assert found.dtype == np.float32
    assert len(found) == samples
    assert np.isfinite(found).all()


@pytest.mark.family(2)
@pytest.mark.parametrize("sizes", [[160], [1, 7, 333, 16001], [15999, 2], [1_000_000]], ids=str)
def test_the_blocks_of_the_input_do_not_matter(spoken: Spoken, sizes: list[int]) -> None:
    noisy = mix(spoken.wave, hum("rectified, 60 Hz", len(spoken.wave)), -8.0)
    assert np.array_equal(np.concatenate(list(without_hum(cut(noisy, sizes)))), cleaned(noisy))


def test_little_of_the_future_is_read_and_nothing_later_matters(spoken: Spoken) -> None:
    noisy = mix(spoken.wave, hum("rectified, 60 Hz", len(spoken.wave)), -8.0)
    other = noisy.copy()
    other[6 * RATE :] = 0
    same = 6 * RATE - LOOKAHEAD
    assert np.array_equal(cleaned(noisy)[:same], cleaned(other)[:same])
    taken = 0

    def blocks() -> Iterator[Float32]:
        nonlocal taken
        for block in cut(noisy, [RATE]):
            taken += 1
            yield block

    for made, _ in enumerate(without_hum(blocks()), start=1):
        assert taken <= min(made + 2, -(-len(noisy) // RATE))


@pytest.mark.family(4)
@pytest.mark.parametrize("name", ["60 Hz", "50 Hz and multiples, falling", "rectified, all alike", "the buzz of a dimmer"])
def test_a_mouth_moves_in_hum_louder_than_the_voice_as_without(
    driver: PhoneticDriver, spoken: Spoken, clean_opening: Float32, name: str
) -> None:
    found = opening(driver, mix(spoken.wave, hum(name, len(spoken.wave)), -8.0))
    assert np.corrcoef(clean_opening, found)[0, 1] > 0.97


@pytest.mark.family(2)
@pytest.mark.parametrize("kind", WINDS)
def test_a_mouth_moves_in_wind_and_rumble_louder_than_the_voice_as_without(
    driver: PhoneticDriver, spoken: Spoken, clean_opening: Float32, kind: str
) -> None:
    found = opening(driver, mix(spoken.wave, below_the_voice(kind, len(spoken.wave)), -8.0))
    r = np.corrcoef(clean_opening, found)[0, 1]
    print(f"{kind}: r {r:.3f}")  # noqa: T201
    assert r > 0.93


@pytest.mark.family(4)
@pytest.mark.parametrize("kind", [*HUMS, *WINDS])
def test_what_lies_below_the_voice_opens_no_mouth(driver: PhoneticDriver, kind: str) -> None:
    noise = (hum if kind in HUMS else below_the_voice)(kind, 5 * RATE)
    assert opening(driver, 0.1 * noise / np.float32(np.abs(noise).max())).max() < 0.05
