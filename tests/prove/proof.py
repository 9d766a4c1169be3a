"""The rows of the proof: what was tried, what was measured, what was promised. `scripts.reliability_page` makes the page of them."""

import json
import os
import subprocess
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(os.environ.get("PROOF_FOLDER", ".cache/proof-short"))
"""A file of rows for each suite. Only `make prove` sets the variable: what the short forms measure is not what the page shows."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the page: a sentence, the measured value and the bound that it must keep, both as text with their units."""

    what: str
    measured: str
    bound: str
    holds: bool
    of: str = ""
    """The day and the commit that it was measured at."""
    test: str = ""
    """The test that measured it."""


@dataclass(frozen=True, kw_only=True)
class Proof:
    """The rows of one suite, kept on disk one by one: what a killed run has measured is not lost."""

    suite: str
    folder: Path = field(default=FOLDER)

    @property
    def file(self) -> Path:
        return self.folder / f"{self.suite}.jsonl"

    def row(self, what: str, measured: str, bound: str, holds: bool) -> None:
        """Keep a row. Raises AssertionError where the bound does not hold."""
        self.keep(what, measured, bound, holds=holds)
        assert holds, f"{what}: {measured}, promised: {bound}"

    def keep(self, what: str, measured: str, bound: str, *, holds: bool) -> None:
        """Keep a row, whether its bound holds or not."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", encoding="utf-8") as file:
            row = Row(what=what, measured=measured, bound=bound, holds=holds, of=_today(), test=current_test())
            file.write(json.dumps(asdict(row), ensure_ascii=False) + "\n")


def current_test() -> str:
    """Return the name of the test that runs."""
    return os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]


def forget_rows(test: str, folder: Path = FOLDER) -> None:
    """Delete what a former run of a test has measured."""
    for file in folder.glob("*.jsonl"):
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        file.write_text("".join(line for line in lines if json.loads(line).get("test") != test), encoding="utf-8")


@cache
def _today() -> str:
    commit = subprocess.run(("git", "describe", "--always"), capture_output=True, text=True, check=False).stdout.strip()
    return f"{datetime.now(UTC):%Y-%m-%d}" + (f" at {commit}" if commit else "")


def read_rows(suite: str, folder: Path = FOLDER) -> list[Row]:
    """Return the rows of a suite; none where it has not run. Of several rows with one sentence the last one counts."""
    path = Proof(suite=suite, folder=folder).file
    if not path.is_file():
        return []
    rows = [Row(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    return list({row.what: row for row in rows}.values())
