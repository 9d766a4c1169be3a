import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from heygem_daemon.core.errors import HeygemError, SetupError, TransientError
from heygem_daemon.core.job import TRANSITIONS, Item, State
from heygem_daemon.ledger import sqlite
from heygem_daemon.ledger.memory import MemoryLedger
from heygem_daemon.ledger.sqlite import SqliteLedger
from tests.core.making import item, job
from tests.ledger.contract import RICH, LedgerContract


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.sqlite3"


@pytest.fixture
def ledger(path: Path) -> Iterator[SqliteLedger]:
    opened = SqliteLedger(path)
    yield opened
    opened.close()


class TestSqliteLedger(LedgerContract):
    pass


def reopened(path: Path, **options: bool) -> SqliteLedger:
    found = SqliteLedger(path, **options)
    found.close()
    return found


# -- the file ---------------------------------------------------------------------------------------------------------


def test_what_was_put_is_there_after_opening_again(path: Path, ledger: SqliteLedger) -> None:
    ledger.put(RICH)
    ledger.request("retry", "rich")
    ledger.close()
    again = SqliteLedger(path)
    assert again.damaged is None
    assert again.get("rich") == RICH
    assert list(again.requests(9)) == [("retry", "rich")]
    again.close()


def test_the_ledger_is_durable_and_open_to_its_group_only(path: Path, ledger: SqliteLedger) -> None:
    ledger.put(RICH)
    assert {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()} == {0o660}
    assert ledger._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert ledger._connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_the_command_line_leaves_requests_while_the_daemon_works(path: Path, ledger: SqliteLedger) -> None:
    other = SqliteLedger(path, repair=False)
    ledger.put(RICH)
    assert other.get("rich") == RICH
    other.request("cancel", "rich")
    other.close()
    assert list(ledger.requests(9)) == [("cancel", "rich")]


def test_only_the_items_that_changed_are_written(ledger: SqliteLedger) -> None:
    many = job(*(item(str(number)) for number in range(100)), id="x")
    ledger.put(many)
    before = ledger._connection.total_changes
    ledger.put(many.with_item(item("7", State.RUNNING)))
    assert ledger._connection.total_changes - before == 3  # the job, one row out, one row in


def test_the_database_itself_refuses_invalid_rows(ledger: SqliteLedger) -> None:
    ledger.put(RICH)
    for statement in (
        "UPDATE jobs SET state = 'lost'",
        "UPDATE items SET attempt = -1",
        "UPDATE items SET document = '{'",
        "INSERT INTO items VALUES ('nobody', 0, 'k', 'queued', 0, '{}')",
    ):
        with pytest.raises(sqlite3.IntegrityError):
            ledger._connection.execute(statement)


def test_a_failed_put_leaves_everything_as_it_was(ledger: SqliteLedger) -> None:
    ledger.put(RICH)
    with pytest.raises(sqlite3.IntegrityError):
        ledger.put(job(item("twice"), item("twice"), id="rich"))
    assert ledger.get("rich") == RICH
    ledger.put(job(item(), id="next"))


def test_every_state_of_an_item_fits(ledger: SqliteLedger) -> None:
    every = job(*(item(state.value, state) for state in TRANSITIONS), id="x")
    ledger.put(every)
    assert ledger.get("x") == every


# -- damage -----------------------------------------------------------------------------------------------------------


def test_a_file_that_is_no_database_is_moved_aside_and_a_new_one_begun(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database, certainly not" * 100)
    found = SqliteLedger(path)
    assert found.damaged is not None
    assert found.damaged.name.startswith("ledger.sqlite3.damaged-")
    assert found.damaged.read_bytes().startswith(b"not a database")
    found.put(RICH)
    assert found.get("rich") == RICH
    found.close()
    assert reopened(path).damaged is None


def test_a_ledger_with_a_torn_page_is_moved_aside(path: Path, ledger: SqliteLedger) -> None:
    for number in range(200):
        ledger.put(job(item(), id=str(number)))
    ledger.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))
    found = reopened(path)
    assert found.damaged is not None
    assert found.damaged.stat().st_size == size


def many_jobs(path: Path, count: int = 500) -> None:
    ledger = SqliteLedger(path)
    ledger.put(*(job(item(state=State.SUCCEEDED, result={"model": "x" * 500}), id=str(number)).rollup(1.0) for number in range(count)))
    ledger.close()


def _read_all(ledger: SqliteLedger) -> None:
    for number in range(500):
        ledger.get(str(number))


def spoil_a_page(path: Path) -> None:
    """Overwrite a page in the middle, which holds items of some jobs."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2 // 4096 * 4096)
        file.write(os.urandom(4096))


def test_the_check_at_the_opening_of_a_long_history_takes_a_bounded_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many_jobs(path)
    monkeypatch.setattr(sqlite, "CHECK_SECONDS", 0.0)
    monkeypatch.setattr(sqlite, "_CHECK_STEPS", 10)
    found = SqliteLedger(path)
    assert found.damaged is None
    assert found.get("7") is not None
    found.close()


def test_damage_that_is_met_in_use_is_found_at_the_next_opening(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many_jobs(path)
    spoil_a_page(path)
    monkeypatch.setattr(sqlite, "CHECK_SECONDS", 0.0)
    monkeypatch.setattr(sqlite, "_CHECK_STEPS", 10)
    used = SqliteLedger(path)
    assert used.damaged is None
    with pytest.raises(HeygemError):
        _read_all(used)
    used.close()
    found = SqliteLedger(path)
    assert found.damaged is not None
    found.close()
    assert reopened(path).damaged is None


def test_a_ledger_of_an_earlier_release_gets_what_makes_the_search_fast(path: Path) -> None:
    ledger = SqliteLedger(path)
    for index in ("jobs_by_name", "jobs_by_output"):
        ledger._connection.execute(f"DROP INDEX {index}")
    ledger.close()
    again = SqliteLedger(path)
    query = "EXPLAIN QUERY PLAN SELECT number FROM jobs WHERE id = ?1 OR name = ?1 OR output = ?1"
    steps = [row[3] for row in again._connection.execute(query, ("x",))]
    assert any("jobs_by_output" in step for step in steps)
    assert not any(step.startswith("SCAN") for step in steps)
    again.close()


def test_nobody_but_the_daemon_moves_a_damaged_ledger(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(TransientError, match=r"ledger\.sqlite3"):
        SqliteLedger(path, repair=False)
    assert [each.name for each in path.parent.iterdir()] == ["ledger.sqlite3"]


def test_two_damaged_ledgers_of_one_second_are_both_kept(path: Path) -> None:
    path.parent.mkdir()
    kept: set[Path | None] = set()
    for number in range(2):
        path.write_bytes(f"not a database {number}".encode() * 100)
        kept.add(reopened(path).damaged)
    assert len(kept) == 2


def test_a_ledger_of_a_newer_version_is_left_alone(path: Path, ledger: SqliteLedger) -> None:
    ledger._connection.execute("PRAGMA user_version = 99")
    ledger.close()
    with pytest.raises(SetupError, match="newer version"):
        SqliteLedger(path)
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_an_error_of_the_disk(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(TransientError) as caught:
        SqliteLedger(tmp_path / "file" / "ledger.sqlite3")
    assert caught.value.code == "io_error"


# -- errors while it is open ------------------------------------------------------------------------------------------


def test_a_full_disk_is_a_transient_error(ledger: SqliteLedger) -> None:
    ledger.put(RICH)
    pages = ledger._connection.execute("PRAGMA page_count").fetchone()[0]
    ledger._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(TransientError, match="full"):
        ledger.put(job(*(item(str(number)) for number in range(500)), id="large"))
    assert ledger.get("large") is None
    ledger._connection.execute("PRAGMA max_page_count = 100000")
    ledger.put(job(item(), id="large"))
    assert ledger.get("rich") == RICH


def test_a_lock_that_is_never_released_is_a_transient_error(path: Path, ledger: SqliteLedger) -> None:
    ledger._connection.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(HeygemError, match="locked"):
        ledger.put(RICH)
    assert not ledger.healthy()
    other.execute("ROLLBACK")
    other.close()
    ledger.put(RICH)
    assert ledger.healthy()


def test_a_ledger_whose_file_was_deleted_or_replaced_is_not_healthy(path: Path, ledger: SqliteLedger) -> None:
    assert ledger.healthy()
    path.rename(path.with_name("elsewhere"))
    assert not ledger.healthy()
    path.write_bytes(b"")
    assert not ledger.healthy()


def test_what_is_written_to_a_deleted_ledger_is_refused_until_it_is_back(path: Path, ledger: SqliteLedger) -> None:
    path.rename(path.with_name("elsewhere"))
    with pytest.raises(TransientError, match="deleted or replaced"):
        ledger.put(job(item(), id="late"))
    path.with_name("elsewhere").rename(path)
    assert ledger.get("late") is None
    ledger.put(job(item(), id="late"))
    assert ledger.get("late") is not None


def test_a_ledger_that_is_protected_is_not_called_a_read_only_file_system(path: Path, ledger: SqliteLedger) -> None:
    ledger._connection.execute("PRAGMA query_only = 1")
    with pytest.raises(TransientError, match="readonly database") as refused:
        ledger.put(job(item(), id="late"))
    assert refused.value.code == "io_error"


WRITER = """
import sys
from pathlib import Path
from heygem_daemon.ledger.sqlite import SqliteLedger
from tests.core.making import item, job
ledger = SqliteLedger(Path(sys.argv[1]))
number = 0
while True:
    ledger.put(job(item("a"), item("b"), id=str(number)))
    print(number, flush=True)
    number += 1
"""


def test_what_was_put_survives_the_death_of_the_process(path: Path, root: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, cwd=root, text=True)
    assert writer.stdout is not None
    for _ in range(20):
        last = int(writer.stdout.readline())
    writer.send_signal(signal.SIGKILL)
    last = max([last, *(int(line) for line in writer.stdout.read().split())])
    writer.wait()
    writer.stdout.close()
    found = SqliteLedger(path)
    assert found.damaged is None
    assert {str(number) for number in range(last + 1)} <= {each.id for each in found.open_jobs()}
    assert all(len(each.items) == 2 for each in found.open_jobs())
    found.close()


# -- against the model ------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "lesson", "第一课", "x\udcff"])
ITEMS = st.lists(st.sampled_from("klmn"), unique=True, max_size=3).flatmap(
    lambda keys: st.tuples(
        *(st.builds(item, st.just(key), st.sampled_from(sorted(TRANSITIONS)), attempt=st.integers(0, 3)) for key in keys)
    )
)


class LedgerStateMachine(RuleBasedStateMachine):
    """The ledger on disk, opened again now and then, returns the same as the one in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.model = MemoryLedger()
        self.open()

    def open(self) -> None:
        self.ledger = SqliteLedger(Path(self.folder.name) / "ledger.sqlite3")
        self.ledger._connection.execute("PRAGMA synchronous = OFF")  # power cuts are not tested here

    @rule(job_id=NAMES, name=NAMES, items=ITEMS, state=st.sampled_from(State), finished=st.none() | st.floats(0, 100))
    def put(self, job_id: str, name: str, items: tuple[Item, ...], state: State, finished: float | None) -> None:
        changed = job(*items, id=job_id, name=name, output=name, state=state, finished_at=finished)
        self.model.put(changed)
        self.ledger.put(changed)

    @rule(before=st.floats(0, 100), limit=st.integers(-1, 4))
    def forget(self, before: float, limit: int) -> None:
        assert self.ledger.forget(before, limit) == self.model.forget(before, limit)

    @rule(verb=st.sampled_from(["retry", "hold"]), about=st.sampled_from(["a", "第一课"]))
    def request(self, verb: str, about: str) -> None:
        self.model.request(verb, about)
        self.ledger.request(verb, about)

    @rule(count=st.integers(-1, 3))
    def take(self, count: int) -> None:
        assert list(self.ledger.requests(count)) == list(self.model.requests(count))
        self.ledger.remove_requests(count)
        self.model.remove_requests(count)

    @rule()
    def open_again(self) -> None:
        self.ledger.close()
        self.open()

    @rule(name=NAMES)
    def look_up(self, name: str) -> None:
        assert self.ledger.get(name) == self.model.get(name)
        assert list(self.ledger.find(name)) == list(self.model.find(name))

    @rule(limit=st.integers(0, 4))
    def look_at_the_newest(self, limit: int) -> None:
        assert list(self.ledger.recent(limit)) == list(self.model.recent(limit))

    @invariant()
    def the_queues_are_the_same(self) -> None:
        assert list(self.ledger.open_jobs()) == list(self.model.open_jobs())

    def teardown(self) -> None:
        self.ledger.close()
        self.folder.cleanup()


TestLedgerStateMachine = LedgerStateMachine.TestCase
TestLedgerStateMachine.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


def test_a_put_is_quick(ledger: SqliteLedger) -> None:
    started = time.perf_counter()
    for number in range(50):
        ledger.put(job(item(), id=str(number)))
    assert (time.perf_counter() - started) / 50 < 0.2


def test_a_flipped_bit_in_a_document_of_an_open_job_is_damage_and_one_of_the_history_is_passed_over(path: Path) -> None:
    ledger = SqliteLedger(path)
    ledger.put(job(item(), id="open"), job(item(state=State.SUCCEEDED), id="over").rollup(1.0), job(item(), id="whole").rollup(1.0))
    ledger.close()
    spoil_documents(path, "over")
    passed_over = SqliteLedger(path)
    assert passed_over.damaged is None
    assert passed_over.get("over") is None
    assert [each.id for each in passed_over.open_jobs()] == [each.id for each in passed_over.open_jobs()] == ["open", "whole"]
    passed_over.put(job(item(), id="later"))
    assert len(passed_over.open_jobs()) == 3
    passed_over.close()
    spoil_documents(path, "open")
    found = SqliteLedger(path)
    assert found.damaged is not None
    assert list(found.open_jobs()) == []
    found.close()


def spoil_documents(path: Path, job_id: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE items SET document = replace(document, 'state', 'stale') WHERE job = ?", (job_id,))
    connection.commit()
    connection.close()
