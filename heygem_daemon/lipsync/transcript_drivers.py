"""Drivers that use more than the audio: the source frames, and the transcript of a request, aligned with its recording.

A transcript never fails a job: it is used or ignored.
"""

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol, runtime_checkable

from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.motion import MouthMotion
from heygem_daemon.lipsync.ports import Driver, FrameContext
from heygem_daemon.lipsync.speech.stream import replace_non_finite
from heygem_daemon.lipsync.speech.transcript import Alignment, TranscriptProblem, align, transcript_text
from heygem_daemon.media.speech import DecodedSpeech


@runtime_checkable
class TranscriptDriver(Driver, Protocol):
    """A driver that predicts visemes, and takes those of an aligned transcript where there is one."""

    def posteriors(self, speech: Iterable[Float32]) -> Iterator[Float32]:
        """Yield float32 [k, 16], the probabilities of the visemes at 50 rows per second; row k is centred on k / 50 s."""
        ...

    def motion(
        self, speech: Iterable[Float32], frame_rate: Fraction, frames: int, alignment: Alignment | None = None
    ) -> Iterator[MouthMotion]: ...


@runtime_checkable
class VisualDriver(TranscriptDriver, Protocol):
    """A driver that also uses the source frames."""

    def motion_from_frames(
        self, context: FrameContext, speech: Iterable[Float32], frame_rate: Fraction, frames: int, alignment: Alignment | None = None
    ) -> Iterator[MouthMotion]:
        """Yield what `motion` does. It reads as many frames of `context` ahead as it needs, a few dozen at most."""
        ...


@dataclass(frozen=True, kw_only=True)
class TranscriptAlignment:
    """`alignment` is None where there is no transcript, or where it is not used and `warning` names the reason."""

    alignment: Alignment | None = None
    warning: WarningCode | None = None

    @property
    def phonemes(self) -> tuple[tuple[str, float, float], ...]:
        """Return (IPA, start s, end s) of every aligned phoneme, without pauses."""
        segments = self.alignment.segments if self.alignment is not None else ()
        return tuple((segment.ipa, segment.start, segment.end) for segment in segments if segment.word >= 0)


def align_transcript(
    driver: Driver, speech: DecodedSpeech, *, text: str | None, script: Path | None, language: str | None
) -> TranscriptAlignment:
    """Align the words (`text`, else those of the file `script`) with the recording, where there are any and the driver uses them.

    It costs one more run of the driver's network over the recording.
    """
    if not isinstance(driver, TranscriptDriver) or (text is None and script is None):
        return TranscriptAlignment()
    try:
        words = transcript_text(text, script) or ""
    except TranscriptProblem as problem:
        return TranscriptAlignment(warning=problem.code)
    with closing(speech.blocks()) as blocks:
        seconds = float(speech.measure.seconds)
        result = align(words, language, driver.posteriors(replace_non_finite(blocks)), seconds=seconds)
    return TranscriptAlignment(alignment=result.alignment, warning=result.warning)


def motion_of(
    driver: Driver, speech: Iterable[Float32], frame_rate: Fraction, frames: int, alignment: Alignment | None
) -> Iterator[MouthMotion]:
    """Return the driver's motion, with the aligned transcript where the driver takes one."""
    if alignment is not None and isinstance(driver, TranscriptDriver):
        return driver.motion(speech, frame_rate, frames, alignment)
    return driver.motion(speech, frame_rate, frames)
