"""Compare the ratios of two reports, never the times: a row that got worse by more than its tolerance is named in a line."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

BASELINE: Final = Path(__file__).resolve().parents[1] / "baseline.json"
"""The report that is compared with: of the quick form, committed with what it measured."""


def baseline_of(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a report is kept as a baseline: the ratios, their tolerances, and what they were measured with, without the load."""
    rows = {name: {part: row[part] for part in ("ratios", "tolerances")} for name, row in report["rows"].items() if row["ratios"]}
    return {"versions": {name: value for name, value in report["versions"].items() if name != "load"}, "rows": rows}


def read_baseline(path: Path = BASELINE) -> dict[str, Any]:
    """Raises FileNotFoundError."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def worse(report: Mapping[str, Any], baseline: Mapping[str, Any]) -> list[str]:
    """Return a line for each ratio that is worse than the baseline allows, or that is missing."""
    return [line for line, factor, allowed in _compared(report, baseline) if factor > allowed]


def better(report: Mapping[str, Any], baseline: Mapping[str, Any]) -> list[str]:
    """Return a line for each ratio that is better than the baseline by more than its tolerance: the baseline should be made anew."""
    return [line for line, factor, allowed in _compared(report, baseline) if factor < 1 / allowed]


def _compared(report: Mapping[str, Any], baseline: Mapping[str, Any]) -> Iterator[tuple[str, float, float]]:
    """Yield a line, how much more a ratio is than that of the baseline, and how much more it may be.

    Ratios of wall-clock times depend on the number of cores, and are compared only where that is the same.
    """
    same_cores = report["versions"]["cores"] == baseline["versions"]["cores"]
    for name, row in baseline["rows"].items():
        for ratio, before in row["ratios"].items():
            if ratio.startswith("wall") and not same_cores:
                continue
            allowed = 1 + row["tolerances"][ratio]
            now = report["rows"].get(name, {"ratios": {}})["ratios"].get(ratio)
            if now is None:
                yield f"{name}: {ratio} was {before:.3g} and was not measured", float("inf"), allowed
            else:
                change = f"({now / before - 1:+.0%}; allowed {allowed - 1:+.0%})"
                yield f"{name}: {ratio} is {now:.3g}, was {before:.3g} {change}", now / before, allowed
