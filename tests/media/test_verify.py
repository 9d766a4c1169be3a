"""Check results: none with an error passes."""

import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from heygem_daemon.core.errors import EngineError
from heygem_daemon.media import commands
from heygem_daemon.media.verify import verify_result, verifying
from tests.media.conftest import MakeFile

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac")
EXPECTED: dict[str, Any] = {"frames": 50, "frame_rate": Fraction(25), "seconds": 2.0, "size": (160, 120)}


@pytest.fixture(scope="module")
def result(clip: MakeFile) -> Path:
    return clip("result.mp4", *X264, audio=True)


def test_a_correct_result_passes(result: Path) -> None:
    verify_result(result, **EXPECTED)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"frames": 51}, "50 frames and not 51"),
        ({"frame_rate": Fraction(24)}, "frame rate is 25 and not 24"),
        ({"seconds": 2.2}, "audio lasts 2.0"),
        ({"size": (160, 122)}, "160x120 pixels and not 160x122"),
    ],
)
def test_what_differs_is_named(result: Path, wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(EngineError, match=words) as caught:
        verify_result(result, **(EXPECTED | wrong))
    assert caught.value.code == "result_invalid"


def test_a_result_without_audio_is_invalid(clip: MakeFile) -> None:
    with pytest.raises(EngineError, match="tracks"):
        verify_result(clip("plain.mp4"), **EXPECTED)


def test_a_damaged_result_is_invalid(result: Path, tmp_path: Path) -> None:
    data = bytearray(result.read_bytes())
    middle = data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 3
    data[middle : middle + 400] = bytes(range(200)) * 2
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    with pytest.raises(EngineError) as caught:
        verify_result(path, **EXPECTED)
    assert caught.value.code == "result_invalid"


def test_a_truncated_result_is_invalid(result: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(result.read_bytes()[:-2000])
    with pytest.raises(EngineError) as caught:
        verify_result(path, **EXPECTED)
    assert caught.value.code == "result_invalid"


def test_audio_that_starts_late_is_invalid(tone: MakeFile, clip: MakeFile) -> None:
    video = clip("plain.mp4")
    late = tone(
        "late.mp4", "-i", video, "-map", "1:v", "-map", "0:a", "-c:v", "copy", "-c:a", "aac", "-af", "asetpts=PTS+.3/TB", seconds=2.2
    )
    with pytest.raises(EngineError, match="starts at"):
        verify_result(late, **EXPECTED)


def test_an_error_beside_the_verification_stops_it(result: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C must not wait until hours of video are decoded."""
    monkeypatch.setattr(commands, "count_frames", lambda _: ("sleep", "60"))
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), verifying(result, **EXPECTED):
        raise KeyboardInterrupt
    assert time.monotonic() - began < 30
