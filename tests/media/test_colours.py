"""Colour tags: whatever ffprobe prints can be written again, and what is drawn has the colours of the source."""

import json
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import pytest

from heygem_daemon.core.errors import EngineError, InputError
from heygem_daemon.media import colours, commands
from heygem_daemon.media.frame import LUMA_WEIGHTS
from heygem_daemon.media.probe import check_video
from heygem_daemon.media.reader import VideoReader
from heygem_daemon.media.run import capture
from heygem_daemon.media.types import Colour, VideoStream
from heygem_daemon.media.writer import check_encoder
from tests.media.conftest import MakeFile, ffmpeg

ORANGE: Final = (220, 130, 40)
"""Red, green, blue."""

# libavutil/pixdesc.c of ffmpeg 5.1, then what later versions added (up to 8.0).
PRIMARIES: Final = (
    *("reserved", "bt709", "unknown", "bt470m", "bt470bg", "smpte170m", "smpte240m", "film", "bt2020"),
    *("smpte428", "smpte431", "smpte432", "ebu3213", "vgamut"),
)
TRANSFERS: Final = (
    *("reserved", "bt709", "unknown", "bt470m", "bt470bg", "smpte170m", "smpte240m", "linear", "log100", "log316", "iec61966-2-4"),
    *("bt1361e", "iec61966-2-1", "bt2020-10", "bt2020-12", "smpte2084", "smpte428", "arib-std-b67", "vlog"),
)
MATRICES: Final = (
    *("gbr", "bt709", "unknown", "reserved", "fcc", "bt470bg", "smpte170m", "smpte240m", "ycgco", "bt2020nc", "bt2020c", "smpte2085"),
    *("chroma-derived-nc", "chroma-derived-c", "ictcp", "ipt-c2", "ycgco-re", "ycgco-ro"),
)
WRITTEN_AS: Final = {
    **dict.fromkeys(("ycgco", "bt2020c", "chroma-derived-nc", "chroma-derived-c"), "bt709"),  # converted
    "smpte2085": "bt2020nc",  # its neighbour
    **dict.fromkeys(("gbr", "reserved", "ipt-c2", "ycgco-re", "ycgco-ro"), "unknown"),
}
LOCATIONS: Final = ("unspecified", "left", "center", "topleft", "top", "bottomleft", "bottom")
TAGS: Final = ("color_primaries", "color_transfer", "color_space", "color_range", "chroma_location")


def like(colour: Colour, **fields: Any) -> VideoStream:
    plain = VideoStream(width=64, height=64, frame_rate=Fraction(25), frames=1, seconds=1, codec="h264", pixel_format="yuv420p")
    return replace(plain, colour=colour, **fields)


def written_tags(video: VideoStream, path: Path) -> dict[str, str]:
    """Encode a frame with the command that tries the encoder; return the tags of the file by ffprobe's names."""
    done = capture(commands.try_encoder(video, quality=16, preset="ultrafast"), seconds=60, stdin=bytes(video.frame_bytes))
    assert done.code == 0, done.stderr
    path.write_bytes(done.stdout)
    shown = subprocess.run(
        ["ffprobe", "-v", "error", "-show_streams", "-of", "json", f"file:{path}"], capture_output=True, check=True, timeout=60
    )
    track = json.loads(shown.stdout)["streams"][0]
    return {tag: str(track.get(tag, "unknown")) for tag in TAGS}


@pytest.mark.family(20)
@pytest.mark.parametrize("extent", ["tv", "pc", "unknown"])
@pytest.mark.parametrize("place", range(max(map(len, (PRIMARIES, TRANSFERS, MATRICES, LOCATIONS)))))
def test_every_name_that_ffprobe_prints_can_be_written(tmp_path: Path, place: int, extent: str) -> None:
    primaries, transfer, matrix, location = (names[place % len(names)] for names in (PRIMARIES, TRANSFERS, MATRICES, LOCATIONS))
    source = Colour(primaries=primaries, transfer=transfer, matrix=matrix, full_range=extent == "pc")
    decoded = colours.decoded_colour(source, is_rgb=False)
    assert decoded.matrix is None or decoded.matrix in LUMA_WEIGHTS
    found = written_tags(like(decoded, chroma_location=location), tmp_path / "out.mp4")
    assert found["color_primaries"] == ("smpte170m" if primaries == "ebu3213" and not source.is_hdr else decoded.primaries or "unknown")
    assert found["color_transfer"] == (decoded.transfer or "unknown")
    assert found["color_space"] == ("bt709" if source.is_hdr else WRITTEN_AS.get(matrix, matrix))
    assert (found["color_range"] == "pc") == decoded.full_range
    assert found["chroma_location"] == (location if location != "unspecified" else "left")
    if not source.is_hdr:
        assert decoded.primaries == (primaries if primaries in colours.PRIMARIES else None)
        assert decoded.transfer == (transfer if transfer in colours.TRANSFERS else None)


@pytest.mark.family(24)
@pytest.mark.parametrize("code", range(24))
def test_a_stream_with_any_code_is_read_and_can_be_written(clip: MakeFile, tmp_path: Path, code: int) -> None:
    """ITU-T H.273 codes, reserved ones included, in the bitstream: gbr of luma and chroma, ICtCp of 8 bits, numbers without a name."""
    path = tmp_path / "tagged.mp4"
    tags = f"colour_primaries={code}:transfer_characteristics={code}:matrix_coefficients={code}"
    ffmpeg("-i", clip("plain.mp4"), "-c", "copy", "-frames:v", 3, "-bsf:v", f"h264_metadata={tags}", "-movflags", "-write_colr", path)
    info = check_video(path)
    assert info.video is not None
    frames = list(VideoReader(info).frames())
    assert len(frames) == 3
    assert frames[0].bgr().std() > 20
    assert set(written_tags(info.video, tmp_path / "out.mp4")) == set(TAGS)


def colour_in(path: Path) -> list[int]:
    """Red, green and blue of the middle of the first frame."""
    frame = next(VideoReader(check_video(path)).frames())
    blue, green, red = frame.bgr()[frame.height // 2, frame.width // 2]
    return [int(red), int(green), int(blue)]


def flat(red: int, green: int, blue: int) -> str:
    return f"format=gbrp,geq=r={red}:g={green}:b={blue}"


@pytest.mark.family(11)
@pytest.mark.parametrize("size", ["96x64", "97x65"])
@pytest.mark.parametrize("pixels", ["yuv444p", "yuv420p10le", "yuv422p"])
@pytest.mark.parametrize(
    ("matrix", "primaries", "transfer"),
    [
        ("ycgco", "bt709", "bt709"),
        ("ycgco", "bt709", None),
        ("bt2020c", "bt2020", "bt2020-10"),
        ("chroma-derived-nc", "smpte432", "bt709"),
        ("chroma-derived-nc", "bt470m", "smpte428"),
        ("chroma-derived-c", "bt2020", "bt709"),
    ],
)
def test_colours_of_a_matrix_that_is_not_computed_are_right(
    tmp_path: Path, matrix: str, primaries: str, transfer: str | None, pixels: str, size: str
) -> None:
    numbers = (colours.PRIMARIES[primaries], colours.TRANSFERS[transfer or "bt709"], colours.MATRICES[matrix])
    used = (numbers[0], 1 if transfer in {None, "smpte428"} else numbers[1])
    described = f"primariesin={used[0]}:transferin={used[1]}:primaries={used[0]}:transfer={used[1]}"
    tags = ("-color_primaries", numbers[0], "-colorspace", numbers[2], *(("-color_trc", numbers[1]) if transfer else ()))
    deep = "yuv444p10le" if "10" in pixels else "yuv444p"
    filters = (
        f"{flat(*ORANGE)},zscale={described}:matrixin=0:rangein=full:matrix={numbers[2]}:range=limited,format={deep},scale,format={pixels}"
    )
    path = tmp_path / "odd.mkv"
    source = f"color=black:s={size}:r=5:d=0.4"
    ffmpeg("-f", "lavfi", "-i", source, "-vf", filters, "-c:v", "ffv1", "-pix_fmt", pixels, *tags, "-color_range", "tv", path)
    video = check_video(path).video
    assert video is not None
    assert (video.source_colour.matrix, video.colour.matrix, video.colour.primaries) == (matrix, "bt709", primaries)
    assert colour_in(path) == pytest.approx(ORANGE, abs=4)


# -- HDR ----------------------------------------------------------------------------------------------------------------

WHITE: Final = {"smpte2084": 0.58, "arib-std-b67": 0.75}
"""Signal of diffuse white, 203 cd/m2 (ITU-R BT.2408)."""


@pytest.mark.family(9)
@pytest.mark.parametrize("size", ["96x64", "97x65"])
@pytest.mark.parametrize(
    ("pixels", "transfer", "tags"),
    [
        ("yuv420p", "smpte2084", {"color_primaries": 9, "colorspace": 9}),
        ("yuv420p10le", "smpte2084", {}),
        ("yuv420p10le", "smpte2084", {"color_primaries": 12, "colorspace": 1}),
        ("yuv420p10le", "smpte2084", {"color_primaries": 10}),
        ("yuv420p10le", "arib-std-b67", {"color_primaries": 9, "colorspace": 9}),
        ("yuv422p10le", "arib-std-b67", {"color_primaries": 3, "colorspace": 3}),
        ("yuv444p12le", "arib-std-b67", {"color_primaries": 9, "colorspace": 10}),
        ("yuv420p10le", "smpte2084", {"color_primaries": 9, "colorspace": 14}),
        ("yuv420p10le", "arib-std-b67", {"color_primaries": 9, "colorspace": 14}),
        ("yuv420p10le", "smpte2084", {"color_primaries": 9, "colorspace": 11}),
        ("gbrp10le", "smpte2084", {"color_primaries": 9, "colorspace": 0}),
        ("gbrp12le", "arib-std-b67", {}),
        ("bgr0", "smpte2084", {}),
        ("gray10le", "smpte2084", {}),
    ],
)
def test_diffuse_white_of_any_hdr_video_stays_bright_and_neutral(
    tmp_path: Path, pixels: str, transfer: str, tags: dict[str, int], size: str
) -> None:
    level = WHITE[transfer]
    depth = 10 if "10" in pixels else 12 if "12" in pixels else 8
    top, is_full = 2**depth - 1, not pixels.startswith("yuv")
    luma = round(level * top if is_full else (16 + 219 * level) * 2 ** (depth - 8))
    values = (
        f"r={luma}:g={luma}:b={luma}" if pixels.startswith(("gbr", "bgr")) else f"lum={luma}:cb={2 ** (depth - 1)}:cr={2 ** (depth - 1)}"
    )
    planes = "gbrp" if pixels == "bgr0" else pixels
    options = [word for name, code in tags.items() for word in (f"-{name}", str(code))]
    path = tmp_path / "hdr.mkv"
    source, filters = f"color=black:s={size}:r=5:d=0.4", f"format={planes},geq={values},format={pixels}"
    codec = ("-c:v", "ffv1", "-pix_fmt", pixels, "-color_trc", colours.TRANSFERS[transfer], *options)
    ffmpeg("-f", "lavfi", "-i", source, "-vf", filters, *codec, *(() if is_full else ("-color_range", "tv")), path)
    info = check_video(path)
    assert "hdr_tone_mapped" in info.warnings
    assert info.video is not None
    assert info.video.colour.matrix == "bt709"
    shown = colour_in(path)
    assert 140 <= min(shown) <= max(shown) <= 245
    assert max(shown) - min(shown) <= 5


def test_primaries_of_hdr_colours_are_converted(tmp_path: Path) -> None:
    """A skin colour coded as PQ in BT.2020 by zscale comes back in BT.709 with its hue: red over green over blue."""
    path = tmp_path / "skin.mkv"
    to_pq = "zscale=primariesin=1:transferin=1:matrixin=0:rangein=full:primaries=9:transfer=16:matrix=9:range=limited:npl=203"
    tags = ("-color_primaries", 9, "-color_trc", 16, "-colorspace", 9, "-color_range", "tv")
    filters = f"{flat(190, 140, 120)},{to_pq},format=yuv420p10le"
    ffmpeg("-f", "lavfi", "-i", "color=black:s=96x64:r=5:d=0.4", "-vf", filters, "-c:v", "ffv1", *tags, path)
    red, green, blue = colour_in(path)
    assert red > green + 20 > blue + 25
    assert 120 <= red <= 215


def with_dolby_vision(source: Path, target: Path, profile: int, compatibility: int) -> Path:
    """Insert a Dolby Vision configuration box into the sample entry of an mp4 whose index comes last."""
    data = bytearray(source.read_bytes())
    bits = (profile << 9 | 6 << 3 | 0b101).to_bytes(2, "big")  # level 6, metadata and base layer, no enhancement layer
    box = (32).to_bytes(4, "big") + (b"dvcC" if profile < 8 else b"dvvC") + bytes([1, 0]) + bits + bytes([compatibility << 4]) + bytes(19)
    names = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"hev1")
    starts = [data.index(name, data.index(b"moov")) - 4 for name in names]
    end = starts[-1] + int.from_bytes(data[starts[-1] : starts[-1] + 4], "big")
    for start in starts:
        data[start : start + 4] = (int.from_bytes(data[start : start + 4], "big") + len(box)).to_bytes(4, "big")
    target.write_bytes(bytes(data[:end]) + box + bytes(data[end:]))
    return target


@pytest.mark.parametrize(("profile", "compatibility", "is_usable"), [(5, 0, False), (8, 1, True), (8, 4, True), (7, 6, True)])
def test_dolby_vision_is_read_where_its_base_layer_is_ordinary_hdr(
    clip: MakeFile, tmp_path: Path, profile: int, compatibility: int, is_usable: bool
) -> None:
    codec = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error", "-pix_fmt", "yuv420p10le")
    tags = ("-color_primaries", 9, "-color_trc", 18 if compatibility == 4 else 16, "-colorspace", 9)
    plain = clip(f"dolby-{compatibility}.mp4", *codec, *tags, seconds=0.2)
    path = with_dolby_vision(plain, tmp_path / "dolby.mp4", profile, compatibility)
    if is_usable:
        assert "hdr_tone_mapped" in check_video(path).warnings
        assert len(list(VideoReader(check_video(path)).frames())) == 5
        return
    with pytest.raises(InputError) as caught:
        check_video(path)
    assert caught.value.code == "dolby_vision_only"


# -- the encoder is tried before the work ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"width": 7680, "height": 4320},
        {"width": 16000, "height": 64},
        {"sample_aspect": Fraction(10)},
        {"sample_aspect": Fraction(1, 10)},
        {"sample_aspect": Fraction(123457, 99991)},
        {"frame_rate": Fraction(1000)},
        {"frame_rate": Fraction(24)},
        {"frame_rate": Fraction(1234567, 41152)},
        {"frame_rate": Fraction(10000, 333)},
    ],
    ids=str,
)
def test_the_encoder_takes_odd_shapes_and_rates(fields: dict[str, Any]) -> None:
    check_encoder(like(colours.decoded_colour(Colour(), is_rgb=False), **fields), quality=16, name="a.mp4")


def test_what_the_encoder_refuses_is_refused_as_the_video(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="40000x64") as caught:
        check_encoder(like(Colour(), width=40000), quality=16, name="wide.mp4")
    assert caught.value.code == "video_not_encodable"
    monkeypatch.setattr("heygem_daemon.media.writer.PRESET", "hurry-up")
    with pytest.raises(EngineError) as broken:
        check_encoder(like(Colour()), quality=16, name="a.mp4")
    assert broken.value.code == "encode_failed"


def test_the_trial_uses_the_options_of_the_result() -> None:
    command = commands.try_encoder(like(Colour(transfer="bt470bg")), quality=20, preset="veryfast")
    assert "color_trc=5" in command[command.index("-filter_complex") + 1]
    assert command[command.index("-crf") + 1] == "20"
