"""Real faces as images and frames, placed where a test wants them."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from heygem_daemon.lipsync.arrays import Image
from heygem_daemon.media.frame import Frame, YuvSpace

SPACE = YuvSpace(matrix="bt709", full_range=False)


@pytest.fixture(scope="session")
def face(portrait: Path) -> Image:
    """The head of the portrait, BGR uint8 [256, 256, 3].

    Her outer eye corners are 63 pixels apart, the face is 102 wide, around (129, 125).
    """
    image = np.asarray(cv2.imread(str(portrait)), np.uint8)
    return np.ascontiguousarray(image[:256, 96:352])


@pytest.fixture(scope="session")
def scene(face: Image) -> Callable[..., Image]:
    """Make an image of `size` (width, height): the face at every (x, y, scale) given, before the wall number `wall`."""

    def make(*faces: tuple[float, float, float], size: tuple[int, int] = (640, 360), wall: int = 0) -> Image:
        stains = np.random.default_rng(wall).integers(20, 236, (9, 16), dtype=np.uint8)
        image = np.asarray(cv2.cvtColor(cv2.resize(stains, size, interpolation=cv2.INTER_CUBIC), cv2.COLOR_GRAY2BGR), np.uint8)
        for x, y, scale in faces:
            move = np.array([[scale, 0, x], [0, scale, y]], np.float64)
            reduced = face if scale > 0.5 else cv2.resize(face, (128, 128), interpolation=cv2.INTER_AREA)
            move[:, :2] *= 256 / reduced.shape[0]
            cv2.warpAffine(reduced, move, size, dst=image, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT)
        return image

    return make


def as_frame(image: Image, index: int = 0) -> Frame:
    """Return a BGR image as a decoded frame, BT.709, limited range; odd sizes have a chroma sample more."""
    height, width = image.shape[:2]
    blue, green, red = (image[:, :, i].astype(np.float64) for i in range(3))
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    chroma = [(blue - luma) / 1.8556 * 224 / 255 + 128, (red - luma) / 1.5748 * 224 / 255 + 128]
    half = ((width + 1) // 2, (height + 1) // 2)
    padded = [np.pad(plane, ((0, height % 2), (0, width % 2)), mode="edge") for plane in chroma]
    u, v = (np.round(cv2.resize(plane, half, interpolation=cv2.INTER_AREA)).astype(np.uint8) for plane in padded)
    return Frame(index=index, y=np.round(luma * 219 / 255 + 16).astype(np.uint8), u=u, v=v, space=SPACE)
