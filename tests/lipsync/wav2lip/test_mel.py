"""The spectrum is that of the reference, and its windows never drift."""

import tracemalloc
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import librosa
import numpy as np
import pytest

from heygem_daemon.lipsync import wav2lip
from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.wav2lip import mel
from heygem_daemon.lipsync.wav2lip.mel import SILENCE, mel_columns, mel_spectrogram, mel_windows
from tests.lipsync.driver_contract import RATE, cut, talk
from tests.lipsync.spectra import magnitude

NTSC_FILM, NTSC = Fraction(24000, 1001), Fraction(30000, 1001)
NO_SHIFT = Fraction(0)


def windows(speech: Iterable[Float32], frame_rate: Fraction, frames: int, shift: Fraction = NO_SHIFT) -> Float32:
    return np.stack(list(mel_windows(speech, frame_rate, frames, shift)))


# -- the spectrum --------------------------------------------------------------------------------------------------------------------------


def test_the_spectrum_is_that_of_the_reference(root: Path) -> None:
    path = root.parent / "shared" / "wav2lip" / "vectors.npz"
    if not path.is_file():
        pytest.skip("the reference vectors (../shared/wav2lip) are not on this machine")
    with np.load(path) as vectors:
        difference = np.abs(wav2lip.mel_spectrogram(vectors["wav"]) - vectors["wav_mel"]).max()
    print(f"largest difference to the reference spectrum: {difference:.1e}")  # noqa: T201
    assert difference <= 1e-4


def test_the_spectrum_is_that_of_librosa_with_the_parameters_of_the_reference() -> None:
    wave = talk(2.2).astype(np.float64)
    emphasised = np.append(wave[0], wave[1:] - 0.97 * wave[:-1])
    padded = np.pad(emphasised, 400)  # column k is centred on sample 200 k
    bands = librosa.filters.mel(sr=16000, n_fft=800, n_mels=80, fmin=55, fmax=7600) @ magnitude(padded, window=800, hop=200)
    expected = np.clip(1.6 * np.log10(np.maximum(1e-5, bands)) + 2.4, -4, 4)
    assert expected.std() > 1
    np.testing.assert_allclose(mel_spectrogram(wave), expected, atol=1e-4)


@pytest.mark.parametrize("sizes", [[160], [16000], [1, 7, 333, 16001], [15999, 2, 0]], ids=str)
def test_the_spectrum_does_not_depend_on_how_the_speech_is_cut(sizes: list[int]) -> None:
    wave = talk(3.3)
    assert np.array_equal(np.concatenate(list(mel_columns(cut(wave, sizes)))).T, mel_spectrogram(wave))


@pytest.mark.parametrize("samples", [1, 199, 200, 399, 400, 799, 800, 801, 15999, 16000, 16001, 33333])
def test_a_column_comes_every_200_samples_and_one_more(samples: int) -> None:
    spectrum = mel_spectrogram(talk(3)[:samples])
    assert spectrum.shape == (80, 1 + samples // 200)
    assert spectrum.dtype == np.float32


def test_a_click_is_in_the_columns_around_it() -> None:
    wave = np.zeros(RATE, np.float32)
    wave[40 * 200] = 1
    columns = np.flatnonzero(mel_spectrogram(wave).max(0) > SILENCE)
    assert columns.tolist() == [39, 40, 41]


def test_silence_is_minus_four_and_nothing_leaves_the_range() -> None:
    assert (mel_spectrogram(np.zeros(5000)) == SILENCE).all()
    assert SILENCE == -4
    loud = mel_spectrogram(1000 * talk(1))
    assert (loud.min(), loud.max()) >= (-4.0, 4.0)
    assert loud.max() == 4


def test_an_empty_recording_has_no_columns() -> None:
    assert mel_spectrogram([]).shape == (80, 0)


@pytest.mark.parametrize("shape", [(16000, 2), (1, 16000), ()])
def test_other_numbers_of_dimensions_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="one dimension"):
        mel_spectrogram(np.zeros(shape))


def test_a_long_recording_is_not_kept() -> None:
    """The peak of memory in the last third is that of the first."""
    second = talk(1)
    made = mel_windows((second.copy() for _ in range(60)), Fraction(25), 60 * 25, NO_SHIFT)
    tracemalloc.start()
    try:
        peaks = [_peak(made, 20 * 25) for _ in range(3)]
    finally:
        tracemalloc.stop()
    assert max(peaks) < 4 * 2**20
    assert peaks[2] < peaks[0] + 2**16


def _peak(stream: Iterator[Float32], count: int) -> int:
    tracemalloc.reset_peak()
    for _ in range(count):
        next(stream)
    return tracemalloc.get_traced_memory()[1]


# -- windows -------------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def numbered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns that contain their own number replace the spectrum: an hour of it would take long."""

    def columns(speech: Iterable[Float32]) -> Iterator[Float32]:
        done = 0
        for block in speech:
            count = len(block) // 200
            yield np.repeat(np.arange(done, done + count, dtype=np.float32)[:, None], 80, axis=1)
            done += count

    monkeypatch.setattr(mel, "mel_columns", columns)


@pytest.mark.slow
@pytest.mark.family(2)
@pytest.mark.usefixtures("numbered")
@pytest.mark.parametrize(("frame_rate", "shift"), [(NTSC_FILM, Fraction(37, 1000)), (NTSC, Fraction(1, 25))], ids=str)
def test_windows_begin_at_the_exact_column_even_after_an_hour(frame_rate: Fraction, shift: Fraction) -> None:
    second, checked = np.zeros(RATE, np.float32), {*range(0, 99_900, 997), *range(20), *range(99_900, 100_001)}
    for i, window in enumerate(mel_windows((second for _ in range(5000)), frame_rate, 100_001, shift)):
        if i in checked:
            start = (Fraction(i * frame_rate.denominator, frame_rate.numerator) + shift) * 80
            first = start.numerator // start.denominator
            assert window[7].tolist() == list(range(first, first + 16))


def test_at_25_frames_per_second_windows_are_those_of_the_reference() -> None:
    wave = talk(2)
    spectrum = mel_spectrogram(wave)
    for i, window in enumerate(windows([wave], Fraction(25), 40)):
        start = int(i * 80 / 25)
        assert np.array_equal(window, spectrum[:, start : start + 16])


@pytest.mark.parametrize("columns", [-7, -3, 0, 3, 11])
def test_a_shift_moves_every_window_by_as_much(columns: int) -> None:
    wave = talk(2)
    spectrum = np.pad(mel_spectrogram(wave), ((0, 0), (20, 60)), constant_values=SILENCE)
    for i, window in enumerate(windows([wave], Fraction(25), 50, Fraction(columns, 80))):
        start = 20 + int(i * 80 / 25) + columns
        assert np.array_equal(window, spectrum[:, start : start + 16])


def test_before_and_after_the_speech_is_silence() -> None:
    hiss = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    made = windows([hiss], Fraction(25), 60, Fraction(-1, 5))
    assert (made[0] == SILENCE).all()
    assert (made[4][:, :4] == SILENCE).all()  # its 16 columns begin at -.04 s
    assert (made[4][:, 4:] > SILENCE).mean() > 0.9
    assert (made[31:] == SILENCE).all()


@pytest.mark.parametrize("frame_rate", [Fraction(25), NTSC, Fraction(60), Fraction(7, 3)])
@pytest.mark.parametrize("frames", [0, 1, 61])
@pytest.mark.parametrize("seconds", [0, 0.01, 3])
def test_there_are_as_many_windows_as_frames(frame_rate: Fraction, frames: int, seconds: float) -> None:
    made = list(mel_windows([talk(seconds)], frame_rate, frames, NO_SHIFT))
    assert len(made) == frames
    assert all(window.shape == (80, 16) and window.dtype == np.float32 for window in made)


def test_windows_do_not_depend_on_how_the_speech_is_cut() -> None:
    wave = talk(3.3)
    assert np.array_equal(windows([wave], NTSC_FILM, 90), windows(cut(wave, [7, 12345]), NTSC_FILM, 90))


def test_windows_read_about_two_seconds_ahead() -> None:
    taken = 0

    def speech() -> Iterator[Float32]:
        nonlocal taken
        for _ in range(20):
            taken += 1
            yield np.zeros(RATE, np.float32)

    for i, _ in enumerate(mel_windows(speech(), Fraction(25), 400, NO_SHIFT)):
        assert taken <= i / 25 + 2.5
