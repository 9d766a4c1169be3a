"""What is logged is found again in a real journal: by its fields, with its weight, its explanation and its traceback, whatever is in it."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from heygem_daemon.service.events import EVENTS
from heygem_daemon.service.journal import IDENTIFIER, field_name, field_value
from heygem_daemon.service.log import MAX_FIELD
from tests.service.journal_lines import HUGE, JOB, LINES_EACH, THREADS
from tests.service.private_journal import why_not, with_journal

Entry = dict[str, Any]
LINES: Final = Path(__file__).with_name("journal_lines.py")
ALLOWED_NAME: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


class Journal:
    """What the private journald wrote, and what its writer printed on standard error."""

    def __init__(self, directory: Path, stderr: str) -> None:
        self._directory, self.stderr = directory, stderr

    def read(self, *words: str) -> str:
        command = ("journalctl", "--quiet", "--directory", str(self._directory), *words)
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    def find(self, *fields: str) -> list[Entry]:
        return [json.loads(line) for line in self.read("--output=json", "--all", *fields).splitlines()]

    def one(self, *fields: str) -> Entry:
        (entry,) = self.find(*fields)
        return entry


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Journal:
    if reason := why_not():
        pytest.skip(reason)
    directory = tmp_path_factory.mktemp("journal")
    done = with_journal(directory, "env", f"PYTHONPATH={root}", sys.executable, str(LINES))
    assert done.returncode == 0, done.stderr
    return Journal(directory, done.stderr)


def test_a_job_is_found_by_its_fields(journal: Journal) -> None:
    entries = journal.find(f"HEYGEM_JOB_ID={JOB['job_id']}", "_TRANSPORT=journal")
    assert [entry["MESSAGE"] for entry in entries][:4] == [
        "lesson-01/teacher-a: rendered at 0.70 times real time; now verified",
        "lesson-01/teacher-a: published after 12.3 s",
        "lesson-01/teacher-b: failed: There is no face.",
        "lesson-01: partial, 1 of 2 results",
    ]
    assert {entry["SYSLOG_IDENTIFIER"] for entry in entries} == {IDENTIFIER}
    failed = journal.one(f"HEYGEM_JOB_ID={JOB['job_id']}", "HEYGEM_EVENT=item_failed")
    assert (failed["HEYGEM_JOB"], failed["HEYGEM_ITEM"], failed["HEYGEM_ERROR_CODE"]) == ("lesson-01", "teacher-b", "no_face")
    assert failed["MESSAGE_ID"] == EVENTS["item_failed"].message_id
    assert journal.one("HEYGEM_SECONDS=12.3")["HEYGEM_ITEM"] == "teacher-a"


def test_a_level_is_the_weight_that_the_journal_filters_by(journal: Journal) -> None:
    job = f"HEYGEM_JOB_ID={JOB['job_id']}"
    assert [entry["HEYGEM_EVENT"] for entry in journal.find(job, "--priority=err")] == ["item_failed"]
    assert [entry["PRIORITY"] for entry in journal.find(job)] == ["6", "6", "3", "4", "7"]


def test_a_level_can_be_changed_while_the_log_is_in_use(journal: Journal) -> None:
    assert journal.one("HEYGEM_EVENT=item_started", "PRIORITY=7")["HEYGEM_CASE"] == "level"


def test_no_entry_claims_to_come_from_the_module_that_logs(journal: Journal) -> None:
    entries = journal.find("_TRANSPORT=journal")
    assert len(entries) > THREADS * LINES_EACH
    assert not [name for entry in entries for name in entry if name.startswith("CODE_")]


def test_a_traceback_has_a_field_of_its_own_and_the_sentence_stays_one(journal: Journal) -> None:
    entry = journal.one("HEYGEM_CASE=traceback")
    assert entry["MESSAGE"] == "one round of the daemon failed in scan: ValueError: first second"
    assert entry["HEYGEM_TRACEBACK"].startswith("Traceback (most recent call last):\n")
    assert entry["HEYGEM_TRACEBACK"].endswith("ValueError: first\nsecond")
    assert not {"HEYGEM_EXCEPTION", "HEYGEM_EXC_INFO", "HEYGEM_MESSAGE", "HEYGEM_LEVEL"} & entry.keys()


def test_a_name_of_any_bytes_is_shown_escaped(journal: Journal) -> None:
    entry = journal.one("HEYGEM_CASE=name")
    assert entry["HEYGEM_JOB"] == "b\\xffad\nname\\x1b[31m 课"
    assert entry["MESSAGE"] == "b\\xffad name\\x1b[31m 课: a new folder in /in"


def test_of_a_huge_value_the_beginning_and_the_end_arrive(journal: Journal) -> None:
    entry = journal.one("HEYGEM_CASE=huge")
    assert MAX_FIELD - 100 < len(entry["HEYGEM_LINE"]) < MAX_FIELD + 100 < len(HUGE)
    assert entry["HEYGEM_LINE"].startswith("ax")
    assert entry["HEYGEM_LINE"].endswith("xz")
    assert len(entry["MESSAGE"]) < 2100


def test_every_kind_of_field_arrives(journal: Journal) -> None:
    entry = journal.one("HEYGEM_CASE=kinds")
    assert json.loads(entry["HEYGEM_DELETED"]) == {"inputs": 3, "staging": 0}
    assert (entry["HEYGEM_A_B_C__"], entry["HEYGEM_MIXED_CASE"]) == ("1", "True")
    assert json.loads(entry[f"HEYGEM_{'N' * 57}"]) == [1, "课"]


def test_lines_of_many_threads_all_arrive(journal: Journal) -> None:
    tokens = {entry["HEYGEM_TOKEN"] for entry in journal.find("HEYGEM_CASE=threads")}
    assert len(tokens) == THREADS * LINES_EACH


def test_every_event_arrives_even_without_any_field(journal: Journal) -> None:
    entries = {entry["HEYGEM_EVENT"]: entry for entry in journal.find("HEYGEM_CASE=bare")}
    assert {name: entry["MESSAGE_ID"] for name, entry in entries.items()} == {name: event.message_id for name, event in EVENTS.items()}
    assert all(entry["MESSAGE"].strip() for entry in entries.values())


def test_a_service_logs_to_the_journal_by_itself(journal: Journal) -> None:
    assert journal.one("HEYGEM_CASE=auto")["_TRANSPORT"] == "journal"


def test_without_a_journal_that_listens_a_line_goes_to_standard_error(journal: Journal) -> None:
    lines = [json.loads(line) for line in journal.stderr.splitlines()]
    assert [(line["case"], line["event"]) for line in lines] == [("absent", "daemon_stopping"), ("dead", "daemon_stopped")]
    assert lines[0]["message"] == "stopping; 2 results may still finish"
    assert lines[0]["level"] == "info"


@pytest.mark.parametrize("key", ["job_id", "_private", "ÄÖ", "a" * 200, "9", "with space", "x\ny", "="])
def test_any_key_becomes_a_name_that_journald_takes(key: str) -> None:
    assert ALLOWED_NAME.fullmatch(field_name(key))


def test_a_value_that_contains_itself_is_still_shown() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert field_value(loop) == "[[...]]"
    assert field_value({("a", 1): 2}) == "{('a', 1): 2}"


def _commands(page: Path) -> list[list[str]]:
    """Return what stands in the page's code blocks for journalctl, as words, up to a pipe."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("journalctl ")]
    return [shlex.split(line.partition(" | ")[0], comments=True) for line in lines]


def test_every_command_of_the_page_finds_something(journal: Journal, root: Path) -> None:
    commands = _commands(root / "docs" / "journal.md")
    assert len(commands) >= 8
    for command in commands:
        _, unit, name, *rest = (word for word in command if word != "-f")
        assert (unit, name) == ("-u", "heygem"), command
        assert journal.read(*rest), command
