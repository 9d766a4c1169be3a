"""Write docs/reliability.md from the rows that the suites of `make prove` left."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from heygem_daemon.machine import read_machine
from tests.prove.proof import Row, read_rows

PAGE: Final = Path(__file__).parents[1] / "docs" / "reliability.md"

HEAD: Final = """# What it survives

The server is attacked by `make prove` (as root, some hours), and this page is made of what that run measured. Every row is a promise with
its bound; one that is broken ends the run with an error and is marked here. A short form of each suite is part of `make test`.

What is promised, whatever dies, fills up, freezes or is dropped:

- no drop is lost, none is done twice, nothing incomplete is published, no good file is refused for what the machine did;
- the daemon does not end, and one round of it is never held longer than a second by what a user can put down;
- every status file is valid JSON at any instant and says what is so; what is wrong is named where it is wrong;
- what went wrong ends when its cause ends, without anybody restarting anything.

```sh
make prove                              # all suites, then this page
make prove PYTEST="-k storage"          # one suite; the others keep the rows of their last run
```
"""


@dataclass(frozen=True, kw_only=True)
class Suite:
    """One section of the page: the name of the suite, its title and what it does."""

    name: str
    title: str
    method: str


SUITES: Final = (
    Suite(
        name="crash matrix",
        title="Kills",
        method="The daemon, its worker, the process that looks into files, ffmpeg and ffprobe are killed by SIGKILL at every named step, "
        "before, inside and after it, and again while the next start recovers; then a start without a kill. All the time a second "
        "process reads every status file. (`tests/prove/test_crash_matrix.py`)",
    ),
    Suite(
        name="storage",
        title="Disks and shares",
        method="Real file systems are filled, run out of inodes, are made read-only, frozen and taken away under a working daemon, and "
        "given back; ledgers are damaged. (`tests/prove/test_storage.py`)",
    ),
    Suite(
        name="lost ledger",
        title="A lost ledger",
        method="Bits are flipped all over the ledger of a killed daemon with drops in its queue and old results in outputs; it is started "
        "again, and then the ledger is rebuilt from the folders. (`tests/prove/test_lost_ledger.py`)",
    ),
    Suite(
        name="tick",
        title="What users can put down",
        method="Folders, names, control files and a job.toml of the worst kinds and numbers, while the heartbeats of the daemon are "
        "timed by the protocol that systemd uses. An idle round comes every second, so a gap of one second is rest. "
        "(`tests/prove/test_heartbeat.py`)",
    ),
    Suite(
        name="hostile media",
        title="Hostile media",
        method="Generated files that are cut, damaged or lie, or point elsewhere, go through the same processes as those of users. A "
        "file beside the drop that nobody may open and a socket that nobody may call show what leaves the drop. "
        "(`tests/prove/test_hostile_media.py`)",
    ),
    Suite(
        name="fuzzing",
        title="Fuzzing",
        method="Coverage-guided fuzzing (atheris) of every parser of our own. (`tests/prove/fuzz/`)",
    ),
    Suite(
        name="load and age",
        title="Load and age",
        method="Real daemons with an engine that takes no time, among thousands of waiting drops, old results and old inputs; and a "
        "month of simulated days. (`tests/prove/test_load_and_age.py`)",
    ),
    Suite(
        name="sickness",
        title="Sick devices, workers and models",
        method="Memory of the device runs out, workers hang, die and babble, models are damaged. (`tests/prove/test_sickness.py`)",
    ),
)


def reliability_page(rows: dict[str, list[Row]], circumstances: str) -> str:
    """Return the text of the page. rows: those of each suite by its name; circumstances: the machine that they were measured on."""
    return "\n".join([HEAD, f"Measured {circumstances}.", "", *(_section(suite, rows.get(suite.name, [])) for suite in SUITES)])


def _section(suite: Suite, rows: list[Row]) -> str:
    if not rows:
        return "\n".join([f"## {suite.title}", "", suite.method, "", "Not measured in this run.", ""])
    head = [f"## {suite.title}", "", suite.method, "", "| what | measured | promised |", "|---|---|---|"]
    measured = ", ".join(sorted({row.of for row in rows} - {""}))
    return "\n".join([*head, *(_line(row) for row in rows), "", *([f"Measured {measured}.", ""] if measured else [])])


def _line(row: Row) -> str:
    mark = "" if row.holds else " **does not hold**"
    return f"| {_cell(row.what)} | {_cell(row.measured)}{mark} | {_cell(row.bound)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def circumstances() -> str:
    """Return on what machine this is."""
    found = read_machine(with_cards=False)
    gib = round(found.memory_bytes / 2**30)
    cores = len(os.sched_getaffinity(0))
    return f"on {cores} cores with {gib} GiB of memory, Linux {platform.release()}, Python {platform.python_version()}"


if __name__ == "__main__":
    PAGE.write_text(reliability_page({suite.name: read_rows(suite.name) for suite in SUITES}, circumstances()), encoding="utf-8")
