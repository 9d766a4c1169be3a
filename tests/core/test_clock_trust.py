"""A clock that jumps ahead is believed only after it has gone steadily for a day."""

import pytest

from heygem_daemon.core.clock import ClockReading
from heygem_daemon.core.clock_trust import CONFIRM_SECONDS, START_TOLERANCE, STEP_TOLERANCE, ClockTrust

DAY = 86400.0
NOW = 1_800_000_000.0


def at(monotonic: float, wall: float) -> ClockReading:
    return ClockReading(monotonic=monotonic, wall=wall)


def running(trust: ClockTrust, seconds: float, step: float = 600.0) -> ClockTrust:
    """Let the clocks go on together."""
    end = trust.monotonic + seconds
    while trust.monotonic < end:
        trust = trust.observe(at(min(trust.monotonic + step, end), trust.seen + min(step, end - trust.monotonic)))
    return trust


def test_a_clock_of_which_nothing_is_known_is_believed() -> None:
    assert ClockTrust.at_start(at(5.0, NOW), believed=None).is_believed


@pytest.mark.parametrize("off", [0.0, 3600.0, START_TOLERANCE])
def test_a_short_time_off_is_no_jump(off: float) -> None:
    trust = ClockTrust.at_start(at(5.0, NOW + off), believed=NOW)
    assert trust.is_believed
    assert trust.believed == NOW + off


def test_a_start_with_a_clock_far_ahead_is_believed_after_a_day_of_running() -> None:
    trust = ClockTrust.at_start(at(5.0, NOW + 40 * DAY), believed=NOW)
    assert not trust.is_believed
    assert trust.ahead == 40 * DAY
    assert not running(trust, CONFIRM_SECONDS - 1).is_believed
    believed = running(trust, CONFIRM_SECONDS)
    assert believed.is_believed
    assert believed.believed == NOW + 40 * DAY + CONFIRM_SECONDS
    assert believed.ahead == 0.0


def test_a_clock_that_is_corrected_is_believed_at_once() -> None:
    trust = running(ClockTrust.at_start(at(5.0, NOW + 40 * DAY), believed=NOW), 7200.0)
    assert trust.observe(at(trust.monotonic + 1, NOW + 7201)).is_believed


def test_a_clock_that_is_corrected_after_a_night_off_is_believed_too() -> None:
    trust = running(ClockTrust.at_start(at(5.0, NOW + 40 * DAY), believed=NOW), 7200.0)
    assert trust.observe(at(trust.monotonic + 1, NOW + 14 * 3600 + 7201)).is_believed


def test_a_step_ahead_while_running_is_doubted_and_a_small_one_is_not() -> None:
    trust = running(ClockTrust.at_start(at(5.0, NOW), believed=NOW), 3600.0)
    assert trust.observe(at(trust.monotonic + 1, trust.seen + 1 + STEP_TOLERANCE)).is_believed
    assert not trust.observe(at(trust.monotonic + 1, trust.seen + 2 + STEP_TOLERANCE)).is_believed


def test_another_step_ahead_begins_the_time_anew() -> None:
    trust = running(ClockTrust.at_start(at(5.0, NOW + 40 * DAY), believed=NOW), CONFIRM_SECONDS - 60)
    trust = trust.observe(at(trust.monotonic + 1, trust.seen + 10 * DAY))
    assert trust.confirmed == 0.0
    assert not running(trust, CONFIRM_SECONDS - 60).is_believed


def test_a_clock_that_is_put_back_is_believed_and_its_return_is_no_jump() -> None:
    trust = running(ClockTrust.at_start(at(5.0, NOW), believed=NOW), 3600.0)
    back = trust.observe(at(trust.monotonic + 1, NOW - 400 * DAY))
    assert back.is_believed
    assert running(back, 600.0).observe(at(back.monotonic + 601, NOW + 3600 + 602)).is_believed


def test_a_restart_in_doubt_goes_on_counting_and_does_not_end_the_doubt() -> None:
    trust = running(ClockTrust.at_start(at(5.0, NOW + 40 * DAY), believed=NOW), CONFIRM_SECONDS / 2)
    again = ClockTrust.recalled(at(3.0, trust.seen + 60), trust.numbers)
    assert not again.is_believed
    assert again.confirmed == CONFIRM_SECONDS / 2
    assert running(again, CONFIRM_SECONDS / 2).is_believed


def test_a_restart_in_doubt_with_a_clock_still_further_ahead_begins_anew() -> None:
    trust = running(ClockTrust.at_start(at(5.0, NOW + 40 * DAY), believed=NOW), CONFIRM_SECONDS / 2)
    again = ClockTrust.recalled(at(3.0, trust.seen + 3 * DAY), trust.numbers)
    assert again.confirmed == 0.0


def test_what_is_kept_of_a_believed_clock_names_no_doubt() -> None:
    trust = ClockTrust.recalled(at(5.0, NOW), {})
    assert trust.numbers == {"believed": NOW, "seen": NOW}
    assert ClockTrust.recalled(at(1.0, NOW + 60), trust.numbers).is_believed


def test_monotonic_time_that_does_not_go_on_counts_as_none() -> None:
    trust = ClockTrust.at_start(at(5.0, NOW), believed=NOW)
    assert trust.observe(at(4.0, NOW)).believed == NOW


def test_a_step_ahead_is_doubted_at_the_next_look_too() -> None:
    trust = running(ClockTrust.at_start(at(5.0, NOW), believed=NOW), 3600.0)
    trust = trust.observe(at(trust.monotonic + 1, trust.seen + 2 * STEP_TOLERANCE))
    assert not running(trust, CONFIRM_SECONDS - 60).is_believed
    assert running(trust, CONFIRM_SECONDS + 600).is_believed


def test_a_jump_in_two_steps_begins_the_time_anew() -> None:
    trust = running(ClockTrust.at_start(at(5.0, NOW), believed=NOW), 3600.0)
    for _ in range(2):
        trust = running(trust.observe(at(trust.monotonic + 1, trust.seen + 1.5 * STEP_TOLERANCE)), 3600.0)
        assert trust.confirmed == 3600.0


def test_a_step_ahead_is_still_doubted_after_a_restart() -> None:
    trust = running(ClockTrust.at_start(at(5.0, NOW), believed=NOW), 3600.0)
    trust = trust.observe(at(trust.monotonic + 1, trust.seen + 2 * STEP_TOLERANCE))
    again = ClockTrust.recalled(at(3.0, trust.seen + 60), trust.numbers)
    assert not again.is_believed
    assert again.tolerance == STEP_TOLERANCE
    assert ClockTrust.recalled(at(3.0, trust.believed + STEP_TOLERANCE), trust.numbers).is_believed


def test_numbers_of_a_doubt_without_a_tolerance_have_that_of_a_start() -> None:
    numbers = {"believed": NOW, "seen": NOW + 40 * DAY, "confirmed": 60.0}
    assert ClockTrust.recalled(at(3.0, NOW + START_TOLERANCE), numbers).is_believed
    assert not ClockTrust.recalled(at(3.0, NOW + START_TOLERANCE + 1), numbers).is_believed
