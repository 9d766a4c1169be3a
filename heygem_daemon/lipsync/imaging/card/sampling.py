"""Sample planes of many images at once, at places that differ from pixel to pixel.

The images lie one after the other in one tensor of bytes, so that images of any size are read by the same kernel, and those of a presenter
stay on the device from batch to batch. Beyond the border of an image its last pixel is repeated.
"""

from enum import Enum

import torch
from torch import Tensor

BICUBIC = -0.75
"""The parameter a of the bicubic kernel, OpenCV's (Keys 1981 has -.5)."""
PREFILTER = (1 / 32, 15 / 16, 1 / 32)
"""The filter over three pixels that, with one sample, stands for the mean of 2x2 samples half a pixel apart."""


class Kernel(Enum):
    """How a plane is sampled; the value is the number of taps on each axis."""

    LINEAR = 2
    CUBIC = 4
    PREFILTERED = 6
    """Bicubic, of what PREFILTER gives: its six taps are the product of both."""


def sample(texels: Tensor, table: Tensor, places: Tensor, kernel: Kernel) -> Tensor:
    """Return float32 [b, height, width]: plane k sampled at places[k].

    texels: uint8 [n], all planes; table: int64 [b, 3], where plane k begins, its height and its width; places: float32 [b, 2, height,
    width], x and y in pixels of the plane; NaN gives 0.
    """
    is_known = ~torch.isnan(places[:, 0])
    places = torch.nan_to_num(places)
    begin, rows, columns = (table[:, k, None, None] for k in range(3))
    (left, across), (top, down) = (_weights(places[:, axis], kernel) for axis in (0, 1))
    read = torch.zeros_like(places[:, 0])
    for j, weight_down in enumerate(down):
        row = begin + torch.minimum((top + j).clamp_min(0), rows - 1) * columns
        line = torch.zeros_like(read)
        for i, weight in enumerate(across):
            line += weight * texels[row + torch.minimum((left + i).clamp_min(0), columns - 1)]
        read += weight_down * line
    return torch.where(is_known, read, 0)


def _weights(places: Tensor, kernel: Kernel) -> tuple[Tensor, list[Tensor]]:
    """Return (int64, the first pixel read for each place; the weight of each pixel from there on)."""
    whole = places.floor()
    part = places - whole
    if kernel is Kernel.LINEAR:
        return whole.long(), [1 - part, part]
    near, far = _cubic_weights(part), _cubic_weights(1 - part)
    cubic = [near[1], near[0], far[0], far[1]]
    if kernel is Kernel.CUBIC:
        return whole.long() - 1, cubic
    outer, inner, _ = PREFILTER
    padded = [torch.zeros_like(part)] * 2 + cubic + [torch.zeros_like(part)] * 2
    return whole.long() - 2, [outer * padded[k] + inner * padded[k + 1] + outer * padded[k + 2] for k in range(6)]


def _cubic_weights(distance: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weights of the pixels at `distance` (0-1) and at 1 + distance."""
    a, outer = BICUBIC, 1 + distance
    near = ((a + 2) * distance - (a + 3)) * distance * distance + 1
    return near, ((a * outer - 5 * a) * outer + 8 * a) * outer - 4 * a
