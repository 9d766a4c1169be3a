"""How the colours of a video were graded, from the presenter's own skin and lips: so that what is painted or generated has no colour that
the video does not have. In a black-and-white, sepia or night-vision video colour is a function of brightness alone."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
import numpy.typing as npt

from heygem_daemon.lipsync.arrays import Float64
from heygem_daemon.lipsync.geometry.landmarks import INNER_OUTLINE, OUTER_OUTLINE
from heygem_daemon.lipsync.imaging.planes import to_bgr
from heygem_daemon.media.frame import Frame

if TYPE_CHECKING:
    from torch import Tensor

LUMA: Final = (0.114, 0.587, 0.299)
"""Weights of blue, green and red in the brightness (ITU-R BT.601)."""
_MONOCHROME, _COLOURED = 0.02, 0.042
"""Contrast of lips against skin (see `Grading`) up to which a video has no colours of its own, and from which it has all of them. Measured
on 8 people: .043-.164; in black and white 0, in sepia .001-.019, in green .006-.023, with a quarter of the saturation .011-.038, with half
of it .022-.075."""
_REACH: Final = 3.0
"""A generated colour may deviate from the tone of the skin by so many times as much as lips do in the mean."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Grading:
    """The colours of one presenter's video.

    tone: [2, 2], the colour of the skin by its brightness L: blue - L and red - L are tone[0] + tone[1] * L, grey levels;
    contrast: by how much lips and skin deviate from that tone, as a fraction of their brightness
    """

    tone: Float64
    contrast: float

    @property
    def saturation(self) -> float:
        """0-1: 0 in a video whose colours are a function of brightness, 1 where lips differ from skin as lips do."""
        return min(1.0, max(0.0, (self.contrast - _MONOCHROME) / (_COLOURED - _MONOCHROME)))

    def tint_map(self) -> tuple[Float64, Float64]:
        """Return (matrix [3, 3], offset [3]): the affine map of painted colours (blue, green, red) to those that the video shows, which
        lie nearer to its tone by what it lacks of saturation."""
        (blue_offset, red_offset), (blue_slope, red_slope) = self.tone
        blue, red = (blue_offset, 1 + blue_slope), (red_offset, 1 + red_slope)
        green = tuple((float(k == 1) - LUMA[0] * blue[k] - LUMA[2] * red[k]) / LUMA[1] for k in range(2))
        offset, slope = np.array([blue, green, red]).T
        rest = 1 - self.saturation
        return self.saturation * np.eye(3) + rest * np.outer(slope, LUMA), rest * offset

    def limit(self, image: "Tensor") -> "Tensor":
        """Return generated colours [3, h, w], those drawn nearer to the tone that differ from it by more than the presenter's own do."""
        if self.saturation == 1:
            return image
        brightness = _brightness(image)
        toned = self._toned(brightness)
        contrast = self.contrast if self.saturation > 0 else 0.0
        deviation = (image - toned).square().sum(0).sqrt().clamp(min=1e-3)
        return toned + (image - toned) * (_REACH * contrast * brightness / deviation).clamp(0, 1)

    def _toned(self, brightness: "Tensor") -> "Tensor":
        """Return [3, h, w]: the colour of skin at each brightness [h, w]."""
        import torch  # noqa: PLC0415  (slow, and needed for generated mouths only)

        (blue_offset, red_offset), (blue_slope, red_slope) = self.tone.tolist()
        blue = brightness + blue_offset + blue_slope * brightness
        red = brightness + red_offset + red_slope * brightness
        green = (brightness - LUMA[0] * blue - LUMA[2] * red) / LUMA[1]
        return torch.stack([blue, green, red])


UNGRADED: Final = Grading(tone=np.zeros((2, 2)), contrast=1.0)
"""Leaves all colours as they are."""


def learn_grading(skin: npt.NDArray[np.uint8], lips: Float64) -> Grading:
    """Return the grading of the skin samples [n, p, 3] and the mean lip colours [n, 3] of n frames, blue first, 0-255.

    The mean over the frames has no noise. In a video of one colour, skin of every brightness and the lips lie on one line.
    """
    light, chroma = _split(skin.mean(0))
    lip_light, lip_chroma = _split(lips.mean(0, keepdims=True))
    tone = np.linalg.lstsq(_line(light), chroma, rcond=None)[0]
    scatter = np.linalg.norm(chroma - _line(light) @ tone, axis=1) / light.mean()
    from_line = np.linalg.norm(lip_chroma - _line(lip_light) @ tone) / lip_light[0]
    hue = (light @ chroma) / (light @ light)
    from_hue = float(np.linalg.norm(lip_chroma / lip_light[:, None] - hue))
    contrast = min(from_hue, float(np.hypot(from_line, np.sqrt(np.square(scatter).mean()))))
    has_offset = contrast <= _MONOCHROME < from_hue
    return Grading(tone=np.asarray(tone if has_offset else np.stack([np.zeros(2), hue])), contrast=contrast)


def lip_colour(crop: Frame, points: Float64) -> Float64:
    """Return [3]: the mean colour of the lips, blue first, 0-255, in a crop with landmarks [468, 2] in its pixels."""
    mask = np.zeros(crop.y.shape, np.uint8)
    cv2.fillPoly(mask, [np.round(points[list(OUTER_OUTLINE)]).astype(np.int32)], 1)
    cv2.fillPoly(mask, [np.round(points[list(INNER_OUTLINE)]).astype(np.int32)], 0)
    blocks = np.ascontiguousarray(mask[::2, ::2])
    codes = [cv2.mean(crop.y, mask)[0], cv2.mean(crop.u, blocks)[0], cv2.mean(crop.v, blocks)[0]]
    return np.asarray(to_bgr(np.array(codes, np.float32), crop.space), np.float64)


def _split(colours: Float64) -> tuple[Float64, Float64]:
    """Return the brightness [n] of colours [n, 3], and what blue and red differ from it [n, 2]."""
    brightness = np.maximum(1.0, colours @ LUMA)
    return brightness, colours[:, [0, 2]] - brightness[:, None]


def _line(brightness: Float64) -> Float64:
    return np.stack([np.ones_like(brightness), brightness], axis=1)


def _brightness(image: "Tensor") -> "Tensor":
    """Return [h, w] of [3, h, w]."""
    return (image * image.new_tensor(LUMA)[:, None, None]).sum(0)
