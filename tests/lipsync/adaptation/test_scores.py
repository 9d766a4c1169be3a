"""The metrics of drivers, against numbers worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from heygem_daemon.lipsync.adaptation.clips import AvClip
from heygem_daemon.lipsync.adaptation.scores import Prediction, correlation, driver_metrics, is_shut, true_fraction
from tests.lipsync.adaptation.conftest import make_clip, syllables


def clip_of(opening: object, name: str = "a") -> AvClip:
    """A clip whose mouth opens like this; its width follows."""
    values = np.asarray(opening, np.float32)
    clip = make_clip(name, "p", seed=1, seconds=1)
    return replace(clip, times=np.arange(len(values)) / 25, opening=values, width=0.5 + 0.2 * values)


def predicted(opening: object, width: object = None) -> Prediction:
    values = np.asarray(opening, np.float32)
    return Prediction(opening=values, width=0.5 + 0.2 * values if width is None else np.asarray(width, np.float32))


TRUE = [0.0] * 8 + [0.2] * 12
"""8 instants with shut lips, 12 with open ones."""
PREDICTED = [0.0] * 6 + [0.5] * 2 + [0.0] * 3 + [0.5] * 9
"""6 of the 8 are found, and 3 of the 12 are false."""


def test_a_prediction_that_is_the_truth_is_perfect() -> None:
    clip = clip_of(np.clip(syllables(10, 3) - 0.1, 0, None))
    found = driver_metrics([clip], {"a": predicted(true_fraction(clip))})
    assert (found.opening_r, found.width_r) == pytest.approx((1, 1), abs=1e-5)
    assert found.amplitude == pytest.approx(1, abs=1e-5)
    assert (found.closures_hit, found.closures_false, found.clips) == (1, 0, 1)


def test_a_mouth_that_does_not_move_has_a_correlation_of_zero() -> None:
    clip = clip_of(np.clip(syllables(10, 3) - 0.1, 0, None))
    found = driver_metrics([clip], {"a": predicted(np.full(len(clip.times), 0.4))})
    assert (found.opening_r, found.width_r, found.closures_hit) == (0, 0, 0)
    assert found.amplitude == pytest.approx(0, abs=1e-6)


def test_an_example_worked_out_by_hand() -> None:
    """Phi of the table (6 2 / 3 9) is (6 x 9 - 2 x 3) / sqrt(8 x 12 x 9 x 11); the deviations are sqrt(.4 x .6) and .5 sqrt(.45 x .55)."""
    found = driver_metrics([clip_of(TRUE)], {"a": predicted(PREDICTED)})
    assert found.opening_r == pytest.approx(48 / np.sqrt(8 * 12 * 9 * 11), abs=1e-5)
    assert found.amplitude == pytest.approx(0.5 * np.sqrt(0.45 * 0.55) / np.sqrt(0.4 * 0.6), abs=1e-5)
    assert found.closures_hit == 6 / 8
    assert found.closures_false == 3 / 12


def test_a_mouth_that_does_the_opposite_is_worse_than_none() -> None:
    found = driver_metrics([clip_of(TRUE)], {"a": predicted(0.2 - np.array(TRUE))})
    assert found.opening_r == pytest.approx(-1, abs=1e-5)
    assert (found.closures_hit, found.closures_false) == (0, 1)


def test_the_opening_and_the_width_are_measured_apart() -> None:
    found = driver_metrics([clip_of(TRUE)], {"a": predicted(PREDICTED, -np.array(TRUE))})
    assert found.width_r == pytest.approx(-1, abs=1e-5)
    assert found.opening_r > 0


def test_long_clips_weigh_more_than_short_ones_but_not_in_the_mean_of_clips() -> None:
    long, short = clip_of(TRUE * 3, "long"), clip_of(TRUE, "short")
    found = driver_metrics([long, short], {"long": predicted(TRUE * 3), "short": predicted(-np.array(TRUE))})
    assert found.opening_r == pytest.approx(0.5, abs=1e-5)
    assert (found.opening_r_mean, found.opening_r_median) == pytest.approx((0, 0), abs=1e-5)
    assert found.clips == 2


def test_closures_are_counted_over_all_clips_but_not_where_a_mouth_hardly_ever_shuts() -> None:
    rarely = clip_of([0.0] * 5 + [0.2] * 15, "rarely")
    found = driver_metrics([clip_of(TRUE), rarely], {"a": predicted(PREDICTED), "rarely": predicted([0.5] * 10 + [0.0] * 5 + [0.5] * 5)})
    assert found.closures_hit == 6 / 8
    assert found.closures_false == (3 + 5) / (12 + 15)


def test_clips_without_a_prediction_are_left_out() -> None:
    both = driver_metrics([clip_of(TRUE), clip_of(TRUE, "b")], {"a": predicted(PREDICTED)})
    assert both == driver_metrics([clip_of(TRUE)], {"a": predicted(PREDICTED)})


def test_lips_are_shut_below_fifteen_percent_of_the_curves_own_range() -> None:
    opening = np.concatenate([np.full(80, 2.0), [0.0, 0.29, 0.31]]).astype(np.float32)
    assert is_shut(opening)[-3:].tolist() == [True, True, False]
    assert not is_shut(opening)[:80].any()


def test_the_scale_of_the_footage_does_not_matter() -> None:
    small, large = clip_of(TRUE), clip_of(10 * np.array(TRUE))
    assert driver_metrics([small], {"a": predicted(PREDICTED)}).amplitude == pytest.approx(
        driver_metrics([large], {"a": predicted(PREDICTED)}).amplitude
    )


def test_the_correlation_with_what_does_not_move_is_zero() -> None:
    still, moving = np.full(10, 0.3, np.float32), np.arange(10, dtype=np.float32)
    assert correlation(still, moving) == correlation(moving, still) == correlation(still, still) == 0
