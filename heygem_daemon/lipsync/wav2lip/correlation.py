"""Does the mouth that was read move with the speech that is heard? A face mesh finds lips in anything: it cannot tell by itself."""

from fractions import Fraction
from typing import Final

import numpy as np

from heygem_daemon.lipsync.geometry.smoothstep import smoothstep

_MEMORY: Final = 8.0
"""Seconds after which what was seen counts a third."""
_PRIOR_SECONDS: Final = 2.0
_PRIOR_R: Final = 0.5
_PRIOR_DEVIATION: Final = 0.2
"""What is assumed before anything is seen: openings that vary by a fifth of the range."""
_DOUBTFUL: Final = (0.05, 0.2)
"""A real mouth and what the companion hears correlate by .5, two mouths that say different things by less than .2 over 8 s in most cases
(standard deviation .15)."""


_UNPROVEN: Final = (0.3, 0.5)
"""The same for one that did not follow the speech of its self-test: an untrained network has been seen at .2 for two seconds."""


class Agreement:
    """A running correlation of two openings, which forgets."""

    def __init__(self, frame_rate: Fraction, prior: float = 1.0) -> None:
        """prior: 1 where the two are expected to agree, 0 where not."""
        self._keep = float(np.exp(-1 / (_MEMORY * float(frame_rate))))
        self._weight = _PRIOR_SECONDS * float(frame_rate)
        variance = _PRIOR_DEVIATION**2
        self._mean = np.zeros(2)
        self._spread = self._weight * variance * np.array([[1.0, prior * _PRIOR_R], [prior * _PRIOR_R, 1.0]])
        self._is_first, self._doubtful = True, _DOUBTFUL if prior > 0 else _UNPROVEN

    @property
    def r(self) -> float:
        """The correlation so far, -1 to 1."""
        return float(self._spread[0, 1] / np.sqrt(self._spread[0, 0] * self._spread[1, 1]))

    @property
    def confidence(self) -> float:
        """How far what was read can be trusted, 0-1."""
        return smoothstep(self.r, *self._doubtful)

    def push(self, read: float, heard: float) -> None:
        """Take the openings of the next frame."""
        pair = np.array([read, heard])
        if self._is_first:
            self._mean, self._is_first = pair, False
        self._weight = self._keep * self._weight + 1
        off = pair - self._mean
        self._mean = self._mean + off / self._weight
        self._spread = self._keep * self._spread + np.outer(off, pair - self._mean)
