"""The report of the benchmark: tables in markdown, a JSON file, and what it was measured with."""

import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from benchmarks.speed.rows import Row

PACKAGES: Final = ("torch", "opencv-python", "numba", "numpy")


def versions() -> dict[str, str]:
    """Return what the numbers depend on: programs, packages, the processor and how many cores of it may be used."""
    ffmpeg = subprocess.run(("ffmpeg", "-version"), capture_output=True, text=True, check=True).stdout.split()[2]
    packages = {name: version(name) for name in PACKAGES}
    machine = {"cpu": processor(), "cores": str(len(os.sched_getaffinity(0))), "load": f"{os.getloadavg()[0]:.1f}"}
    return {"python": platform.python_version(), **packages, "ffmpeg": ffmpeg, **machine}


def processor() -> str:
    """Return the model of the processor."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def as_json(rows: Sequence[Row], measured_with: Mapping[str, str]) -> dict[str, Any]:
    """Return the report as what JSON can hold. The ratios of a row stand beside the tolerance of each."""
    found = {
        key(row): {
            "section": row.section,
            "ratios": {name: round(value, 4) for name, value in row.ratios.items()},
            "tolerances": {name: row.tolerance(name) for name in row.ratios},
            "values": {name: round(value, 3) for name, value in row.values.items()},
            **({"note": row.note} if row.note else {}),
        }
        for row in rows
    }
    return {"versions": dict(measured_with), "rows": found}


def key(row: Row) -> str:
    """Return the name of a row that no other has."""
    return f"{row.section}: {row.name}"


def as_markdown(rows: Sequence[Row], measured_with: Mapping[str, str]) -> str:
    """Return the report as markdown: a table for each section."""
    parts = [", ".join(f"{name} {value}" for name, value in measured_with.items()) + "."]
    for section, members in groupby(sorted(rows, key=_section_order(rows)), key=lambda row: row.section):
        parts.append("\n".join(_table(section, list(members))))
    return "\n\n".join(parts) + "\n"


def _section_order(rows: Sequence[Row]) -> Any:
    order = list(dict.fromkeys(row.section for row in rows))
    return lambda row: order.index(row.section)


def _table(section: str, rows: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of a table; its columns are all that its rows have."""
    columns = list(dict.fromkeys(name for row in rows for name in (*row.ratios, *row.values)))
    has_notes = any(row.note for row in rows)
    yield "| " + " | ".join((section, *columns, *(["note"] if has_notes else []))) + " |"
    yield "|---" + "|---:" * len(columns) + ("|---" if has_notes else "") + "|"
    for row in rows:
        every = {**row.ratios, **row.values}
        cells = [number(every[name]) if name in every else "" for name in columns]
        yield "| " + " | ".join((row.name, *cells, *([row.note] if has_notes else []))) + " |"


def number(value: float) -> str:
    """Return a number with three digits that count."""
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3f}"


def write_json(path: Path, report: Mapping[str, Any]) -> None:
    """Write a report for people and programs to read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
