"""Compute the mel spectrum for Wav2Lip: 80 bands at 80 columns a second, cut into windows of 16 columns, one per frame.

The parameters are those that the published checkpoints were trained with: 16 kHz, pre-emphasis .97, Hann windows of 800 samples every 200,
magnitudes, 80 Slaney mel bands from 55 to 7600 Hz, 1.6 log10(x) + 2.4 between -4 and 4; digital silence is -4.
"""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from heygem_daemon.lipsync.arrays import Float32, Float64
from heygem_daemon.lipsync.speech.stream import SAMPLE_RATE, reblock
from heygem_daemon.lipsync.wav2lip.network import BANDS, COLUMNS

RATE: Final = 80
"""Columns per second."""
SILENCE: Final = -4.0
"""Value of digital silence."""
_HOP: Final = SAMPLE_RATE // RATE
_WINDOW: Final = 800
"""Samples from column to column, and of one column: 12.5 ms and 50 ms."""
_HALF: Final = _WINDOW // 2
_EMPHASIS: Final = 0.97
"""Coefficient of the pre-emphasis."""
_LOWEST_HZ, _HIGHEST_HZ = 55.0, 7600.0
_FLOOR: Final = 1e-5
"""Smallest magnitude of a band."""


def mel_spectrogram(wav: npt.ArrayLike) -> Float32:
    """Return float32 [80, 1 + n // 200] of a mono recording float [n] at 16 kHz, -1..1. Raises ValueError for another shape."""
    samples = np.asarray(wav, np.float32)
    if samples.ndim != 1:
        raise ValueError(f"a mono recording has one dimension, not the shape {samples.shape}")
    return np.concatenate([*mel_columns([samples]), np.zeros((0, BANDS), np.float32)]).T


def mel_columns(speech: Iterable[Float32]) -> Iterator[Float32]:
    """Yield float32 [k, 80]: column i is centred on sample 200 i; beyond both ends of the speech there is silence.

    speech: consecutive blocks float32 [any]; the result does not depend on how they are cut.
    """
    pending, last = np.zeros(_HALF, np.float64), 0.0
    total = made = 0
    for block in reblock(speech):
        total += len(block)
        before = np.concatenate([[last], block[:-1].astype(np.float64)])
        pending, last = np.concatenate([pending, block - _EMPHASIS * before]), float(block[-1])
        count = max(0, (len(pending) - _WINDOW) // _HOP + 1)
        if count:
            yield _columns(pending[: (count - 1) * _HOP + _WINDOW])
            pending, made = pending[count * _HOP :], made + count
    if total and (count := 1 + total // _HOP - made):
        yield _columns(np.concatenate([pending, np.zeros(_HALF)])[: (count - 1) * _HOP + _WINDOW])


def mel_windows(speech: Iterable[Float32], frame_rate: Fraction, frames: int, shift: Fraction) -> Iterator[Float32]:
    """Yield float32 [80, 16] for each of `frames` frames: the columns from that at i / frame_rate + shift (s) on, rounded down.

    All times are exact fractions, so nothing drifts over hours; before and after the speech is silence.
    """
    columns, first = np.zeros((0, BANDS), np.float32), 0
    stream = mel_columns(speech)
    for i in range(frames):
        start = ((i / frame_rate + shift) * RATE).__floor__()
        while first + len(columns) < start + COLUMNS:
            more = next(stream, None)
            columns = np.concatenate([columns, _silence(RATE) if more is None else more])
        used = min(len(columns), max(0, start - first))
        columns, first = columns[used:], first + used
        early = min(COLUMNS, max(0, first - start))
        yield np.concatenate([_silence(early), columns[: COLUMNS - early]]).T


def _silence(count: int) -> Float32:
    return np.full((count, BANDS), SILENCE, np.float32)


def _columns(samples: Float64) -> Float32:
    """Return float32 [k, 80] of samples [800 + 200 (k - 1)], pre-emphasised."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[::_HOP]
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW + 1)[:-1], axis=1))
    scaled = 1.6 * np.log10(np.maximum(_FLOOR, spectrum @ _filters().T)) + 2.4
    return np.ascontiguousarray(np.clip(scaled, SILENCE, -SILENCE), np.float32)


@lru_cache(maxsize=1)
def _filters() -> Float32:
    """Return float32 [80, 401]."""
    import librosa  # noqa: PLC0415  (half a second of CPU time that engines without it should not take)

    filters = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=_WINDOW, n_mels=BANDS, fmin=_LOWEST_HZ, fmax=_HIGHEST_HZ)
    return np.asarray(filters, np.float32)
