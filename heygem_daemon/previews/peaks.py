"""The waveform of a recording: the largest magnitudes of equal parts of it, of any length, in bounded memory."""

from collections.abc import Mapping
from contextlib import closing
from typing import Any, Final

import numpy as np

from heygem_daemon.core.errors import error
from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.media.audio_decoder import audio_of, mono_blocks
from heygem_daemon.media.audio_tracks import choose_track
from heygem_daemon.media.formats import display_name
from heygem_daemon.media.types import MediaInfo

RATE: Final = 8000
"""Samples per second that are decoded: enough for the eye."""
CELL: Final = 80
"""Samples of the finest part, 10 ms."""
MOST_PEAKS: Final = 10_000
FINENESS: Final = 8
LEAST_CELLS: Final = 8000
"""Parts for each peak, and in all, at least: a peak begins at the border of one, so this is how exactly it is placed."""
FULL_SCALE: Final = 32768.0


def waveform(info: MediaInfo, count: int) -> Mapping[str, Any]:
    """Return {"seconds", "peaks"} of what is spoken of a recording; `count` peaks, fewer where it is shorter than so many cells.

    Raises InputError (`audio_empty`, `audio_unreadable`), TransientError (`io_error`).
    """
    count = min(max(count, 1), MOST_PEAKS)
    info = choose_track(info)
    audio_of(info)
    cells, samples = _Maxima(max(FINENESS * count, LEAST_CELLS)), 0
    with closing(mono_blocks(info, RATE, RATE * 10)) as blocks:
        for block in blocks:
            samples += len(block)
            cells.add(np.abs(block.astype(np.int32)).astype(np.float32) / np.float32(FULL_SCALE))
    if not samples:
        raise error("audio_empty", name=display_name(info.path))
    return {"seconds": samples / RATE, "peaks": [round(float(peak), 4) for peak in cells.resampled(count)]}


class _Maxima:
    """Maxima of consecutive parts of a signal: whenever there are more than `most`, two neighbours become one."""

    def __init__(self, most: int) -> None:
        self._most, self._size = most, CELL
        self._cells = np.zeros(0, np.float32)
        self._rest = np.zeros(0, np.float32)

    def add(self, values: Float32) -> None:
        values = np.concatenate([self._rest, values])
        whole = len(values) // self._size * self._size
        self._rest = values[whole:]
        self._cells = np.concatenate([self._cells, values[:whole].reshape(-1, self._size).max(axis=1)])
        while len(self._cells) > self._most:
            self._halve()

    def _halve(self) -> None:
        if len(self._cells) % 2:  # the last cell is not complete at the double size: it goes back, as if it were its maximum throughout
            self._rest = np.concatenate([np.full(self._size, self._cells[-1], np.float32), self._rest])
            self._cells = self._cells[:-1]
        self._cells = self._cells.reshape(-1, 2).max(axis=1)
        self._size *= 2

    def resampled(self, count: int) -> Float32:
        """Return `count` maxima of equal parts; fewer where there are fewer cells."""
        cells = np.append(self._cells, self._rest.max()) if len(self._rest) else self._cells
        count = min(count, len(cells))
        edges = np.linspace(0, len(cells), count + 1).round().astype(int)
        return np.maximum.reduceat(cells, edges[:-1]).astype(np.float32)
