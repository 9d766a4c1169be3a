"""Tracks whose frames change their size, format or pixel shape in the middle: every frame, in time, undistorted."""

from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from heygem_daemon.media.frame import Frame
from heygem_daemon.media.probe import check_video
from heygem_daemon.media.reader import VideoReader
from tests.media.conftest import MakeFile, ffmpeg

# A white square of a third of the height moves over a dark ground: frame N is to be told apart, and a stretched square to be seen.
MOVING: Final = "format=yuv420p,geq=lum='if(between(X,8+4*mod(N,10),8+4*mod(N,10)+H/3)*between(Y,H/3,2*H/3),220,60)':cb=128:cr=128"
SECONDS: Final = 1.0
RATE: Final = 25

VP8: Final = ("-c:v", "libvpx", "-b:v", "1M", "-g", 25, "-deadline", "realtime")
H264: Final = ("-c:v", "libx264", "-preset", "ultrafast", "-g", 25, "-bf", 0)
Part = dict[str, Any]
SMALL: Final[Part] = {"size": "160x120"}
LARGE: Final[Part] = {"size": "320x240"}
WIDE: Final[Part] = {"size": "320x120"}
TALL: Final[Part] = {"size": "120x160"}
FULL_CHROMA: Final[Part] = {"size": "160x120", "pixels": "yuv444p"}
FULL_RANGE: Final[Part] = {"size": "160x120", "pixels": "yuvj420p"}
ANAMORPHIC: Final[Part] = {"size": "160x120", "aspect": "2"}


def part(path: Path, codec: tuple[object, ...], *, size: str, pixels: str = "yuv420p", aspect: str = "1") -> Path:
    source = f"color=black:s={size}:r={RATE}:d={SECONDS}"
    ffmpeg("-f", "lavfi", "-i", source, "-vf", f"{MOVING},setsar={aspect},format={pixels}", *codec, "-pix_fmt", pixels, path)
    return path


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> MakeFile:
    """Join parts without encoding them again: joined("webm", part, part ...)."""
    folder = tmp_path_factory.mktemp("joined")

    def make(extension: str, *parts: Part) -> Path:
        codec, inner = (VP8, "webm") if extension == "webm" else (H264, "ts" if extension == "ts" else "mp4")
        name = "-".join("_".join(map(str, item.values())) for item in parts)
        path = folder / f"{name}.{extension}"
        if not path.exists():
            files = [part(folder / f"{name}-{i}-{extension}.{inner}", codec, **item) for i, item in enumerate(parts)]
            if extension == "ts":
                path.write_bytes(b"".join(file.read_bytes() for file in files))
                return path
            (folder / "list").write_text("".join(f"file '{file}'\n" for file in files), encoding="utf-8")
            ffmpeg("-f", "concat", "-safe", 0, "-i", folder / "list", "-c", "copy", path)
        return path

    return make


def square(frame: Frame) -> tuple[float, float]:
    """Width and height of the white square in pixels."""
    white = frame.y > 150
    return float(white.any(0).sum()), float(white.any(1).sum())


ORDERS: Final = {
    "smaller first": (SMALL, LARGE, LARGE),
    "larger first": (LARGE, SMALL, LARGE),
    "one small part in the end": (LARGE, LARGE, SMALL),
    "wider": (SMALL, WIDE, SMALL),
    "turned phone": (SMALL, TALL, SMALL),
    "turned back": (TALL, SMALL, TALL),
}


@pytest.mark.family(10)  # the next test has another size, and VP8, which is slow
@pytest.mark.parametrize(
    ("order", "extension"),
    [("turned phone", "mkv"), ("smaller first", "mkv"), ("smaller first", "mp4"), ("wider", "mp4"), *((order, "webm") for order in ORDERS)],
)
def test_a_change_of_size_neither_freezes_nor_stretches(joined: MakeFile, extension: str, order: str) -> None:
    parts = ORDERS[order]
    info = check_video(joined(extension, *parts))
    assert info.video is not None
    common = max((item["size"] for item in parts), key=[item["size"] for item in parts].count)
    assert f"{info.video.width}x{info.video.height}" == common
    frames = list(VideoReader(info).frames())
    assert len(frames) == info.video.frames == RATE * SECONDS * len(parts)
    assert all(not np.array_equal(a.y, b.y) for a, b in pairwise(frames))
    for number, item in enumerate(parts):
        width, height = square(frames[round(RATE * SECONDS * number) + 12])
        assert width == pytest.approx(height, abs=4), (number, item)
    if order == "wider":
        assert frames[37].y[:20].max() <= 20  # a black bar


@pytest.mark.family(2)
@pytest.mark.parametrize("extension", ["webm", "mp4"])
def test_seeking_past_a_change_gives_the_same_frames(joined: MakeFile, extension: str) -> None:
    info = check_video(joined(extension, LARGE, SMALL, LARGE))
    whole = [frame.i420() for frame in VideoReader(info).frames()]
    for start in (10, 30, 55, 70):
        part = [frame.i420() for frame in VideoReader(info).frames(start, start + 3)]
        assert all(np.array_equal(a, b) for a, b in zip(part, whole[start : start + 3], strict=True)), start


@pytest.mark.family(4)
@pytest.mark.parametrize("extension", ["mkv", "mp4"])
@pytest.mark.parametrize(
    "parts",
    [(SMALL, FULL_CHROMA, SMALL), (FULL_CHROMA, SMALL), (SMALL, FULL_RANGE, SMALL), (FULL_RANGE, SMALL), (SMALL, ANAMORPHIC)],
    ids=["to 4:4:4", "from 4:4:4", "to full range", "from full range", "pixel shape"],
)
def test_a_change_of_format_keeps_every_frame_and_its_brightness(joined: MakeFile, extension: str, parts: tuple[Part, ...]) -> None:
    info = check_video(joined(extension, *parts))
    frames = list(VideoReader(info).frames())
    assert len(frames) == RATE * SECONDS * len(parts)
    assert all(not np.array_equal(a.y, b.y) for a, b in pairwise(frames))
    ground = [int(frames[round(RATE * SECONDS * number) + 12].bgr()[5, 5, 0]) for number in range(len(parts))]
    assert max(ground) - min(ground) <= 12


def test_two_streams_of_ts_put_together_are_both_seen(joined: MakeFile) -> None:
    frames = list(VideoReader(check_video(joined("ts", SMALL, LARGE))).frames())
    assert len(frames) >= RATE * SECONDS
    assert all(not np.array_equal(a.y, b.y) for a, b in pairwise(frames[:46]))
