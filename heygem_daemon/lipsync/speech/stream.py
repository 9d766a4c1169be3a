"""Cut streams into blocks of one size, so that no result depends on how its input came."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Float64

SAMPLE_RATE: Final = 16000
CURVE_RATE: Final = 50
"""Rows per second of every curve here."""
BLOCK: Final = SAMPLE_RATE
"""Samples of one block: 1 s. The last block of a stream is shorter."""


def reblock(blocks: Iterable[Float32], length: int = BLOCK) -> Iterator[Float32]:
    """Yield the same samples in blocks of exactly `length`, the last one shorter (and never empty).

    blocks: float32 [any]. Sums of floating point numbers depend on their grouping, so equal blocks are what makes a driver's
    result independent of its caller's blocks to the last bit.
    """
    parts: deque[Float32] = deque()
    held = 0
    for block in blocks:
        parts.append(np.asarray(block, np.float32))
        held += len(block)
        if held < length:
            continue
        joined = np.concatenate(parts)
        whole = held - held % length
        yield from np.split(joined[:whole], range(length, whole, length))
        parts = deque([joined[whole:]])
        held -= whole
    if held:
        yield np.concatenate(parts)


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """Consecutive rows at CURVE_RATE: opening float32 [n], width float32 [n], visemes float32 [n, 16]."""

    opening: Float32
    width: Float32
    visemes: Float32

    def __len__(self) -> int:
        return len(self.opening)

    def joined(self, other: "Curve") -> "Curve":
        return Curve(
            opening=np.concatenate([self.opening, other.opening]),
            width=np.concatenate([self.width, other.width]),
            visemes=np.concatenate([self.visemes, other.visemes]),
        )

    def since(self, row: int) -> "Curve":
        return Curve(opening=self.opening[row:], width=self.width[row:], visemes=self.visemes[row:])


def frame_rows(first: int, count: int, frame_rate: Fraction, lead: Fraction) -> tuple[Float64, Float64]:
    """Return (times in s, positions in curve rows) of frames first..first+count-1: float64 [count] each.

    time = i / frame_rate, position = (time + lead) x CURVE_RATE, both rounded once, from exact fractions.
    """
    numbers = range(first, first + count)
    times = np.array([float(i / frame_rate) for i in numbers], np.float64)
    rows = np.array([float((i / frame_rate + lead) * CURVE_RATE) for i in numbers], np.float64)
    return times, rows
