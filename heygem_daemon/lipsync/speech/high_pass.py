"""Remove what lies below the voice: a Butterworth filter of second order, sample after sample."""

import math

import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Float64
from heygem_daemon.lipsync.compiled import compiled_function


class HighPass:
    """A Butterworth high-pass of second order (bilinear transform), for consecutive blocks of samples."""

    def __init__(self, corner: float, sample_rate: int) -> None:
        """corner: Hz, where it attenuates by 3 dB."""
        self._coefficients = high_pass_coefficients(corner, sample_rate)
        self._state = np.zeros(2)

    def push(self, block: Float32) -> Float32:
        """Take and return float32 [n]."""
        filtered = block.astype(np.float64)
        filter_in_place(filtered, self._coefficients, self._state)
        return filtered.astype(np.float32)


def high_pass_coefficients(corner: float, sample_rate: int) -> Float64:
    """Return b0, b1, b2, a1, a2 (a0 = 1): s² / (s² + sqrt(2) s + 1) with s = (z - 1) / (k (z + 1)), k = tan(pi corner / rate)."""
    k = math.tan(math.pi * corner / sample_rate)
    scale = 1 / (1 + math.sqrt(2) * k + k * k)
    return np.array([scale, -2 * scale, scale, 2 * (k * k - 1) * scale, (1 - math.sqrt(2) * k + k * k) * scale])


@compiled_function
def filter_in_place(samples: Float64, coefficients: Float64, state: Float64) -> None:
    """Replace samples [n] by their filtered values; state [2] goes on to the next block (direct form II, transposed)."""
    b0, b1, b2, a1, a2 = coefficients
    first, second = state
    for i in range(len(samples)):
        x = samples[i]
        y = b0 * x + first
        first = b1 * x - a1 * y + second
        second = b2 * x - a2 * y
        samples[i] = y
    state[0], state[1] = first, second


def warm_up() -> None:
    """Compile the kernel with the types it is called with."""
    HighPass(80.0, 16000).push(np.zeros(1, np.float32))
