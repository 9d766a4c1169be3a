"""Decode the audio of a recording into mono blocks, and measure its exact length."""

import math
import os
import tempfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt

from heygem_daemon.core.errors import error
from heygem_daemon.media import commands
from heygem_daemon.media.formats import display_name
from heygem_daemon.media.run import FfmpegReader
from heygem_daemon.media.types import DEFAULT_LIMITS, MediaInfo, MediaLimits

SPEECH_RATE: Final = 16000
"""Hz."""

SILENCE_DB: Final = -60.0
"""dB of full scale. With its loudest sample below this a recording is silent but for noise: even bad ones of speech peak above -45 dB."""


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
    """Return the number of frames of a result: as long as `seconds` of speech, at least one."""
    return max(round(seconds * frame_rate), 1)


def speech_blocks(info: MediaInfo, rate: int = SPEECH_RATE, block: int = SPEECH_RATE) -> Generator[npt.NDArray[np.float32], None, None]:
    """Yield float32 [block] (the last one shorter), mono, -1..1, at `rate` Hz; goes on after damaged parts.

    Raises InputError (`audio_unreadable`) when the decoder fails without a sample, TransientError (`io_error`) when the file
    cannot be read or the decoder was killed.
    """
    with closing(_int16_blocks(info, rate, block)) as blocks:
        for samples in blocks:
            yield _as_float(samples)


def measure_speech(info: MediaInfo, limits: MediaLimits = DEFAULT_LIMITS) -> SpeechMeasure:
    """Decode the whole recording once and measure it; the length in a header may be wrong.

    Raises InputError: audio_unreadable, audio_empty, audio_silent, audio_too_long.
    """
    return _measure(speech_blocks(info), display_name(info.path), limits)


@dataclass(frozen=True, kw_only=True, eq=False)
class DecodedSpeech:
    """The speech of a recording that has been decoded and measured once, to be read any number of times.

    file: mono int16 at 16 kHz, without a name on the disk (115 MB for an hour); None where the disk had no room: then every reader
    decodes the recording again.
    """

    info: MediaInfo
    measure: SpeechMeasure
    file: BinaryIO | None

    def blocks(self, block: int = SPEECH_RATE) -> Generator[npt.NDArray[np.float32], None, None]:
        """Yield what `speech_blocks` yields, to the last bit. Raises TransientError (`io_error`) where the disk lost a part of the file."""
        if self.file is None:
            yield from speech_blocks(self.info, block=block)
            return
        sample_bytes = np.dtype(np.int16).itemsize
        for start in range(0, self.measure.samples, block):
            count = min(block, self.measure.samples - start)
            data = os.pread(self.file.fileno(), count * sample_bytes, start * sample_bytes)
            if len(data) < count * sample_bytes:
                raise error(
                    "io_error", problem=f"the decoded speech of {display_name(self.info.path)} is incomplete on the disk of the cache"
                )
            yield _as_float(np.frombuffer(data, np.int16))


@contextmanager
def decoded_speech(info: MediaInfo, directory: Path, limits: MediaLimits = DEFAULT_LIMITS) -> Iterator[DecodedSpeech]:
    """Decode and measure the whole recording into an unnamed temporary file in `directory`, which goes away with this context.

    Raises what `measure_speech` raises.
    """
    spool = _Spool(directory)
    try:
        with closing(_int16_blocks(info, SPEECH_RATE, SPEECH_RATE)) as blocks:
            measure = _measure((_as_float(spool.keep(samples)) for samples in blocks), display_name(info.path), limits)
        yield DecodedSpeech(info=info, measure=measure, file=spool.file)
    finally:
        spool.close()


class _Spool:
    """Samples on the disk, as long as it has room; without a file where it has none."""

    def __init__(self, directory: Path) -> None:
        self.file: BinaryIO | None = None
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self.file = tempfile.TemporaryFile(dir=directory, buffering=0)  # noqa: SIM115  (closed by `close`)
        except OSError:
            self.close()

    def keep(self, samples: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
        """Append the samples and return them."""
        left = memoryview(samples.tobytes())
        try:
            while self.file is not None and left:
                left = left[self.file.write(left) :]
        except OSError:
            self.close()
        return samples

    def close(self) -> None:
        if self.file is not None:
            with suppress(OSError):  # a late report of a network disk
                self.file.close()
        self.file = None


def _int16_blocks(info: MediaInfo, rate: int, block: int) -> Generator[npt.NDArray[np.int16], None, None]:
    """Yield int16 [block]; see `speech_blocks`."""
    with FfmpegReader(commands.decode_speech(info, rate=rate)) as decoder:
        done = False
        started = False
        while not done:
            samples = np.empty(block, np.int16)
            got = decoder.read_into(samples.data.cast("B")) // samples.itemsize
            done = got < block
            if got:
                started = True
                yield samples[:got]
        end = decoder.wait()
    if end.code < 0 or "Input/output error" in end.stderr:
        raise error("io_error", problem=f"{display_name(info.path)}: {end.last_error_line}")
    if end.code != 0 and not started:
        raise error("audio_unreadable", name=display_name(info.path))


def _as_float(samples: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
    return samples.astype(np.float32) / np.float32(32768)


def _measure(blocks: Iterable[npt.NDArray[np.float32]], name: str, limits: MediaLimits) -> SpeechMeasure:
    samples, peak, power = 0, 0.0, 0.0
    for block in blocks:
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
