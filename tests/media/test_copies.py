"""The small copy of a video that every browser plays."""

from pathlib import Path

import numpy as np
import pytest

from heygem_daemon.media import commands
from heygem_daemon.media.probe import check_video
from heygem_daemon.media.reader import VideoReader
from heygem_daemon.media.run import capture
from heygem_daemon.media.types import MediaInfo
from tests.media.conftest import X264, Decode, MakeFile, Turn, ffmpeg


def copy_of(source: Path, path: Path, *, longest: int = 640, seconds: float = 60.0) -> MediaInfo:
    end = capture(commands.encode_preview(check_video(source), path, longest=longest, seconds=seconds), seconds=60)
    assert (end.code, end.stderr) == (0, "")
    return check_video(path)


@pytest.mark.family(3)
@pytest.mark.parametrize("rate", ["24000/1001", "25", "60"])
def test_a_frame_of_the_copy_is_the_frame_of_the_source_with_its_number(clip: MakeFile, tmp_path: Path, rate: str) -> None:
    source = clip(f"source-{rate.replace('/', '-')}.mp4", rate=rate)
    info = copy_of(source, tmp_path / "copy.mp4")
    assert info.video is not None
    originals, copies = (list(VideoReader(check_video(path)).frames()) for path in (source, tmp_path / "copy.mp4"))
    assert len(copies) == len(originals)
    assert (str(info.video.frame_rate), float(info.video.start)) == (rate, 0)
    for number in (0, 7, len(copies) - 1):
        errors = [np.abs(copies[number].y.astype(int) - original.y).mean() for original in originals]
        assert int(np.argmin(errors)) == number


@pytest.mark.parametrize(
    ("size", "filters", "expected"),
    [
        ("160x120", "null", (160, 120)),
        ("1280x720", "null", (640, 360)),
        ("320x240", "setsar=2", (640, 240)),
        ("126x162", "null", (126, 162)),
    ],
)
def test_it_has_square_pixels_and_a_bounded_size(
    clip: MakeFile, tmp_path: Path, size: str, filters: str, expected: tuple[int, int]
) -> None:
    source = clip(f"shape-{size}-{filters}.mp4", *X264, size=size, filters=filters, seconds=0.4)
    video = copy_of(source, tmp_path / "copy.mp4").video
    assert video is not None
    assert (video.width, video.height) == expected
    assert video.sample_aspect == 1


@pytest.mark.family(2)
@pytest.mark.parametrize(("angle", "size"), [(90, (120, 160)), (180, (160, 120))])
def test_it_is_upright(clip: MakeFile, turned: Turn, tmp_path: Path, angle: int, size: tuple[int, int]) -> None:
    source = turned(clip("plain.mp4"), angle)
    video = copy_of(source, tmp_path / "copy.mp4").video
    assert video is not None
    assert ((video.width, video.height), video.rotation) == (size, 0)
    original, copied = (next(VideoReader(check_video(path)).frames(5, 6)).y.astype(int) for path in (source, tmp_path / "copy.mp4"))
    assert np.abs(original - copied).mean() < 6


def test_audio_that_begins_later_stays_there(clip: MakeFile, tmp_path: Path, decoded: Decode) -> None:
    source = tmp_path / "late.mkv"
    ffmpeg("-i", clip("plain.mp4"), "-itsoffset", 0.7, "-f", "lavfi", "-i", "sine=440:d=1", "-c:v", "copy", "-c:a", "flac", source)
    copy_of(source, tmp_path / "copy.mp4")
    samples = decoded(tmp_path / "copy.mp4", "-map", "0:a", "-ac", 1, "-ar", 8000, "-f", "f32le").view(np.float32)
    first = int(np.flatnonzero(np.abs(samples) > 0.02)[0]) / 8000
    assert first == pytest.approx(0.7, abs=0.05)


def test_of_a_long_video_the_beginning_is_copied(clip: MakeFile, tmp_path: Path) -> None:
    info = copy_of(clip("loud.mp4", *X264, "-c:a", "aac", audio=True), tmp_path / "copy.mp4", seconds=0.8)
    assert info.video is not None
    assert info.audio is not None
    assert info.video.frames == 20
    assert info.audio.seconds == pytest.approx(0.8, abs=0.03)


def test_its_index_comes_first_and_it_says_nothing_about_the_source(clip: MakeFile, tmp_path: Path) -> None:
    source = clip("named.mp4", *X264, "-metadata", "title=secret")
    copy_of(source, tmp_path / "copy.mp4")
    data = (tmp_path / "copy.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert b"secret" not in data
