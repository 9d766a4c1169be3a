"""The measured mouth is compared with its target."""

from collections.abc import Iterable
from fractions import Fraction

import numpy as np
import pytest

from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.lipsync.arrays import Bool, Float32
from heygem_daemon.lipsync.evaluation import Closure, SyncMetrics, TargetTrace, compare
from heygem_daemon.lipsync.motion import MouthMotion
from heygem_daemon.lipsync.ports import NotDriven, RenderedFrame
from heygem_daemon.media.frame import Frame, YuvSpace

RATE = Fraction(25)
PLANE = np.zeros((4, 4), np.uint8)


def speech_like(count: int = 300) -> Float32:
    t = np.arange(count) / 25
    return np.asarray(0.06 + 0.04 * np.sin(2 * np.pi * 2.3 * t) + 0.02 * np.sin(2 * np.pi * 0.7 * t), np.float32)


def compared(target: Float32, measured: Float32, shut: Bool | None = None) -> SyncMetrics:
    return compare(target, measured, np.zeros(len(target), bool) if shut is None else shut, RATE)


def test_a_mouth_that_follows_its_target_is_on_time_and_correlates() -> None:
    metrics = compared(speech_like(), 0.8 * speech_like() + 0.01)
    assert metrics.sync_offset_ms == pytest.approx(0, abs=1)
    assert metrics.correlation == pytest.approx(1, abs=0.001)


@pytest.mark.parametrize("frames", [-3, 2, 4])
def test_a_late_mouth_has_a_positive_offset_and_a_lower_correlation(frames: int) -> None:
    target = speech_like(320)
    metrics = compared(target[10:310], target[10 - frames : 310 - frames])
    assert metrics.sync_offset_ms == pytest.approx(40 * frames, abs=5)
    assert metrics.correlation is not None
    assert metrics.correlation < 0.9


def test_frames_that_were_not_drawn_or_not_found_do_not_count() -> None:
    target, measured = speech_like(), speech_like()
    target[50:80], measured[100:130] = np.nan, np.nan
    measured[50:80] = 9
    assert compared(target, measured).correlation == pytest.approx(1, abs=0.001)


def test_where_nothing_should_move_there_is_nothing_to_measure() -> None:
    metrics = compared(np.full(100, 0.02, np.float32), speech_like(100))
    assert (metrics.sync_offset_ms, metrics.correlation) == (None, None)


def test_where_no_face_was_found_there_is_nothing_to_measure() -> None:
    assert compared(speech_like(), np.full(300, np.nan, np.float32)).correlation is None


def test_a_mouth_that_stays_still_when_it_should_move_is_worth_zero() -> None:
    assert compared(speech_like(), np.full(300, 0.05, np.float32)).correlation == 0


def test_what_is_measured_has_its_share_of_the_frames_beside_it() -> None:
    target, measured = speech_like(), speech_like()
    assert compared(target, measured).measured_share == 1
    target[:60], measured[60:75] = np.nan, np.nan
    assert compared(target, measured).measured_share == 0.75
    assert compared(np.full(10, np.nan, np.float32), measured[:10]).measured_share == 0
    assert compared(target[:0], measured[:0]).measured_share == 0


@pytest.mark.parametrize("count", [2, 3, 19])
def test_too_few_frames_cannot_be_judged(count: int) -> None:
    """Three frames, as a video of one frame a second has: whatever they show, it is no sync and no closure."""
    target, shut = with_closures([(0, 1), (2, 3)], count)
    metrics = compared(target, target, shut)
    assert (metrics.sync_offset_ms, metrics.correlation, metrics.closures, metrics.closure_rate) == (None, None, (), None)
    assert metrics.measured_share == 1


def test_few_frames_driven_of_a_long_result_cannot_be_judged() -> None:
    target, shut = with_closures(P_B_M)
    driven = np.where(np.arange(200) < 19, target, np.float32(np.nan))
    metrics = compared(driven, target, shut)
    assert (metrics.correlation, metrics.closure_rate, metrics.measured_share) == (None, None, 0.095)


@pytest.mark.parametrize(("count", "rate"), [(1, None), (2, None), (3, 1.0), (4, 1.0)])
def test_a_rate_of_closures_takes_three_of_them(count: int, rate: float | None) -> None:
    assert SyncMetrics(closures=closures(count, 0)).closure_rate == rate


def test_a_mouth_that_does_not_move_has_no_closures_to_judge() -> None:
    target, shut = with_closures(P_B_M)
    noise = np.random.default_rng(0).normal(0.05, 0.002, len(target)).astype(np.float32)
    metrics = compared(target, noise, shut)
    assert (metrics.closures, metrics.closure_rate) == ((), None)
    assert metrics.correlation is not None
    assert metrics.correlation < 0.3


def test_a_frame_that_is_not_driven_is_not_compared() -> None:
    target = TargetTrace(limit=3)
    frame = Frame(index=0, y=PLANE, u=PLANE[:2, :2], v=PLANE[:2, :2], space=YuvSpace(matrix="bt709", full_range=False))
    for reason in (None, NotDriven.TURNED, NotDriven.COVERED):
        target.add(RenderedFrame(frame=frame, target_opening=0.1, not_driven=reason))
    assert np.isfinite(target.opening).tolist() == [True, False, False]


def test_only_the_beginning_is_recorded() -> None:
    target = TargetTrace(limit=3)
    plane = np.zeros((4, 4), np.uint8)
    for i in range(10):
        frame = Frame(index=i, y=plane, u=plane[:2, :2], v=plane[:2, :2], space=YuvSpace(matrix="bt709", full_range=False))
        target.add(RenderedFrame(frame=frame, target_opening=i / 10))
    assert list(target.source_frames) == [0, 1, 2]
    assert list(target.opening) == pytest.approx([0.0, 0.1, 0.2])


def motion(count: int) -> MouthMotion:
    visemes = np.zeros((count, 16), np.float32)
    visemes[:, 3], visemes[:, 0] = 0.7, 0.3
    ramp = np.linspace(0, 1, count, dtype=np.float32)
    return MouthMotion(times=np.arange(count) / 25, opening=ramp, width=ramp, visemes=visemes)


def closures(shut: int, missed: int) -> tuple[Closure, ...]:
    return tuple(Closure(start=10 * i, stop=10 * i + 2, is_shut=i < shut) for i in range(shut + missed))


# -- closures ------------------------------------------------------------------------------------------------------------

REST = 0.01
"""Opening of shut lips as the tracker measures them."""
P_B_M = ((40, 43), (90, 91), (150, 162))


def with_closures(runs: Iterable[tuple[int, int]], count: int = 200) -> tuple[Float32, Bool]:
    """Return a curve that opens to .1 and shuts over the given frames, and where the driver wants lips to meet."""
    curve = (0.07 + 0.03 * np.sin(np.arange(count) / 3)).astype(np.float32)
    shut = np.zeros(count, bool)
    for start, stop in runs:
        curve[start:stop], shut[start:stop] = REST, True
    return curve, shut


def test_closures_that_the_result_shows_are_all_counted() -> None:
    target, shut = with_closures(P_B_M)
    metrics = compared(target, 0.8 * (target - REST) + REST, shut)
    assert [(closure.start, closure.stop) for closure in metrics.closures] == list(P_B_M)
    assert metrics.closure_rate == 1


def test_lips_that_the_tracker_measures_apart_even_when_they_meet_are_compared_with_their_own_range() -> None:
    """A smile: the tracker measures .07 where lips meet."""
    target, shut = with_closures(P_B_M)
    assert compared(target, 0.5 * (target - REST) + 0.07, shut).closure_rate == 1


def test_a_closure_that_the_result_leaves_open_is_missed() -> None:
    target, shut = with_closures(P_B_M)
    measured = target.copy()
    measured[88:94] = 0.035
    metrics = compared(target, measured, shut)
    assert [closure.is_shut for closure in metrics.closures] == [True, False, True]
    assert metrics.closure_rate == 0.667


@pytest.mark.parametrize(("late", "rate"), [(-2, 0), (-1, 1), (1, 1), (2, 0)])
def test_a_short_closure_may_be_a_frame_early_or_late_and_no_more(late: int, rate: float) -> None:
    target, shut = with_closures([(frame, frame + 1) for frame in range(20, 180, 20)])
    assert compared(target, np.roll(target, late), shut).closure_rate == rate


def test_a_closure_in_which_the_face_was_not_found_or_not_drawn_does_not_count() -> None:
    target, shut = with_closures(P_B_M)
    measured = target.copy()
    measured[38:45] = np.nan
    target[89:92] = np.nan
    assert [closure.start for closure in compared(target, measured, shut).closures] == [150]


def test_a_mouth_that_gives_way_to_the_untouched_one_need_not_shut() -> None:
    target, shut = with_closures(P_B_M)
    target[90] = 0.06
    assert [closure.start for closure in compared(target, target, shut).closures] == [40, 150]


def test_without_a_closure_in_the_target_there_is_no_rate() -> None:
    metrics = compared(speech_like(), speech_like())
    assert (metrics.closures, metrics.closure_rate) == ((), None)


@pytest.mark.parametrize(
    ("metrics", "codes"),
    [
        (SyncMetrics(), set()),
        (SyncMetrics(sync_offset_ms=-30.0, correlation=0.95), set()),
        (SyncMetrics(sync_offset_ms=-80.0, correlation=0.95), {WarningCode.OUT_OF_SYNC}),
        (SyncMetrics(sync_offset_ms=0.0, correlation=0.3), {WarningCode.WEAK_MOUTH}),
        (SyncMetrics(closures=closures(4, 6)), {WarningCode.MISSED_CLOSURES}),
        (SyncMetrics(closures=closures(9, 1)), set()),
        (SyncMetrics(closures=closures(0, 2)), set()),
    ],
)
def test_a_warning_is_given_where_sync_looks_bad_and_only_there(metrics: SyncMetrics, codes: set[WarningCode]) -> None:
    assert {code for code, applies in metrics.warnings().items() if applies} == codes


def test_the_motion_of_the_driver_is_recorded_to_the_limit_and_passed_on_whole() -> None:
    blocks = [motion(5), motion(5)]
    target = TargetTrace(limit=7)
    assert list(target.record(iter(blocks))) == blocks
    assert (len(target.driver_opening), len(target.driver_width), target.viseme_rows().shape) == (7, 7, (7, 16))
    assert target.viseme_rows()[6, 3] == pytest.approx(0.7)


def test_lips_should_meet_where_the_driver_shuts_them_and_nowhere_else() -> None:
    target = TargetTrace(limit=9)
    target.opening.extend([0.1] * 9)
    target.driver_opening.extend([0.9, 0.1, 0.0, 0.5, 0.16, 1.0, 0.8, 0.9, 1.0])
    assert np.flatnonzero(target.shut()).tolist() == [1, 2]
    silent = TargetTrace(limit=4)
    silent.opening.extend([0.1] * 4)
    silent.driver_opening.extend([0.0] * 4)
    assert not silent.shut().any()


def target_of(opening: Float32) -> TargetTrace:
    target = TargetTrace(limit=len(opening))
    target.opening.extend(map(float, opening))
    return target


def test_twenty_seconds_of_speech_are_enough_to_judge_a_result() -> None:
    assert target_of(speech_like(1500)).judged_frames(RATE) == 500
    assert target_of(speech_like(1500)).judged_frames(Fraction(30000, 1001)) == 600
    assert target_of(speech_like(120)).judged_frames(RATE) == 120
    assert target_of(speech_like(0)).judged_frames(RATE) == 0


def test_a_result_that_begins_without_speech_or_without_a_drawn_face_is_judged_by_all_that_is_recorded() -> None:
    music, undriven = speech_like(1500), speech_like(1500)
    music[:450], undriven[:300] = 0.01, np.nan
    assert target_of(music).judged_frames(RATE) == target_of(undriven).judged_frames(RATE) == 1500
    assert target_of(np.full(700, np.nan, np.float32)).judged_frames(RATE) == 700
