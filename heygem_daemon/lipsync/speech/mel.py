"""Compute the mel spectrum of speech relative to its level, so that the networks see loud and soft recordings alike."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import librosa
import numpy as np
from scipy.ndimage import maximum_filter1d

from heygem_daemon.lipsync.arrays import Bool, Float32, Float64
from heygem_daemon.lipsync.speech.stream import SAMPLE_RATE

BANDS: Final = 80
HOP: Final = 160
"""Samples from row to row: 10 ms."""
WINDOW: Final = 400
"""Samples of a row: 25 ms."""
LOOKAHEAD: Final = 150
"""Rows (10 ms) of the future that the level of a row depends on."""
SILENCE: Final = -2.5
"""Value of a band that is 75 dB or more below the level of the speech."""

_FFT: Final = 512
_LOWEST_HZ, _HIGHEST_HZ = 50.0, 7600.0
_LOWEST_DB: Final = -100.0
"""dB of full scale: the floor of a band."""
_SOFTEST_SPEECH_DB: Final = -50.0
"""dB of full scale. A recording in which nothing is louder is not amplified further: its noise is not speech."""
_DECAY_DB: Final = 0.03
"""dB per row by which the level falls after a loud moment (3 dB per second): slower than sentences, faster than a change of place."""
_UNIT_DB: Final = 30.0
"""dB of one unit of the normalised spectrum."""


@lru_cache(maxsize=1)
def _filters() -> Float32:
    """Return float32 [80, 257]: mel bands from 50 Hz to 7.6 kHz."""
    return mel_filters(fft=_FFT, lowest=_LOWEST_HZ, highest=_HIGHEST_HZ, is_slaney=False)


def mel_filters(*, fft: int, lowest: float, highest: float, is_slaney: bool) -> Float32:
    """Return float32 [80, fft // 2 + 1]: triangles from `lowest` to `highest` Hz at 16 kHz; with `is_slaney` of equal area, else height."""
    norm: Final = "slaney" if is_slaney else None
    return np.asarray(librosa.filters.mel(sr=SAMPLE_RATE, n_fft=fft, n_mels=BANDS, fmin=lowest, fmax=highest, norm=norm), np.float32)


@lru_cache(maxsize=1)
def _window() -> Float32:
    """Return float32 [400]: a Hann window, scaled so that a sine of full scale has a power of 1."""
    window = np.hanning(WINDOW + 1)[:-1]
    return np.asarray(window / np.sqrt(np.sum(window**2) * _FFT / 2), np.float32)


def prepare_filters() -> None:
    """Compute what all spectra use, once per process: librosa compiles code at its first use."""
    _filters()
    _window()


def mel_db(padded: Float32) -> Float32:
    """Return float32 [n, 80], dB of full scale, -100 at least: row k is centred on sample 160 k + 200 of `padded`."""
    rows = (len(padded) - WINDOW) // HOP + 1
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[: rows * HOP : HOP]
    spectrum = np.fft.rfft(frames * _window(), _FFT, axis=1)
    power = np.asarray(spectrum.real**2 + spectrum.imag**2, np.float32)
    return np.asarray(np.maximum(10 * np.log10(power @ _filters().T + 1e-12), _LOWEST_DB), np.float32)


def normalised_mel(wave: Float32) -> Float32:
    """Return float32 [1 + n // 160, 80]: the normalised mel of a whole recording (float32 [n], 16 kHz mono)."""
    rows = 1 + len(wave) // HOP
    padded = np.concatenate([np.zeros(WINDOW // 2, np.float32), wave, np.zeros(WINDOW + LOOKAHEAD * HOP, np.float32)])
    return _LevelNormaliser().push(mel_db(padded)[: rows + LOOKAHEAD])


@dataclass(frozen=True, kw_only=True, eq=False)
class MelRows:
    """Consecutive rows at 100 Hz: mel float32 [n, 80], normalised; in_recording bool [n]: whether the row lies inside the recording."""

    mel: Float32
    in_recording: Bool

    def __len__(self) -> int:
        return len(self.mel)


def mel_stream(blocks: Iterable[Float32]) -> Iterator[MelRows]:
    """Yield rows without end: after the last sample comes silence, `in_recording` false.

    blocks: float32, 1 s each at 16 kHz mono, the last one shorter (stream.reblock). Row k is centred on sample 160 k.
    """
    pending = np.zeros(WINDOW // 2, np.float32)
    level = _LevelNormaliser()
    end: int | None = None
    total, made = 0, 0
    stream = iter(blocks)
    while True:
        block = next(stream, None) if end is None else None
        if block is not None:
            total += len(block)
        if end is None and (block is None or len(block) < SAMPLE_RATE):
            end = total
        block = np.zeros(0, np.float32) if block is None else block
        pending = np.concatenate([pending, block, np.zeros(SAMPLE_RATE - len(block), np.float32)])
        spectrum = mel_db(pending)
        pending = pending[len(spectrum) * HOP :]
        ready = level.push(spectrum)
        if len(ready):
            centres = (made + np.arange(len(ready))) * HOP
            yield MelRows(mel=ready, in_recording=np.ones(len(ready), bool) if end is None else centres < end)
            made += len(ready)


@dataclass(kw_only=True)
class _LevelNormaliser:
    """Return each row LOOKAHEAD rows after it came, relative to the level of the speech around it."""

    pending: Float32 = field(default_factory=lambda: np.zeros((0, BANDS), np.float32))
    loudness: Float64 = field(default_factory=lambda: np.zeros(0))
    last_level: float = _SOFTEST_SPEECH_DB

    def push(self, rows: Float32) -> Float32:
        """Take float32 [n, 80] in dB; return the rows that are ready, float32 [m, 80]: 30 dB are 1, and the level of the speech is 0."""
        self.pending = np.concatenate([self.pending, rows])
        self.loudness = np.concatenate([self.loudness, 10 * np.log10((10 ** (rows.astype(np.float64) / 10)).sum(1))])
        ready = len(self.pending) - LOOKAHEAD
        if ready <= 0:
            return np.zeros((0, BANDS), np.float32)
        ahead = maximum_filter1d(self.loudness, LOOKAHEAD + 1, origin=-(LOOKAHEAD // 2), mode="nearest")[:ready]
        fall = _DECAY_DB * np.arange(1, ready + 1)
        level = np.maximum.accumulate(np.concatenate([[self.last_level], ahead + fall]))[1:] - fall
        level = np.maximum(level, _SOFTEST_SPEECH_DB)
        done, self.pending, self.loudness = self.pending[:ready], self.pending[ready:], self.loudness[ready:]
        self.last_level = float(level[-1])
        return np.asarray(np.maximum((done - level[:, None]) / _UNIT_DB, SILENCE) + 0.0, np.float32)
