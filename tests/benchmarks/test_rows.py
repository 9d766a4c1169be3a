"""Rows, their choice, and the tables they become."""

import pytest

from benchmarks.speed.amdahl import serial_share, speed_up
from benchmarks.speed.report import as_markdown, number, versions
from benchmarks.speed.rows import CPU, WALL, Measurement, Row, chosen, medians

MEASUREMENTS = [
    Measurement(name="720p25", measure=list, is_quick=True),
    Measurement(name="4k60", measure=list),
    Measurement(name="length 7200 s", measure=list, is_long=True),
]


@pytest.mark.parametrize(
    ("words", "quick", "long", "names"),
    [
        ([], True, False, ["720p25"]),
        ([], False, False, ["720p25", "4k60"]),
        ([], False, True, ["720p25", "4k60", "length 7200 s"]),
        (["4k", "length"], True, False, ["4k60", "length 7200 s"]),
        (["8k"], False, True, []),
    ],
)
def test_measurements_are_chosen_by_form_or_by_name(words: list[str], quick: bool, long: bool, names: list[str]) -> None:
    assert [each.name for each in chosen(MEASUREMENTS, words=words, quick=quick, long=long)] == names


def test_a_median_is_taken_of_each_value() -> None:
    assert medians([{"a": 1.0, "b": 5.0}, {"a": 9.0, "b": 4.0}, {"a": 2.0, "b": 9.0}]) == {"a": 2.0, "b": 5.0}


def test_a_tolerance_is_that_of_the_row_or_that_of_all() -> None:
    row = Row(section="s", name="n", ratios={CPU: 1, WALL: 1, "own": 1}, tolerances={"own": 0.5})
    assert [row.tolerance(name) for name in row.ratios] == [0.15, 0.35, 0.5]


def test_each_section_is_a_table_with_the_columns_of_its_rows() -> None:
    rows = [
        Row(section="Start", name="cold", ratios={"CPU / floor": 1.5}, values={"s": 12.3}),
        Row(section="Stages", name="render", values={"wall ms": 0.0123}),
        Row(section="Start", name="warm", values={"MiB": 312.4}, note="twice"),
    ]
    assert as_markdown(rows, {"cores": "2"}) == (
        "cores 2.\n\n"
        "| Start | CPU / floor | s | MiB | note |\n|---|---:|---:|---:|---|\n| cold | 1.50 | 12.3 |  |  |\n| warm |  |  | 312 | twice |\n\n"
        "| Stages | wall ms |\n|---|---:|\n| render | 0.012 |\n"
    )


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (0.0123, "0.012"), (1.2345, "1.23"), (12.345, "12.3"), (1234.5, "1234")])
def test_numbers_have_the_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text


def test_a_report_names_what_it_was_measured_with() -> None:
    assert {"python", "torch", "opencv-python", "numba", "ffmpeg", "cpu", "cores"} <= versions().keys()


@pytest.mark.parametrize(("one", "two", "share"), [(10, 5, 0), (10, 10, 1), (10, 6, 0.2), (10, 4, 0), (10, 12, 1)])
def test_the_serial_share_follows_from_one_core_and_two(one: float, two: float, share: float) -> None:
    assert serial_share(one, two) == pytest.approx(share)


def test_a_serial_share_bounds_the_speed_up() -> None:
    assert speed_up(0, 16) == 16
    assert speed_up(0.2, 16) == pytest.approx(4)
    assert speed_up(1, 16) == 1
