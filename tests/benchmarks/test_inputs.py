"""The inputs of the benchmark are made once, of the sizes, frame rates and lengths that are asked for."""

from pathlib import Path

import pytest

from benchmarks.speed.floor import transcode
from benchmarks.speed.inputs import Inputs, own_name
from heygem_daemon.media.probe import probe


@pytest.mark.parametrize(
    ("width", "height", "codec", "name"),
    [(844, 844, "h264", "844"), (1080, 1920, "hevc", "1080 hevc"), (1280, 720, "h264", "720")],
)
def test_a_clip_is_named_by_its_shorter_side_and_an_unusual_codec(width: int, height: int, codec: str, name: str) -> None:
    assert own_name(width, height, codec) == name


@pytest.mark.slow
def test_a_clip_of_any_size_and_rate_is_made_once(portrait_clip: Path, tmp_path: Path) -> None:
    inputs = Inputs(folder=tmp_path, clip=portrait_clip)
    made = inputs.video("480p", fps=60, seconds=0.5)
    video = probe(made).video
    assert video is not None
    assert (video.width, video.height, float(video.frame_rate), video.frames) == (854, 480, 60.0, 30)
    before = made.stat().st_mtime_ns
    assert inputs.video("480p", fps=60, seconds=0.5) == made
    assert made.stat().st_mtime_ns == before
    assert sorted(tmp_path.iterdir()) == [made]


def test_the_floor_is_a_transcode_of_as_many_frames_and_leaves_nothing(portrait_clip: Path, tmp_path: Path) -> None:
    cost = transcode(portrait_clip, 60, tmp_path / "plain.mp4")
    assert cost.cpu > 0
    assert list(tmp_path.iterdir()) == []
