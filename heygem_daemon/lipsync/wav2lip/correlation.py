"""Correlate measured mouths with the predicted ones: a face mesh finds lips in any image, so its own score does not prove a mouth."""

from fractions import Fraction
from typing import Final

import numpy as np

from heygem_daemon.lipsync.geometry.smoothstep import smoothstep

_MEMORY: Final = 8.0
"""Seconds after which a frame has a weight of 1/e."""
_PRIOR_SECONDS: Final = 2.0
_PRIOR_R: Final = 0.5
_PRIOR_DEVIATION: Final = 0.2
"""Prior: as if so many seconds had had this correlation, with openings of this standard deviation (fraction of the range)."""
_CONFIDENT: Final = (0.05, 0.2)
"""Correlations from which confidence rises above 0, and at which it is 1. A real mouth and the prediction of the driver `phonetic`
correlate by .5, two mouths that speak different words by less than .2 over 8 s in most cases (standard deviation .15)."""
_CONFIDENT_UNPROVEN: Final = (0.3, 0.5)
"""The same for a checkpoint that did not follow the speech of its self-test: an untrained network reached .2 for two seconds."""


class RunningCorrelation:
    """A running correlation of two openings, with exponential forgetting."""

    def __init__(self, frame_rate: Fraction, prior: float = 1.0) -> None:
        """prior: 1 where the two are expected to correlate, 0 where not."""
        self._keep = float(np.exp(-1 / (_MEMORY * float(frame_rate))))
        self._weight = _PRIOR_SECONDS * float(frame_rate)
        variance = _PRIOR_DEVIATION**2
        self._mean = np.zeros(2)
        self._spread = self._weight * variance * np.array([[1.0, prior * _PRIOR_R], [prior * _PRIOR_R, 1.0]])
        self._is_first, self._confident = True, _CONFIDENT if prior > 0 else _CONFIDENT_UNPROVEN

    @property
    def r(self) -> float:
        """The correlation so far, -1 to 1."""
        return float(self._spread[0, 1] / np.sqrt(self._spread[0, 0] * self._spread[1, 1]))

    @property
    def confidence(self) -> float:
        """Confidence in the measured mouth, 0-1."""
        return smoothstep(self.r, *self._confident)

    def push(self, measured: float, predicted: float) -> None:
        """Take the openings of the next frame."""
        pair = np.array([measured, predicted])
        if self._is_first:
            self._mean, self._is_first = pair, False
        self._weight = self._keep * self._weight + 1
        off = pair - self._mean
        self._mean = self._mean + off / self._weight
        self._spread = self._keep * self._spread + np.outer(off, pair - self._mean)
