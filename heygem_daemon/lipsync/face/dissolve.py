"""Detect cross-dissolves between thumbnails: frames in which one shot shows through another, and with it two faces through each other."""

from collections import deque
from fractions import Fraction
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Float32

LONGEST_SECONDS: Final = 2.0
_SECONDS: Final = (0.3, 0.6, 1.0, 1.5, LONGEST_SECONDS)
_SETTLED: Final = 2
"""Spans that are searched for a dissolve, and frames at both of their ends that belong to one shot alone."""
_FEWEST: Final = 3
"""Frames: what is shorter is a cut."""
_EDGE: Final = 0.06
"""Weight of the other shot, 0-1, up to which a frame belongs to one alone."""
_LEAST_CHANGE: Final = 10.0
_LEAST_DISTANCE: Final = 0.3
_LARGEST_RESIDUAL: Final = 0.38
"""Both ends of a dissolve differ by so many grey levels in the mean and by so much in 1 - Pearson r; between them every frame is a mixture
of the two, up to this fraction of their difference. 35 clips without a dissolve, people who talk, gesture and turn, cameras that drift:
at so much change from one end to the other the residual is .42 and more. 160 dissolves of 8-42 frames between them: 146 are found, with
.97 of their frames; the others lie between heads that move too much, or in images too similar."""


class DissolveDetector:
    """Looks back over the last thumbnails of one shot after the other."""

    def __init__(self, frame_rate: Fraction) -> None:
        self._spans = sorted({round(seconds * frame_rate) + 2 * _SETTLED for seconds in _SECONDS})
        self._past: deque[Float32] = deque(maxlen=self._spans[-1] + 1)

    @property
    def window(self) -> int:
        """Frames that it looks back over."""
        return self._spans[-1]

    def restart(self) -> None:
        """Forget all frames: at a cut."""
        self._past.clear()

    def push(self, thumbnail: Float32) -> None:
        """Take the next frame: float32 [h, w], 0-255."""
        self._past.append(thumbnail.ravel())

    def find(self) -> tuple[int, int] | None:
        """Return the dissolve that has ended shortly before the last frame, as the numbers of frames from its first and from its last one
        to that frame; None where there is none. It may be found more than once."""
        found = (self._find(span) for span in self._spans if span < len(self._past))
        return next((dissolve for dissolve in found if dissolve), None)

    def _find(self, span: int) -> tuple[int, int] | None:
        """Return the dissolve within the last `span` + 1 frames, as `find` does."""
        past, oldest = self._past, len(self._past) - 1 - span
        first, last = past[oldest], past[-1]
        difference = last - first
        if np.abs(difference).mean() < _LEAST_CHANGE:
            return None
        energy = float(np.vdot(difference, difference))
        ends = (past[oldest + _SETTLED - 1] - first, last - past[-_SETTLED])
        if any(np.vdot(end, difference) > _EDGE * energy for end in ends) or not _is_other(first, last):
            return None
        frames = np.stack([past[i] for i in range(oldest, len(past))]) - first
        weights = frames @ difference / energy
        mixed = np.flatnonzero((weights > _EDGE) & (weights < 1 - _EDGE))
        if len(mixed) < _FEWEST or mixed[-1] - mixed[0] >= len(mixed) or (np.diff(weights[mixed]) < 0).any():
            return None
        residual = frames[mixed] - weights[mixed, None] * difference
        if np.square(residual).sum(1).max() > _LARGEST_RESIDUAL**2 * energy:
            return None
        return span - int(mixed[0]), span - int(mixed[-1])


def _is_other(first: Float32, last: Float32) -> bool:
    """Return whether two thumbnails show more than one image in another light."""
    if not first.std() or not last.std():
        return False
    return bool(1 - np.corrcoef(first, last)[0, 1] > _LEAST_DISTANCE)
