"""PhoneticDriver keeps the contract of drivers, and recognises speech."""

import tracemalloc
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import soundfile

from heygem_daemon.lipsync.adaptation.augment import mix, music
from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.speech.mel import BANDS, SILENCE, normalised_mel
from heygem_daemon.lipsync.speech.model import PhoneticModel, encode, load, predict
from heygem_daemon.lipsync.speech.phonetic import PhoneticDriver
from heygem_daemon.lipsync.speech.postprocess import PredictedRows, mouth_curve
from heygem_daemon.lipsync.speech.stream import CURVE_RATE, Curve
from heygem_daemon.lipsync.speech.weights import shipped_weights
from tests.lipsync.driver_contract import RATE, DriverContract, cut, talk
from tests.lipsync.speech.conftest import Spoken
from training.espeak import espeak

ROW = 320
"""Samples from row to row of a curve."""
PAD = 100
"""Rows of silence around a recording that is processed as a whole."""


class TestPhoneticDriver(DriverContract):
    """The contract, with the weights that are shipped."""


def rows_of(wave: Float32) -> int:
    return -(-len(wave) // ROW)


def curve_of(driver: PhoneticDriver, blocks: Iterable[Float32], rows: int) -> Curve:
    """Return the first `rows` rows of a driver's curve."""
    curves = driver.curve(blocks)
    whole = next(curves)
    while len(whole) < rows:
        whole = whole.concatenate(next(curves))
    return Curve(opening=whole.opening[:rows], width=whole.width[:rows], visemes=whole.visemes[:rows])


def whole_at_once(model: PhoneticModel, wave: Float32) -> tuple[Float32, Curve]:
    """Return (posteriors, curve) of the whole recording, from networks that see all of it at the same time, silence around it."""
    mel = normalised_mel(np.concatenate([wave, np.zeros(PAD * ROW, np.float32)]))
    mel = np.concatenate([np.full((2 * PAD, BANDS), SILENCE, np.float32), mel])
    acoustic = encode(model, mel[: len(mel) // 2 * 2])
    place = np.arange(len(acoustic.posteriors)) - PAD
    rows = PredictedRows(
        prediction=predict(model, acoustic.features),
        posteriors=acoustic.posteriors,
        in_recording=(place >= 0) & (place * ROW < len(wave)),
        gate=np.zeros(len(place), np.float32),
    )
    curve = mouth_curve(rows, model.calibration)
    inside = slice(PAD, PAD + rows_of(wave))
    return acoustic.posteriors[inside], Curve(opening=curve.opening[inside], width=curve.width[inside], visemes=curve.visemes[inside])


@pytest.fixture(scope="module")
def whole(model: PhoneticModel, spoken: Spoken) -> tuple[Float32, Curve]:
    return whole_at_once(model, spoken.wave)


def motion_of(curve: Curve) -> float:
    """Return how much the lips move: the mean step of the opening."""
    return float(np.abs(np.diff(curve.opening)).mean())


@pytest.mark.parametrize("sizes", [[1_000_000], [4321]], ids=str)
def test_there_is_no_seam_between_the_windows_of_the_networks(
    driver: PhoneticDriver, spoken: Spoken, whole: tuple[Float32, Curve], sizes: list[int]
) -> None:
    _, expected = whole
    curve = curve_of(driver, cut(spoken.wave, sizes), len(expected))
    assert len(expected) > 3 * 200
    for name in ("opening", "width", "visemes"):
        np.testing.assert_allclose(getattr(curve, name), getattr(expected, name), atol=1e-3)


def test_posteriors_come_to_the_end_of_the_speech_and_are_those_of_the_whole(
    driver: PhoneticDriver, spoken: Spoken, whole: tuple[Float32, Curve]
) -> None:
    expected, _ = whole
    posteriors = np.concatenate(list(driver.posteriors(cut(spoken.wave, [7777]))))
    assert posteriors.dtype == np.float32
    np.testing.assert_allclose(posteriors, expected, atol=1e-3)


@pytest.mark.parametrize("samples", [0, 1, 320, 321, 4 * RATE - 1, 4 * RATE, 4 * RATE + 1, 8 * RATE])
def test_posteriors_are_as_many_as_rows_begin_in_the_speech(driver: PhoneticDriver, samples: int) -> None:
    blocks = list(driver.posteriors([talk(8)[:samples]]))
    assert sum(map(len, blocks)) == -(-samples // ROW)


def test_the_visemes_of_clear_speech_are_recognised(driver: PhoneticDriver, spoken: Spoken) -> None:
    """Most rows in which espeak-ng speaks p, b or m are recognised."""
    posteriors = np.concatenate(list(driver.posteriors([spoken.wave])))
    lips = np.zeros(len(posteriors), bool)
    for phone in spoken.phones:
        if phone.ipa and phone.ipa[0] in "pbm":
            lips[round(phone.start * 50) : round(phone.end * 50) + 1] = True
    assert posteriors[lips, 1].mean() > 4 * posteriors[~lips, 1].mean()


def test_the_lips_meet_at_most_p_b_and_m(driver: PhoneticDriver, spoken: Spoken) -> None:
    curve = curve_of(driver, [spoken.wave], rows_of(spoken.wave))
    met = spoken.closures_met(np.arange(len(curve)) / 50, curve.opening)
    print(f"p b m met without a script: {met:.0%}")  # noqa: T201
    assert met >= 0.6


@pytest.mark.parametrize("gain", [0.03, 0.3, 3.0])
def test_a_mouth_moves_alike_whatever_the_level_of_the_recording(driver: PhoneticDriver, spoken: Spoken, gain: float) -> None:
    rows = rows_of(spoken.wave)
    usual, other = (curve_of(driver, [np.float32(factor) * spoken.wave], rows).opening for factor in (1.0, gain))
    assert np.abs(usual - other).mean() < 0.06
    assert np.corrcoef(usual, other)[0, 1] > 0.95


def test_two_drivers_from_the_same_file_agree_to_the_last_bit(driver: PhoneticDriver, spoken: Spoken) -> None:
    other = PhoneticDriver(load(shipped_weights()))
    a, b = (curve_of(each, [spoken.wave[: 5 * RATE]], 250) for each in (driver, other))
    assert np.array_equal(a.opening, b.opening)
    assert np.array_equal(a.visemes, b.visemes)


@pytest.mark.parametrize("seed", range(4))
def test_music_alone_hardly_moves_the_mouth(driver: PhoneticDriver, spoken: Spoken, seed: int) -> None:
    played = music(len(spoken.wave), np.random.default_rng(seed))
    played *= spoken.wave.std() / played.std()
    rows = rows_of(spoken.wave)
    ratio = motion_of(curve_of(driver, [played], rows)) / motion_of(curve_of(driver, [spoken.wave], rows))
    print(f"music moves the mouth {ratio:.0%} as much as speech")  # noqa: T201
    assert ratio <= 0.15


@pytest.fixture(scope="module", params=["solo", "band"])
def played(request: pytest.FixtureRequest, spoken: Spoken) -> Float32:
    """Sampled instruments, as long and as loud as the speech: pieces of training.music that nothing was trained on."""
    wave, rate = soundfile.read(Path(__file__).with_name("music") / f"{request.param}.ogg", dtype="float32")
    assert rate == RATE
    return np.asarray(np.resize(wave, len(spoken.wave)) * (spoken.wave.std() / wave.std()), np.float32)


def test_instruments_alone_hardly_move_the_mouth(driver: PhoneticDriver, spoken: Spoken, played: Float32) -> None:
    rows = rows_of(spoken.wave)
    ratio = motion_of(curve_of(driver, [played], rows)) / motion_of(curve_of(driver, [spoken.wave], rows))
    print(f"instruments move the mouth {ratio:.0%} as much as speech")  # noqa: T201
    assert ratio <= 0.15


@pytest.mark.parametrize("word", ["Yes.", "No.", "Maybe.", "Thank you.", "Five."])
def test_a_word_between_long_pauses_is_spoken(driver: PhoneticDriver, word: str) -> None:
    """A single word lacks the rhythm of speech."""
    wave, _ = espeak().speak(word, "en-us")
    pause, noise = np.zeros(3 * RATE, np.float32), np.random.default_rng(0)
    padded = np.concatenate([pause, wave, pause])
    padded = (padded + noise.normal(0, 0.002, len(padded))).astype(np.float32)
    opening = curve_of(driver, [padded], rows_of(padded)).opening
    spoken = slice(150, 150 + rows_of(wave))
    assert opening[spoken].max() > 0.25
    assert opening[:100].max() == 0
    assert opening[spoken.stop + 50 :].max() == 0


def test_speech_before_instruments_moves_the_mouth_as_without_them(driver: PhoneticDriver, spoken: Spoken, played: Float32) -> None:
    rows = rows_of(spoken.wave)
    alone, before = (curve_of(driver, [wave], rows).opening for wave in (spoken.wave, mix(spoken.wave, played, 15.0)))
    assert np.corrcoef(alone, before)[0, 1] > 0.85
    assert np.abs(np.diff(before)).mean() > 0.75 * np.abs(np.diff(alone)).mean()


@pytest.mark.parametrize("kind", ["speech", "silence"])
def test_a_long_stream_is_not_kept(driver: PhoneticDriver, spoken: Spoken, kind: str) -> None:
    """The memory after two minutes is that after one."""
    second = spoken.wave[:RATE] if kind == "speech" else np.zeros(RATE, np.float32)
    taken = 0

    def stream() -> Iterator[Float32]:
        nonlocal taken
        while True:
            taken += 1
            yield second.copy()

    curves = driver.curve(stream())
    used, ahead = [], []
    tracemalloc.start()
    try:
        seconds = 0.0
        for curve in islice(curves, 16):
            seconds += len(curve) / CURVE_RATE
            used.append(tracemalloc.get_traced_memory()[0])
            ahead.append(taken - seconds)
    finally:
        tracemalloc.stop()
    assert max(ahead) <= 5
    assert max(used[8:]) - max(used[4:8]) < 150_000  # one window is 700 kB of audio and spectrum
