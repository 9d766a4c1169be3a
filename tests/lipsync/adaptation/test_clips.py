"""Clips are read from files as they were written, and files that are none are refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heygem_daemon.lipsync.adaptation.clips import people, read_clip, read_clips
from tests.lipsync.adaptation.conftest import make_clip

FRAMES = 30


def write_clip(path: Path, *, person: str = "a", lag: float = 0.04, without: str = "") -> dict[str, Any]:
    """Write a clip's file as docs/learning.md has it; return its arrays."""
    rng = np.random.default_rng(len(path.stem))
    arrays: dict[str, Any] = {
        "person": np.array(person),
        "audio": rng.integers(-32768, 32768, 20000).astype(np.int16),
        "t": np.arange(FRAMES) / 25 + 0.1,
        "av_lag": np.array(lag),
        "raw": rng.random(FRAMES).astype(np.float32),
        "P": rng.random((FRAMES, 5)).astype(np.float32),
        "lips": rng.random((FRAMES, 40, 3)).astype(np.float32),
    }
    np.savez(path, **{name: value for name, value in arrays.items() if name != without})
    return arrays


def test_a_clip_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = write_clip(tmp_path / "a-0001.npz")
    clip = read_clip(tmp_path / "a-0001.npz")
    assert (clip.name, clip.person, clip.lag) == ("a-0001", "a", 0.04)
    np.testing.assert_allclose(clip.audio, written["audio"] / 32768, atol=1e-6)
    assert np.abs(clip.audio).max() <= 1
    assert np.array_equal(clip.opening, written["raw"])
    assert np.array_equal(clip.width, written["P"][:, 1])
    assert np.array_equal(clip.lips, written["lips"])
    assert [array.dtype.name for array in (clip.audio, clip.times, clip.lips)] == ["float32", "float64", "float32"]
    assert clip.seconds == pytest.approx((FRAMES - 1) / 25)


def test_a_mouth_that_is_late_belongs_to_an_earlier_moment(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.npz", lag=0.04)
    clip = read_clip(tmp_path / "a.npz")
    np.testing.assert_allclose(clip.true_times, clip.times - 0.04)


@pytest.mark.parametrize("name", ["person", "audio", "t", "av_lag", "raw", "P", "lips"])
def test_a_clip_without_one_of_its_arrays_is_refused(tmp_path: Path, name: str) -> None:
    write_clip(tmp_path / "a.npz", without=name)
    with pytest.raises(KeyError, match=name):
        read_clip(tmp_path / "a.npz")


def test_a_file_that_is_no_clip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_text("no numbers")
    with pytest.raises(ValueError, match="pickle"):
        read_clip(tmp_path / "a.npz")


def test_a_clip_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_clip(tmp_path / "a.npz")


def test_the_clips_of_a_folder_come_by_name_and_nothing_else_does(tmp_path: Path) -> None:
    for name in ("b-1", "a-2", "a-1"):
        write_clip(tmp_path / f"{name}.npz")
    (tmp_path / "notes.txt").write_text("x")
    assert [clip.name for clip in read_clips(tmp_path)] == ["a-1", "a-2", "b-1"]


def test_everybody_is_named_once() -> None:
    assert people([make_clip(str(i), person, seed=i, seconds=1) for i, person in enumerate("bab")]) == ["a", "b"]
