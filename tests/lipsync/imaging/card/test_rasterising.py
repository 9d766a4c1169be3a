"""Triangles of many faces at once give the places that the compiled loop of the CPU gives."""

import numpy as np
import torch
from scipy.spatial import Delaunay

from heygem_daemon.lipsync.imaging.card.rasterising import TriangleTable, rasterise, triangle_table
from heygem_daemon.lipsync.imaging.kernels.rasterise import rasterise as rasterise_one

SIZES = ((60, 80), (45, 52))
SIZE = (60, 80)


def warps() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two grids of 49 points, moved so that some of their triangles fold over: target and source [2, 49, 2], triangles [t, 3]."""
    random = np.random.default_rng(4)
    grid = np.stack(np.meshgrid(np.linspace(-5, 70, 7), np.linspace(4, 55, 7)), -1).reshape(-1, 2)
    triangles = Delaunay(grid).simplices.astype(np.int32)
    a, b, c = (grid[triangles[:, k]] for k in range(3))
    turn = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    triangles = np.ascontiguousarray(np.where((turn < 0)[:, None], triangles[:, ::-1], triangles))
    return grid + random.normal(0, 4, (2, 49, 2)), grid + random.normal(0, 2, (2, 49, 2)), triangles


def table() -> TriangleTable:
    target, source, triangles = warps()
    return triangle_table(torch.from_numpy(target), torch.from_numpy(source), torch.from_numpy(triangles).long(), torch.tensor(SIZES))


def test_every_face_gets_the_places_of_the_compiled_loop() -> None:
    target, source, triangles = warps()
    places = rasterise(table(), SIZE).numpy()
    for k, (height, width) in enumerate(SIZES):
        across, down, covered = (np.zeros((height, width), kind) for kind in (np.float32, np.float32, np.uint8))
        rasterise_one(target[k], source[k], triangles, across, down, covered)
        found = places[k, :, :height, :width]
        assert covered.any()
        assert np.array_equal(~np.isnan(found[0]), covered > 0)
        assert np.abs(found - [across, down])[:, covered > 0].max() < 1e-3


def test_nothing_is_drawn_beyond_the_size_of_a_face() -> None:
    places = rasterise(table(), SIZE)
    assert torch.isnan(places[1, :, SIZES[1][0] :]).all()
    assert torch.isnan(places[1, :, :, SIZES[1][1] :]).all()


def test_the_last_of_two_triangles_wins_and_a_folded_one_is_left_out() -> None:
    target = torch.tensor([[[0.0, 0.0], [10.0, 0.0], [10.0, 10.0], [0.0, 10.0]]], dtype=torch.float64)
    source = target + torch.tensor([[[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [5.0, 0.0]]], dtype=torch.float64)
    first, last, folded = [0, 1, 2], [0, 1, 3], [0, 3, 2]
    triangles = torch.tensor([first, last, folded])
    places = rasterise(triangle_table(target, source, triangles, torch.tensor([[12, 12]])), (12, 12))
    assert places[0, 0, 2, 7].item() == 7 + 0.5 * 2  # in the first and the last
    assert places[0, 0, 6, 8].item() == 8  # in the first alone
    assert torch.isnan(places[0, 0, 9, 4])  # in the folded one alone
