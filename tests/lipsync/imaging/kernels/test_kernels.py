"""The other compiled loops, each against plain NumPy or OpenCV."""

import cv2
import numpy as np
import pytest

from heygem_daemon.lipsync.arrays import Float32, Float64
from heygem_daemon.lipsync.imaging.kernels.blend import blend_mouth, write_back
from heygem_daemon.lipsync.imaging.kernels.displacement import colour_maps, displacement, moving_cells, sampling_maps
from heygem_daemon.lipsync.imaging.kernels.gaussian import blur, gaussian_taps
from heygem_daemon.lipsync.imaging.kernels.interior import LIP_EDGE, source_places
from heygem_daemon.lipsync.imaging.kernels.membrane import colour_membrane
from heygem_daemon.lipsync.imaging.kernels.transfer import cubic_weights, needed_pixels, pixel_sources, sample_bent


def noise(*shape: int, seed: int = 0, low: float = 0.0, high: float = 255.0) -> Float32:
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)


@pytest.mark.parametrize("sigma", [0.2, 0.7, 2.0, 9.0])
def test_the_blur_is_the_one_of_opencv_with_zero_outside(sigma: float) -> None:
    image = noise(2, 23, 31)
    taps = gaussian_taps(sigma) if sigma >= 0.3 else np.ones(1, np.float32)
    expected = [cv2.sepFilter2D(channel, cv2.CV_32F, taps, taps, borderType=cv2.BORDER_CONSTANT) for channel in image]
    assert pytest.approx(np.stack(expected), abs=1e-3) == blur(image, sigma)
    assert taps.sum() == pytest.approx(1)


def test_a_shift_of_the_whole_mesh_shifts_every_covered_cell() -> None:
    corners = np.array([[-20.0, -20], [60, -20], [-20, 60], [60, 60]])
    shift = displacement(corners, corners + np.array([1.5, -0.5]), np.array([[0, 1, 2], [1, 3, 2]], np.int32), 20, 30, 1.0)
    assert shift[0, 8:12, 8:22] == pytest.approx(1.5)
    assert shift[1, 8:12, 8:22] == pytest.approx(-0.5)


def test_the_box_of_what_moves_holds_it_and_a_cell_around_it() -> None:
    shift = np.zeros((2, 20, 30), np.float32)
    assert moving_cells(shift, 0.1)[2] <= moving_cells(shift, 0.1)[0]
    shift[1, 5:8, 9:14] = -0.2
    assert moving_cells(shift, 0.1) == (8, 4, 15, 9)


def test_maps_enlarge_the_shift_of_the_cells_bilinearly() -> None:
    shift, cell = noise(2, 7, 9, low=-1, high=1), 4
    places, steps, moved = np.empty((28, 36, 2), np.int16), np.empty((28, 36), np.uint16), np.empty((28, 36), np.uint8)
    colour = np.empty((2, 14, 18), np.float32)
    sampling_maps(shift, cell, (0, 0), (-10, -6), 0.5, places, steps, colour, moved)
    large = [cv2.resize(part, (36, 28), interpolation=cv2.INTER_LINEAR) * cell for part in shift]
    across, down = np.arange(36) + 10 + large[0], np.arange(28)[:, None] + 6 + large[1]
    expected = cv2.convertMaps(across.astype(np.float32), down.astype(np.float32), cv2.CV_16SC2)
    fine, wanted = (32 * part.astype(int) + np.stack([rest & 31, rest >> 5], -1) for part, rest in ((places, steps), expected))
    assert np.abs(fine - wanted).max() <= 1, "halves are rounded otherwise"
    assert pytest.approx(across.reshape(14, 2, 18, 2).mean((1, 3)) / 2 - 0.25, abs=1e-3) == colour[0]
    assert pytest.approx(down.reshape(14, 2, 18, 2).mean((1, 3)) / 2 - 0.25, abs=1e-3) == colour[1]
    assert np.array_equal(moved > 0, np.maximum(abs(large[0]), abs(large[1])) > 0.5)


def test_a_block_of_colour_comes_from_where_its_pixels_come_from() -> None:
    y, x = np.mgrid[:8, :12].astype(np.float32)
    colour_across, colour_down = np.empty((4, 6), np.float32), np.empty((4, 6), np.float32)
    colour_maps(x + 2, y - 4, colour_across, colour_down)
    assert pytest.approx(np.tile(np.arange(6) + 1, (4, 1)), abs=1e-4) == colour_across
    assert pytest.approx(np.tile((np.arange(4) - 2)[:, None], (1, 6)), abs=1e-4) == colour_down


def test_pixels_near_a_drawn_cell_are_needed_and_no_others() -> None:
    alpha, needed = np.zeros((6, 8), np.float32), np.empty((20, 26), np.uint8)
    alpha[2, 3] = 1
    needed_pixels(alpha, np.zeros_like(alpha), 3, (1, 1), needed)
    expected = np.zeros_like(needed)
    expected[4:13, 7:16] = 1
    assert np.array_equal(needed, expected)


def test_where_the_map_bends_four_samples_are_taken() -> None:
    image = np.asarray(cv2.GaussianBlur(noise(30, 40), (0, 0), 1), np.float32)
    y, x = np.mgrid[:20, :24].astype(np.float32)
    across, down = x / 2 + 5 + 0.8 * np.sin(y), y / 2 + 6
    covered, pixel_x, pixel_y = np.ones((10, 12), np.uint8), np.zeros((10, 12), np.float32), np.zeros((10, 12), np.float32)
    bent = pixel_sources(across, down, np.ones((20, 24), np.uint8), (0, 0, 0, 0), covered, pixel_x, pixel_y)
    assert len(bent) > 60
    assert pytest.approx(across.reshape(10, 2, 12, 2).mean((1, 3)), abs=1e-4) == pixel_x
    out = np.zeros((10, 12), np.float32)
    sample_bent(image, across, down, bent, cubic_weights(), out)
    fine = cv2.remap(image, across, down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    assert pytest.approx(fine.reshape(10, 2, 12, 2).mean((1, 3)).ravel()[bent], abs=0.05) == out.ravel()[bent]


def test_an_even_map_is_sampled_once_but_for_the_exact_part() -> None:
    y, x = np.mgrid[:20, :24].astype(np.float32) / 2
    covered, places = np.ones((10, 12), np.uint8), np.zeros((2, 10, 12), np.float32)
    there = np.ones((20, 24), np.uint8)
    there[0, 0] = 0
    bent = pixel_sources(x, y, there, (2, 3, 4, 5), covered, places[0], places[1])
    assert bent.tolist() == [3 * 12 + 2, 3 * 12 + 3, 4 * 12 + 2, 4 * 12 + 3]
    assert covered.sum() == 119
    assert not covered[0, 0]


def test_a_mouth_that_is_darker_everywhere_is_lightened_by_that_much() -> None:
    luma, colour = noise(40, 48, low=60, high=180), noise(20, 24, 2, low=100, high=150)
    covered, skin = np.ones((40, 48), np.uint8), np.ones((10, 12), np.float32)
    skin[4:7, 4:8] = 0
    over = luma - 20
    over[16:28, 16:32] = 0
    added = colour_membrane(luma, colour, over, colour + 6, covered, skin, 4, (0, 0), 3.0, 0.05, 60.0)
    assert added[0] == pytest.approx(20, abs=0.5)
    assert added[1:] == pytest.approx(-6, abs=0.5)


def test_a_blend_is_the_mouth_by_its_alpha_in_luma_and_colour() -> None:
    luma, colour, over, over_colour = noise(24, 32), noise(12, 16, 2), noise(24, 32, seed=1), noise(12, 16, 2, seed=2)
    before, colour_before, changed = luma.copy(), colour.copy(), np.zeros((24, 32), np.uint8)
    covered, alpha, correction = np.ones((24, 32), np.uint8), np.full((6, 8), 0.5, np.float32), np.full((3, 6, 8), 4, np.float32)
    covered[:, :8] = 0
    blend_mouth(luma, colour, over, over_colour, covered, alpha, correction, 0.8, 4, (0, 0), changed)
    assert pytest.approx(before[:, 8:] + (over + 4 - before)[:, 8:] * 0.4, abs=1e-3) == luma[:, 8:]
    assert pytest.approx(colour_before[:, 4:] + (over_colour + 4 - colour_before)[:, 4:] * 0.4, abs=1e-3) == colour[:, 4:]
    assert np.array_equal(luma[:, :8], before[:, :8])
    assert np.array_equal(changed > 0, covered > 0)


def test_only_changed_pixels_are_written_and_a_half_changed_block_is_mixed() -> None:
    y, u, v = (np.full(shape, 50, np.uint8) for shape in ((16, 20), (8, 10), (8, 10)))
    luma, colour, changed = np.full((6, 8), 300, np.float32), np.full((3, 4, 2), 90, np.float32), np.zeros((6, 8), np.uint8)
    changed[2, 2:4], changed[0, 0] = 1, 1
    write_back(luma, colour, changed, (-2, 4), y, u, v)
    assert y[6, 0:2].tolist() == [255, 255]
    assert (y == 50).sum() == y.size - 2, "what lies beyond the frame is left out"
    assert (u[3, 0], v[3, 0]) == (70, 70)
    assert (u == 50).sum() == u.size - 1


def lips(height: float) -> Float64:
    """Return the edge of a lip at this canonical height, rising in x."""
    return np.array([[-0.3, height], [0.0, height], [0.3, height]])


def read_places(opening: float, source_opening: float) -> tuple[Float32, Float32, Float32]:
    """Return (v of a column of pixels, where each is read, how much of it is shown) for lips whose upper edges are at the same height."""
    down = np.linspace(0.001, opening - 0.001, 200, dtype=np.float32)[:, None]
    read, shown = source_places(np.zeros_like(down), down, lips(0.0), lips(opening), lips(0.0), lips(source_opening))
    return down[:, 0], read[:, 0], shown[:, 0]


@pytest.mark.parametrize("source_opening", [0.12, 0.16, 0.25])
def test_the_upper_teeth_stay_in_the_skull_and_the_lower_ones_move_with_the_lip(source_opening: float) -> None:
    down, read, shown = read_places(0.16, source_opening)
    upper, lower = (down > LIP_EDGE) & (down < 0.035), (down > 0.16 - 0.025) & (down < 0.16 - LIP_EDGE)
    assert read[upper] == pytest.approx(down[upper], abs=1e-4)
    assert (read - down)[lower] == pytest.approx(source_opening - 0.16, abs=1e-4)
    assert (np.diff(read) >= 0).all()
    assert shown.min() > 0.9


def test_far_beyond_what_the_source_shows_there_is_a_cavity_between_the_teeth() -> None:
    down, read, shown = read_places(0.3, 0.08)
    assert shown[(down > 0.12) & (down < 0.24)].max() < 0.05
    assert shown[down < 0.03].min() > 0.95
    assert shown[down > 0.295].min() > 0.9
    assert read.max() < 0.08


def test_a_shut_source_shows_nothing() -> None:
    assert read_places(0.1, 0.01)[2].max() == 0
