"""What a look at some frames changes, and what happens where there is none."""

from fractions import Fraction

import pytest

from heygem_daemon.core.errors import error
from heygem_daemon.media import survey
from heygem_daemon.media.probe import check_video
from heygem_daemon.media.run import answered
from heygem_daemon.media.streams import Json
from heygem_daemon.media.tool_ends import Completed
from heygem_daemon.media.types import DEFAULT_LIMITS, MediaLimits, Source, VideoStream
from tests.media.conftest import MakeFile

TRACK: Json = {"r_frame_rate": "25/1", "avg_frame_rate": "25/1"}


def looked_at(clip: MakeFile, limits: MediaLimits = DEFAULT_LIMITS) -> tuple[VideoStream, VideoStream]:
    """The stream of a plain video, and what the survey makes of it."""
    info = check_video(clip("plain.mp4"))
    assert info.video is not None
    return info.video, survey.surveyed(Source(path=info.path, demuxer=info.demuxer), info.video, TRACK, limits)


def test_an_ordinary_video_is_as_its_header_says(clip: MakeFile) -> None:
    before, after = looked_at(clip)
    assert after == before


@pytest.mark.parametrize("output", [b"", b"{", b"{}", b'{"frames": []}', b'{"frames": [{"width": 0, "height": 0}]}'])
def test_an_answer_without_frames_changes_nothing(clip: MakeFile, monkeypatch: pytest.MonkeyPatch, output: bytes) -> None:
    monkeypatch.setattr(survey, "capture", lambda *_, **__: Completed(code=0, stdout=output, stderr="", answer=answered(output, "frames")))
    before, after = looked_at(clip)
    assert after == before


def test_a_look_that_takes_too_long_changes_nothing(clip: MakeFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_long(*_: object, **__: object) -> Completed:
        raise error("file_too_costly", name="a.mp4", seconds=20.0)

    monkeypatch.setattr(survey, "capture", too_long)
    before, after = looked_at(clip)
    assert after == before


def test_no_frame_beyond_the_limit_is_decoded(clip: MakeFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> Completed:
        raise AssertionError

    info = check_video(clip("plain.mp4"))
    monkeypatch.setattr(survey, "capture", forbidden)
    assert info.video is not None
    source = Source(path=info.path, demuxer=info.demuxer)
    assert survey.surveyed(source, info.video, TRACK, MediaLimits(megapixels=0.01)) == info.video


@pytest.mark.parametrize(
    ("shapes", "common"),
    [
        (["320x240"] * 9 + ["640x480"] * 7, "320x240"),
        (["320x240"] * 8 + ["640x480"] * 8, "640x480"),
        (["1280x720"] + ["160x120"] * 3, "160x120"),
    ],
)
def test_the_shape_of_most_frames_counts(clip: MakeFile, monkeypatch: pytest.MonkeyPatch, shapes: list[str], common: str) -> None:
    frames = [f'{{"width": {shape.split("x")[0]}, "height": {shape.split("x")[1]}, "sample_aspect_ratio": "4:3"}}' for shape in shapes]
    output = f'{{"frames": [{",".join(frames)}]}}'.encode()
    answer = Completed(code=0, stdout=output, stderr="", answer=answered(output, "frames"))
    monkeypatch.setattr(survey, "capture", lambda *_, **__: answer)
    _, after = looked_at(clip)
    assert f"{after.width}x{after.height}" == common
    assert after.changes_shape
    assert after.sample_aspect == Fraction(4, 3)
