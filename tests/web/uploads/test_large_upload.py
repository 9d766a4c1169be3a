"""Uploads into a real process of the page: memory stays flat, and a cut changes nothing."""

from pathlib import Path

import pytest

from benchmarks.upload import MEGABYTE, measure


@pytest.mark.parametrize("size", [100 * MEGABYTE, pytest.param(2000 * MEGABYTE, marks=pytest.mark.slow)])
def test_a_large_upload_takes_little_memory_and_survives_a_cut(tmp_path: Path, size: int) -> None:
    result = measure(size, tmp_path)
    assert result.is_same
    assert size // 2 - 4 * MEGABYTE <= result.offset <= size // 2
    assert result.peak < 200 * MEGABYTE
