"""The filters along a curve equal those of scipy, at the ends too, for every type of number that is filtered."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import correlate1d, maximum_filter1d, minimum_filter1d, uniform_filter1d

from heygem_daemon.lipsync.moving_window import moving_maximum, moving_mean, moving_minimum, weighted_sum

LENGTHS = (1, 2, 5, 30, 400)
SIZES = (1, 3, 9, 51)


def curve(length: int, kind: type = np.float32) -> npt.NDArray[np.float32]:
    return np.random.default_rng(length).normal(size=length).astype(kind)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("ours", "theirs"), [(moving_maximum, maximum_filter1d), (moving_minimum, minimum_filter1d)])
def test_extremes_are_those_of_scipy(ours: Callable[..., object], theirs: Callable[..., object], size: int, length: int) -> None:
    np.testing.assert_array_equal(ours(curve(length), size), theirs(curve(length), size, mode="nearest"))


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("size", [*SIZES, 4, 50])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_means_are_those_of_scipy(kind: type, size: int, length: int) -> None:
    found = moving_mean(curve(length, kind), size)
    assert found.dtype == kind
    np.testing.assert_allclose(found, uniform_filter1d(curve(length, kind), size, mode="nearest"), atol=2e-7)


@pytest.mark.parametrize("length", LENGTHS)
def test_weights_lie_as_those_of_scipy(length: int) -> None:
    weights = np.array([0.5, 0.1, 0.2, -0.3, 0.7])
    np.testing.assert_allclose(weighted_sum(curve(length), weights), correlate1d(curve(length), weights, mode="nearest"), atol=2e-7)


@pytest.mark.parametrize("length", LENGTHS)
def test_a_window_ahead_begins_at_the_value_itself(length: int) -> None:
    values = curve(length)
    np.testing.assert_array_equal(moving_maximum(values, 9, is_ahead=True), [values[i : i + 9].max() for i in range(length)])


def test_truth_values_stay_what_they_are() -> None:
    spoken = np.array([False, False, False, True, False, False, False])
    assert moving_maximum(spoken, 3).tolist() == [False, False, True, True, True, False, False]
    assert moving_maximum(spoken, 3).dtype == bool


def test_nothing_gives_nothing() -> None:
    empty = np.zeros(0, np.float32)
    assert [len(filtered) for filtered in (moving_maximum(empty, 5), moving_minimum(empty, 5), moving_mean(empty, 5))] == [0, 0, 0]
