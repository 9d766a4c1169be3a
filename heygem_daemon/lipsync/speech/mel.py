"""Compute the mel spectrum that Whisper was trained with, relative to the level of the speech: loud and soft recordings are alike."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Bool, Float32, Float64
from heygem_daemon.lipsync.moving_window import moving_maximum
from heygem_daemon.lipsync.speech.high_pass import HighPass
from heygem_daemon.lipsync.speech.stream import SAMPLE_RATE

BANDS: Final = 80
HOP: Final = 160
"""Samples from row to row: 10 ms."""
WINDOW: Final = 400
"""Samples of a row: 25 ms."""
LOOKAHEAD: Final = 150
"""Rows (10 ms) of the future that the level of a row depends on."""
DECADE: Final = 4.0
"""Powers of ten (10 dB each) in one unit of the spectrum, as in Whisper: value = (log10 power + 4) / 4."""
DEEPEST: Final = 8.0
"""Powers of ten below the level of the speech at which a band counts as silent (80 dB; Whisper's own limit, below the loudest of 30 s)."""
LEVEL: Final = 1.25
"""Value of the loudest band of the speech, wherever its level lies: that of speech at a usual level of a recording."""
SILENCE: Final = LEVEL - DEEPEST / DECADE
"""Value of a band that is 80 dB or more below the level of the speech."""

_HIGH_PASS_HZ: Final = 80.0
"""The lowest voices begin at 80 Hz; below are rumble and wind. Hum of the mains reaches higher: hum.without_hum takes it away before."""
_KNEE_HZ, _KNEE_MEL, _MEL_LOG_STEP = 1000.0, 15.0, float(np.log(6.4) / 27)
"""Slaney's mel scale (Auditory Toolbox, 1998) is linear up to here, and from mel to mel this much more in the logarithm of Hz above."""
_LEAST_POWER: Final = 1e-10
_SOFTEST_SPEECH: Final = -3.5
"""log10 of the power of the loudest band of the softest speech (58 dB below a full-scale sine). A recording in which nothing is louder is
not amplified further: its noise is not speech."""
_DECAY: Final = 0.003
"""Powers of ten per row by which the level falls after a loud moment (3 dB per second): slower than sentences, faster than a change of
place."""


@lru_cache(maxsize=1)
def _filters() -> Float32:
    return mel_filters(WINDOW)


def mel_filters(fft: int) -> Float32:
    """Return float32 [80, fft // 2 + 1]: triangles of equal area from 0 to 8 kHz, at equal distances in mel.

    They equal librosa.filters.mel, which takes half a second of CPU time to load.
    """
    highest = _KNEE_MEL + np.log(SAMPLE_RATE / 2 / _KNEE_HZ) / _MEL_LOG_STEP
    edges = _hertz(np.linspace(0, highest, BANDS + 2))
    ramps = edges[:, None] - np.fft.rfftfreq(fft, 1 / SAMPLE_RATE)
    rising, falling = -ramps[:-2] / np.diff(edges)[:-1, None], ramps[2:] / np.diff(edges)[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    return np.asarray(triangles * (2 / (edges[2:] - edges[:-2]))[:, None], np.float32)


def _hertz(mel: Float64) -> Float64:
    """Return the frequencies of Slaney's mel scale: proportional up to the knee, exponential above."""
    return np.where(mel >= _KNEE_MEL, _KNEE_HZ * np.exp(_MEL_LOG_STEP * (mel - _KNEE_MEL)), _KNEE_HZ / _KNEE_MEL * mel)


@lru_cache(maxsize=1)
def _window() -> Float32:
    """Return float32 [400]: a Hann window."""
    return np.hanning(WINDOW + 1)[:-1].astype(np.float32)


def log_mel(padded: Float32) -> Float32:
    """Return float32 [n, 80], log10 of the power: row k is centred on sample 160 k + 200 of `padded`."""
    rows = (len(padded) - WINDOW) // HOP + 1
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[: rows * HOP : HOP]
    spectrum = np.fft.rfft(frames * _window(), axis=1)
    power = np.asarray(spectrum.real**2 + spectrum.imag**2, np.float32)
    return np.asarray(np.log10(np.maximum(power @ _filters().T, _LEAST_POWER)), np.float32)


def normalised_mel(wave: Float32) -> Float32:
    """Return float32 [1 + n // 160, 80]: the normalised mel of a whole recording (float32 [n], 16 kHz mono)."""
    rows = 1 + len(wave) // HOP
    heard = HighPass(_HIGH_PASS_HZ, SAMPLE_RATE).push(np.concatenate([wave, np.zeros(WINDOW + LOOKAHEAD * HOP, np.float32)]))
    padded = np.concatenate([np.zeros(WINDOW // 2, np.float32), heard])
    return _LevelNormaliser().push(log_mel(padded)[: rows + LOOKAHEAD])


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
    high_pass, level = HighPass(_HIGH_PASS_HZ, SAMPLE_RATE), _LevelNormaliser()
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
        heard = high_pass.push(np.concatenate([block, np.zeros(SAMPLE_RATE - len(block), np.float32)]))
        pending = np.concatenate([pending, heard])
        spectrum = log_mel(pending)
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
    last_level: float = _SOFTEST_SPEECH

    def push(self, rows: Float32) -> Float32:
        """Take float32 [n, 80], log10 of the power; return the rows that are ready, float32 [m, 80], LEVEL at the level of the speech."""
        self.pending = np.concatenate([self.pending, rows])
        ready = len(self.pending) - LOOKAHEAD
        if ready <= 0:
            return np.zeros((0, BANDS), np.float32)
        loudest = self.pending.max(1).astype(np.float64)
        ahead = moving_maximum(loudest, LOOKAHEAD + 1, is_ahead=True)[:ready]
        fall = _DECAY * np.arange(1, ready + 1)
        level = np.maximum.accumulate(np.concatenate([[self.last_level], ahead + fall]))[1:] - fall
        level = np.maximum(level, _SOFTEST_SPEECH)
        done, self.pending = self.pending[:ready], self.pending[ready:]
        self.last_level = float(level[-1])
        return np.asarray(LEVEL + np.maximum(done - level[:, None], -DEEPEST) / DECADE, np.float32)
