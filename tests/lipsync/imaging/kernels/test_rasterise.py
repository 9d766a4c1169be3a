"""Compiled piecewise affine maps: identity changes nothing, an affine map is followed exactly, and the plain reference agrees."""

import numpy as np
import pytest
import torch

from heygem_daemon.lipsync.arrays import Float32, Float64, Image, Triangles
from heygem_daemon.lipsync.imaging.kernels.rasterise import rasterise
from tests.lipsync.atlas.reference.warp import triangle_warp

SQUARE = np.array([[0.0, 0], [40, 0], [0, 40], [40, 40]])
HALVES = np.array([[0, 1, 2], [1, 3, 2]], np.int32)


def mapped(target: Float64, source: Float64, triangles: Triangles = HALVES, side: int = 41) -> tuple[Float32, Image]:
    """Return (places float32 [2, side, side], -1 where there are none; covered)."""
    places, covered = np.full((2, side, side), -1, np.float32), np.zeros((side, side), np.uint8)
    rasterise(target, source, triangles, places[0], places[1], covered)
    return places, covered


def test_unmoved_points_map_every_pixel_to_itself() -> None:
    places, covered = mapped(SQUARE, SQUARE)
    assert covered.all()
    assert pytest.approx(np.mgrid[:41, :41][::-1], abs=1e-4) == places


def test_an_affine_map_is_followed_inside_a_triangle() -> None:
    turn = np.array([[0.9, -0.2], [0.15, 1.1]])
    places, covered = mapped(SQUARE, SQUARE @ turn.T + (3, -2))
    y, x = np.nonzero(covered)
    assert pytest.approx(np.stack([x, y], 1) @ turn.T + (3, -2), abs=1e-3) == places[:, y, x].T


def test_degenerate_and_mirrored_triangles_are_left_out() -> None:
    assert not mapped(np.array([[0.0, 0], [40, 0], [20, 0], [40, 40]]), SQUARE, HALVES[:1])[1].any()
    assert not mapped(SQUARE, SQUARE, np.ascontiguousarray(HALVES[:, ::-1]))[1].any()


def test_a_later_triangle_covers_an_earlier_one() -> None:
    source = SQUARE.copy()
    source[3] = (100, 100)
    places, _ = mapped(SQUARE, source, np.array([[0, 1, 2], [0, 1, 3]], np.int32))
    assert places[0, 10, 20] == pytest.approx(35)


def test_triangles_beyond_the_image_are_cut_at_its_border() -> None:
    places, covered = mapped(SQUARE * 3 - 40, SQUARE)
    assert covered.all()
    assert places[:, 20, 20] == pytest.approx([20, 20], abs=1e-4)


def test_neighbours_leave_no_gap_and_the_plain_reference_agrees() -> None:
    random = np.random.default_rng(3)
    grid = np.stack(np.meshgrid(np.arange(6.0), np.arange(6.0)), -1).reshape(-1, 2) * 8
    target = grid + random.uniform(-2, 2, grid.shape)
    corners = [(6 * j + i, 6 * j + i + 1, 6 * j + i + 6) for j in range(5) for i in range(5)]
    triangles = np.array([row for a, b, c in corners for row in ((a, b, c), (b, c + 1, c))], np.int32)
    places, covered = mapped(target, grid, triangles)
    assert covered[4:36, 4:36].all()
    expected, there = triangle_warp(target, grid, triangles, (41, 41), torch.device("cpu"))
    assert np.array_equal(covered > 0, there.numpy())
    assert pytest.approx(expected.numpy()[:, covered > 0], abs=1e-3) == places[:, covered > 0]
