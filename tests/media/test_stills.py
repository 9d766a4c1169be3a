"""Still images of every type, recognised by their content, in the right colours and upright; what cannot be used is refused by its name."""

import json
import random
import resource
import signal
import struct
import subprocess
import zlib
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms, ImageDraw

from heygem_daemon.core.errors import HeygemError, InputError, TransientError
from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.media import commands, run, still_decoder, stills
from heygem_daemon.media.probe import check_recording, check_video
from heygem_daemon.media.reader import VideoReader
from heygem_daemon.media.run import capture
from heygem_daemon.media.tool_ends import Completed
from heygem_daemon.media.types import MediaInfo, MediaLimits
from tests.media.heic import encode_frame, heic

Pixels = npt.NDArray[np.uint8]
Save = Callable[..., Path]
RED, GREEN, BLUE, YELLOW = (200, 40, 40), (40, 160, 60), (40, 60, 200), (220, 210, 50)
QUARTERS: Final = ((RED, GREEN), (BLUE, YELLOW))
"""The colours of the upright test image: a row of two above another, so that each of the eight orientations differs."""
SIZE: Final = (160, 96)
ORIENTATION: Final = 0x0112

WRITERS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "JPEG": ("JPEG", {"quality": 97, "subsampling": 0}),
    "PNG": ("PNG", {}),
    "WebP": ("WEBP", {"lossless": True}),
    "AVIF": ("AVIF", {"quality": 97, "subsampling": "4:4:4"}),
    "GIF": ("GIF", {}),
    "BMP": ("BMP", {}),
    "TIFF": ("TIFF", {"compression": "tiff_lzw"}),
    "JPEG 2000": ("JPEG2000", {}),
}
"""Type as `stills` names it -> Pillow's name and options. HEIF is written by tests.media.heic."""


def quarters(size: tuple[int, int] = SIZE, mode: str = "RGB") -> Image.Image:
    image = Image.new("RGB", size)
    draw = ImageDraw.Draw(image)
    for row, colours in enumerate(QUARTERS):
        for column, colour in enumerate(colours):
            corner = (column * size[0] // 2, row * size[1] // 2)
            draw.rectangle((*corner, corner[0] + size[0], corner[1] + size[1]), fill=colour)
    return image.convert(mode)


def seen(info: MediaInfo) -> Pixels:
    """Return the still as uint8 [h, w, 3], red first."""
    return next(VideoReader(info).frames()).bgr()[:, :, ::-1]


def decoded(path: Path, background: tuple[int, int, int] = (0, 0, 0)) -> tuple[still_decoder.Decoded, Pixels]:
    """Decode in this process: what the child does, without starting one for each of hundreds of images."""
    still_type = stills.recognise(path.read_bytes()[: stills.HEAD_BYTES])
    assert still_type is not None
    task = still_decoder.Task(
        type=still_type, megapixels=250, longest=stills.LONGEST_SIDE, memory=stills.MEMORY_BYTES, seconds=60, background=background
    )
    described, image = still_decoder.decode(str(path), task)
    return described, np.asarray(image)


def corners(image: Pixels) -> list[list[int]]:
    """Return the colours in the middle of the four quarters, row by row."""
    height, width = image.shape[:2]
    return [image[height * y // 4, width * x // 4].tolist() for y in (1, 3) for x in (1, 3)]


def assert_upright(image: Pixels, tolerance: int = 4) -> None:
    expected = [list(colour) for row in QUARTERS for colour in row]
    assert np.abs(np.array(corners(image)) - np.array(expected)).max() <= tolerance, corners(image)


def refusal(path: Path, **limits: Any) -> HeygemError:
    with pytest.raises(HeygemError) as caught:
        check_video(path, MediaLimits(**limits))
    assert isinstance(caught.value, InputError)
    return caught.value


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Write an image: save(image, type, name, **options of Pillow)."""

    def write(image: Image.Image, still_type: str, name: str = "portrait.img", **options: Any) -> Path:
        path, (written_as, usual) = tmp_path / name, WRITERS[still_type]
        image.save(path, written_as, **usual | options)
        return path

    return write


@pytest.fixture(scope="session")
def hevc(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """The test image as a lossless HEVC frame in BT.601, as phones have it, with full range."""
    folder = tmp_path_factory.mktemp("hevc")
    quarters().save(folder / "source.png")
    return encode_frame(
        folder / "source.png",
        folder,
        *("-vf", "scale=out_color_matrix=bt601:out_range=full", "-pix_fmt", "yuvj444p", "-color_range", "pc", "-colorspace", "smpte170m"),
        parameters="lossless=1:range=full:colormatrix=smpte170m",
    )


# -- recognised by content ----------------------------------------------------------------------------------------------


WRONG_NAMES: Final = (
    "portrait.png",
    "portrait.jpg",
    "portrait.jpeg",
    "portrait.mp4",
    "portrait.wav",
    "portrait.heic",
    "portrait",
    "portrait.mkv",
)


@pytest.mark.parametrize(("still_type", "name"), list(zip(WRITERS, WRONG_NAMES, strict=True)))
def test_a_still_is_what_its_content_is(save: Save, still_type: str, name: str) -> None:
    info = check_video(save(quarters(), still_type, name))
    assert info.video is not None
    assert (info.video.is_still, info.video.codec, info.video.width, info.video.height) == (True, still_type, *SIZE)
    assert info.warnings == {}
    assert_upright(seen(info), tolerance=6)


@pytest.mark.parametrize("name", ["IMG_0001.HEIC", "IMG_0001.jpg"])
def test_a_heic_of_a_phone_is_read_under_any_name(hevc: tuple[bytes, bytes], tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(heic(hevc, SIZE))
    info = check_video(path)
    assert info.video is not None
    assert info.video.codec == "HEIF"
    assert_upright(seen(info))


def test_a_photo_of_tiles_is_put_together(hevc: tuple[bytes, bytes], tmp_path: Path) -> None:
    path = tmp_path / "tiles.heic"
    path.write_bytes(heic(hevc, SIZE, grid=(3, 2), orientation=6))
    described, image = decoded(path)
    assert described.size == (SIZE[1] * 2, SIZE[0] * 3)
    upright = np.rot90(image)
    for row in range(2):
        for column in range(3):
            assert_upright(upright[row * SIZE[1] :, column * SIZE[0] :][: SIZE[1], : SIZE[0]])


def test_every_type_is_recognised_and_nothing_else_is() -> None:
    for head, still_type in (
        (b"\xff\xd8\xff\xe1", "JPEG"),
        (b"MM\0*\0\0\0\x08", "TIFF"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif", "AVIF"),
        (b"\0\0\0\x18ftypheix\0\0\0\0mif1", "HEIF"),
        (b"\0\0\0\x18ftypmsf1\0\0\0\0hevc", "HEIF"),
        (b"\xff\x4f\xff\x51\0\x29", "JPEG 2000"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "WebP"),
    ):
        assert stills.recognise(head) == still_type
    for head in (b"", b"BMX is a bicycle sport", b"\0\0\0\x18ftypisom\0\0\0\0mif1", b"RIFF\0\0\0\0WAVEfmt ", b"8BPS", b"GIF8", b"II*"):
        assert stills.recognise(head) is None


def test_a_still_is_no_recording(save: Save) -> None:
    with pytest.raises(InputError) as caught:
        check_recording(save(quarters(), "WebP", "speech.wav"))
    assert caught.value.code == "audio_unreadable"
    assert "WebP" in str(caught.value)


# -- upright ------------------------------------------------------------------------------------------------------------


UNDO: Final = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""EXIF orientation -> how the camera stored the upright image."""


def stored(orientation: int) -> Image.Image:
    turn = UNDO[orientation]
    return quarters() if turn is None else quarters().transpose(turn)


@pytest.mark.parametrize("still_type", ["JPEG", "PNG", "WebP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", UNDO)
def test_every_orientation_comes_upright(save: Save, still_type: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    described, image = decoded(save(stored(orientation), still_type, exif=exif))
    assert described.size == SIZE
    assert_upright(image, tolerance=6)


@pytest.mark.parametrize("orientation", UNDO)
def test_heif_is_turned_by_its_own_boxes(hevc: tuple[bytes, bytes], tmp_path: Path, orientation: int) -> None:
    """The stored image is turned by the boxes as EXIF of that orientation turns the same image."""
    path = tmp_path / "photo.heic"
    path.write_bytes(heic(hevc, SIZE, orientation=orientation))
    turn = still_decoder.TURNS.get(orientation)
    expected = quarters() if turn is None else quarters().transpose(turn)
    _, image = decoded(path)
    assert np.abs(np.array(corners(image)) - np.array(corners(np.asarray(expected)))).max() <= 4


def test_the_size_of_a_turned_photo_is_the_one_it_is_seen_with(save: Save) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    info = check_video(save(stored(6), "JPEG", exif=exif))
    assert info.video is not None
    assert (info.video.width, info.video.height, info.video.coded_width, info.video.coded_height) == (*SIZE, SIZE[1], SIZE[0])
    assert (info.video.rotation, info.video.is_mirrored) == (90, False)
    assert_upright(seen(info))


def test_a_broken_exif_does_not_matter(save: Save) -> None:
    assert_upright(seen(check_video(save(quarters(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"))))


# -- colours ------------------------------------------------------------------------------------------------------------


@pytest.mark.family(3)
@pytest.mark.parametrize("still_type", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (128, 128, 128), (224, 172, 140), (30, 200, 90)])
def test_colours_are_those_of_bt709(save: Save, still_type: str, colour: tuple[int, int, int]) -> None:
    path = save(Image.new("RGB", SIZE, colour), still_type)
    kr, kb = 0.2126, 0.0722  # ITU-R BT.709-6
    red, green, blue = colour
    light = kr * red + (1 - kr - kb) * green + kb * blue
    expected = [
        16 + 219 / 255 * light,
        128 + 224 / 255 * (blue - light) / (2 * (1 - kb)),
        128 + 224 / 255 * (red - light) / (2 * (1 - kr)),
    ]
    frame = next(VideoReader(check_video(path)).frames())
    assert [int(plane[20, 20]) for plane in (frame.y, frame.u, frame.v)] == pytest.approx(expected, abs=2)


@pytest.mark.parametrize(
    ("still_type", "mode"),
    [
        ("PNG", "1"), ("PNG", "L"), ("PNG", "LA"), ("PNG", "P"), ("PNG", "RGBA"), ("PNG", "I;16"),
        ("TIFF", "1"), ("TIFF", "L"), ("TIFF", "LA"), ("TIFF", "P"), ("TIFF", "CMYK"), ("TIFF", "I;16"), ("TIFF", "I;16B"), ("TIFF", "F"),
        ("TIFF", "I"), ("TIFF", "RGBA"), ("JPEG", "L"), ("JPEG", "CMYK"), ("WebP", "RGBA"), ("BMP", "1"), ("BMP", "L"), ("BMP", "P"),
        ("JPEG 2000", "L"), ("JPEG 2000", "LA"), ("JPEG 2000", "RGBA"), ("JPEG 2000", "I;16"), ("AVIF", "RGBA"), ("GIF", "L"),
    ],
)  # fmt: skip
def test_every_pixel_mode_has_its_brightness(save: Save, still_type: str, mode: str) -> None:
    """A dark, a middle and a light stripe of grey, in each mode as its writer understands it."""
    levels = (0, 255, 255) if mode == "1" else (20, 128, 235)
    grey = np.repeat(np.array(levels, np.uint8), 40)[None].repeat(96, 0)
    if mode.startswith("I;16"):
        image = Image.fromarray(grey.astype("<u2") * 257).convert("I;16") if mode == "I;16" else Image.fromarray(grey.astype(">u2") * 257)
    elif mode == "F":
        image = Image.fromarray(grey.astype(np.float32) / 255)
    elif mode == "I":
        image = Image.fromarray(grey.astype(np.int32) * 257)
    else:
        image = Image.fromarray(grey).convert(mode)
    described, shown = decoded(save(image, still_type, **{"compression": None} if still_type == "TIFF" else {}))
    assert shown[48, 20::40].mean(axis=1).tolist() == pytest.approx(list(levels), abs=4)
    assert not described.is_transparent


def wide_profile(primaries: tuple[float, ...]) -> bytes:
    """Return an ICC profile (matrix and a curve of gamma 2.2) with these columns of red, green and blue in XYZ (D50)."""

    def s15(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    def text(words: bytes) -> bytes:
        return b"desc" + bytes(4) + struct.pack(">I", len(words) + 1) + words + bytes(79)

    tags = {
        b"desc": text(b"wide"),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": b"XYZ " + bytes(4) + s15(0.9642, 1.0, 0.8249),
        **{name: b"XYZ " + bytes(4) + s15(*primaries[at : at + 3]) for name, at in ((b"rXYZ", 0), (b"gXYZ", 3), (b"bXYZ", 6))},
        **{name: b"curv" + bytes(4) + struct.pack(">IH", 1, round(2.2 * 256)) for name in (b"rTRC", b"gTRC", b"bTRC")},
    }
    table, data = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += name + struct.pack(">II", 128 + 4 + 12 * len(tags) + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    size = 128 + len(table) + len(data)
    head = struct.pack(">I", size) + bytes(4) + struct.pack(">I", 0x02400000) + b"mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28)
    return (head + s15(0.9642, 1.0, 0.8249)).ljust(128, b"\0") + table + data


DISPLAY_P3: Final = (0.5151, 0.2412, -0.0011, 0.2919, 0.6922, 0.0419, 0.1572, 0.0666, 0.7841)
"""Columns of red, green and blue in XYZ under D50, as in Apple's profile of that name."""
ADOBE_RGB: Final = (0.6097, 0.3111, 0.0195, 0.2053, 0.6257, 0.0609, 0.1492, 0.0632, 0.7446)
"""The same of Adobe RGB (1998)."""


def in_srgb(colour: tuple[int, int, int], primaries: tuple[float, ...]) -> list[float]:
    """Return what a colour of the profile with these primaries and gamma 2.2 is in sRGB (IEC 61966-2-1; matrix for D50, Bradford)."""
    to_srgb = np.array([[3.1338561, -1.6168667, -0.4906146], [-0.9787684, 1.9161415, 0.0334540], [0.0719453, -0.2289914, 1.4052427]])
    linear = to_srgb @ np.array(primaries).reshape(3, 3).T @ ((np.array(colour) / 255) ** 2.2)
    clipped = linear.clip(0, 1)
    encoded = np.where(clipped <= 0.0031308, 12.92 * clipped, 1.055 * clipped ** (1 / 2.4) - 0.055)
    return [float(value) * 255 for value in encoded]


@pytest.mark.parametrize("primaries", [DISPLAY_P3, ADOBE_RGB], ids=["P3", "Adobe RGB"])
@pytest.mark.parametrize("still_type", ["JPEG", "PNG", "WebP", "TIFF", "AVIF"])
def test_colours_of_a_profile_are_converted(save: Save, still_type: str, primaries: tuple[float, ...]) -> None:
    skin = (214, 160, 132)
    expected = in_srgb(skin, primaries)
    assert max(abs(a - b) for a, b in zip(expected, skin, strict=True)) > 8  # the profile makes a difference
    described, image = decoded(save(Image.new("RGB", SIZE, skin), still_type, icc_profile=wide_profile(primaries)))
    assert described.has_profile
    assert image[40, 40].tolist() == pytest.approx(expected, abs=5)


def test_a_heic_with_the_profile_of_a_phone_is_converted(tmp_path: Path) -> None:
    skin = (214, 160, 132)
    Image.new("RGB", SIZE, skin).save(tmp_path / "skin.png")
    frame = encode_frame(tmp_path / "skin.png", tmp_path, "-vf", "scale=out_color_matrix=bt601", "-pix_fmt", "yuv420p")
    for name, options in (("icc", {"icc": wide_profile(DISPLAY_P3)}), ("nclx", {"codes": (12, 13, 6)})):
        path = tmp_path / f"{name}.heic"
        path.write_bytes(heic(frame, SIZE, **options))
        assert seen(check_video(path))[40, 40].tolist() == pytest.approx(in_srgb(skin, DISPLAY_P3), abs=7), name


def test_a_grey_image_keeps_its_grey_profile(save: Save) -> None:
    """Gamma 1.0: code 55 is 21.6 % of white, which is 128 in sRGB."""
    profile = bytearray(wide_profile(DISPLAY_P3))
    profile[16:20] = b"GRAY"
    profile[profile.index(b"rTRC") : profile.index(b"rTRC") + 4] = b"kTRC"
    curve = profile.index(b"curv")
    profile[curve + 12 : curve + 14] = struct.pack(">H", 256)
    _, image = decoded(save(Image.new("L", SIZE, 55), "PNG", icc_profile=bytes(profile)))
    assert image[40, 40].tolist() == pytest.approx([128, 128, 128], abs=4)


@pytest.mark.parametrize("profile", [b"", b"not a profile", bytes(4000), wide_profile(DISPLAY_P3)[:200]])
def test_a_broken_profile_is_ignored(save: Save, profile: bytes) -> None:
    assert_upright(decoded(save(quarters(), "JPEG", icc_profile=profile))[1])


def test_a_profile_of_other_channels_is_ignored(save: Save) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert_upright(decoded(save(quarters(), "PNG", icc_profile=lab))[1])
    grey = save(quarters(mode="L"), "JPEG", icc_profile=wide_profile(DISPLAY_P3))
    assert decoded(grey)[1][20, 20].tolist() == pytest.approx([quarters(mode="L").getpixel((20, 20))] * 3, abs=4)


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def test_an_hdr_still_is_tone_mapped(save: Save) -> None:
    """58 % PQ is 203 cd/m2, diffuse white (ITU-R BT.2408), as in the test of HDR videos."""
    path = save(Image.new("RGB", SIZE, (148, 148, 148)), "PNG")
    data = path.read_bytes()
    place = data.index(b"IDAT") - 4
    path.write_bytes(data[:place] + png_chunk(b"cICP", bytes([9, 16, 0, 1])) + data[place:])
    info = check_video(path)
    assert WarningCode.HDR_TONE_MAPPED in info.warnings
    white = seen(info)[40, 40]
    assert 150 <= white.min() <= white.max() <= 245


# -- transparency -------------------------------------------------------------------------------------------------------


def half_transparent() -> Image.Image:
    image = Image.new("RGBA", SIZE, (220, 130, 40, 255))
    image.paste((10, 250, 10, 0), (0, 0, SIZE[0] // 2, SIZE[1]))
    return image


@pytest.mark.parametrize("still_type", ["PNG", "WebP", "TIFF", "AVIF", "JPEG 2000", "GIF"])
@pytest.mark.parametrize("background", [(0, 0, 0), (0, 255, 128)])
def test_what_is_transparent_becomes_the_background(save: Save, still_type: str, background: tuple[int, int, int]) -> None:
    described, image = decoded(save(half_transparent(), still_type), background)
    assert described.is_transparent
    assert image[48, 30].tolist() == pytest.approx(list(background), abs=4)
    assert image[48, 130].tolist() == pytest.approx([220, 130, 40], abs=6)


def test_the_background_is_that_of_the_video_with_a_warning(save: Save) -> None:
    info = check_video(save(half_transparent(), "PNG"))
    assert info.video is not None
    assert list(info.warnings) == [WarningCode.TRANSPARENCY_LOST]
    image = seen(replace(info, video=replace(info.video, background="#00ff80")))
    assert image[48, 30].tolist() == pytest.approx([0, 255, 128], abs=2)


def test_a_colour_that_stands_for_transparent_is_one(save: Save) -> None:
    image = Image.new("RGB", SIZE, (220, 130, 40))
    image.paste((1, 2, 3), (0, 0, 80, 96))
    assert decoded(save(image, "PNG", transparency=(1, 2, 3)))[0].is_transparent


def test_half_a_transparency_is_half_the_colour(save: Save) -> None:
    _, image = decoded(save(Image.new("RGBA", SIZE, (200, 100, 50, 128)), "PNG"))
    assert image[48, 80].tolist() == pytest.approx([100, 50, 25], abs=3)


# -- size, memory and time ----------------------------------------------------------------------------------------------


@pytest.mark.family(3)
@pytest.mark.parametrize(("size", "shown"), [((3000, 2000), (1920, 1280)), ((2000, 4001), (960, 1920)), ((161, 121), (161, 121))])
@pytest.mark.parametrize("still_type", ["JPEG", "PNG", "WebP", "JPEG 2000", "TIFF"])
def test_a_large_still_is_scaled_down(save: Save, still_type: str, size: tuple[int, int], shown: tuple[int, int]) -> None:
    faster: dict[str, dict[str, Any]] = {"WebP": {"lossless": False}, "TIFF": {"compression": None}, "PNG": {"compress_level": 1}}
    described, image = decoded(save(quarters(size), still_type, **faster.get(still_type, {})))
    assert (described.width, described.height) == size
    assert image.shape == (shown[1], shown[0], 3)
    assert_upright(image, tolerance=8)


def test_an_odd_size_is_made_even_by_repeating_the_edge(save: Save) -> None:
    info = check_video(save(quarters((161, 121)), "PNG"))
    assert info.video is not None
    assert (info.video.width, info.video.height, info.video.coded_width, info.video.coded_height) == (162, 122, 161, 121)
    frame = next(VideoReader(info).frames())
    assert frame.y.shape == (122, 162)
    assert np.array_equal(frame.y[:, 161], frame.y[:, 160])
    assert np.array_equal(frame.y[121], frame.y[120])


def test_scaling_down_keeps_edges_where_they_are_and_adds_no_patterns(save: Save) -> None:
    """A checkerboard of single pixels is grey when it is scaled down by 3: nothing of it may alias into stripes."""
    board = Image.fromarray((np.indices((3000, 4500)).sum(0) % 2 * 255).astype(np.uint8))
    image = decoded(save(board, "PNG", compress_level=1))[1].astype(int)
    assert image.mean() == pytest.approx(127.5, abs=3)
    assert image.std() < 6


def test_a_photo_of_48_megapixels_is_no_video_of_40(save: Save) -> None:
    path = save(quarters((8064, 6048)), "JPEG", quality=60)
    info = check_video(path)
    assert info.video is not None
    assert (info.video.width, info.video.height) == (1920, 1440)
    error = refusal(path, still_megapixels=40.0)
    assert error.code == "video_too_large"
    assert "8064x6048" in str(error)


@pytest.mark.parametrize("size", [(63, 200), (1, 1)])
def test_a_tiny_still_is_refused(save: Save, size: tuple[int, int]) -> None:
    assert refusal(save(quarters(size), "PNG")).code == "video_too_small"


def png_of(width: int, height: int) -> bytes:
    """A PNG of a few kilobytes whose header promises any size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(bytes(100_000))) + png_chunk(b"IEND", b"")


def test_a_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_of(60_000, 60_000))
    assert refusal(path).code == "video_too_large"


def test_what_needs_more_memory_than_allowed_is_refused_and_not_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(png_of(15_000, 15_000))
    monkeypatch.setattr(stills, "MEMORY_BYTES", 2**29)
    assert refusal(path).code == "still_too_costly"


def test_the_memory_of_the_decoder_is_limited_by_the_kernel(tmp_path: Path, save: Save) -> None:
    """Where the estimate is wrong, the limit holds: 100 MB for an image of 48 megapixels that claims to be cheap."""
    task = {"type": "PNG", "megapixels": 100, "longest": 1920, "memory": 100 * 2**20, "seconds": 60, "background": [0, 0, 0]}
    script = "import heygem_daemon.media.still_decoder as d; d.PEAK_BYTES_PER_PIXEL['PNG'] = 0; d.main()"
    path = tmp_path / "large.png"
    path.write_bytes(png_of(8000, 6000))
    command = list(commands.decode_still(path, task))
    command[2:4] = ["-c", script]
    answer = capture(command, seconds=60)
    assert json.loads(answer.stdout) == {"problem": "too_costly"}


@pytest.mark.parametrize(
    ("ended_by", "code"),
    [(signal.SIGXCPU, "still_too_costly"), (signal.SIGABRT, "still_too_costly"), (signal.SIGSEGV, "file_crashes_tool")],
)
def test_a_decoder_that_dies_of_a_file_is_the_files_fault(
    save: Save, monkeypatch: pytest.MonkeyPatch, ended_by: signal.Signals, code: str
) -> None:
    path = save(quarters(), "PNG")
    monkeypatch.setattr(run, "_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(run, "_run", lambda *_, **__: Completed(code=-ended_by, stdout=b"", stderr="", program="still decoder"))
    assert refusal(path).code == code


@pytest.mark.parametrize("problem", [MemoryError(), ValueError("broken data stream when reading image file")], ids=["memory", "codec"])
def test_a_decoder_that_gets_less_memory_than_it_may_have_says_nothing_about_the_file(
    save: Save, monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    def fail(*_: object) -> None:
        raise problem

    task = still_decoder.Task(type="PNG", megapixels=200, longest=1920, memory=2**30, seconds=9, background=(0, 0, 0))
    path = str(save(quarters(), "PNG"))
    monkeypatch.setattr(still_decoder, "decode", fail)
    monkeypatch.setattr(still_decoder, "_is_free", lambda _: True)
    with monkeypatch.context() as limited:
        limited.setattr(resource, "getrlimit", lambda _: (2**30, 2**30))
        assert still_decoder.answer(path, task)[0]["problem"] in {"too_costly", "undecodable"}
        limited.setattr(still_decoder, "_is_free", lambda _: False)
        assert still_decoder.answer(path, task) == ({"problem": "short"}, b"")
    found = stills._refusal({"problem": "short"}, Path(path), "PNG", 200)
    assert (found.code, found.kind) == ("server_short", TransientError.kind)


@pytest.mark.family(2)
@pytest.mark.parametrize("memory", [160, 200])
def test_a_service_with_little_memory_condemns_no_photo(save: Save, memory: int) -> None:
    """The limit is what the service gives all of its processes: the decoder may not raise it."""
    for still_type in ("WebP", "AVIF", "JPEG 2000"):
        path = save(quarters((3200, 2400)), still_type)
        task = {"type": still_type, "megapixels": 200, "longest": 1920, "memory": 4 * 2**30, "seconds": 60, "background": [0, 0, 0]}
        limited = ("bash", "-c", f'ulimit -v {memory * 1024}; exec "$@"', "bash", *commands.decode_still(path, task))
        answer = subprocess.run(limited, capture_output=True, check=False, timeout=60)
        found = json.loads(answer.stdout.partition(b"\n")[0]) if answer.returncode == 0 else {"problem": "none"}
        assert found.get("problem") in {None, "none", "short", "io"}


def test_a_place_that_no_file_has_is_the_files_fault_and_does_not_wait(tmp_path: Path) -> None:
    tags = ((256, 4, 300), (257, 4, 300), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 9, -5), (277, 3, 1), (278, 4, 300), (279, 4, 90_000))
    entries = b"".join(struct.pack("<HHIi", tag, kind, 1, value) for tag, kind, value in tags)
    path = tmp_path / "a.tif"
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(100_000))
    assert refusal(path).code == "still_undecodable"


def test_a_decoder_that_the_kernel_kills_for_memory_is_the_machines_fault(save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(quarters(), "PNG")
    monkeypatch.setattr(run, "_run", lambda *_, **__: Completed(code=-signal.SIGKILL, stdout=b"", stderr="", program="still decoder"))
    with pytest.raises(TransientError) as caught:
        check_video(path)
    assert caught.value.code == "tool_killed"


# -- animations ---------------------------------------------------------------------------------------------------------


def frames(count: int) -> list[Image.Image]:
    return [quarters().rotate(20 * n) for n in range(count)]


@pytest.mark.parametrize("still_type", ["GIF", "PNG"])
def test_an_animation_that_ffmpeg_plays_is_a_video(save: Save, still_type: str) -> None:
    first, *others = frames(6)
    info = check_video(save(first, still_type, save_all=True, append_images=others, duration=100))
    assert info.video is not None
    assert not info.video.is_still
    assert len(list(VideoReader(info).frames())) >= 6
    assert WarningCode.ANIMATION_NOT_PLAYED not in info.warnings


@pytest.mark.parametrize("still_type", ["WebP", "AVIF"])
def test_of_another_animation_the_first_frame_is_used_with_a_warning(save: Save, still_type: str) -> None:
    first, *others = frames(4)
    info = check_video(save(first, still_type, save_all=True, append_images=others, duration=100))
    assert info.video is not None
    assert info.video.is_still
    assert still_type in info.warnings[WarningCode.ANIMATION_NOT_PLAYED]
    assert_upright(seen(info), tolerance=8)


def test_pages_and_views_are_no_animation(save: Save, tmp_path: Path) -> None:
    first, *others = frames(3)
    for path in (save(first, "TIFF", save_all=True, append_images=others), tmp_path / "views.mpo"):
        if path.suffix == ".mpo":
            first.save(path, "MPO", save_all=True, append_images=others, quality=97)
        described, image = decoded(path)
        assert not described.is_animated
        assert_upright(image, tolerance=6)


# -- damage -------------------------------------------------------------------------------------------------------------


def noisy(size: tuple[int, int] = (240, 180)) -> Image.Image:
    return Image.frombytes("RGB", size, random.Random(1).randbytes(size[0] * size[1] * 3))


def problem(path: Path) -> str:
    """Return why the decoder refuses a file, "" where it does not; in this process."""
    still_type = stills.recognise(path.read_bytes()[: stills.HEAD_BYTES])
    assert still_type is not None
    task = still_decoder.Task(type=still_type, megapixels=250, longest=1920, memory=2**32, seconds=60, background=(0, 0, 0))
    answer, _ = still_decoder.answer(str(path), task)
    return str(answer.get("problem", ""))


@pytest.mark.family(2)
@pytest.mark.parametrize("still_type", WRITERS)
@pytest.mark.parametrize("fraction", [0.3, 0.6, 0.95])
def test_half_a_copy_is_recognised_as_such(save: Save, still_type: str, fraction: float) -> None:
    path = save(noisy(), still_type)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * fraction)])
    assert problem(path) == "truncated"


def test_half_a_copy_is_refused(save: Save) -> None:
    path = save(noisy(), "JPEG")
    path.write_bytes(path.read_bytes()[:-20_000])
    assert refusal(path).code == "video_truncated"


def test_half_a_heic_is_recognised_as_such(hevc: tuple[bytes, bytes], tmp_path: Path) -> None:
    data, path = heic(hevc, SIZE), tmp_path / "half.heic"
    assert len(data) > 600
    for fraction in (0.3, 0.7, 0.95):
        path.write_bytes(data[: int(len(data) * fraction)])
        assert problem(path) == "truncated"


def test_a_progressive_jpeg_is_truncated_too(save: Save) -> None:
    path = save(noisy((80, 60)).resize((800, 600)), "JPEG", progressive=True, quality=90)
    path.write_bytes(path.read_bytes()[:-20_000])
    assert problem(path) == "truncated"


@pytest.mark.parametrize("still_type", ["JPEG", "PNG", "WebP", "AVIF", "GIF", "JPEG 2000"])
def test_a_copy_whose_end_is_still_zeros_is_incomplete(save: Save, still_type: str) -> None:
    path = save(noisy(), still_type)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
    assert problem(path) == "truncated"


@pytest.mark.parametrize("still_type", ["JPEG", "PNG", "WebP", "GIF", "BMP", "TIFF"])
def test_zeros_behind_a_whole_image_do_not_matter(save: Save, still_type: str) -> None:
    path = save(quarters(), still_type)
    path.write_bytes(path.read_bytes() + bytes(100_000))
    assert_upright(decoded(path)[1], tolerance=6)


@pytest.mark.parametrize("still_type", ["JPEG", "PNG", "WebP", "GIF", "BMP", "TIFF"])
def test_damage_is_an_error_of_the_file_or_harmless(save: Save, still_type: str) -> None:
    """Sixty files with 40 bytes exchanged each: every one is decoded or refused as a file that is at fault."""
    path, chance = save(noisy((128, 96)), still_type), random.Random(2)
    intact = path.read_bytes()
    found = set()
    for _ in range(60):
        data = bytearray(intact)
        for _ in range(40):
            data[chance.randrange(30, len(data))] = chance.randrange(256)
        path.write_bytes(data)
        found.add(problem(path))
    assert found <= {"", "undecodable", "truncated", "too_large", "too_costly"}


def test_a_raw_photo_is_called_so(save: Save) -> None:
    path = save(quarters(), "TIFF", "photo.dng", tiffinfo={50706: b"\x01\x04\0\0"})
    error = refusal(path)
    assert error.code == "unsupported_type"
    assert "raw photo" in str(error)


def test_what_cannot_be_decoded_is_called_by_its_type(tmp_path: Path) -> None:
    path = tmp_path / "letter.jpg"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"This is a letter. " * 100)
    error = refusal(path)
    assert error.code == "still_undecodable"
    assert "letter.jpg is a PNG image that cannot be decoded" in str(error)


def test_a_still_that_vanished_or_changed_is_a_transient_error(save: Save) -> None:
    path = save(quarters(), "PNG")
    info = check_video(path)
    save(quarters((320, 200)), "PNG")
    with pytest.raises(TransientError) as caught:
        seen(info)
    assert caught.value.code == "io_error"
    path.unlink()
    with pytest.raises(TransientError) as caught:
        seen(info)
    assert caught.value.code == "io_error"


def test_odd_names_are_only_names(save: Save) -> None:
    for name in ("-c.png", "a b 'c\" $(x).png", "line\nbreak.png", "教师 é.PNG", "%d*.png", "@x.png"):
        assert_upright(seen(check_video(save(quarters(), "PNG", name))))


def test_the_decoder_reads_no_other_file_and_follows_no_link(tmp_path: Path, save: Save) -> None:
    link = tmp_path / "link.png"
    link.symlink_to(save(quarters(), "PNG"))
    task = {"type": "PNG", "megapixels": 1, "longest": 1920, "memory": 2**30, "seconds": 60, "background": [0, 0, 0]}
    assert json.loads(capture(commands.decode_still(link, task), seconds=60).stdout)["problem"] == "io"


def test_a_still_in_memory_is_the_same_as_on_disk() -> None:
    image = BytesIO()
    quarters().save(image, "PNG")
    assert stills.recognise(image.getvalue()[: stills.HEAD_BYTES]) == "PNG"
