"""Frame rates too low or too high for a mouth to speak, and what a container says of them."""

from fractions import Fraction
from itertools import pairwise
from typing import Final

import pytest

from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.media.probe import check_video
from heygem_daemon.media.reader import VideoReader
from heygem_daemon.media.streams import choose_rate
from tests.media.conftest import X264, MakeFile

LOSSLESS: Final = (*X264, "-qp", 0)
NUMBERED: Final = "geq=lum='16+2*N':cb=128:cr=128"

RAISED: Final = {
    own: read
    for read, rates in {
        "24": ("1/10", "1/2", "1", "3/2", "2", "3", "4", "6", "8", "12", "24"),
        "25": ("5", "25/3", "12.5"),
        "26": ("13",),
        "27": ("9",),
        "28": ("7", "14"),
        "30": ("7.5", "10"),
        "33": ("11",),
        "36000/1001": ("12000/1001",),
        "15": ("15",),
        "15000/1001": ("15000/1001",),
        "24000/1001": ("24000/1001",),
    }.items()
    for own in rates
}
LOWERED: Final = {"240": "240", "300": "60", "480": "60", "960": "60", "1000": "1000/17", "250": "50", "120000/1001": "120000/1001"}


@pytest.mark.parametrize(("own", "read"), [*RAISED.items(), *LOWERED.items()])
def test_a_constant_rate_becomes_an_exact_multiple_or_part(own: str, read: str) -> None:
    assert choose_rate(Fraction(own), Fraction(own)) == (Fraction(read), False)


@pytest.mark.family(8)
@pytest.mark.parametrize("own", [*map(str, range(1, 15)), "7.5", "25/3", "12.5"])
def test_every_image_of_a_slow_video_is_repeated_equally_often(clip: MakeFile, own: str) -> None:
    count = max(round(Fraction(own) * 2), 3)
    path = clip(
        f"slow-{own.replace('/', '_')}.mp4", *LOSSLESS, size="64x64", rate=own, seconds=float(count / Fraction(own)), filters=NUMBERED
    )
    info = check_video(path)
    assert info.video is not None
    assert info.video.frame_rate == Fraction(RAISED[own])
    assert WarningCode.VARIABLE_FRAME_RATE not in info.warnings
    repeats = info.video.frame_rate / Fraction(own)
    shown = [round((float(frame.y.mean()) - 16) / 2) for frame in VideoReader(info).frames()]
    assert shown == [n for n in range(count) for _ in range(int(repeats))]


@pytest.mark.family(2)
@pytest.mark.parametrize("extension", ["mp4", "mkv", "webm", "avi"])
def test_a_slow_video_keeps_its_length_in_every_container(clip: MakeFile, extension: str) -> None:
    codec = {"webm": ("-c:v", "libvpx-vp9", "-lossless", 1, "-cpu-used", 8), "avi": ("-c:v", "ffv1")}.get(extension, LOSSLESS)
    info = check_video(clip(f"slides.{extension}", *codec, size="64x64", rate="2", seconds=3, filters=NUMBERED))
    assert info.video is not None
    assert info.video.frame_rate == 24
    assert [round((float(frame.y.mean()) - 16) / 2) for frame in VideoReader(info).frames()] == [n for n in range(6) for _ in range(12)]


@pytest.mark.parametrize(
    ("nominal", "average", "read"),
    [
        ("25", "1.2", "25"),
        ("30", "7", "30"),
        ("10", "7", "30"),
        ("5", "3", "25"),
        ("1000", "4.7", "24000/1001"),
        ("90000", "11", "24000/1001"),
    ],
)
def test_a_slow_variable_rate_is_read_on_a_grid_that_its_time_stamps_fit(nominal: str, average: str, read: str) -> None:
    assert choose_rate(Fraction(nominal), Fraction(average)) == (Fraction(read), True)


def test_slides_shown_for_different_times_change_at_their_time(clip: MakeFile) -> None:
    path = clip(
        "pages.mp4", *LOSSLESS, "-fps_mode", "vfr", size="64x64", rate="25", seconds=0.16, filters=f"{NUMBERED},setpts='N*N*5/25/TB'"
    )
    info = check_video(path)
    assert info.video is not None
    assert info.video.frame_rate >= Fraction(24000, 1001)
    shown = [round((float(frame.y.mean()) - 16) / 2) for frame in VideoReader(info).frames()]
    changes = [shown.index(n) / float(info.video.frame_rate) for n in range(4)]
    assert changes == pytest.approx([0, 0.2, 0.8, 1.8], abs=0.03)


@pytest.mark.family(3)
@pytest.mark.parametrize(("own", "extension"), [("240", "mp4"), ("480", "mp4"), ("480", "mkv"), ("1000", "mp4"), ("960", "mov")])
def test_slow_motion_is_read_at_an_exact_part_of_its_rate(clip: MakeFile, own: str, extension: str) -> None:
    info = check_video(
        clip(f"fast-{own}.{extension}", *LOSSLESS, size="64x64", rate=own, seconds=0.2, filters="geq=lum='16+N':cb=128:cr=128")
    )
    assert info.video is not None
    assert info.video.frame_rate == Fraction(LOWERED[own])
    step = Fraction(own) / info.video.frame_rate
    shown = [round(float(frame.y.mean()) - 16) for frame in VideoReader(info).frames()]
    assert len(shown) == pytest.approx(0.2 * float(info.video.frame_rate), abs=1)
    assert shown[0] <= step / 2
    assert [later - earlier for earlier, later in pairwise(shown[:8])] == pytest.approx([float(step)] * 7, abs=2)


def test_a_time_base_of_milliseconds_is_no_rate(clip: MakeFile) -> None:
    """Browsers write WebM without a frame rate; its time stamps are whole milliseconds."""
    path = clip(
        "browser.webm",
        "-c:v",
        "libvpx",
        "-deadline",
        "realtime",
        size="64x64",
        rate="30",
        seconds=2,
        filters="settb=1/1000,setpts=PTS+mod(N\\,2)*3",
    )
    info = check_video(path)
    assert info.video is not None
    assert info.video.frame_rate == 30
    assert len(list(VideoReader(info).frames())) == pytest.approx(60, abs=1)
