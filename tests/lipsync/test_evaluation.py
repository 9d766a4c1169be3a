"""The obtained mouth is compared with the asked one honestly."""

from fractions import Fraction

import numpy as np
import pytest

from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.lipsync.evaluation import Asked, Closure, Outcome, compare
from heygem_daemon.lipsync.motion import MouthMotion
from heygem_daemon.lipsync.ports import RenderedFrame
from heygem_daemon.media.frame import Frame, YuvSpace

RATE = Fraction(25)


def speech_like(count=300):
    t = np.arange(count) / 25
    return (0.06 + 0.04 * np.sin(2 * np.pi * 2.3 * t) + 0.02 * np.sin(2 * np.pi * 0.7 * t)).astype(np.float32)


def compared(asked, obtained, shut=None):
    return compare(asked, obtained, np.zeros(len(asked), bool) if shut is None else shut, RATE)


def test_a_mouth_that_obeys_is_on_time_and_correlates():
    outcome = compared(speech_like(), 0.8 * speech_like() + 0.01)
    assert outcome.sync_offset_ms == pytest.approx(0, abs=1)
    assert outcome.correlation == pytest.approx(1, abs=0.001)


@pytest.mark.parametrize("frames", [-3, 2, 4])
def test_a_late_mouth_has_a_positive_offset_and_a_lower_correlation(frames):
    asked = speech_like(320)
    outcome = compared(asked[10:310], asked[10 - frames : 310 - frames])
    assert outcome.sync_offset_ms == pytest.approx(40 * frames, abs=5)
    assert outcome.correlation < 0.9


def test_frames_that_were_not_drawn_or_not_seen_do_not_count():
    asked, obtained = speech_like(), speech_like()
    asked[50:80], obtained[100:130] = np.nan, np.nan
    obtained[50:80] = 9
    assert compared(asked, obtained).correlation == pytest.approx(1, abs=0.001)


def test_where_nothing_should_move_there_is_nothing_to_measure():
    outcome = compared(np.full(100, 0.02, np.float32), speech_like(100))
    assert (outcome.sync_offset_ms, outcome.correlation) == (None, None)


def test_where_nothing_was_seen_there_is_nothing_to_measure():
    assert compared(speech_like(), np.full(300, np.nan, np.float32)).correlation is None


def test_a_mouth_that_stays_still_when_it_should_move_is_worth_zero():
    assert compared(speech_like(), np.full(300, 0.05, np.float32)).correlation == 0


def test_only_the_beginning_is_remembered():
    asked = Asked(limit=3)
    plane = np.zeros((4, 4), np.uint8)
    for i in range(10):
        frame = Frame(index=i, y=plane, u=plane[:2, :2], v=plane[:2, :2], space=YuvSpace(matrix="bt709", full_range=False))
        asked.note(RenderedFrame(frame=frame, asked_opening=i / 10))
    assert list(asked.source) == [0, 1, 2]
    assert list(asked.opening) == pytest.approx([0.0, 0.1, 0.2])


def motion(count):
    visemes = np.zeros((count, 16), np.float32)
    visemes[:, 3], visemes[:, 0] = 0.7, 0.3
    ramp = np.linspace(0, 1, count, dtype=np.float32)
    return MouthMotion(times=np.arange(count) / 25, opening=ramp, width=ramp, visemes=visemes)


def closures(shut, missed):
    return tuple(Closure(start=10 * i, stop=10 * i + 2, is_shut=i < shut) for i in range(shut + missed))


# -- closures ------------------------------------------------------------------------------------------------------------

REST = 0.01
"""Opening of shut lips as the tracker sees them."""
P_B_M = ((40, 43), (90, 91), (150, 162))


def with_closures(runs, count=200):
    """Curves that open to .1 and shut over the given frames, and where the driver wants lips to meet."""
    curve = (0.07 + 0.03 * np.sin(np.arange(count) / 3)).astype(np.float32)
    shut = np.zeros(count, bool)
    for start, stop in runs:
        curve[start:stop], shut[start:stop] = REST, True
    return curve, shut


def test_closures_that_the_picture_shows_are_all_counted():
    asked, shut = with_closures(P_B_M)
    outcome = compared(asked, 0.8 * (asked - REST) + REST, shut)
    assert [(closure.start, closure.stop) for closure in outcome.closures] == list(P_B_M)
    assert outcome.closure_rate == 1


def test_lips_that_look_parted_to_the_tracker_even_when_they_meet_are_judged_by_their_own_range():
    """A smile: the tracker sees .07 where lips meet."""
    asked, shut = with_closures(P_B_M)
    assert compared(asked, 0.5 * (asked - REST) + 0.07, shut).closure_rate == 1


def test_a_closure_that_the_picture_leaves_open_is_missed():
    asked, shut = with_closures(P_B_M)
    obtained = asked.copy()
    obtained[88:94] = 0.035
    outcome = compared(asked, obtained, shut)
    assert [closure.is_shut for closure in outcome.closures] == [True, False, True]
    assert outcome.closure_rate == 0.667


@pytest.mark.parametrize(("late", "rate"), [(-2, 0), (-1, 1), (1, 1), (2, 0)])
def test_a_short_closure_may_be_a_frame_early_or_late_and_no_more(late, rate):
    asked, shut = with_closures([(frame, frame + 1) for frame in range(20, 180, 20)])
    assert compared(asked, np.roll(asked, late), shut).closure_rate == rate


def test_a_closure_in_which_the_face_was_not_seen_or_not_drawn_does_not_count():
    asked, shut = with_closures(P_B_M)
    obtained = asked.copy()
    obtained[38:45] = np.nan
    asked[89:92] = np.nan
    assert [closure.start for closure in compared(asked, obtained, shut).closures] == [150]


def test_a_mouth_that_gives_way_to_the_untouched_one_is_not_asked_to_shut():
    asked, shut = with_closures(P_B_M)
    asked[90] = 0.06
    assert [closure.start for closure in compared(asked, asked, shut).closures] == [40, 150]


def test_where_no_closure_was_asked_for_there_is_no_rate():
    outcome = compared(speech_like(), speech_like())
    assert (outcome.closures, outcome.closure_rate) == ((), None)


@pytest.mark.parametrize(
    ("outcome", "codes"),
    [
        (Outcome(), set()),
        (Outcome(sync_offset_ms=-30.0, correlation=0.95), set()),
        (Outcome(sync_offset_ms=-80.0, correlation=0.95), {WarningCode.OUT_OF_SYNC}),
        (Outcome(sync_offset_ms=0.0, correlation=0.3), {WarningCode.WEAK_MOUTH}),
        (Outcome(closures=closures(4, 6)), {WarningCode.MISSED_CLOSURES}),
        (Outcome(closures=closures(9, 1)), set()),
        (Outcome(closures=closures(0, 2)), set()),
    ],
)
def test_a_warning_is_given_where_sync_looks_bad_and_only_there(outcome, codes):
    assert {code for code, applies in outcome.warnings().items() if applies} == codes


def test_what_the_driver_said_is_overheard_to_its_limit_and_passed_on_whole():
    blocks = [motion(5), motion(5)]
    asked = Asked(limit=7)
    assert list(asked.overhear(iter(blocks))) == blocks
    assert (len(asked.said), len(asked.width), asked.viseme_rows().shape) == (7, 7, (7, 16))
    assert asked.viseme_rows()[6, 3] == pytest.approx(0.7)


def test_lips_should_meet_where_the_driver_says_so_and_nowhere_else():
    asked = Asked(limit=9)
    asked.opening.extend([0.1] * 9)
    asked.said.extend([0.9, 0.1, 0.0, 0.5, 0.16, 1.0, 0.8, 0.9, 1.0])
    assert np.flatnonzero(asked.shut()).tolist() == [1, 2]
    silent = Asked(limit=4)
    silent.opening.extend([0.1] * 4)
    silent.said.extend([0.0] * 4)
    assert not silent.shut().any()
