"""One smooth step for numbers, arrays and tensors."""

import numpy as np
import pytest
import torch

from heygem_daemon.lipsync.geometry.smoothstep import smoothstep


@pytest.mark.parametrize(("x", "expected"), [(-1.0, 0.0), (2.0, 0.0), (3.0, 0.5), (2.5, 0.15625), (4.0, 1.0), (9.0, 1.0)])
def test_it_rises_smoothly_from_low_to_high(x: float, expected: float) -> None:
    assert smoothstep(x, 2.0, 4.0) == expected


def test_it_is_the_same_for_numbers_arrays_and_tensors() -> None:
    x = np.linspace(-0.5, 1.5, 41)
    assert smoothstep(x).tolist() == [smoothstep(float(value)) for value in x]
    assert smoothstep(torch.from_numpy(x)).tolist() == smoothstep(x).tolist()
