"""PhoneticDriver keeps the contract of drivers, and recognises speech."""

import tracemalloc
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from heygem_daemon.lipsync.adaptation.augment import mix, music
from heygem_daemon.lipsync.adaptation.scores import is_shut
from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.ports import ListeningDriver, PersonalDriver
from heygem_daemon.lipsync.speech import phonetic
from heygem_daemon.lipsync.speech.hum import without_hum
from heygem_daemon.lipsync.speech.mel import LOOKAHEAD, SILENCE, normalised_mel
from heygem_daemon.lipsync.speech.model import PhoneticModel, encode_recording, load
from heygem_daemon.lipsync.speech.network import MAPPER_REACH
from heygem_daemon.lipsync.speech.phonetic import BLOCK, CONTEXT, PhoneticDriver
from heygem_daemon.lipsync.speech.postprocess import REACH
from heygem_daemon.lipsync.speech.stream import CURVE_RATE, Curve
from heygem_daemon.lipsync.speech.weights import shipped_weights
from heygem_daemon.lipsync.speech.whisper import STREAM, SpeechEncoder
from tests.lipsync.driver_contract import RATE, DriverContract, cut, joined, same, talk
from tests.lipsync.speech.conftest import Spoken
from tests.synthetic_speech import synthesise

pytestmark = pytest.mark.usefixtures("_equal_speech_is_encoded_once")

ROW = 320
"""Samples from row to row of a curve."""
LEAD = MAPPER_REACH + REACH + CONTEXT
"""Rows before the recording in the first window."""
FIRST = BLOCK - 2 * LEAD + 2 * CONTEXT
"""Rows that the first window gives."""
FIELDS = ("opening", "width", "visemes")


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


class Listening(SpeechEncoder):
    """Keeps the windows that it is given, and costs nothing: all streams are zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.windows: list[Float32] = []

    def forward(self, mel: Tensor) -> Tensor:
        self.windows += [window.T.numpy() for window in mel]
        return torch.zeros(mel.shape[0], mel.shape[2] // 2, STREAM)


class Forgetful(Listening):
    """Keeps nothing."""

    def forward(self, mel: Tensor) -> Tensor:
        streams = super().forward(mel)
        self.windows.clear()
        return streams


@pytest.fixture
def listening(model: PhoneticModel) -> tuple[PhoneticDriver, Listening]:
    """The driver, but for an encoder that costs nothing; and that encoder."""
    driver, encoder = PhoneticDriver(model), Listening().eval()
    driver._model = model.with_(encoder=encoder)  # now: the driver is made with the weights of its own, rounded as the CPU computes
    return driver, encoder


@pytest.fixture(scope="module")
def spoken_curve(driver: PhoneticDriver, spoken: Spoken) -> Curve:
    """The curve of the speech."""
    return curve_of(driver, [spoken.wave], rows_of(spoken.wave))


@pytest.fixture(scope="module")
def spoken_posteriors(driver: PhoneticDriver, spoken: Spoken) -> Float32:
    return np.concatenate(list(driver.posteriors([spoken.wave])))


def motion_of(curve: Curve) -> float:
    """Return how much the lips move: the mean step of the opening."""
    return float(np.abs(np.diff(curve.opening)).mean())


@pytest.mark.parametrize("sizes", [[4321], [1, 7, 333, 16001]], ids=str)
def test_the_curve_of_several_windows_is_the_same_to_the_last_bit_for_any_blocks(
    driver: PhoneticDriver, spoken: Spoken, spoken_curve: Curve, sizes: list[int]
) -> None:
    assert len(spoken_curve) > 1.5 * BLOCK
    curve = curve_of(driver, cut(spoken.wave, sizes), len(spoken_curve))
    for name in FIELDS:
        assert np.array_equal(getattr(curve, name), getattr(spoken_curve, name))


@pytest.mark.family(2)
@pytest.mark.parametrize("removed", [50, 180])
def test_other_windows_give_nearly_the_same_motion(driver: PhoneticDriver, spoken: Spoken, spoken_curve: Curve, removed: int) -> None:
    """Some rows removed from the beginning move every window: .03 of the opening on average, r .987."""
    rest = curve_of(driver, [spoken.wave[removed * ROW :]], len(spoken_curve) - removed)
    here, there = rest.opening[50:], spoken_curve.opening[removed + 50 :]
    print(f"other windows: {np.abs(here - there).mean():.4f}, r {np.corrcoef(here, there)[0, 1]:.4f}")  # noqa: T201
    assert np.abs(here - there).mean() < 0.05
    assert np.corrcoef(here, there)[0, 1] > 0.97


def test_windows_are_cut_out_of_the_mel_of_the_whole(listening: tuple[PhoneticDriver, Listening], spoken: Spoken) -> None:
    """Neither the level nor the deepest value of a window depends on where it is cut; before and after the recording is silence."""
    driver, encoder = listening
    wave = np.concatenate([spoken.wave, 0.03 * spoken.wave, spoken.wave])  # soft for longer than a window
    rows = rows_of(wave)
    curve_of(driver, [wave], rows)
    heard = np.concatenate(list(without_hum([wave])))  # a voice that depends on what it spoke before may hold a trace of a steady tone
    whole = np.concatenate([normalised_mel(heard), np.zeros((2 * BLOCK, 80), np.float32)])
    assert len(encoder.windows) == -(-(rows + LEAD - CONTEXT) // BLOCK)
    for number, window in enumerate(encoder.windows):
        assert len(window) == 2 * (BLOCK + 2 * CONTEXT)
        first = 2 * (number * BLOCK - LEAD)
        before, end = max(0, -first), min(len(window), len(normalised_mel(wave)) - first)
        assert (window[:before] == np.float32(SILENCE)).all()
        np.testing.assert_allclose(window[before:end], whole[first + before : first + end], atol=1e-5)
    assert (encoder.windows[-1][-50:].max()) < 0


def test_for_one_recording_the_driver_gives_the_same_motion_again_and_again(driver: PhoneticDriver, spoken: Spoken) -> None:
    wave, rate, frames = spoken.wave[: 6 * RATE], Fraction(25), 200  # goes on after the speech
    own, plain = driver.for_recording(lambda: cut(wave, [RATE]), 60), driver.for_presenter(0.5)
    assert np.array_equal(own.speech_activity([], rate, frames), driver.speech_activity(cut(wave, [RATE]), rate, frames))
    expected = joined(plain.motion(cut(wave, [RATE]), rate, frames))
    for _ in range(2):
        assert same(joined(own.for_presenter(0.5).motion([], rate, frames)), expected)


def test_for_one_recording_the_encoder_sees_every_window_once(listening: tuple[PhoneticDriver, Listening], spoken: Spoken) -> None:
    driver, encoder = listening
    own = driver.for_recording(lambda: cut(spoken.wave, [RATE]), 60)
    for shut_share in (0.2, 0.4, 0.6):
        joined(own.for_presenter(shut_share).motion([], Fraction(25), 100))
    assert len(list(own.posteriors([]))) > 0
    assert len(encoder.windows) == len({window.tobytes() for window in encoder.windows}) > 0


def test_several_windows_at_once_give_the_motion_of_one_after_the_other(
    driver: PhoneticDriver, model: PhoneticModel, spoken: Spoken, spoken_curve: Curve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a graphics card encodes them."""
    monkeypatch.setitem(phonetic._WINDOWS_AT_ONCE, "cpu", 3)
    curve = curve_of(PhoneticDriver(model), [spoken.wave], len(spoken_curve))
    for name in FIELDS:
        np.testing.assert_allclose(getattr(curve, name), getattr(spoken_curve, name), atol=0.01)


def test_posteriors_come_to_the_end_of_the_speech_and_are_those_of_the_whole(
    driver: PhoneticDriver, model: PhoneticModel, spoken: Spoken, spoken_posteriors: Float32
) -> None:
    assert spoken_posteriors.dtype == np.float32
    assert len(spoken_posteriors) == rows_of(spoken.wave)
    assert np.array_equal(np.concatenate(list(driver.posteriors(cut(spoken.wave, [7777])))), spoken_posteriors)
    whole = encode_recording(model, spoken.wave).posteriors[: len(spoken_posteriors)]
    found = spoken_posteriors[: len(whole)]
    print(f"one window: {np.abs(found - whole).mean():.4f}, same viseme {(found.argmax(1) == whole.argmax(1)).mean():.3f}")  # noqa: T201
    assert np.abs(found - whole).mean() < 0.012
    assert (found.argmax(1) == whole.argmax(1)).mean() > 0.92


@pytest.mark.family(2)
@pytest.mark.parametrize("samples", [0, 1, 320, 321, 348 * ROW - 1, 348 * ROW, 348 * ROW + 1, 8 * RATE])
def test_posteriors_are_as_many_as_rows_begin_in_the_speech(listening: tuple[PhoneticDriver, Listening], samples: int) -> None:
    driver, _ = listening
    blocks = list(driver.posteriors([talk(8)[:samples]]))
    assert sum(map(len, blocks)) == -(-samples // ROW)


def test_the_visemes_of_clear_speech_are_recognised(spoken: Spoken, spoken_posteriors: Float32) -> None:
    """Most rows in which espeak-ng speaks p, b or m are recognised."""
    posteriors = spoken_posteriors
    lips = np.zeros(len(posteriors), bool)
    for phone in spoken.phones:
        if phone.ipa and phone.ipa[0] in "pbm":
            lips[round(phone.start * 50) : round(phone.end * 50) + 1] = True
    assert posteriors[lips, 1].mean() > 4 * posteriors[~lips, 1].mean()


def test_the_lips_meet_at_most_p_b_and_m(spoken: Spoken, spoken_curve: Curve) -> None:
    met = spoken.closures_met(np.arange(len(spoken_curve)) / 50, spoken_curve.opening)
    print(f"p b m met without a script: {met:.0%}")  # noqa: T201
    assert met >= 0.75


@pytest.mark.family(3)
@pytest.mark.parametrize("gain", [0.03, 0.3, 3.0])
def test_a_mouth_moves_alike_whatever_the_level_of_the_recording(
    driver: PhoneticDriver, spoken: Spoken, spoken_curve: Curve, gain: float
) -> None:
    usual = spoken_curve.opening
    other = curve_of(driver, [np.float32(gain) * spoken.wave], len(usual)).opening
    assert np.abs(usual - other).mean() < 0.06
    assert np.corrcoef(usual, other)[0, 1] > 0.95


def test_two_drivers_from_the_same_file_agree_to_the_last_bit(driver: PhoneticDriver, spoken: Spoken) -> None:
    other = PhoneticDriver(load(shipped_weights()))
    a, b = (curve_of(each, [spoken.wave[: 5 * RATE]], 250) for each in (driver, other))
    assert np.array_equal(a.opening, b.opening)
    assert np.array_equal(a.visemes, b.visemes)


@pytest.mark.family(4)
@pytest.mark.parametrize("seed", range(4))
def test_music_alone_hardly_moves_the_mouth(driver: PhoneticDriver, spoken: Spoken, spoken_curve: Curve, seed: int) -> None:
    played = music(len(spoken.wave), np.random.default_rng(seed))
    played *= spoken.wave.std() / played.std()
    ratio = motion_of(curve_of(driver, [played], len(spoken_curve))) / motion_of(spoken_curve)
    print(f"music moves the mouth {ratio:.0%} as much as speech")  # noqa: T201
    assert ratio <= 0.05


@pytest.fixture(scope="module", params=["solo", "band"])
def played(request: pytest.FixtureRequest, spoken: Spoken) -> Float32:
    """Sampled instruments, as long and as loud as the speech: nothing was trained on them."""
    wave, rate = soundfile.read(Path(__file__).with_name("music") / f"{request.param}.ogg", dtype="float32")
    assert rate == RATE
    return np.asarray(np.resize(wave, len(spoken.wave)) * (spoken.wave.std() / wave.std()), np.float32)


def test_instruments_alone_hardly_move_the_mouth(driver: PhoneticDriver, spoken_curve: Curve, played: Float32) -> None:
    ratio = motion_of(curve_of(driver, [played], len(spoken_curve))) / motion_of(spoken_curve)
    print(f"instruments move the mouth {ratio:.0%} as much as speech")  # noqa: T201
    assert ratio <= 0.05


@pytest.mark.family(5)
@pytest.mark.parametrize("word", ["Yes.", "No.", "Maybe.", "Thank you.", "Five."])
def test_a_word_between_long_pauses_is_spoken(driver: PhoneticDriver, word: str) -> None:
    """A single word lacks the rhythm of speech. A mouth is at rest 1.2 s after it: .8 s after what counts as speech."""
    wave, _ = synthesise(word, "en-us")
    pause, noise = np.zeros(3 * RATE, np.float32), np.random.default_rng(0)
    padded = np.concatenate([pause, wave, pause])
    padded = (padded + noise.normal(0, 0.002, len(padded))).astype(np.float32)
    opening = curve_of(driver, [padded], rows_of(padded)).opening
    spoken = slice(150, 150 + rows_of(wave))
    assert opening[spoken].max() > 0.25
    assert opening[:100].max() == 0
    assert opening[spoken.stop + 60 :].max() == 0


def test_speech_before_instruments_moves_the_mouth_as_without_them(
    driver: PhoneticDriver, spoken: Spoken, spoken_curve: Curve, played: Float32
) -> None:
    alone = spoken_curve.opening
    before = curve_of(driver, [mix(spoken.wave, played, 15.0)], len(alone)).opening
    assert np.corrcoef(alone, before)[0, 1] > 0.85
    assert np.abs(np.diff(before)).mean() > 0.75 * np.abs(np.diff(alone)).mean()


def test_the_driver_is_adapted_to_a_person_whose_lips_are_shut_more_often_or_less(
    driver: PhoneticDriver, spoken: Spoken, spoken_curve: Curve
) -> None:
    assert isinstance(driver, PersonalDriver)
    shares = (0.0, 0.2, 0.8)
    curves = [curve_of(driver.for_presenter(share), [spoken.wave], FIRST) for share in shares]
    shut = [float(is_shut(curve.opening).mean()) for curve in curves]
    print("lips shut:", ", ".join(f"{found:.0%} at {share:.0%}" for share, found in zip(shares, shut, strict=True)))  # noqa: T201
    assert (np.diff(shut) >= 0).all()
    assert shut[-1] > shut[0] + 0.25
    for curve in curves:
        assert np.array_equal(curve.visemes, spoken_curve.visemes[:FIRST])
        assert np.array_equal(curve.width, spoken_curve.width[:FIRST])


def test_adapting_to_a_person_leaves_the_driver_as_it_is_and_shares_its_networks(
    listening: tuple[PhoneticDriver, Listening], spoken: Spoken
) -> None:
    driver, encoder = listening
    before = curve_of(driver, [spoken.wave], 250)
    adapted = driver.for_presenter(0.8)
    assert (adapted.name, adapted.model_hashes) == (driver.name, driver.model_hashes)
    after = curve_of(driver, [spoken.wave], 250)
    for name in FIELDS:
        assert np.array_equal(getattr(after, name), getattr(before, name))
    heard = len(encoder.windows)
    curve_of(adapted, [spoken.wave], 250)
    assert len(encoder.windows) > heard


@pytest.mark.slow  # the contract has that little is read ahead
@pytest.mark.parametrize("kind", ["speech", "silence"])
def test_a_long_stream_is_not_kept(model: PhoneticModel, spoken: Spoken, kind: str) -> None:
    """The memory after two minutes is that after one. It rises and falls by some MB: `itertools.tee` lets go of 57 blocks at a time.

    What was read ahead is what a row depends on, in the driver, in the mel and (a block of a second) for its hum, and the rest of a block.
    """
    driver = PhoneticDriver(model.with_(encoder=Forgetful().eval()))
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
    assert max(ahead) <= LEAD / CURVE_RATE + LOOKAHEAD / 100 + 1 + 1
    assert max(used[8:]) - max(used[:8]) < 600_000  # a minute is 4 MB of audio, 2 of spectrum, 2.4 of features


# -- who speaks when, before any motion ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001)])
def test_speech_is_heard_where_it_is_at_frame_times_and_not_in_the_silence_around_it(driver: PhoneticDriver, rate: Fraction) -> None:
    spoken, _ = synthesise("Good evening, my father says that they have a new map.", "en-us")
    silence = np.zeros(2 * RATE, np.float32)
    wave = np.concatenate([silence, 0.5 * np.asarray(spoken, np.float32), silence])
    frames = round(len(wave) / RATE * rate) + 25  # the video goes on after the recording
    heard = driver.speech_activity(cut(wave, [4096]), rate, frames)
    times = np.arange(frames) / float(rate)
    assert isinstance(driver, ListeningDriver)
    assert heard.shape == (frames,)
    assert heard[(times > 2.4) & (times < len(wave) / RATE - 2.4)].mean() > 0.95
    assert not heard[(times < 1.5) | (times > len(wave) / RATE - 1.2)].any()


def test_speech_is_heard_where_the_motion_has_it(driver: PhoneticDriver) -> None:
    spoken, _ = synthesise("Good evening.", "en-us")
    wave = np.concatenate([np.asarray(spoken, np.float32), np.zeros(3 * RATE, np.float32)])
    frames = round(25 * len(wave) / RATE)
    moved = np.concatenate([block.is_speech for block in driver.motion(cut(wave, [RATE]), Fraction(25), frames)])
    heard = driver.speech_activity(cut(wave, [RATE]), Fraction(25), frames)
    assert np.mean(moved == heard) > 0.85
