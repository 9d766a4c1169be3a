"""The opening of lips, and the offset between two curves."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heygem_daemon.lipsync.geometry.mouth_metrics import lip_opening, sync_offset

RATE = Fraction(25)


def curve(times: np.ndarray) -> np.ndarray:
    """A smooth curve without period."""
    return np.sin(2.1 * times) + 0.7 * np.sin(5.3 * times + 1) + 0.4 * np.sin(11.9 * times + 2)


def test_opening_is_the_inner_lips_over_the_eye_corners_in_three_dimensions() -> None:
    points = np.zeros((2, 468, 3), np.float32)
    points[:, 33], points[:, 263] = (0, 0, 0), (3, 4, 12)
    points[:, 13], points[:, 14] = (1, 1, 1), (1, 2.3, 1)
    points[1] = np.nan
    opening = lip_opening(points)
    assert opening.dtype == np.float32
    assert opening[0] == pytest.approx(0.1)
    assert np.isnan(opening[1])


@given(st.floats(-9, 9), st.sampled_from([RATE, Fraction(30000, 1001), Fraction(60)]))
def test_the_offset_is_found_between_frames(frames_late: float, rate: Fraction) -> None:
    times = np.arange(250) / float(rate)
    late = frames_late / float(rate)
    offset, r = sync_offset(curve(times), 0.3 + 0.5 * curve(times - late), rate)
    assert offset == pytest.approx(late * 1000, abs=3)
    assert r > 0.99


def test_frames_without_a_face_are_left_out() -> None:
    times = np.arange(250) / 25
    target, measured = curve(times), curve(times - 0.08)
    measured[40:90] = np.nan
    target[200:205] = np.nan
    offset, r = sync_offset(target, measured, RATE)
    assert offset == pytest.approx(80, abs=2)
    assert r > 0.99


def test_a_mouth_that_does_not_move_has_no_offset() -> None:
    assert np.isnan(sync_offset(curve(np.arange(100) / 25), np.full(100, 0.2), RATE)).all()


@pytest.mark.parametrize("frames", [0, 1, 7])
def test_too_few_frames_have_no_offset(frames: int) -> None:
    times = np.arange(frames) / 25
    assert np.isnan(sync_offset(curve(times), curve(times), RATE)).all()
