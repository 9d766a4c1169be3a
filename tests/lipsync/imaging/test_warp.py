"""Images as tensors: both devices sample alike, a blur keeps the sum, a filled polygon has its area."""

import numpy as np
import pytest
import torch

from heygem_daemon.lipsync.imaging.warp import blur, enlarge, fill, sample, sample_grid, shrink

CPU = torch.device("cpu")


def smooth_image(seed: int = 0, size: tuple[int, int] = (41, 41)) -> torch.Tensor:
    """Return blurred noise, float32 [3, h, w] about 0-255."""
    smooth = np.random.default_rng(seed).normal(0, 1, (3, *size))
    return blur(torch.from_numpy(smooth).float(), 3) * 200 + 128


def test_opencv_and_torch_sample_alike() -> None:
    image, noise = smooth_image(size=(60, 50)), torch.rand(2, 30, 35, generator=torch.Generator().manual_seed(1))
    coordinates = noise * torch.tensor([45.0, 55.0])[:, None, None] + 2
    assert torch.allclose(sample(image, coordinates), sample_grid(image, coordinates), atol=0.05)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_both_devices_sample_alike() -> None:
    image, coordinates = smooth_image(), torch.rand(2, 30, 35, generator=torch.Generator().manual_seed(1)) * 36 + 2
    assert torch.allclose(sample(image, coordinates), sample(image.cuda(), coordinates.cuda()).cpu(), atol=0.05)


def test_blurring_keeps_a_flat_image_flat_away_from_the_border_and_the_sum_of_a_dot() -> None:
    flat = blur(torch.full((1, 41, 41), 7.0), 2.0)
    assert torch.allclose(flat[:, 8:-8, 8:-8], torch.tensor(7.0))
    dot = torch.zeros(1, 41, 41)
    dot[0, 20, 20] = 1
    assert blur(dot, 2.0).sum().item() == pytest.approx(1, abs=1e-5)


def test_enlarging_a_ramp_and_shrinking_it_again_gives_the_ramp() -> None:
    ramp = torch.arange(20.0)[None, None].expand(1, 6, 20)
    again = shrink(enlarge(ramp, 4), 4)
    assert torch.allclose(again[:, :, 1:-1], ramp[:, :, 1:-1], atol=1e-5)


def test_a_filled_polygon_has_its_area() -> None:
    mask = fill(np.array([[10.0, 10], [30, 10], [30, 20], [10, 20]]), (40, 40), CPU)
    assert mask.sum().item() == pytest.approx(21 * 11, rel=0.1)
    assert mask[15, 20] == 1
    assert mask[5, 5] == 0
