"""What a few bands of the spectrum say, 100 times a second."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import librosa
import numpy as np
import numpy.typing as npt

from heygem_daemon.lipsync.speech.stream import CURVE_RATE, SAMPLE_RATE

FloatArray = npt.NDArray[np.float32]

HOP: Final = SAMPLE_RATE // CURVE_RATE
WINDOW: Final = 400
_FFT: Final = 512
_MELS: Final = 40
_LOWEST_DB: Final = -80.0


@dataclass(frozen=True, kw_only=True, eq=False)
class BandFeatures:
    """n rows of 10 ms; row k is centred on the sample 160 k.

    mel_db:   float32 [n, 40], energy per mel band (60 Hz - 8 kHz) in dB of full scale, -80 at least
    level_db: float32 [n], the energy of all bands in dB of full scale, -80 at least
    crossing: float32 [n], zero crossings per sample, 0-1
    is_sound: bool [n], the row lies inside the recording
    """

    mel_db: FloatArray
    level_db: FloatArray
    crossing: FloatArray
    is_sound: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.level_db)


@lru_cache(maxsize=1)
def mel_frequencies() -> FloatArray:
    """Return float32 [40], the centres of the mel bands in Hz."""
    return np.asarray(librosa.mel_frequencies(n_mels=_MELS + 2, fmin=60.0, fmax=8000.0)[1:-1], np.float32)


@lru_cache(maxsize=1)
def _mel_filters() -> FloatArray:
    return np.asarray(librosa.filters.mel(sr=SAMPLE_RATE, n_fft=_FFT, n_mels=_MELS, fmin=60.0, fmax=8000.0, norm=None), np.float32)


@lru_cache(maxsize=1)
def _taper() -> FloatArray:
    window = np.hanning(WINDOW + 1)[:-1]
    return np.asarray(window / np.sqrt(np.sum(window**2) * _FFT / 2), np.float32)


def prepare_filters() -> None:
    """Make what all features share, once per process."""
    mel_frequencies()
    _mel_filters()


def band_features(blocks: Iterable[FloatArray]) -> Iterator[BandFeatures]:
    """Yield features without end: rows after the last sample are silence with `is_sound` false.

    blocks: float32, 1 s each at 16 kHz mono, the last one shorter (stream.reblock). One BandFeatures comes out per block, 100 rows.
    """
    held = np.zeros(WINDOW // 2, np.float32)
    end = None
    first_row = 0
    total = 0
    stream = iter(blocks)
    while True:
        block = next(stream, None) if end is None else None
        if block is not None:
            total += len(block)
        if end is None and (block is None or len(block) < SAMPLE_RATE):
            end = total
        block = np.zeros(0, np.float32) if block is None else block
        held = np.concatenate([held, block, np.zeros(SAMPLE_RATE - len(block), np.float32)])
        rows = (len(held) - WINDOW) // HOP + 1
        features = _rows(held, rows, first_row, end)
        held = held[rows * HOP :]
        first_row += rows
        yield features


def _rows(held: FloatArray, rows: int, first_row: int, end: int | None) -> BandFeatures:
    frames = np.lib.stride_tricks.sliding_window_view(held, WINDOW)[: rows * HOP : HOP]
    power = np.abs(np.fft.rfft(frames * _taper(), _FFT, axis=1)).astype(np.float32) ** 2
    mel = power @ _mel_filters().T
    signs = np.signbit(frames)
    centres = (first_row + np.arange(rows)) * HOP
    return BandFeatures(
        mel_db=_decibels(mel),
        level_db=_decibels(mel.sum(1)),
        crossing=np.asarray((signs[:, 1:] != signs[:, :-1]).mean(1), np.float32),
        is_sound=np.ones(rows, bool) if end is None else centres < end,
    )


def _decibels(power: FloatArray) -> FloatArray:
    return np.asarray(np.maximum(10 * np.log10(power + 1e-12), _LOWEST_DB), np.float32)
