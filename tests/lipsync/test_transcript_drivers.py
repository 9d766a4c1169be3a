"""The transcript of a request is aligned with the recording and reaches the driver."""

import wave
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.motion import MouthMotion
from heygem_daemon.lipsync.speech.transcript import Alignment
from heygem_daemon.lipsync.transcript_drivers import TranscriptAlignment, align_transcript, motion_of
from heygem_daemon.media.probe import check_recording
from heygem_daemon.media.speech import DecodedSpeech, SpeechMeasure, decoded_speech
from heygem_daemon.media.types import MediaInfo
from tests.lipsync.speech.transcript.recordings import LESSON, OTHER, synthesise, words_of

MOTION = MouthMotion(
    times=np.zeros(1), opening=np.zeros(1, np.float32), width=np.zeros(1, np.float32), visemes=np.ones((1, 16), np.float32)
)


class PlainDriver:
    """A driver that takes no transcript."""

    name = "plain"
    model_hashes: Mapping[str, str] = MappingProxyType({})

    def motion(self, speech: Iterable[Float32], frame_rate: Fraction, frames: int) -> Iterator[MouthMotion]:
        yield MOTION


class LessonDriver:
    """A driver that predicts the visemes of LESSON for any recording."""

    name = "lesson"
    model_hashes: Mapping[str, str] = MappingProxyType({})

    def __init__(self) -> None:
        self.alignments: list[Alignment | None] = []
        self.samples = 0

    def posteriors(self, speech: Iterable[Float32]) -> Iterator[Float32]:
        for block in speech:
            assert np.isfinite(block).all()
            self.samples += len(block)
        yield synthesise(words_of(LESSON), clarity=4.0).posteriors

    def motion(
        self, speech: Iterable[Float32], frame_rate: Fraction, frames: int, alignment: Alignment | None = None
    ) -> Iterator[MouthMotion]:
        self.alignments.append(alignment)
        yield MOTION


@pytest.fixture
def speech(tmp_path: Path) -> Iterator[DecodedSpeech]:
    path = tmp_path / "speech.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(np.full(20000, 3000, "<i2").tobytes())
    with decoded_speech(check_recording(path), tmp_path / "cache") as decoded:
        yield decoded


@pytest.mark.family(2)
@pytest.mark.parametrize(
    ("name", "before", "after"),
    [("speech.txt", "", ""), ("speech.srt", "1\n00:00:00,000 --> 00:00:01,250\n<i>", "</i>\n"), ("speech.rtf", "{\\rtf1 ", "\\par}")],
)
def test_the_words_of_a_file_are_aligned_with_the_whole_recording_and_reach_the_driver(
    speech: DecodedSpeech, tmp_path: Path, name: str, before: str, after: str
) -> None:
    path = tmp_path / name
    path.write_text(before + LESSON + after, encoding="utf-8")
    driver = LessonDriver()
    found = align_transcript(driver, speech, text=None, script=path, language=None)
    assert found.warning is None
    assert found.alignment is not None
    assert found.alignment.coverage == 1.0
    assert driver.samples == 20000
    list(motion_of(driver, [], Fraction(25), 1, found.alignment))
    assert driver.alignments == [found.alignment]


def test_the_text_wins_over_the_file_and_a_wrong_one_is_a_warning(speech: DecodedSpeech, tmp_path: Path) -> None:
    path = tmp_path / "speech.txt"
    path.write_text(LESSON, encoding="utf-8")
    found = align_transcript(LessonDriver(), speech, text=OTHER, script=path, language="en")
    assert found == TranscriptAlignment(warning=WarningCode.SCRIPT_MISMATCH)


def test_a_file_that_cannot_be_read_is_a_warning_and_the_recording_is_not_read(speech: DecodedSpeech, tmp_path: Path) -> None:
    path = tmp_path / "speech.txt"
    path.write_bytes("Grüße".encode("latin-1"))
    driver = LessonDriver()
    assert align_transcript(driver, speech, text=None, script=path, language=None).warning == WarningCode.SCRIPT_UNREADABLE
    assert driver.samples == 0


def test_without_a_transcript_or_a_driver_that_takes_it_the_recording_is_not_read() -> None:
    missing = DecodedSpeech(
        info=MediaInfo(path=Path("none.wav"), demuxer="wav", size=0, streams=0, video=None, audio=None),
        measure=SpeechMeasure(samples=0, peak_db=0, rms_db=0),
        file=None,
    )
    assert align_transcript(LessonDriver(), missing, text=None, script=None, language=None) == TranscriptAlignment()
    assert align_transcript(PlainDriver(), missing, text=LESSON, script=None, language=None) == TranscriptAlignment()


def test_a_driver_without_a_transcript_gets_the_speech_alone() -> None:
    assert list(motion_of(PlainDriver(), [], Fraction(25), 1, None)) == [MOTION]
    driver = LessonDriver()
    list(motion_of(driver, [], Fraction(25), 1, None))
    assert driver.alignments == [None]
