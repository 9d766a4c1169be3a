"""What a video costs is bounded by what is shown of it, whatever its container says."""

import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from heygem_daemon.core.errors import HeygemError
from heygem_daemon.lipsync.needed_frames import LEARNED_FRAMES, LEARNED_SECONDS, shown_part
from heygem_daemon.media import commands
from heygem_daemon.media.declared import Structure
from heygem_daemon.media.probe import check_recording, check_video
from heygem_daemon.media.reader import VideoReader, fingerprint, ping_pong
from heygem_daemon.media.structure import structure
from heygem_daemon.media.types import DEFAULT_LIMITS, VideoStream
from tests.media.conftest import X264, MakeFile, ffmpeg


def sparse(path: Path, rate: str, seconds: int, *options: object) -> Path:
    ffmpeg("-f", "lavfi", "-i", f"color=gray:s=64x64:r={rate}:d={seconds}", *(options or X264), path)
    return path


@pytest.mark.family(4)
@pytest.mark.parametrize(
    ("name", "rate", "seconds", "options"),
    [
        ("a.mp4", "1/5", 6000, ()),
        ("b.mkv", "1/4", 400, ()),
        ("c.avi", "1/4", 400, ("-c:v", "mpeg4")),
        ("d.gif", "1/4", 400, ("-c:v", "gif")),
        ("e.mp4", "1/100", 6000, ()),
        ("f.mkv", "1/1000", 6000, ()),
        ("g.webm", "1/3", 400, ("-c:v", "libvpx", "-cpu-used", 8)),
        ("h.mov", "3/8", 400, ("-c:v", "mjpeg")),
    ],
)
def test_few_images_spread_over_hours_are_refused(tmp_path: Path, name: str, rate: str, seconds: int, options: tuple[object, ...]) -> None:
    with pytest.raises(HeygemError) as refused:
        check_video(sparse(tmp_path / name, rate, seconds, *options))
    assert refused.value.code == "video_too_sparse"
    assert "images for" in refused.value.message


@pytest.mark.parametrize(("rate", "seconds"), [("1/5", 250), ("1/2", 600), ("1", 900)])
def test_a_short_video_of_few_images_and_one_of_an_image_a_second_are_not(tmp_path: Path, rate: str, seconds: int) -> None:
    assert check_video(sparse(tmp_path / "a.mp4", rate, seconds)).video is not None


def stream(frames: int, rate: Fraction = Fraction(25)) -> VideoStream:
    return VideoStream(
        width=64, height=64, frame_rate=rate, frames=frames, seconds=float(frames / rate), codec="h264", pixel_format="yuv420p"
    )


def test_a_long_video_is_read_as_far_as_it_is_shown_and_some_minutes_at_least() -> None:
    learned = 25 * LEARNED_SECONDS
    assert shown_part(stream(learned), 100) == stream(learned)
    long = stream(25 * 10_000)
    assert shown_part(long, 100).frames == shown_part(long, learned - 1).frames == learned
    assert shown_part(long, learned).frames == shown_part(long, 2 * learned - 1).frames == 2 * learned
    assert shown_part(long, 10**9) == long
    assert shown_part(stream(10**6, Fraction(240)), 1).frames == LEARNED_FRAMES
    assert shown_part(replace(long, is_still=True), 1).end is None
    assert shown_part(long, 100).seconds == LEARNED_SECONDS
    assert shown_part(long, 100).reading not in {long.reading, shown_part(long, learned).reading}


@pytest.mark.parametrize("known", [None, 30])
def test_a_video_with_an_end_is_the_beginning_of_the_whole_one(clip: MakeFile, known: int | None) -> None:
    info = check_video(clip("whole.mp4", seconds=4))
    assert info.video is not None
    whole = [fingerprint(frame) for frame in VideoReader(info).frames()]
    assert len(whole) == 100
    part = replace(info, video=info.video.until(30))
    assert [fingerprint(frame) for frame in VideoReader(part).frames()] == whole[:30]
    assert [fingerprint(frame) for frame in VideoReader(part).frames(20, 50)] == whole[20:30]
    assert list(VideoReader(part).frames(30)) == []
    reader = VideoReader(part, frame_count=known)
    assert [fingerprint(frame) for frame in reader.play(70)] == [whole[ping_pong(i, 30)] for i in range(70)]
    assert reader.frame_count() == 30
    assert VideoReader(part).frame_count() == 30


def test_a_later_frame_that_is_much_larger_than_allowed_is_not_decoded(
    clip: MakeFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = clip("small.h264", *X264, "-f", "h264", seconds=2), clip("large.h264", *X264, "-f", "h264", size="640x480", seconds=1)
    joined = tmp_path / "joined.h264"
    joined.write_bytes(small.read_bytes() + large.read_bytes())
    assert sum(1 for _ in VideoReader(check_video(joined)).frames()) == 75
    monkeypatch.setattr(commands, "LEAST_PIXELS", 160 * 120)
    with pytest.raises(HeygemError) as refused:
        list(VideoReader(check_video(joined)).frames())
    assert refused.value.code == "video_undecodable"


def test_a_thousand_tracks_are_refused_before_they_are_opened(clip: MakeFile, tmp_path: Path) -> None:
    data = clip("tracks.mp4").read_bytes()
    header, track = (
        data[(place := data.index(name) - 4) : place + int.from_bytes(data[place : place + 4], "big")] for name in (b"mvhd", b"trak")
    )
    movie = header + track * 1000
    path = tmp_path / "many.mp4"
    path.write_bytes(data[: data.index(b"moov") - 4] + (len(movie) + 8).to_bytes(4, "big") + b"moov" + movie)
    with pytest.raises(HeygemError) as refused:
        check_video(path)
    assert refused.value.code == "too_many_streams"
    assert "more than 384 tracks" in refused.value.message


def test_a_sample_rate_that_no_converter_has_is_refused(tone: MakeFile, tmp_path: Path) -> None:
    data = bytearray(tone("a.caf").read_bytes())
    place = data.index(b"desc") + 12
    data[place : place + 8] = bytes.fromhex("7feffffffffffff0")
    path = tmp_path / "fast.caf"
    path.write_bytes(data)
    with pytest.raises(HeygemError) as refused:
        check_recording(path)
    assert refused.value.code == "audio_unreadable"


def test_boxes_without_end_inside_tracks_are_not_counted(tmp_path: Path) -> None:
    def box(name: bytes, content: bytes) -> bytes:
        return (len(content) + 8).to_bytes(4, "big") + name + content

    path = tmp_path / "bomb.mp4"
    track = box(b"trak", box(b"mdia", box(b"free", b"") * 20_000))
    path.write_bytes(box(b"ftyp", b"isom") + box(b"moov", track * 100))
    began = time.process_time()
    assert structure(path, "mov", DEFAULT_LIMITS) == Structure(has_gaps=False)
    assert time.process_time() - began < 3  # s; all of them would take a minute
