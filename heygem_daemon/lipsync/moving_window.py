"""Filters along a curve whose window moves from value to value; beyond both ends the first and last value go on.

They equal those of scipy.ndimage with mode="nearest". scipy takes .3 s of CPU time to import, more than they take for a long job.
"""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from heygem_daemon.lipsync.arrays import Float64

Number = TypeVar("Number", bound=np.generic)


def moving_maximum(values: npt.NDArray[Number], size: int, *, is_ahead: bool = False) -> npt.NDArray[Number]:
    """Return [n]: the largest of the `size` (odd) values around each one, or with `is_ahead` of each one and those after it."""
    return np.asarray(_windows(values, size, before=0 if is_ahead else size // 2).max(1))


def moving_minimum(values: npt.NDArray[Number], size: int) -> npt.NDArray[Number]:
    """Return [n]: the smallest of the `size` (odd) values around each one."""
    return np.asarray(_windows(values, size, before=size // 2).min(1))


def moving_mean(values: npt.NDArray[Number], size: int) -> npt.NDArray[Number]:
    """Return [n]: the mean of the `size` values around each one; of an even number one more lies before it than after it."""
    return weighted_sum(values, np.full(size, 1 / size))


def weighted_sum(values: npt.NDArray[Number], weights: Float64) -> npt.NDArray[Number]:
    """Return [n]: the sum of the values around each one times `weights`, whose middle belongs to the value itself; computed in float64."""
    if not len(values):
        return values.copy()
    padded = _padded(values.astype(np.float64), len(weights), before=len(weights) // 2)
    return np.correlate(padded, weights, "valid").astype(values.dtype)


def _windows(values: npt.NDArray[Number], size: int, *, before: int) -> npt.NDArray[Number]:
    """Return [n, size], a view."""
    if not len(values):
        return np.zeros((0, size), values.dtype)
    return np.lib.stride_tricks.sliding_window_view(_padded(values, size, before=before), size)


def _padded(values: npt.NDArray[Number], size: int, *, before: int) -> npt.NDArray[Number]:
    return np.pad(values, (before, size - 1 - before), mode="edge")
