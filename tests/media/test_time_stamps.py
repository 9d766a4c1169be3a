"""Time stamps that start late, jump, or have holes, in every container; cut files; the track that is the video."""

import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from heygem_daemon.core.errors import InputError
from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.media.probe import check_recording, check_video
from heygem_daemon.media.reader import VideoReader
from heygem_daemon.media.speech import measure_speech
from heygem_daemon.media.time_stamps import measure
from heygem_daemon.media.types import MediaInfo, VideoStream
from tests.media.conftest import MakeFile, ffmpeg

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-threads", 1, "-bf", 2, "-g", 25, "-pix_fmt", "yuv420p")
AAC = ("-c:a", "aac")
CONTAINERS = {
    "a.mp4": (*X264, *AAC),
    "faststart.mp4": (*X264, *AAC, "-movflags", "faststart"),
    "fragmented.mp4": (*X264, *AAC, "-movflags", "frag_keyframe+empty_moov+delay_moov"),
    "a.mov": (*X264, *AAC),
    "a.mkv": (*X264, *AAC),
    "a.webm": ("-c:v", "libvpx", "-threads", 1, "-b:v", "500k", "-deadline", "realtime", "-c:a", "libopus"),
    "a.ts": (*X264, *AAC),
    "a.m2ts": (*X264, *AAC, "-mpegts_m2ts_mode", 1),
    "a.mpg": ("-c:v", "mpeg2video", "-c:a", "mp2"),
    "a.flv": (*X264, *AAC),
    "a.ogv": ("-c:v", "libtheora", "-c:a", "libvorbis"),
    "a.mxf": ("-c:v", "mpeg2video", "-ar", 48000),
    "a.wmv": ("-c:v", "wmv2", "-c:a", "wmav2"),
}
SIZED = ("a.mp4", "faststart.mp4", "fragmented.mp4", "a.mov", "a.mkv", "a.webm", "a.flv", "a.mxf", "a.wmv")
"""Containers that declare where they end."""
BROADCAST = 26 * 3600
WRAP = 2**33 / 90_000
"""s after which the time stamps of MPEG begin again."""


@cache
def described(path: Path) -> tuple[MediaInfo, VideoStream]:
    info = check_video(path)
    assert info.video is not None
    return info, info.video


def frames(info: MediaInfo, start: int = 0, stop: int | None = None) -> list[int]:
    return [zlib.crc32(frame.y.tobytes()) for frame in VideoReader(info).frames(start, stop)]


@cache
def whole(path: Path) -> list[int]:
    return frames(described(path)[0])


@pytest.fixture(scope="session")
def late(clip: MakeFile) -> Callable[[str, float], Path]:
    """Make 3 s of moving video and audio whose time stamps begin at an offset in s."""

    @cache
    def make(name: str, offset: float) -> Path:
        options = (*CONTAINERS[name], "-output_ts_offset", offset)
        return clip(f"late{offset:g}-{name}", *options, seconds=3, audio=True)

    return make


@pytest.mark.family(16)
@pytest.mark.parametrize(
    ("name", "offset"), [*((name, 5) for name in CONTAINERS), ("a.ts", BROADCAST), ("a.mpg", BROADCAST), ("a.mp4", BROADCAST)]
)
def test_a_video_that_starts_late_is_the_same_video(late: Callable[[str, float], Path], name: str, offset: float) -> None:
    info, video = described(late(name, offset))
    _, expected = described(late(name, 0))
    assert video.frames == len(whole(info.path)) == 75
    assert video.seconds == pytest.approx(3, abs=0.05)
    assert not info.warnings
    if name not in {"a.webm", "a.ogv"}:  # whose encoders depend on the time stamps
        assert whole(info.path) == whole(late(name, 0))
    assert video.frame_rate == expected.frame_rate == 25


@pytest.mark.family(6)
@pytest.mark.parametrize("name", CONTAINERS)
def test_audio_keeps_its_place_beside_a_video_that_starts_late(late: Callable[[str, float], Path], name: str) -> None:
    relations = []
    for offset in (0, 5):
        info, video = described(late(name, offset))
        assert info.audio is not None
        relations.append(float(video.start - info.audio.start))
    assert relations[1] == pytest.approx(relations[0], abs=0.03)


@pytest.mark.family(4)
@pytest.mark.parametrize("name", [name for name in CONTAINERS if name not in {"a.mpg", "a.ogv"}])
def test_a_frame_is_the_same_after_a_seek_in_a_video_that_starts_late(late: Callable[[str, float], Path], name: str) -> None:
    info, video = described(late(name, 5))
    assert video.is_seekable
    for start in (20, 51):
        assert frames(info, start, start + 4) == whole(info.path)[start : start + 4]


@pytest.mark.family(4)
@pytest.mark.parametrize("name", ["fragmented.mp4", "a.mkv", "a.ts", "a.mpg", "a.flv"])
def test_time_stamps_before_zero_are_only_an_offset(late: Callable[[str, float], Path], name: str) -> None:
    info, video = described(late(name, -1))
    assert video.frames == VideoReader(info).frame_count() == 75


def test_time_stamps_that_wrap_are_continuous(late: Callable[[str, float], Path]) -> None:
    info, _ = described(late("a.ts", WRAP - 2))
    assert frames(info) == whole(late("a.ts", 0))


@pytest.mark.family(7)
@pytest.mark.parametrize("fraction", [0.5, 0.99])
@pytest.mark.parametrize("name", SIZED)
def test_a_video_that_lacks_its_end_is_truncated(late: Callable[[str, float], Path], tmp_path: Path, name: str, fraction: float) -> None:
    data = late(name, 5).read_bytes()
    path = tmp_path / name
    path.write_bytes(data[: int(len(data) * fraction)])
    with pytest.raises(InputError) as caught:
        check_video(path)
    assert caught.value.code == "video_truncated"


@pytest.mark.family(2)
@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
def test_subtitles_and_chapters_that_end_late_cut_nothing(late: Callable[[str, float], Path], tmp_path: Path, name: str) -> None:
    (tmp_path / "late.srt").write_text("1\n00:00:00,500 --> 00:02:00,000\nlong\n")
    (tmp_path / "chapters.txt").write_text(";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1\nSTART=0\nEND=300\ntitle=all\n")
    codec = "srt" if name == "a.mkv" else "mov_text"
    inputs = ("-i", late(name, 0), "-i", tmp_path / "late.srt", "-i", tmp_path / "chapters.txt")
    ffmpeg(*inputs, "-map", 0, "-map", 1, "-map_chapters", 2, "-c", "copy", "-c:s", codec, tmp_path / name)
    info, _ = described(tmp_path / name)
    assert VideoReader(info).frame_count() == 75
    assert check_recording(tmp_path / name).audio is not None


def test_audio_that_ends_early_cuts_nothing(clip: MakeFile, tone: MakeFile, tmp_path: Path) -> None:
    for name in ("short.mp4", "short.mkv"):
        ffmpeg("-i", clip("plain.mp4"), "-i", tone("brief.wav", "-t", 0.5), "-c:v", "copy", "-c:a", "aac", tmp_path / name)
        assert VideoReader(check_video(tmp_path / name)).frame_count() == 50


# -- holes and restarts -------------------------------------------------------------------------------------------------


@pytest.mark.family(3)
@pytest.mark.parametrize("hole", [20, 600])
@pytest.mark.parametrize("name", ["hole.mp4", "hole.mkv", "hole.flv", "hole.ts"])
def test_a_hole_in_the_time_stamps_is_left_out(clip: MakeFile, name: str, hole: int) -> None:
    stretched = f"setpts=PTS+gte(T\\,1)*{hole}/TB"
    options = ("-fps_mode", "passthrough", *X264, "-bf", 0)
    info, video = described(clip(f"{hole}-{name}", *options, filters=stretched))
    assert video.frames == 50
    assert video.frame_rate == 25
    assert not video.is_variable
    assert not video.is_seekable
    found = frames(info)
    assert len(found) == len(set(found)) == 50
    assert f"{hole} s" in info.warnings[WarningCode.TIME_STAMP_GAP]
    assert frames(info, 30, 34) == found[30:34]


def test_a_frame_that_is_held_for_a_while_is_no_hole(clip: MakeFile) -> None:
    info, _ = described(clip("held.mp4", "-fps_mode", "passthrough", *X264, filters="setpts=PTS+gte(T\\,1)*4/TB"))
    assert WarningCode.TIME_STAMP_GAP not in info.warnings
    assert VideoReader(info).frame_count() == pytest.approx(150, abs=1)


@pytest.mark.family(8)
@pytest.mark.parametrize("name", ["a.mpg", "b.mpg", "c.mpg", "a.vob", "a.ts", "a.m2ts", "a.mkv", "a.webm"])
def test_appended_videos_are_read_whole_and_move(clip: MakeFile, tmp_path: Path, name: str) -> None:
    options = {
        "a.mpg": ("-c:v", "mpeg2video", "-threads", 1),  # its last packets have no presentation time
        "b.mpg": ("-c:v", "mpeg2video", "-threads", 1, "-bf", 2),
        "c.mpg": ("-c:v", "mpeg2video", "-threads", 3),
        "a.vob": ("-c:v", "mpeg2video", "-threads", 1, "-f", "vob"),
        "a.webm": CONTAINERS["a.webm"][:8],
    }
    parts = [clip(f"{length}s-{name}", *options.get(name, X264), seconds=length, audio=True) for length in (3, 2)]
    (tmp_path / name).write_bytes(b"".join(part.read_bytes() for part in parts))
    info, video = described(tmp_path / name)
    assert video.seconds == pytest.approx(5, abs=0.1)
    assert video.frames == 125
    assert frames(info) == [*whole(parts[0]), *whole(parts[1])]
    assert WarningCode.JOINED_FILES in info.warnings
    assert float(measure_speech(check_recording(tmp_path / name)).seconds) == pytest.approx(5, abs=0.15)


def test_a_timeline_knows_its_holes_restarts_and_key_frames() -> None:
    def packets(times: list[float], keys: list[int]) -> npt.NDArray[np.float64]:
        return np.array([[time, time, 0.1, key] for time, key in zip(times, keys, strict=True)])

    found = measure(packets([10.0, 10.1, 10.2, 30.2, 30.3, 5.0, 5.1], [1, 0, 0, 1, 0, 1, 0]))
    assert (found.packets, found.holes, found.restarts) == (7, (20.0,), 1)
    assert found.seconds == pytest.approx(0.7)
    assert found.key_interval == pytest.approx(0.4)
    reordered = measure(np.array([[time, np.nan, np.nan, 1] for time in (0.0, 0.12, 0.04, 0.08, 0.16)]))
    assert reordered.is_steady
    assert reordered.seconds == pytest.approx(0.2)


@pytest.mark.parametrize("delays", [[1, 1, 1, 1, 1], [1, 3, 0, 0, 1]], ids=["in order", "reordered"])
def test_a_last_packet_without_a_presentation_time_is_as_long_as_the_others(delays: list[int]) -> None:
    packets = np.array([[0.2 * (number + delay), 0.2 * number, 0.2, number == 0] for number, delay in enumerate(delays)])
    whole, cut = measure(packets), packets.copy()
    cut[-1, 0] = np.nan
    assert measure(cut).seconds == pytest.approx(whole.seconds)
    assert measure(np.concatenate([cut, cut])).seconds == pytest.approx(2 * whole.seconds)


# -- the track that is the video ----------------------------------------------------------------------------------------

STILL = "color=red:s=640x480:r=25:d=0.04"
SECOND_TRACKS = {
    "one frame.mp4": (STILL, ("-c:v", "libx264")),
    "one frame.mkv": (STILL, ("-c:v", "libx264")),
    "one frame.ts": (STILL, ("-c:v", "libx264")),
    "one jpeg.mp4": (STILL, ("-c:v:0", "mjpeg", "-c:v:1", "libx264")),
    "one png.mkv": (STILL, ("-c:v:0", "png", "-c:v:1", "libx264")),
    "marked default.mp4": (STILL, ("-c:v", "libx264", "-disposition:v:0", "default", "-disposition:v:1", 0)),
    "cover.mp4": (STILL, ("-c:v:0", "mjpeg", "-c:v:1", "libx264", "-disposition:v:0", "attached_pic")),
    "intro.mp4": ("testsrc=s=640x480:r=25:d=1", ("-c:v", "libx264")),
    "intro.mkv": ("testsrc=s=640x480:r=25:d=1", ("-c:v", "libx264")),
    "previews.mkv": ("testsrc=s=640x480:r=1:d=6", ("-c:v", "libx264")),
    "not default.mp4": ("testsrc=s=640x480:r=25:d=6", ("-c:v", "libx264", "-disposition:v:0", 0, "-disposition:v:1", "default")),
    "depth.mkv": ("testsrc=s=640x480:r=25:d=6,format=gray", ("-c:v", "ffv1", "-disposition:v", "default")),
    "smaller.mp4": ("testsrc=s=80x60:r=25:d=6", ("-c:v", "libx264", "-disposition:v", "default")),
}


@pytest.mark.family(4)
@pytest.mark.parametrize("name", SECOND_TRACKS)
def test_the_track_that_moves_is_the_video(tmp_path: Path, name: str) -> None:
    """The second track comes first in the file, and is larger but for the last one."""
    second, options = SECOND_TRACKS[name]
    inputs = ("-f", "lavfi", "-i", second, "-f", "lavfi", "-i", "testsrc2=s=160x120:r=25:d=6")
    preset = ("-preset", "ultrafast") if "libx264" in options else ()
    ffmpeg(*inputs, "-map", 0, "-map", 1, *preset, *options, tmp_path / name)
    info, video = described(tmp_path / name)
    assert (video.coded_width, video.coded_height) == (160, 120)
    assert VideoReader(info).frame_count() == 150


def test_many_tracks_are_no_reason_to_refuse(clip: MakeFile, tmp_path: Path) -> None:
    (tmp_path / "words.srt").write_text("1\n00:00:00,500 --> 00:00:01,000\nword\n")
    inputs = ("-i", clip("plain.mp4"), "-f", "lavfi", "-i", "sine=d=2", "-i", tmp_path / "words.srt")
    maps = [word for stream in (0, *([1] * 20), *([2] * 20)) for word in ("-map", stream)]
    ffmpeg(*inputs, *maps, "-c:v", "copy", "-c:a", "aac", "-c:s", "srt", tmp_path / "many.mkv")
    info, _ = described(tmp_path / "many.mkv")
    assert (info.streams, len(info.audio_tracks)) == (41, 20)
