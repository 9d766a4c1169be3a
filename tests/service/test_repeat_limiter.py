"""A condition that lasts does not fill the log, and hides nothing else."""

import pytest

from heygem_daemon.service.events import EVENTS
from heygem_daemon.service.repeat_limiter import CAUSED_BY_ENTRIES, ENTRIES_PER_PERIOD, KINDS, LASTING, PASSING, RepeatLimiter


class Lines:
    """A log that keeps its lines, and a clock that is set by hand."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []
        self.now = 0.0
        self.log = RepeatLimiter(self, clock=lambda: self.now)

    def __call__(self, event: str, /, *, level: str = "info", **fields: object) -> None:
        self.lines.append((event, {"level": level, **fields}))

    def left_out(self) -> list[object]:
        return [fields.get("left_out") for _, fields in self.lines]


def test_a_line_every_five_seconds_for_a_day_is_a_few_lines_whose_counts_add_up() -> None:
    lines = Lines()
    for step in range(17280):
        lines.now = step * 5.0
        lines.log("status_unwritable", level="warning", error_code="disk_full", reason="full")
    counted = sum(int(str(each)) for each in lines.left_out() if each)
    assert len(lines.lines) < 40
    assert lines.left_out()[:PASSING] == [None] * PASSING
    assert 17280 - 800 < len(lines.lines) + counted <= 17280


def test_lines_that_differ_are_not_counted_as_one() -> None:
    lines = Lines()
    for number in range(50):
        lines.log("status_unwritable", level="warning", job=f"drop {number}", error_code="disk_full")
        lines.log("tick_failed", level="error", part="inbox", exc_info=ValueError(str(number)))
    lines.log("status_unwritable", level="warning", job="drop 1", error_code="read_only")
    assert len(lines.lines) == 101


def test_the_same_exception_is_one_kind_however_long_it_took() -> None:
    lines = Lines()
    for number in range(50):
        lines.log("tick_failed", level="error", part="inbox", exc_info=ValueError("the same"))
        lines.log("tick_slow", level="warning", part="inbox", seconds=1.0 + number)
    assert len(lines.lines) == 2 * PASSING


def test_a_trouble_that_comes_back_after_a_while_is_logged_anew() -> None:
    lines = Lines()
    for start in (0.0, 7200.0):
        lines.now = start
        for _ in range(10):
            lines.log("ledger_unwritable", level="error", reason="full")
    assert len(lines.lines) >= PASSING + 1
    assert 7 in lines.left_out()


def test_results_and_ends_of_a_condition_always_pass() -> None:
    lines = Lines()
    for _ in range(20):
        lines.log("inbox_online", inbox="/in")
        lines.log("inbox_offline", level="warning", inbox="/in")
        lines.log("item_failed", level="error", job="a", item="b")
    assert len(lines.lines) == 60


def test_only_events_that_exist_are_named_and_none_that_reports_a_result() -> None:
    assert EVENTS.keys() >= LASTING
    results = {"item_failed", "item_retrying", "item_published", "job_finished", "inbox_online", "inbox_offline", "status_writable"}
    assert not LASTING & results


def test_the_kinds_that_are_remembered_are_bounded() -> None:
    lines = Lines()
    for number in range(3 * KINDS):
        lines.log("job_waiting", job=str(number))
    assert len(lines.log._kinds) == KINDS


@pytest.mark.parametrize("event", sorted(CAUSED_BY_ENTRIES))
def test_somebody_who_renames_folders_all_the_time_does_not_fill_the_log(event: str) -> None:
    """300 folders that got another name every second made 500 lines a second."""
    lines = Lines()
    total = 30_000
    for number in range(total):
        lines.now = number / 100
        lines.log(event, level="info", job=f"drop {number}")
    lines.now += 60.0
    lines.log(event, level="info", job="the last")
    assert len(lines.lines) <= 5 * ENTRIES_PER_PERIOD + 1
    assert len(lines.lines) + sum(int(str(each)) for each in lines.left_out() if each) == total + 1
    assert lines.lines[0][1] == {"level": "info", "job": "drop 0", "left_out": None}
    assert lines.lines[-1][1]["job"] == "the last"


def test_two_hundred_drops_a_minute_are_logged_wholly() -> None:
    lines = Lines()
    for number in range(2000):
        lines.now = number * 0.3
        lines.log("drop_seen", job=f"drop {number}")
    assert len(lines.lines) == 2000


def test_a_flood_of_one_event_hides_no_other() -> None:
    lines = Lines()
    for number in range(2 * ENTRIES_PER_PERIOD):
        lines.log("drop_seen", job=f"drop {number}")
    lines.log("drop_withdrawn", job="drop 1")
    lines.log("job_finished", job="drop 2")
    assert [event for event, _ in lines.lines[-2:]] == ["drop_withdrawn", "job_finished"]


def test_what_was_left_out_of_a_lasting_line_is_counted_in_a_flood_too() -> None:
    lines = Lines()
    for _ in range(PASSING + 4):
        lines.log("request_unknown", verb="retry", target="x")
    for number in range(ENTRIES_PER_PERIOD + 500):
        lines.log("request_unknown", verb="retry", target=str(number))
    lines.now = 61.0
    lines.log("request_unknown", verb="retry", target="x")
    counted = sum(int(str(each)) for each in lines.left_out() if each)
    assert len(lines.lines) + counted == PASSING + 4 + ENTRIES_PER_PERIOD + 501
