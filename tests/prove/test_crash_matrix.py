"""Kill every process of the product at every named step: nothing is lost, doubled, corrupt or refused, and no status file lies.

Rows, scenarios and the sites that they run on: crash_rows, crash_scenarios, crash_site. What must hold: invariants.
"""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

import pytest

from tests.prove import crash_rows
from tests.prove.crash_rows import GROUPS, Planned
from tests.prove.crash_site import ROOT, CrashSite, Material, Row, Scenario, record, run_row
from tests.prove.kill_points import Kill, Passage, resolve
from tests.prove.prepared_daemons import PreparedDaemons
from tests.prove.proof import Proof

AT_ONCE: Final = 4
"""Sites that work side by side: daemons and tests wait more than they compute."""
PROOF: Final = Proof(suite="crash matrix")
LEAST_KILLS: Final = 500

_PROMISES: Final = (
    ("place", "files of users that were lost, doubled or lie in the wrong place"),
    ("result", "results that were not published, are corrupt, lack frames or are made of other inputs"),
    ("state", "good files or drops that failed, attempts that were miscounted, jobs that the ledger has otherwise"),
    ("status", "status files that were not valid, or held what was not so, at the instant when they were read"),
    ("record", "archived drops whose record names another job"),
    ("left", "temporary files, staging folders, half deleted folders and claims that were left after a sweep"),
    ("orphan", "processes that outlived their daemon by more than 8 s"),
    ("stuck", "daemons that did not finish their work or did not stop"),
    ("exit", "daemons that ended by themselves"),
    ("fault", "errors of the program in the log"),
)


@dataclass(kw_only=True)
class Matrix:
    """Runs rows on sites of its own, several at once."""

    folder: Path
    material: Material
    weights: Path
    daemons: PreparedDaemons
    learned: Path
    done: list[tuple[Planned, Row]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)

    def record(self, scenario: Scenario, kills: Sequence[Mapping[str, Kill]]) -> list[Passage]:
        return record(self._site(), scenario, kills)

    def run(self, rows: Iterable[Planned]) -> None:
        """Run the rows; keep what came of them, and print what did not hold."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for planned, row in pool.map(self._run, rows):
                self.done.append((planned, row))
                if row.problems or not row.was_hit:
                    _tell(f"\n{planned.group}, {row.scenario}: {row.kills}, {row.happened} happened: {row.problems}")
                if len(self.done) % 25 == 0:
                    _tell(f"{len(self.done)} rows, {self.kills} kills")

    def _run(self, planned: Planned) -> tuple[Planned, Row]:
        row = self._run_once(planned)
        # Which call of a step comes when depends on time: a kill that did not happen is tried once more, but for the short form.
        is_done = row.was_hit or row.problems or planned.group == crash_rows.SHORT_FORM
        return planned, row if is_done else self._run_once(planned)

    def _run_once(self, planned: Planned) -> Row:
        site = self._site(planned)
        return run_row(site, planned.scenario, planned.kills, planned.tools, planned.starts)

    def _site(self, planned: Planned | None = None) -> CrashSite:
        folder = self.folder / f"site-{next(self._numbers)}"
        site = CrashSite(folder=folder, material=self.material, weights=self.weights, daemons=self.daemons)
        if planned is not None:
            site.attempts, site.session = planned.attempts, planned.session
            if planned.session is None and planned.group != "learn":
                site.cache = self.learned
        return site

    @property
    def kills(self) -> int:
        return sum(row.happened for _, row in self.done)

    @property
    def missed(self) -> list[str]:
        """Return the kills that were planned and did not happen."""
        return [f"{planned.group}: {row.kills}" for planned, row in self.done if not row.was_hit]

    def problems(self, kind: str) -> list[str]:
        return [problem for _, row in self.done for problem in row.problems if problem.startswith(f"{kind}: ")]


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("voice") / "voice.wav"
    subprocess.run(("espeak-ng", "-v", "en-us", "-w", str(path), "Maybe we open the window."), check=True, timeout=60)
    return path


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory, weights: Path, voice: Path, portrait_clip: Path) -> Iterator[Matrix]:
    folder = tmp_path_factory.mktemp("crash")
    material = Material.make(folder / "material", voice, portrait_clip)
    with PreparedDaemons(ROOT) as daemons:
        yield Matrix(folder=folder, material=material, weights=weights, daemons=daemons, learned=folder / "learned")


def _nothing_wrong(matrix: Matrix) -> None:
    wrong = [problem for _, row in matrix.done for problem in row.problems]
    assert not wrong, "\n".join(wrong)[:8000]
    assert not matrix.missed, f"these kills did not happen: {matrix.missed}"


def test_every_named_step_exists() -> None:
    rows = [*crash_rows.worker_rows(), *crash_rows.inspection_rows(), *crash_rows.upload_rows(), *crash_rows.engine_rows()]
    kills = [*crash_rows.ALWAYS, *(kill for row in rows for start in row.kills for kill in start.values())]
    for step in {*(kill.step for kill in kills), *(step for steps in GROUPS.values() for step in steps)}:
        resolve(step)
    with pytest.raises(KeyError):
        resolve("heygem_daemon.durable:no_such_step")


def test_a_daemon_killed_at_a_dozen_delicate_steps_one_after_the_other_does_its_work_once(matrix: Matrix) -> None:
    matrix.run([crash_rows.delicate_row()])
    _nothing_wrong(matrix)
    assert matrix.kills == len(crash_rows.delicate_row().kills)


@pytest.mark.prove
@pytest.mark.timeout(3 * 3600)
def test_nothing_is_lost_doubled_or_stated_wrongly_whatever_is_killed(matrix: Matrix) -> None:
    matrix.done.clear()
    matrix.run(_all_rows(matrix))
    _write_rows(matrix, PROOF)


def _all_rows(matrix: Matrix) -> Iterator[Planned]:
    yield from crash_rows.daemon_rows(matrix.record)
    yield from crash_rows.recovery_rows(matrix.record)
    yield from crash_rows.worker_rows()
    yield from crash_rows.tool_rows()
    yield from crash_rows.inspection_rows()
    yield from crash_rows.upload_rows()
    yield from crash_rows.engine_rows()


def _write_rows(matrix: Matrix, proof: Proof) -> None:
    held: list[bool] = []

    def row(what: str, measured: str, bound: str, holds: bool) -> None:
        held.append(holds)
        try:
            proof.row(what, measured, bound, holds)
        except AssertionError as broken:
            _tell(str(broken))

    row("SIGKILLs in all", f"{matrix.kills} in {len(matrix.done)} histories", f">= {LEAST_KILLS}", matrix.kills >= LEAST_KILLS)
    for process, number in sorted(_by_process(matrix).items()):
        row(f"of these, kills of {process}", str(number), ">= 10", number >= 10)
    for group, number in sorted(_by_group(matrix).items()):
        row(f"histories with kills at the step: {group}", str(number), ">= 1", number >= 1)
    again = sum(row.happened > 1 for _, row in matrix.done)
    row("histories with two or more kills, most of them while the start after the first one recovered", str(again), ">= 50", again >= 50)
    polls = sum(row.polls for _, row in matrix.done)
    compared = sum(row.compared for _, row in matrix.done)
    row("reads of status files meanwhile", str(polls), ">= 100000", polls >= 100_000)
    what = "of these, compared with the model, the files and the ledger: all that had changed, and now and then one that had not"
    row(what, str(compared), ">= 10000", compared >= 10_000)
    row("kills that were planned and did not happen", str(len(matrix.missed)), "0", not matrix.missed)
    for kind, sentence in _PROMISES:
        found = matrix.problems(kind)
        row(sentence, str(len(found)), "0", not found)
    _nothing_wrong(matrix)
    assert all(held)


def _by_process(matrix: Matrix) -> Counter[str]:
    names = {"daemon": "the daemon", "worker": "the worker", "inspection": "the process that looks into files", "page": "the page"}
    words = [kill.replace(":", "").split()[0] for _, row in matrix.done for kill in row.kills]
    return Counter(names.get(word, word) for word in words)


def _by_group(matrix: Matrix) -> Counter[str]:
    return Counter(planned.group for planned, _ in matrix.done)
