"""Matrices for each plane of a batch give what the loops of the CPU give for one."""

import numpy as np
import pytest
import torch

from heygem_daemon.lipsync.imaging.card.separable import apply_separable, cell_places, gaussian, interpolation, membership
from heygem_daemon.lipsync.imaging.kernels.gaussian import blur


def image(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(5).uniform(0, 255, shape).astype(np.float32))


def test_a_gaussian_is_that_of_the_cpu_whatever_its_width() -> None:
    planes, sigmas = image(5, 2, 21, 30), torch.tensor([0.1, 0.8, 2.2, 6.0, 19.0])
    smooth = apply_separable(gaussian(sigmas, 21), planes, gaussian(sigmas, 30)).numpy()
    for found, plane, sigma in zip(smooth, planes.numpy(), sigmas.tolist(), strict=True):
        assert np.abs(found - blur(plane, sigma)).max() < 1e-3


def test_planes_smaller_than_the_largest_are_blurred_as_if_alone() -> None:
    planes, sigma = image(1, 1, 12, 16), torch.tensor([2.0])
    padded = torch.nn.functional.pad(planes, (0, 9, 0, 5))
    smooth = apply_separable(gaussian(sigma, 17), padded, gaussian(sigma, 25))[0, :, :12, :16].numpy()
    assert np.abs(smooth - blur(planes[0].numpy(), 2.0)).max() < 1e-3


@pytest.mark.parametrize("cell", [1, 3, 4])
def test_cells_are_enlarged_and_averaged_as_torch_does(cell: int) -> None:
    cells = image(1, 3, 6, 7)
    pixels = torch.arange(6 * cell).float(), torch.arange(7 * cell).float()
    sizes = torch.tensor([cell])
    down, across = (interpolation(cell_places(p[None], sizes), torch.tensor([n]), n) for p, n in zip(pixels, (6, 7), strict=True))
    large = apply_separable(down, cells, across)
    expected = torch.nn.functional.interpolate(cells, scale_factor=cell, mode="bilinear")
    assert torch.allclose(large, expected, atol=1e-3)
    rows, columns = (membership((p // cell)[None].long(), n) for p, n in zip(pixels, (6, 7), strict=True))
    means = apply_separable(rows, large, columns) / cell**2
    assert torch.allclose(means, torch.nn.functional.avg_pool2d(large, cell), atol=1e-3)


def test_beyond_the_used_part_its_last_value_is_repeated() -> None:
    weights = interpolation(torch.tensor([[-1.0, 1.25, 5.0]]), torch.tensor([3]), 6)[0]
    assert weights.tolist() == [[1, 0, 0, 0, 0, 0], [0, 0.75, 0.25, 0, 0, 0], [0, 0, 1, 0, 0, 0]]
