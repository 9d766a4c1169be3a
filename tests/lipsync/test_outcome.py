"""The obtained mouth is compared with the asked one honestly."""

from fractions import Fraction

import numpy as np
import pytest

from heygem_daemon.lipsync.outcome import Asked, compare
from heygem_daemon.lipsync.ports import RenderedFrame
from heygem_daemon.media.frame import Frame, YuvSpace

RATE = Fraction(25)


def speech_like(count=300):
    t = np.arange(count) / 25
    return (0.06 + 0.04 * np.sin(2 * np.pi * 2.3 * t) + 0.02 * np.sin(2 * np.pi * 0.7 * t)).astype(np.float32)


def test_a_mouth_that_obeys_is_on_time_and_correlates():
    outcome = compare(speech_like(), 0.8 * speech_like() + 0.01, RATE)
    assert outcome.sync_offset_ms == pytest.approx(0, abs=1)
    assert outcome.correlation == pytest.approx(1, abs=0.001)


@pytest.mark.parametrize("frames", [-3, 2, 4])
def test_a_late_mouth_has_a_positive_offset_and_a_lower_correlation(frames):
    asked = speech_like(320)
    outcome = compare(asked[10:310], asked[10 - frames : 310 - frames], RATE)
    assert outcome.sync_offset_ms == pytest.approx(40 * frames, abs=5)
    assert outcome.correlation < 0.9


def test_frames_that_were_not_drawn_or_not_seen_do_not_count():
    asked, obtained = speech_like(), speech_like()
    asked[50:80], obtained[100:130] = np.nan, np.nan
    obtained[50:80] = 9
    assert compare(asked, obtained, RATE).correlation == pytest.approx(1, abs=0.001)


def test_where_nothing_should_move_there_is_nothing_to_measure():
    outcome = compare(np.full(100, 0.02, np.float32), speech_like(100), RATE)
    assert (outcome.sync_offset_ms, outcome.correlation) == (None, None)


def test_where_nothing_was_seen_there_is_nothing_to_measure():
    assert compare(speech_like(), np.full(300, np.nan, np.float32), RATE).correlation is None


def test_a_mouth_that_stays_still_when_it_should_move_is_worth_zero():
    assert compare(speech_like(), np.full(300, 0.05, np.float32), RATE).correlation == 0


def test_only_the_beginning_is_remembered():
    asked = Asked(limit=3)
    plane = np.zeros((4, 4), np.uint8)
    for i in range(10):
        frame = Frame(index=i, y=plane, u=plane[:2, :2], v=plane[:2, :2], space=YuvSpace(matrix="bt709", full_range=False))
        asked.note(RenderedFrame(frame=frame, asked_opening=i / 10))
    assert list(asked.source) == [0, 1, 2]
    assert list(asked.opening) == pytest.approx([0.0, 0.1, 0.2])
