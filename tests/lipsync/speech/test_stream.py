"""Streams are cut into equal blocks without losing a sample."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from heygem_daemon.lipsync.speech.stream import reblock, replace_non_finite


@given(st.lists(st.integers(0, 50), max_size=30), st.integers(1, 40))
def test_reblocking_keeps_every_sample_and_makes_equal_blocks(sizes: list[int], length: int) -> None:
    wave = np.arange(sum(sizes), dtype=np.float32)
    blocks = list(reblock(np.split(wave, np.cumsum(sizes)[:-1]) if sizes else [], length))
    assert np.array_equal(np.concatenate([*blocks, np.zeros(0, np.float32)]), wave)
    assert all(len(block) == length for block in blocks[:-1])
    assert all(0 < len(block) <= length for block in blocks[-1:])


def test_samples_that_are_no_numbers_are_replaced() -> None:
    (block,) = replace_non_finite([np.array([np.nan, np.inf, -np.inf, 0.25], np.float32)])
    assert block.tolist() == [0, 1, -1, 0.25]
