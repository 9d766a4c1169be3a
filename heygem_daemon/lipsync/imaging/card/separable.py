"""Separable linear maps of a batch of planes, as a pair of matrices for each plane: Gaussians, means of cells, bilinear enlargement.

The planes of a batch have the size of the largest of them and are zero beyond their own; cells and sigmas differ from plane to plane. A map
is then one product on each side, whatever its reach: for planes of some hundred pixels a card does that faster than it starts the kernels
of a loop. torch multiplies float32 exactly unless TensorFloat-32 is switched on (`torch.backends.cuda.matmul`); nothing here does so.
"""

from typing import Final

import torch
from torch import Tensor

LEAST_SIGMA: Final = 0.3
KERNEL_RADIUS: Final = 2.5
"""A Gaussian of fewer pixels is left out; its kernel ends at this many sigmas: both as on the CPU."""


def apply_separable(rows: Tensor, planes: Tensor, columns: Tensor) -> Tensor:
    """Return float32 [b, c, m, n] of planes [b, c, h, w], by the matrices rows [b, m, h] and columns [b, n, w]."""
    return torch.matmul(torch.matmul(rows[:, None], planes), columns[:, None].transpose(2, 3))


def gaussian(sigma: Tensor, size: int) -> Tensor:
    """Return [b, size, size]: a Gaussian of `sigma` [b] pixels, outside of the plane counts as zero."""
    radius = torch.round(KERNEL_RADIUS * sigma).clamp_min(1)[:, None]
    reach = torch.arange(-size, size + 1, device=sigma.device, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (reach / sigma.clamp_min(LEAST_SIGMA)[:, None]) ** 2) * (reach.abs() <= radius)
    kernel = kernel / _whole_sum(sigma, radius)
    kernel = torch.where(sigma[:, None] < LEAST_SIGMA, (reach == 0).to(kernel.dtype), kernel)
    place = torch.arange(size, device=sigma.device)
    return kernel[:, place[None, :] - place[:, None] + size]


def _whole_sum(sigma: Tensor, radius: Tensor) -> Tensor:
    """Return [b, 1]: the sum of each kernel, also of what is longer than the plane. The largest radius is bounded by 256 pixels."""
    reach = torch.arange(-256, 257, device=sigma.device, dtype=torch.float32)
    return (torch.exp(-0.5 * (reach / sigma.clamp_min(LEAST_SIGMA)[:, None]) ** 2) * (reach.abs() <= radius)).sum(1, keepdim=True)


def interpolation(places: Tensor, counts: Tensor, size: int) -> Tensor:
    """Return [b, m, size]: samples at `places` [b, m], linearly between the first `counts` [b] of `size` values, of which the last and
    the first are repeated outside."""
    inside = torch.minimum(places.clamp_min(0), (counts - 1)[:, None].to(places.dtype))
    values = torch.arange(size, device=places.device, dtype=places.dtype)
    return (1 - (inside[:, :, None] - values).abs()).clamp_min(0)


def cell_places(pixels: Tensor, cell: Tensor) -> Tensor:
    """Return where the centres of pixels lie in a grid of cells: pixels [b, m] or [m], cell [b] in pixels."""
    return (pixels + 0.5) / cell[:, None] - 0.5


def membership(groups: Tensor, count: int) -> Tensor:
    """Return [b, count, m]: 1 where an element belongs to a group, 0 elsewhere. groups: [b, m], the group of each element."""
    return (groups[:, None, :] == torch.arange(count, device=groups.device)[:, None]).float()
