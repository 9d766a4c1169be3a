"""The mel spectrum is levelled, and a stream of speech gives the same rows as the whole of it."""

import numpy as np
import pytest

from heygem_daemon.lipsync.speech.mel import BANDS, HOP, LOOKAHEAD, SILENCE, WINDOW, levelled_mel, mel_stream
from heygem_daemon.lipsync.speech.stream import reblock
from tests.lipsync.driver_contract import RATE, cut, talk


def streamed(blocks, rows):
    """Return (mel, is_sound) of the first `rows` rows of a stream."""
    mel, is_sound = [], []
    for part in mel_stream(reblock(blocks)):
        mel.append(part.mel)
        is_sound.append(part.is_sound)
        if sum(map(len, mel)) >= rows:
            return np.concatenate(mel)[:rows], np.concatenate(is_sound)[:rows]
    pytest.fail("the stream ended")


def noisy(wave, seed=0):
    """Return the wave with a microphone's noise, 40 dB below full scale: hardly ever is a band without sound."""
    return wave + np.random.default_rng(seed).normal(0, 0.01, len(wave)).astype(np.float32)


@pytest.mark.parametrize("samples", [0, 1, 159, 160, 161, 15999, 16000, 16001, 3 * 16000, 67123])
def test_a_whole_recording_gives_a_row_every_ten_milliseconds(samples):
    mel = levelled_mel(talk(5)[:samples])
    assert mel.shape == (1 + samples // HOP, BANDS)
    assert mel.dtype == np.float32


@pytest.mark.parametrize("sizes", [[1_000_000], [16000], [160], [1, 7, 333, 16001], [15999, 2]], ids=str)
@pytest.mark.parametrize("samples", [5 * 16000, 67123])
def test_a_stream_in_any_blocks_gives_the_rows_of_the_whole(sizes, samples):
    wave = talk(5)[:samples]
    whole = levelled_mel(wave)
    mel, _ = streamed(cut(wave, sizes), len(whole))
    np.testing.assert_allclose(mel, whole, atol=1e-5)


@pytest.mark.parametrize("samples", [0, 1, 160, 161, 16000, 40001])
def test_a_row_is_sound_if_its_centre_lies_in_the_recording(samples):
    _, is_sound = streamed([talk(3)[:samples]], 500)
    assert is_sound.sum() == -(-samples // HOP)
    assert is_sound[: is_sound.sum()].all()


def test_after_the_recording_comes_the_silence_that_would_follow_it():
    wave = talk(2)
    followed = levelled_mel(np.concatenate([wave, np.zeros(3 * RATE, np.float32)]))
    mel, _ = streamed([wave], 450)
    np.testing.assert_allclose(mel, followed[:450], atol=1e-5)


@pytest.mark.parametrize("gain", [0.1, 0.4, 4.0])
def test_loud_and_soft_recordings_give_the_same_rows(gain):
    wave = noisy(talk(5))
    apart = np.abs(levelled_mel(gain * wave) - levelled_mel(wave))
    assert np.quantile(apart, 0.999) < 0.02  # 0.6 dB
    assert apart.mean() < 1e-3


def test_a_whisper_of_noise_is_not_amplified_to_the_level_of_speech():
    hiss = np.random.default_rng(1).normal(0, 1e-4, 3 * RATE).astype(np.float32)
    assert levelled_mel(hiss).max() < levelled_mel(100 * hiss).max() - 0.5


def test_silence_beside_speech_is_silence_in_every_band():
    wave = np.concatenate([talk(2), np.zeros(RATE, np.float32), talk(2, seed=1)])
    pause = levelled_mel(wave)[205:295]
    assert (pause == np.float32(SILENCE)).all()


def test_nothing_is_quieter_than_silence():
    assert levelled_mel(talk(4)).min() == np.float32(SILENCE)


def test_silence_alone_is_the_same_in_every_row_and_far_below_speech():
    mel = levelled_mel(np.zeros(2 * RATE, np.float32))
    assert np.ptp(mel) == 0
    assert mel.max() < -1.5


def test_the_level_of_a_row_depends_on_the_next_second_and_a_half_and_on_nothing_later():
    wave = noisy(talk(6))
    louder = wave.copy()
    changed = 4 * RATE
    louder[changed:] *= 10
    before, after = levelled_mel(wave), levelled_mel(louder)
    safe = (changed - WINDOW // 2) // HOP - LOOKAHEAD
    assert np.array_equal(before[: safe + 1], after[: safe + 1])
    assert (after[safe + 5 : safe + 50] < before[safe + 5 : safe + 50]).all()


def test_the_level_falls_slowly_after_a_loud_moment():
    tone = np.sin(2 * np.pi * 440 * np.arange(20 * RATE) / RATE).astype(np.float32)
    gain = np.where(np.arange(len(tone)) < RATE, 0.5, 0.005).astype(np.float32)
    loudest = levelled_mel(tone * gain).max(1)
    assert loudest[300] < loudest[50] - 1  # 40 dB are 1.3
    assert np.diff(loudest[300:1400]).min() > -1e-3
    assert loudest[1700] == pytest.approx(loudest[50], abs=0.02)
