"""Warps: identity changes nothing, an affine map is followed exactly, and both devices sample alike."""

import numpy as np
import pytest
import torch

from heygem_daemon.lipsync.imaging.warp import affine_maps, blur, enlarge, fill, rasterise, sample, sample_grid, shrink, triangle_warp

CPU = torch.device("cpu")
SQUARE = np.array([[0.0, 0], [40, 0], [0, 40], [40, 40]])
HALVES = np.array([[0, 1, 2], [1, 3, 2]], np.int32)


def smooth_image(seed: int = 0, size: tuple[int, int] = (41, 41)) -> torch.Tensor:
    """Return blurred noise, float32 [3, h, w] about 0-255."""
    smooth = np.random.default_rng(seed).normal(0, 1, (3, *size))
    return blur(torch.from_numpy(smooth).float(), 3) * 200 + 128


def test_unmoved_points_leave_every_pixel_unchanged() -> None:
    coordinates, covered = triangle_warp(SQUARE, SQUARE, HALVES, (41, 41), CPU)
    assert covered.all()
    image = smooth_image()
    assert torch.allclose(sample(image, coordinates), image, atol=1e-3)


def test_uncovered_pixels_come_from_where_they_are() -> None:
    coordinates, covered = triangle_warp(SQUARE / 2, SQUARE, HALVES, (41, 41), CPU)
    assert not covered[30, 30]
    assert coordinates[:, 30, 31].tolist() == [31, 30]


def test_points_are_carried_to_their_new_places() -> None:
    target = np.array([[2.0, 3], [37, 1], [1, 38], [39, 36]])
    maps = affine_maps(target, SQUARE, HALVES)
    for triangle, row in zip(HALVES, maps, strict=False):
        for corner in triangle:
            x, y = target[corner]
            assert [row[0] * x + row[1] * y + row[2], row[3] * x + row[4] * y + row[5]] == pytest.approx(SQUARE[corner], abs=1e-3)


def test_an_affine_map_is_followed_inside_a_triangle() -> None:
    turn = np.array([[0.9, -0.2], [0.15, 1.1]])
    coordinates, covered = triangle_warp(SQUARE, SQUARE @ turn.T + (3, -2), HALVES, (41, 41), CPU)
    y, x = np.nonzero(covered.numpy())
    expected = np.stack([x, y], 1) @ turn.T + (3, -2)
    assert pytest.approx(expected, abs=1e-3) == coordinates[:, y, x].numpy().T


def test_degenerate_and_mirrored_triangles_are_left_out() -> None:
    flat = np.array([[0.0, 0], [40, 0], [20, 0], [40, 40]])
    assert (rasterise(flat, np.array([[0, 1, 2]], np.int32), (41, 41)) == -1).all()
    assert (rasterise(SQUARE, HALVES[:, ::-1], (41, 41)) == -1).all()


def test_a_later_triangle_covers_an_earlier_one() -> None:
    labels = rasterise(SQUARE, np.array([[0, 1, 2], [0, 1, 3]], np.int32), (41, 41))
    assert labels[10, 20] == 1


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
