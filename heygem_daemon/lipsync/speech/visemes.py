"""What a mouth does at each viseme."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from heygem_daemon.lipsync.ports import VISEMES

FloatArray = npt.NDArray[np.float32]

SHAPES: Final[Mapping[str, tuple[float, float]]] = {
    "sil": (0.0, 0.50),
    "PP": (0.0, 0.45),
    "FF": (0.1, 0.50),
    "TH": (0.3, 0.50),
    "DD": (0.3, 0.52),
    "kk": (0.4, 0.50),
    "CH": (0.3, 0.30),
    "SS": (0.22, 0.58),
    "nn": (0.35, 0.52),
    "RR": (0.32, 0.35),
    "aa": (1.0, 0.60),
    "E": (0.65, 0.70),
    "ih": (0.42, 0.80),
    "oh": (0.4, 0.20),
    "ou": (0.3, 0.0),
    "ax": (0.45, 0.50),
}
"""Viseme -> opening, width as fractions of a person's range. Measured on real speakers with a face mesh; "oh" opens far less than
textbooks draw it. Silence is 0 by policy: a presenter who is not speaking keeps the lips shut."""

TABLE: Final[FloatArray] = np.array([SHAPES[name] for name in VISEMES], np.float32)
"""float32 [16, 2], the same in the order of VISEMES."""


def column(name: str) -> int:
    """Return the index of the viseme `name` in VISEMES."""
    return VISEMES.index(name)
