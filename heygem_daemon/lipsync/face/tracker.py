"""Several faces followed over consecutive frames, each by its own landmarks."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, eq=False)
class FollowedFace:
    """A face in one frame. track: who it is, until the next cut; landmarks: float32 [468, 3], pixels; score: 0-1."""

    track: int
    landmarks: FloatArray
    score: float


class FaceTracker:
    """Follow every face over consecutive frames of one video; `shot` counts its scene cuts."""

    def __init__(self, models: Path, *, frame_rate: Fraction = Fraction(25)) -> None:
        raise NotImplementedError

    def follow(self, image: Image) -> tuple[FollowedFace, ...]:
        """Return the faces of the next frame (BGR, uint8 [h, w, 3]), the oldest track first."""
        raise NotImplementedError
