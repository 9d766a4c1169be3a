"""Make an image that compares a frame of the source, on the left, with the same frame of the result, on the right."""

import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from heygem_daemon.lipsync.arrays import Image
from heygem_daemon.media.frame import Frame

WIDTH: Final = 1280
_GAP: Final = 4
_QUALITY: Final = 88
"""Of the JPEG, 0-100."""


def before_after(before: Frame, after: Frame, sample_aspect: Fraction = Fraction(1)) -> Image:
    """Return BGR uint8 [h, w, 3], w <= WIDTH: both frames side by side with square pixels."""
    images = [_shrink(frame.bgr(), sample_aspect, (WIDTH - _GAP) // 2) for frame in (before, after)]
    gap = np.full((images[0].shape[0], _GAP, 3), 255, np.uint8)
    return np.asarray(np.concatenate([images[0], gap, images[1]], axis=1), np.uint8)


def write_jpeg(image: Image, path: Path) -> None:
    """Write the image; the file is whole or absent. Raises OSError."""
    done, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise ValueError(f"an image of shape {image.shape} cannot be encoded")
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".thumbnail-", delete=False) as file:
        scratch = Path(file.name)
        try:
            file.write(encoded.tobytes())
            file.flush()
            scratch.chmod(0o644)
            scratch.replace(path)
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise


def _shrink(image: Image, sample_aspect: Fraction, widest: int) -> Image:
    """Return the image with square pixels, at most `widest` pixels wide."""
    height, width = image.shape[:2]
    square_width = width * float(sample_aspect)
    factor = min(1.0, widest / square_width)
    size = (max(1, round(square_width * factor)), max(1, round(height * factor)))
    return np.asarray(image if size == (width, height) else cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
