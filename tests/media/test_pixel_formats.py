"""Pixel formats: what their names tell, and that each is decoded to the right colours."""

import json
import subprocess
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from heygem_daemon.media.frame import Frame
from heygem_daemon.media.pixel_formats import has_alpha, is_420, is_grey, is_rgb
from heygem_daemon.media.reader import VideoReader
from heygem_daemon.media.streams import video_stream
from heygem_daemon.media.types import MediaInfo
from tests.media.conftest import ffmpeg

Json = dict[str, Any]

WIDTH, HEIGHT = 160, 64
BARS: Final = ((220, 130, 40), (30, 200, 90), (60, 70, 210), (230, 230, 230), (20, 20, 20))
"""Red, green and blue of five bars of 32 columns."""
COARSE: Final = {"rgb8": 36, "bgr8": 36, "rgb4": 90, "bgr4": 90, "rgb4_byte": 90, "bgr4_byte": 90, "monow": 255, "monob": 255, "pal8": 60}
"""Codes by which the format itself misses a colour."""


def formats() -> dict[str, Json]:
    shown = subprocess.run(("ffprobe", "-v", "error", "-show_pixel_formats", "-of", "json"), capture_output=True, check=True, timeout=60)
    listed: list[Json] = json.loads(shown.stdout)["pixel_formats"]
    return {item["name"]: item for item in listed if not item["flags"]["hwaccel"]}


FORMATS: Final = formats()
PALETTES: Final = {"pal8", "monow", "monob"}


def converted() -> frozenset[str]:
    """The formats that swscale reads and writes, so that a test file can be made."""
    shown = subprocess.run(("ffmpeg", "-hide_banner", "-v", "error", "-pix_fmts"), capture_output=True, check=True, timeout=60)
    rows = [line.split() for line in shown.stdout.decode().splitlines()]
    return frozenset(row[1] for row in rows if len(row) == 5 and row[0].startswith("IO"))


@pytest.mark.parametrize("name", FORMATS)
def test_a_name_tells_what_the_format_is(name: str) -> None:
    flags, components = FORMATS[name]["flags"], FORMATS[name]["nb_components"]
    assert has_alpha(name) == (bool(flags["alpha"]) or name == "pal8")
    is_one_grey = components <= 2 and not flags["rgb"] and name not in PALETTES and not name.startswith("nv")
    assert is_grey(name) == is_one_grey
    assert is_rgb(name) == (bool(flags["rgb"]) or name in PALETTES or name.startswith("xyz"))
    halved = (FORMATS[name].get("log2_chroma_w"), FORMATS[name].get("log2_chroma_h"))
    if halved != (None, None):
        assert is_420(name) == (halved == (1, 1) and not is_rgb(name))


READABLE: Final = sorted(name for name in set(FORMATS) & converted() if not name.endswith("be") and name != "grayf32le")
"""Little endian: the other byte order goes through the same code. swscale writes grayf32 in limited range, which no decoder does."""


@pytest.fixture(scope="session")
def raw_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the bars as raw video of every format, by ffmpeg's own conversion, with the matrix of BT.601."""
    folder = tmp_path_factory.mktemp("formats")
    row = np.repeat(np.array(BARS, np.uint8), WIDTH // len(BARS), axis=0)
    (folder / "bars").write_bytes(np.tile(row, (HEIGHT, 1, 1)).tobytes())
    graph = [f"format=gbrap,split={len(READABLE)}" + "".join(f"[s{name}]" for name in READABLE)]
    outputs: list[object] = []
    for name in READABLE:
        extent = "full" if name.startswith("yuvj") else "limited"
        matrix = "null" if is_rgb(name) or is_grey(name) else f"scale=out_color_matrix=bt601:out_range={extent}:flags=accurate_rnd"
        graph.append(f"[s{name}]{matrix},format={name}[{name}]")
        outputs += ["-map", f"[{name}]", "-f", "rawvideo", folder / name]
    source = ("-f", "rawvideo", "-pixel_format", "rgb24", "-video_size", f"{WIDTH}x{HEIGHT}", "-i", folder / "bars")
    ffmpeg(*source, "-filter_complex", ";".join(graph), *outputs)
    return folder


def first_frame(path: Path, pixels: str) -> Frame:
    """Read a raw file, which the product does not open, but which there is of every format."""
    track = {"codec_name": "rawvideo", "pix_fmt": pixels, "width": WIDTH, "height": HEIGHT, "index": 0, "time_base": "1/25"}
    options = {"pixel_format": pixels, "s": f"{WIDTH}x{HEIGHT}"}
    video = video_stream(track | {"r_frame_rate": "25", "avg_frame_rate": "25"}, 0.04)
    info = MediaInfo(path=path, demuxer="rawvideo", demuxer_options=options, size=1, streams=1, video=video, audio=None)
    return next(VideoReader(info).frames())


@pytest.mark.family(8)
@pytest.mark.parametrize("name", READABLE)
def test_every_format_has_the_right_colours(raw_files: Path, name: str) -> None:
    pixels = first_frame(raw_files / name, name).bgr()
    bits = min((part["bit_depth"] for part in FORMATS[name]["components"]), default=8)
    tolerance = COARSE.get(name, 5 + 2 ** (8 - min(bits, 8)))
    for i, (red, green, blue) in enumerate(BARS):
        wanted = [round(0.299 * red + 0.587 * green + 0.114 * blue)] * 3 if is_grey(name) else [blue, green, red]
        assert pixels[32, 32 * i + 16].tolist() == pytest.approx(wanted, abs=tolerance), (name, i)
