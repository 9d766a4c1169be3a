"""Gaussian blur of small images, with zero outside."""

import math
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.imaging.kernels import kernel

_LEAST_SIGMA: Final = 0.3
"""A Gaussian of fewer pixels is left out."""
_RADIUS: Final = 2.5
"""The kernel ends at this many sigmas."""


@kernel
def gaussian_taps(sigma: float) -> Float32:
    """Return float32 [2r + 1]: the weights of a Gaussian that ends at 2.5 sigma; they sum to 1."""
    radius = max(1, int(_RADIUS * sigma + 0.5))
    taps = np.empty(2 * radius + 1, np.float32)
    for i in range(len(taps)):
        taps[i] = math.exp(-0.5 * ((i - radius) / sigma) ** 2)
    return taps / taps.sum()


@kernel
def blur(image: Float32, sigma: float) -> Float32:
    """Return image [c, h, w] after a Gaussian of `sigma` pixels; outside the image counts as zero."""
    if sigma < _LEAST_SIGMA:
        return image
    channels, height, width = image.shape
    taps = gaussian_taps(sigma)
    radius = len(taps) // 2
    across, down = np.zeros_like(image), np.zeros_like(image)
    padded = np.zeros(width + 2 * radius, np.float32)
    for c in range(channels):
        for y in range(height):
            padded[radius : radius + width] = image[c, y]
            row = across[c, y]
            for i in range(len(taps)):
                tap = taps[i]
                for x in range(width):
                    row[x] += tap * padded[x + i]
        for y in range(height):
            row = down[c, y]
            for i in range(max(0, radius - y), min(len(taps), height + radius - y)):
                tap, source = taps[i], across[c, y + i - radius]
                for x in range(width):
                    row[x] += tap * source[x]
    return down
