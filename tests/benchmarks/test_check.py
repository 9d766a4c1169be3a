"""`make bench-check`: ratios are compared with the baseline, times never."""

from typing import Any

import pytest

from benchmarks.speed import check
from benchmarks.speed.report import as_json
from benchmarks.speed.rows import CPU, WALL, Row

VERSIONS = {"cores": "2", "load": "0.1", "python": "3.11.7"}


def report(cpu: float, wall: float = 2.0, *, cores: str = "2", ms: float = 10.0) -> dict[str, Any]:
    row = Row(section="End to end", name="720p25 known", ratios={CPU: cpu, WALL: wall}, values={"CPU ms/frame": ms})
    return as_json([row], {**VERSIONS, "cores": cores})


BASELINE = check.baseline_of(report(2.0))


def test_a_baseline_holds_ratios_and_tolerances_only() -> None:
    assert BASELINE == {
        "versions": {"cores": "2", "python": "3.11.7"},
        "rows": {"End to end: 720p25 known": {"ratios": {CPU: 2.0, WALL: 2.0}, "tolerances": {CPU: 0.15, WALL: 0.35}}},
    }


def test_a_row_without_ratios_is_no_part_of_a_baseline() -> None:
    rows = [Row(section="Stages", name="render", values={"wall ms": 3.0})]
    assert check.baseline_of(as_json(rows, VERSIONS))["rows"] == {}


def test_a_ratio_within_its_tolerance_is_neither_worse_nor_better() -> None:
    same = report(2.2, ms=500.0)  # times are not compared
    assert check.worse(same, BASELINE) == check.better(same, BASELINE) == []


def test_a_ratio_beyond_its_tolerance_is_named_in_one_line() -> None:
    assert check.worse(report(2.5), BASELINE) == [f"End to end: 720p25 known: {CPU} is 2.5, was 2 (+25%; allowed +15%)"]


def test_a_ratio_that_improved_asks_for_a_new_baseline() -> None:
    assert check.better(report(1.5), BASELINE) == [f"End to end: 720p25 known: {CPU} is 1.5, was 2 (-25%; allowed +15%)"]


def test_a_ratio_that_was_not_measured_is_worse() -> None:
    assert check.worse(as_json([], VERSIONS), BASELINE) == [
        f"End to end: 720p25 known: {CPU} was 2 and was not measured",
        f"End to end: 720p25 known: {WALL} was 2 and was not measured",
    ]


@pytest.mark.parametrize(("cores", "lines"), [("2", 1), ("16", 0)])
def test_wall_clock_ratios_are_compared_on_as_many_cores_only(cores: str, lines: int) -> None:
    assert len(check.worse(report(2.0, wall=3.0, cores=cores), BASELINE)) == lines


def test_the_committed_baseline_names_measurements_with_tolerances() -> None:
    if not check.BASELINE.exists():
        pytest.skip("`make bench-baseline` has not been run")
    baseline = check.read_baseline()
    assert int(baseline["versions"]["cores"]) > 0
    assert any(row["ratios"].get(CPU, 0) > 1 for row in baseline["rows"].values())
    for row in baseline["rows"].values():
        assert row["ratios"]
        assert row["ratios"].keys() == row["tolerances"].keys()
