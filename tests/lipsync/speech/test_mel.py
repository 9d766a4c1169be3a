"""The mel spectrum is that of Whisper, relative to the level of the speech; a stream of speech gives the same rows as the whole of it."""

from collections.abc import Iterable

import librosa
import numpy as np
import pytest
import scipy.signal

from heygem_daemon.lipsync.adaptation.augment import mix
from heygem_daemon.lipsync.arrays import Bool, Float32
from heygem_daemon.lipsync.speech.mel import (
    BANDS,
    DECADE,
    HOP,
    LEVEL,
    LOOKAHEAD,
    SILENCE,
    WINDOW,
    log_mel,
    mel_filters,
    mel_stream,
    normalised_mel,
)
from heygem_daemon.lipsync.speech.stream import reblock
from tests.lipsync.driver_contract import RATE, cut, talk
from tests.lipsync.spectra import magnitude

VOICE = librosa.mel_frequencies(BANDS + 2, fmin=0, fmax=RATE / 2)[1:-1] > 200
"""Bands above 200 Hz: a hum or a rumble reaches them through the level alone."""


def streamed(blocks: Iterable[Float32], rows: int) -> tuple[Float32, Bool]:
    """Return (mel, in_recording) of the first `rows` rows of a stream."""
    mel, in_recording = [], []
    for part in mel_stream(reblock(blocks)):
        mel.append(part.mel)
        in_recording.append(part.in_recording)
        if sum(map(len, mel)) >= rows:
            return np.concatenate(mel)[:rows], np.concatenate(in_recording)[:rows]
    pytest.fail("the stream ended")


def noisy(wave: Float32, seed: int = 0) -> Float32:
    """Return the wave with the noise of a microphone, 40 dB below full scale: hardly any band is empty."""
    return wave + np.random.default_rng(seed).normal(0, 0.01, len(wave)).astype(np.float32)


def below_the_voice(kind: str, samples: int) -> Float32:
    """Return float32 [samples] of what microphones pick up beside the voice, of any loudness."""
    if kind == "hum":
        return np.sin(2 * np.pi * 50 * np.arange(samples) / RATE).astype(np.float32)
    white = np.random.default_rng(0).standard_normal(samples)
    return np.asarray(scipy.signal.sosfilt(scipy.signal.butter(4, 30, fs=RATE, output="sos"), white), np.float32)


@pytest.mark.parametrize("fft", [400, 512])
def test_the_filters_are_those_of_librosa(fft: int) -> None:
    found = mel_filters(fft)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, librosa.filters.mel(sr=RATE, n_fft=fft, n_mels=BANDS), rtol=1e-6, atol=1e-9)


def test_the_spectrum_is_that_of_whisper() -> None:
    """Whisper's own: frames of 25 ms every 10 ms, a periodic Hann window, 80 mel bands of equal area up to 8 kHz, log10 of the power."""
    wave = noisy(talk(2))
    power = librosa.filters.mel(sr=RATE, n_fft=400, n_mels=80) @ magnitude(wave, window=400, hop=160) ** 2
    np.testing.assert_allclose(log_mel(wave), np.log10(power).T, atol=1e-3)


@pytest.mark.parametrize("samples", [0, 1, 159, 160, 161, 15999, 16000, 16001, 3 * 16000, 67123])
def test_a_whole_recording_gives_a_row_every_ten_milliseconds(samples: int) -> None:
    mel = normalised_mel(talk(5)[:samples])
    assert mel.shape == (1 + samples // HOP, BANDS)
    assert mel.dtype == np.float32


@pytest.mark.parametrize("sizes", [[1_000_000], [16000], [160], [1, 7, 333, 16001], [15999, 2]], ids=str)
@pytest.mark.parametrize("samples", [5 * 16000, 67123])
def test_a_stream_in_any_blocks_gives_the_rows_of_the_whole(sizes: list[int], samples: int) -> None:
    wave = talk(5)[:samples]
    whole = normalised_mel(wave)
    mel, _ = streamed(cut(wave, sizes), len(whole))
    np.testing.assert_allclose(mel, whole, atol=1e-5)


@pytest.mark.parametrize("samples", [0, 1, 160, 161, 16000, 40001])
def test_a_row_belongs_to_the_recording_if_its_centre_does(samples: int) -> None:
    _, in_recording = streamed([talk(3)[:samples]], 500)
    assert in_recording.sum() == -(-samples // HOP)
    assert in_recording[: in_recording.sum()].all()


def test_after_the_recording_comes_the_silence_that_would_follow_it() -> None:
    wave = talk(2)
    followed = normalised_mel(np.concatenate([wave, np.zeros(3 * RATE, np.float32)]))
    mel, _ = streamed([wave], 450)
    np.testing.assert_allclose(mel, followed[:450], atol=1e-5)


@pytest.mark.parametrize("gain", [0.1, 0.4, 4.0])
def test_loud_and_soft_recordings_give_the_same_rows(gain: float) -> None:
    wave = noisy(talk(5))
    difference = np.abs(normalised_mel(gain * wave) - normalised_mel(wave))
    assert np.quantile(difference, 0.999) < 0.02  # 0.6 dB
    assert difference.mean() < 1e-3


@pytest.mark.parametrize("gain", [0.1, 1.0])
def test_the_loudest_band_of_speech_has_the_value_of_its_level(gain: float) -> None:
    assert normalised_mel(gain * talk(3)).max() == pytest.approx(LEVEL, abs=1e-6)


@pytest.mark.parametrize("kind", ["hum", "rumble"])
def test_what_lies_below_the_voice_changes_the_bands_of_the_voice_little(kind: str) -> None:
    """4 dB below the speech; without a high-pass a hum or rumble changes them by .012 and .008 on average."""
    wave = talk(5)
    difference = np.abs(normalised_mel(mix(wave, below_the_voice(kind, len(wave)), 4.0)) - normalised_mel(wave))
    assert difference[:, VOICE].mean() < 0.005


def test_a_rumble_louder_than_the_voice_does_not_set_the_level() -> None:
    wave = talk(5)
    clear, rumbling = (normalised_mel(each) for each in (wave, mix(wave, below_the_voice("rumble", len(wave)), -6.0)))
    loud = clear[:, VOICE].max(1) > LEVEL - 1 / DECADE
    assert loud.sum() > 50
    np.testing.assert_allclose(rumbling[loud][:, VOICE].max(1), clear[loud][:, VOICE].max(1), atol=0.05)


def test_an_offset_of_the_microphone_is_gone_after_its_beginning() -> None:
    wave = noisy(talk(3))
    difference = np.abs(normalised_mel(wave + np.float32(0.1)) - normalised_mel(wave))
    assert difference[20:].mean() < 0.002  # .015 without a high-pass


def test_the_pitch_of_a_low_voice_is_heard() -> None:
    t = np.arange(3 * RATE) / RATE
    pitch, formant = (0.1 * np.sin(2 * np.pi * hertz * t) for hertz in (110, 1000))
    low = normalised_mel((pitch + formant).astype(np.float32))[50:250, :5]
    assert low.max(1).min() > LEVEL - 0.2 / DECADE  # 2 dB below the formant at most


def test_faint_noise_is_not_amplified_to_the_level_of_speech() -> None:
    hiss = np.random.default_rng(1).normal(0, 1e-4, 3 * RATE).astype(np.float32)
    assert normalised_mel(hiss).max() < normalised_mel(100 * hiss).max() - 0.5


def test_silence_beside_speech_is_silence_in_every_band() -> None:
    wave = np.concatenate([talk(2), np.zeros(RATE, np.float32), talk(2, seed=1)])
    pause = normalised_mel(wave)[205:295]
    assert (pause == np.float32(SILENCE)).all()


def test_nothing_is_quieter_than_silence() -> None:
    assert normalised_mel(talk(4)).min() == np.float32(SILENCE)


def test_silence_alone_is_the_same_in_every_row_and_far_below_speech() -> None:
    mel = normalised_mel(np.zeros(2 * RATE, np.float32))
    assert np.ptp(mel) == 0
    assert mel.max() < LEVEL - 6 / DECADE  # 60 dB


def test_the_level_of_a_row_depends_on_the_next_second_and_a_half_and_on_nothing_later() -> None:
    wave = noisy(talk(6))
    louder = wave.copy()
    changed = 4 * RATE
    louder[changed:] *= 10
    before, after = normalised_mel(wave), normalised_mel(louder)
    safe = (changed - WINDOW // 2) // HOP - LOOKAHEAD
    assert np.array_equal(before[: safe + 1], after[: safe + 1])
    assert (after[safe + 5 : safe + 50] < before[safe + 5 : safe + 50]).all()


def test_the_level_falls_slowly_after_a_loud_moment() -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(20 * RATE) / RATE).astype(np.float32)
    gain = np.where(np.arange(len(tone)) < RATE, 0.5, 0.005).astype(np.float32)
    loudest = normalised_mel(tone * gain).max(1)
    assert loudest[300] < loudest[50] - 0.75  # 40 dB are 1, and in two seconds the level has fallen by 6
    assert np.diff(loudest[300:1400]).min() > -1e-3
    assert loudest[1700] == pytest.approx(loudest[50], abs=0.02)
