"""A script on its way from a request to a driver."""

import wave
from fractions import Fraction
from types import MappingProxyType

import numpy as np
import pytest

from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.lipsync.motion import MouthMotion
from heygem_daemon.lipsync.transcript_drivers import Finding, find_script, motion_of
from tests.lipsync.speech.transcript.recordings import LESSON, OTHER, hear, words_of

MOTION = MouthMotion(
    times=np.zeros(1), opening=np.zeros(1, np.float32), width=np.zeros(1, np.float32), visemes=np.ones((1, 16), np.float32)
)


class Deaf:
    """A driver that cannot say what it hears."""

    name = "deaf"
    model_hashes = MappingProxyType({})

    def motion(self, speech, frame_rate, frames):
        yield MOTION


class Hearing:
    """A driver that hears LESSON in any recording."""

    name = "hearing"
    model_hashes = MappingProxyType({})

    def __init__(self):
        self.scripts = []
        self.samples = 0

    def posteriors(self, speech):
        for block in speech:
            assert np.isfinite(block).all()
            self.samples += len(block)
        yield hear(words_of(LESSON), clarity=4.0).posteriors

    def motion(self, speech, frame_rate, frames, script=None):
        self.scripts.append(script)
        yield MOTION


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "speech.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(np.zeros(20000, "<i2").tobytes())
    return path


def test_the_words_of_a_file_are_found_in_the_whole_recording_and_reach_the_driver(recording, tmp_path):
    path = tmp_path / "speech.txt"
    path.write_text(LESSON, encoding="utf-8")
    driver = Hearing()
    found = find_script(driver, recording, text=None, script=path, language=None)
    assert found.warning is None
    assert found.alignment is not None
    assert found.alignment.coverage == 1.0
    assert driver.samples == 20000
    list(motion_of(driver, [], Fraction(25), 1, found.alignment))
    assert driver.scripts == [found.alignment]


def test_the_text_wins_over_the_file_and_a_wrong_one_is_told(recording, tmp_path):
    path = tmp_path / "speech.txt"
    path.write_text(LESSON, encoding="utf-8")
    found = find_script(Hearing(), recording, text=OTHER, script=path, language="en")
    assert found == Finding(warning=WarningCode.SCRIPT_MISMATCH)


def test_a_file_that_cannot_be_read_is_told_and_nothing_is_heard(recording, tmp_path):
    path = tmp_path / "speech.txt"
    path.write_bytes("Grüße".encode("latin-1"))
    driver = Hearing()
    assert find_script(driver, recording, text=None, script=path, language=None).warning == WarningCode.SCRIPT_UNREADABLE
    assert driver.samples == 0


def test_without_a_script_or_a_driver_that_listens_nothing_is_read(tmp_path):
    missing = tmp_path / "none.wav"
    assert find_script(Hearing(), missing, text=None, script=None, language=None) == Finding()
    assert find_script(Deaf(), missing, text=LESSON, script=None, language=None) == Finding()


def test_a_driver_without_ears_is_driven_as_ever():
    assert list(motion_of(Deaf(), [], Fraction(25), 1, None)) == [MOTION]
    driver = Hearing()
    list(motion_of(driver, [], Fraction(25), 1, None))
    assert driver.scripts == [None]
