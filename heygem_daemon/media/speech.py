"""The sound of a recording as mono blocks, and its exact length."""

import math
from collections.abc import Generator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from heygem_daemon.core.errors import error
from heygem_daemon.media import commands
from heygem_daemon.media.formats import display_name
from heygem_daemon.media.run import FfmpegReader
from heygem_daemon.media.types import DEFAULT_LIMITS, MediaLimits

SPEECH_RATE: Final = 16000

SILENCE_DB: Final = -60.0
"""A recording whose loudest sample lies below this is silence with noise on it: speech peaks above -45 dB even in bad recordings."""


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
    """Return how many frames last as long as `seconds` of speech, at least one: the length rule of every result."""
    return max(round(seconds * frame_rate), 1)


def speech_blocks(path: Path, rate: int = SPEECH_RATE, block: int = SPEECH_RATE) -> Generator[npt.NDArray[np.float32], None, None]:
    """Yield float32 [block] (the last one shorter), mono, -1..1, at `rate` Hz; goes on after damaged stretches.

    Raises InputError (`audio_unreadable`) when the decoder fails without a sample, TransientError (`io_error`) when the file
    cannot be read or the decoder was killed.
    """
    with FfmpegReader(commands.decode_speech(path, rate=rate)) as child:
        done = False
        started = False
        while not done:
            samples = np.empty(block, np.int16)
            got = child.read_into(samples.data.cast("B")) // samples.itemsize
            done = got < block
            if got:
                started = True
                yield samples[:got].astype(np.float32) / np.float32(32768)
        end = child.wait()
    if end.code < 0 or "Input/output error" in end.stderr:
        raise error("io_error", problem=f"{display_name(path)}: {end.last_error_line}")
    if end.code != 0 and not started:
        raise error("audio_unreadable", name=display_name(path))


def measure_speech(path: Path, limits: MediaLimits = DEFAULT_LIMITS) -> SpeechMeasure:
    """Decode the whole recording once. Raises InputError: audio_unreadable, audio_empty, audio_silent, audio_too_long (what a
    header says about the length may be wrong; this counts)."""
    name, samples, peak, power = display_name(path), 0, 0.0, 0.0
    for block in speech_blocks(path):
        samples += len(block)
        peak = max(peak, float(np.abs(block).max()))
        power += float(np.square(block, dtype=np.float64).sum())
        if samples > limits.recording_seconds * SPEECH_RATE:
            raise error("audio_too_long", name=name, seconds=samples / SPEECH_RATE, limit=limits.recording_seconds)
    if samples == 0:
        raise error("audio_empty", name=name)
    measure = SpeechMeasure(samples=samples, peak_db=_decibel(peak), rms_db=_decibel(math.sqrt(power / samples)))
    if measure.peak_db < SILENCE_DB:
        raise error("audio_silent", name=name)
    return measure


def _decibel(amplitude: float) -> float:
    return 20 * math.log10(max(amplitude, 1e-10))
