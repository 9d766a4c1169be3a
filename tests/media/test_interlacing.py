"""Interlaced frames by their own flags, whatever the container says, and film in the frames of television."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.media.frame import Frame
from heygem_daemon.media.probe import check_video
from heygem_daemon.media.reader import VideoReader
from tests.media.conftest import MakeFile, ffmpeg

BAR: Final = "format=yuv420p,geq=lum='if(lt(mod(X+8*N,160),40),200,40)':cb=128:cr=128"
"""A bar that moves by 8 pixels a field: as a comb its edges have every other line of the one and of the other field."""
X264: Final = ("-c:v", "libx264", "-preset", "ultrafast", "-qp", 10)
FIELDS: Final = ("-flags", "+ildct+ilme")


def combing(frames: Iterable[Frame]) -> float:
    """Return the mean over pixels of how far a line lies outside both its neighbours, in codes: 0 without fields of two times."""
    worst = 0.0
    for frame in frames:
        rows = frame.y.astype(int)
        above, line, below = rows[:-2], rows[1:-1], rows[2:]
        outside = np.maximum(line - np.maximum(above, below), np.minimum(above, below) - line)
        worst = max(worst, float(np.clip(outside, 0, None)[8:-8].mean()))
    return worst


def interlaced(order: str) -> str:
    return f"{BAR},tinterlace=interleave_{'top' if order == 'tff' else 'bottom'},setfield={order},scale=720:576:interl=1:flags=neighbor"


FAMILY: Final[dict[str, tuple[str, tuple[object, ...], str]]] = {
    "dv-pal.avi": ("bff", ("-c:v", "dvvideo", "-pix_fmt", "yuv420p"), "setsar=16/15"),
    "dv-pal.mov": ("bff", ("-c:v", "dvvideo", "-pix_fmt", "yuv420p"), "setsar=16/15"),
    "mbaff.mp4": ("tff", (*X264, *FIELDS, "-x264-params", "tff=1"), "null"),
    "mbaff.mkv": ("bff", (*X264, *FIELDS, "-x264-params", "bff=1"), "null"),
    "mbaff-unflagged.mkv": ("tff", (*X264, *FIELDS, "-x264-params", "tff=1", "-field_order", "progressive"), "null"),
    "mpeg2.ts": ("tff", ("-c:v", "mpeg2video", *FIELDS, "-b:v", "8M", "-top", 1), "null"),
    "mpeg2.mpg": ("bff", ("-c:v", "mpeg2video", *FIELDS, "-b:v", "8M", "-top", 0), "null"),
    "high-422.mkv": ("tff", (*X264, *FIELDS, "-x264-params", "tff=1", "-pix_fmt", "yuv422p10le"), "null"),
    "prores.mov": ("tff", ("-c:v", "prores_ks", *FIELDS, "-pix_fmt", "yuv422p10le"), "null"),
    "dnxhd.mov": ("tff", ("-c:v", "dnxhd", *FIELDS, "-b:v", "120M", "-pix_fmt", "yuv422p"), "scale=1920:1080:interl=1:flags=neighbor"),
    "mpeg4.avi": ("tff", ("-c:v", "mpeg4", *FIELDS, "-q:v", 2, "-top", 1), "null"),
}


@pytest.mark.family(6)
@pytest.mark.parametrize("name", FAMILY)
def test_fields_are_put_together_in_every_container(clip: MakeFile, name: str) -> None:
    order, options, last = FAMILY[name]
    size = ("size", "160x576")
    path = clip(name, *options, rate="50", seconds=0.4, filters=f"{interlaced(order)},{last}", **dict([size]))
    source = VideoReader(check_video(path))
    frames = list(source.frames())
    assert len(frames) == 10
    assert combing(frames[2:-2]) < 1.0
    assert raw_combing(path) > 4.0, "this file does not show the fault that the test needs"


def raw_combing(path: Path) -> float:
    """Return the combing of the frames as they are coded."""
    info = check_video(path)
    assert info.video is not None
    raw = path.with_suffix(".raw")
    ffmpeg("-i", path, "-frames:v", 6, "-vf", f"scale={info.video.width}:{info.video.height},format=yuv420p", "-f", "rawvideo", raw)
    data = np.fromfile(raw, np.uint8).reshape(-1, info.video.frame_bytes)
    space: Any = VideoReader(info).space
    return combing(
        Frame.from_i420(row, width=info.video.width, height=info.video.height, index=i, space=space) for i, row in enumerate(data[2:])
    )


def test_progressive_frames_under_an_interlaced_header_are_not_touched(clip: MakeFile, tmp_path: Path) -> None:
    plain = clip("progressive.mp4", *X264, size="160x120", seconds=0.4, filters=BAR)
    path = tmp_path / "flagged.mkv"
    ffmpeg("-i", plain, "-c", "copy", "-field_order", "tt", path)
    ours, theirs = (np.stack([frame.i420() for frame in VideoReader(check_video(file)).frames()]) for file in (path, plain))
    assert np.array_equal(ours, theirs)


@pytest.mark.family(2)
@pytest.mark.parametrize("extension", ["mkv", "ts"])
def test_only_the_interlaced_frames_of_a_mixed_stream_are_changed(clip: MakeFile, tmp_path: Path, extension: str) -> None:
    progressive = clip("mixed-p.ts", *X264, "-pix_fmt", "yuv420p", size="720x576", seconds=0.4, filters=BAR)
    fields = clip(
        "mixed-i.ts", *FAMILY["mbaff.mp4"][1], "-pix_fmt", "yuv420p", size="160x576", rate="50", seconds=0.4, filters=interlaced("tff")
    )
    (tmp_path / "list").write_text(f"file '{progressive}'\nfile '{fields}'\n", encoding="utf-8")
    path = tmp_path / f"mixed.{extension}"
    ffmpeg("-f", "concat", "-safe", 0, "-i", tmp_path / "list", "-c", "copy", path)
    frames = list(VideoReader(check_video(path)).frames())
    untouched = list(VideoReader(check_video(progressive)).frames())
    assert len(frames) == 20
    assert all(np.array_equal(a.y, b.y) for a, b in zip(frames[:9], untouched, strict=False))
    assert combing(frames[12:18]) < 1.0


# -- film ---------------------------------------------------------------------------------------------------------------


def with_pulldown(stream: bytes) -> bytes:
    """Set repeat_first_field and top_field_first of an MPEG-2 stream as 3:2 pulldown does (ISO/IEC 13818-2, 6.2.3.1).

    The four frames of a round are shown for 3, 2, 3 and 2 fields, in the order in which they are shown.
    """
    data, group, last, shown, place = bytearray(stream), 0, -1, 0, 0
    while (place := data.find(b"\0\0\1", place)) >= 0 and place + 8 < len(data):
        code = data[place + 3]
        if code == 0xB8:  # group of pictures: temporal references count from 0 again
            group, last = group + last + 1, -1
        elif code == 0:
            reference = data[place + 4] << 2 | data[place + 5] >> 6
            last, shown = max(last, reference), group + reference
        elif code == 0xB5 and data[place + 4] >> 4 == 8:
            top_first, repeats = shown % 4 in {0, 1}, shown % 4 in {0, 2}
            data[place + 7] = data[place + 7] & 0x7D | top_first << 7 | repeats << 1
            data[place + 8] |= 0x80  # progressive_frame
        place += 3
    return bytes(data)


@pytest.mark.family(6)
@pytest.mark.parametrize(
    ("extension", "rate", "reordered"),
    [
        ("mpg", "30000/1001", 0),
        ("mpg", "30", 0),
        ("vob", "30000/1001", 2),
        ("mpg", "30", 2),
        ("ts", "30000/1001", 2),
        ("mkv", "30000/1001", 2),
    ],
)
def test_soft_telecine_is_read_as_film(clip: MakeFile, tmp_path: Path, extension: str, rate: str, reordered: int) -> None:
    numbered = "geq=lum='40+2*N':cb=128:cr=128"
    coded = ("-c:v", "mpeg2video", "-flags", "+ildct", "-bf", reordered, "-g", 12, "-q:v", 2, "-f", "mpeg2video")
    video = tmp_path / "film.m2v"
    name = f"film-{rate.replace('/', '_')}-{reordered}.m2v"
    video.write_bytes(with_pulldown(clip(name, *coded, size="160x128", rate=rate, seconds=2, filters=numbered).read_bytes()))
    path = tmp_path / f"film.{extension}"
    ffmpeg("-i", video, "-c", "copy", tmp_path / "film.mpg")
    if extension in {"ts", "mkv"}:
        ffmpeg("-fflags", "+genpts", "-i", tmp_path / "film.mpg", "-c", "copy", tmp_path / "film.ts")
    if extension not in {"mpg", "ts"}:
        ffmpeg("-i", tmp_path / ("film.ts" if extension == "mkv" else "film.mpg"), "-c", "copy", path)
    info = check_video(path)
    assert info.video is not None
    assert info.video.frame_rate == Fraction(rate) * 4 / 5
    assert WarningCode.VARIABLE_FRAME_RATE not in info.warnings
    shown = [round((float(frame.y.mean()) - 40) / 2) for frame in VideoReader(info).frames()]
    first = shown[10]
    assert shown[10:55] == list(range(first, first + 45))
    assert len(shown) == pytest.approx(60, abs=2)


def test_hard_telecine_has_no_combs(clip: MakeFile) -> None:
    """Its combed frames are deinterlaced one by one; the doubled image of each round stays."""
    filters = f"{BAR},scale=720:480:flags=neighbor,telecine=pattern=23,setfield=tff"
    path = clip(
        "hard.mpg", "-c:v", "mpeg2video", *FIELDS, "-b:v", "8M", "-top", 1, size="160x480", rate="24000/1001", seconds=1, filters=filters
    )
    frames = list(VideoReader(check_video(path)).frames())
    assert len(frames) == pytest.approx(30, abs=1)
    assert combing(frames[2:-2]) < 1.0
