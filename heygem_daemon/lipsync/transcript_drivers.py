"""What a driver may be given beside the sound: the frames, and the script of a request, found in its recording.

A script never stops a job, it is used or left aside.
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
from heygem_daemon.lipsync.speech.clean import clean
from heygem_daemon.lipsync.speech.transcript import Alignment, TranscriptProblem, align, transcript_text
from heygem_daemon.media.speech import speech_blocks


@runtime_checkable
class TranscriptDriver(Driver, Protocol):
    """A driver that hears visemes, and takes a script's where they are known."""

    def posteriors(self, speech: Iterable[Float32]) -> Iterator[Float32]:
        """Yield float32 [k, 16], the odds of the visemes at 50 rows per second; row k is centred on k / 50 s."""
        ...

    def motion(
        self, speech: Iterable[Float32], frame_rate: Fraction, frames: int, script: Alignment | None = None
    ) -> Iterator[MouthMotion]: ...


@runtime_checkable
class VisualDriver(TranscriptDriver, Protocol):
    """A driver that looks at the presenter before it says what the mouth should do."""

    def motion_from_frames(
        self, sight: FrameContext, speech: Iterable[Float32], frame_rate: Fraction, frames: int, script: Alignment | None = None
    ) -> Iterator[MouthMotion]:
        """As `motion`. It reads as many frames of `sight` ahead as it needs, a few dozen at most."""
        ...


@dataclass(frozen=True, kw_only=True)
class Finding:
    """`alignment` is None where there is no script, or `warning` says why it is not used."""

    alignment: Alignment | None = None
    warning: WarningCode | None = None

    @property
    def phonemes(self) -> tuple[tuple[str, float, float], ...]:
        """Return (IPA, start s, end s) of every phoneme that was found, pauses left out."""
        segments = self.alignment.segments if self.alignment is not None else ()
        return tuple((segment.ipa, segment.start, segment.end) for segment in segments if segment.word >= 0)


def find_script(driver: Driver, recording: Path, *, text: str | None, script: Path | None, language: str | None) -> Finding:
    """Align the words (`text`, else those of the file `script`) with the recording; costs a second hearing of it where there are any."""
    if not isinstance(driver, TranscriptDriver) or (text is None and script is None):
        return Finding()
    try:
        words = transcript_text(text, script) or ""
    except TranscriptProblem as problem:
        return Finding(warning=problem.code)
    with closing(speech_blocks(recording)) as speech:
        result = align(words, language, driver.posteriors(clean(speech)))
    return Finding(alignment=result.alignment, warning=result.warning)


def motion_of(
    driver: Driver, speech: Iterable[Float32], frame_rate: Fraction, frames: int, script: Alignment | None
) -> Iterator[MouthMotion]:
    """Return the driver's motion, with the script where it takes one."""
    if script is not None and isinstance(driver, TranscriptDriver):
        return driver.motion(speech, frame_rate, frames, script)
    return driver.motion(speech, frame_rate, frames)
