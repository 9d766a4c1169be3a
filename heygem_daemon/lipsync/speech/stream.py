"""Cut streams into blocks of one size, so that no result depends on the blocks of the input; curves of 50 rows per second."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Float64

SAMPLE_RATE: Final = 16000
"""Hz."""
CURVE_RATE: Final = 50
"""Rows per second of every curve."""
BLOCK: Final = SAMPLE_RATE
"""Samples of one block (1 s). The last block of a stream is shorter."""


def replace_non_finite(blocks: Iterable[Float32]) -> Iterator[Float32]:
    """Replace NaN and infinity in audio blocks: one such sample would spoil all motion after it."""
    for block in blocks:
        yield np.nan_to_num(block, nan=0.0, posinf=1.0, neginf=-1.0)


def reblock(blocks: Iterable[Float32], length: int = BLOCK) -> Iterator[Float32]:
    """Yield the same samples in blocks of exactly `length`, the last one shorter (and never empty).

    blocks: float32 [any]. Sums of floating point numbers depend on their grouping: equal blocks make the result of a driver the same to
    the last bit, whatever blocks its caller has.
    """
    parts: deque[Float32] = deque()
    pending = 0
    for block in blocks:
        parts.append(np.asarray(block, np.float32))
        pending += len(block)
        if pending < length:
            continue
        joined = np.concatenate(parts)
        whole = pending - pending % length
        yield from np.split(joined[:whole], range(length, whole, length))
        parts = deque([joined[whole:]])
        pending -= whole
    if pending:
        yield np.concatenate(parts)


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """Consecutive rows at CURVE_RATE: opening float32 [n], width float32 [n], visemes float32 [n, 16]."""

    opening: Float32
    width: Float32
    visemes: Float32

    def __len__(self) -> int:
        return len(self.opening)

    def concatenate(self, other: "Curve") -> "Curve":
        """Return this curve with `other` after it."""
        return Curve(
            opening=np.concatenate([self.opening, other.opening]),
            width=np.concatenate([self.width, other.width]),
            visemes=np.concatenate([self.visemes, other.visemes]),
        )

    def from_row(self, row: int) -> "Curve":
        """Return the rows from `row` on."""
        return Curve(opening=self.opening[row:], width=self.width[row:], visemes=self.visemes[row:])


def frame_rows(first: int, count: int, frame_rate: Fraction, lead: Fraction) -> tuple[Float64, Float64]:
    """Return (times in s, positions in curve rows) of frames first..first+count-1: float64 [count] each.

    time = i / frame_rate, position = (time + lead) x CURVE_RATE, both rounded once, from exact fractions.
    """
    numbers = range(first, first + count)
    times = np.array([float(i / frame_rate) for i in numbers], np.float64)
    rows = np.array([float((i / frame_rate + lead) * CURVE_RATE) for i in numbers], np.float64)
    return times, rows
