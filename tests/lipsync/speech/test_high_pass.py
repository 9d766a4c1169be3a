"""The high-pass is a Butterworth filter, the same for any blocks."""

import numpy as np
import pytest
import scipy.signal

from heygem_daemon.lipsync.speech.high_pass import HighPass, filter_in_place, high_pass_coefficients


@pytest.mark.parametrize("corner", [40.0, 80.0, 1000.0])
def test_the_coefficients_are_those_of_scipy(corner: float) -> None:
    sections = scipy.signal.butter(2, corner, "high", fs=16000, output="sos")
    np.testing.assert_allclose(high_pass_coefficients(corner, 16000), sections[0][[0, 1, 2, 4, 5]], rtol=1e-12)


def test_with_the_same_coefficients_every_sample_is_that_of_scipy() -> None:
    sections = scipy.signal.butter(2, 80.0, "high", fs=16000, output="sos")
    samples = np.random.default_rng(0).normal(size=16000)
    filtered = samples.copy()
    filter_in_place(filtered, sections[0][[0, 1, 2, 4, 5]].copy(), np.zeros(2))
    assert np.array_equal(filtered, scipy.signal.sosfilt(sections, samples))


def test_blocks_do_not_matter() -> None:
    samples = np.random.default_rng(1).normal(size=5000).astype(np.float32)
    in_parts = HighPass(80.0, 16000)
    parts = [in_parts.push(part) for part in np.split(samples, [1, 2, 700, 700, 4999])]
    assert np.array_equal(np.concatenate(parts), HighPass(80.0, 16000).push(samples))
