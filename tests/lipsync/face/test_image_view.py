"""Squares cropped from images, BGR and planar YUV alike."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from heygem_daemon.lipsync.arrays import Image
from heygem_daemon.lipsync.face.image_view import ImageView, Roi
from tests.lipsync.face.conftest import as_frame


def ramp(width: int, height: int) -> Image:
    """Blue grows with x, green with y."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return np.stack([x % 256, y % 256, np.full_like(x, 40)], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("reduction", [1, 2, 3])
def test_the_middle_of_the_crop_is_the_centre_of_the_square(reduction: int) -> None:
    cut = ImageView(ramp(250, 200)).crop(Roi(x=120, y=80, size=48 * reduction), 48, extend=False)
    red, green, blue = cut[24, 24]
    assert (red, blue, green) == (40, pytest.approx(120, abs=0.6), pytest.approx(80, abs=0.6))


def test_a_turned_square_looks_along_its_own_axes() -> None:
    cut = ImageView(ramp(250, 200)).crop(Roi(x=120, y=80, size=64, angle=np.pi / 2), 64, extend=False)
    assert cut[32, 52, 1] - cut[32, 12, 1] == pytest.approx(40, abs=1), "the square's x runs down the image"
    assert cut[32, 52, 2] == pytest.approx(cut[32, 12, 2], abs=1)


@pytest.mark.parametrize(("width", "height"), [(256, 256), (255, 253)])
@pytest.mark.parametrize("size", [150.0, 420.0])
def test_a_decoded_frame_looks_like_its_bgr_image(face: Image, width: int, height: int, size: float) -> None:
    image = np.ascontiguousarray(face[:height, :width])
    roi = Roi(x=121.3, y=127.9, size=size, angle=0.2)
    for extend in (True, False):
        a = ImageView(image).crop(roi, 96, extend=extend)
        b = ImageView(as_frame(image)).crop(roi, 96, extend=extend)
        assert a.shape == b.shape == (96, 96, 3)
        assert np.abs(a - b).mean() < 2.5
        assert np.abs((a - b).mean(axis=(0, 1))).max() < 1.5, "a cast of colour"


def test_outside_the_image_is_black_or_the_nearest_pixel() -> None:
    white = np.full((60, 60, 3), 255, np.uint8)
    roi = Roi(x=0, y=30, size=60)
    for view in (ImageView(white), ImageView(as_frame(white))):
        assert view.crop(roi, 60, extend=False)[30, 10].max() < 2
        assert view.crop(roi, 60, extend=True)[30, 10].min() > 253


def test_strong_reduction_averages_instead_of_picking() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (640, 640, 3), dtype=np.uint8)
    cut = ImageView(noise).crop(Roi(x=320, y=320, size=640), 64, extend=False)
    assert cut.std() < 15, "single pixels deviate by 74"


@pytest.mark.parametrize(
    ("width", "height", "shape"), [(1920, 1080, (36, 64)), (1080, 1920, (64, 36)), (64, 64, (64, 64)), (2000, 20, (1, 64))]
)
def test_a_thumbnail_keeps_the_shape_of_the_image(width: int, height: int, shape: tuple[int, int]) -> None:
    assert ImageView(np.zeros((height, width, 3), np.uint8)).thumbnail().shape == shape


def test_a_thumbnail_shows_the_brightness(scene: Callable[..., Image]) -> None:
    image = scene((200, 50, 1.0))
    wanted = cv2.resize(image[:, :, 1], (64, 36), interpolation=cv2.INTER_AREA).astype(np.float32)
    assert np.abs(ImageView(image).thumbnail() - wanted).mean() < 1
