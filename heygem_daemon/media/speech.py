"""The sound of a recording as mono blocks, and its exact length."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from heygem_daemon.media.types import DEFAULT_LIMITS, MediaLimits

SPEECH_RATE: Final = 16000


@dataclass(frozen=True, kw_only=True)
class SpeechMeasure:
    """`samples` at 16 kHz mono, decoded; `peak_db` and `rms_db` relative to full scale."""

    samples: int
    peak_db: float
    rms_db: float

    @property
    def seconds(self) -> Fraction:
        return Fraction(self.samples, SPEECH_RATE)


def frame_count(seconds: Fraction, frame_rate: Fraction) -> int:
    """Return how many frames last as long as `seconds` of speech: the length rule of every result."""
    return round(seconds * frame_rate)


def speech_blocks(path: Path, rate: int = SPEECH_RATE, block: int = SPEECH_RATE) -> Iterator[npt.NDArray[np.float32]]:
    """Yield float32 [block] (the last one shorter), mono, -1..1, at `rate` Hz."""
    raise NotImplementedError


def measure_speech(path: Path, limits: MediaLimits = DEFAULT_LIMITS) -> SpeechMeasure:
    """Decode the whole recording once. Raises InputError: audio_unreadable, audio_empty, audio_silent, audio_too_long."""
    raise NotImplementedError
