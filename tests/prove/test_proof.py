"""Test what the proof is made with: rows that are kept and can fail, heartbeats that are timed, a page that shows both."""

import re
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.reliability_page import PAGE, SUITES, reliability_page
from tests.prove.heartbeat import HeartbeatWatch
from tests.prove.proof import Proof, Row, read_rows


def test_a_row_is_kept_and_fails_where_its_bound_does_not_hold(tmp_path: Path) -> None:
    proof = Proof(suite="kills", folder=tmp_path)
    proof.row("drops lost", "0", "0", True)
    with pytest.raises(AssertionError, match="drops doubled: 2, promised: 0"):
        proof.row("drops doubled", "2", "0", False)
    assert [row.holds for row in read_rows("kills", tmp_path)] == [True, False]


def test_the_last_of_several_rows_with_one_sentence_counts(tmp_path: Path) -> None:
    proof = Proof(suite="kills", folder=tmp_path)
    proof.row("kills", "3", ">= 2", True)
    proof.row("kills", "4", ">= 2", True)
    (row,) = read_rows("kills", tmp_path)
    assert (row.what, row.measured, row.bound, row.holds) == ("kills", "4", ">= 2", True)
    assert re.match(r"20\d\d-\d\d-\d\d", row.of)
    assert read_rows("never run", tmp_path) == []


def test_the_longest_time_without_a_heartbeat_is_found(tmp_path: Path) -> None:
    with HeartbeatWatch(folder=tmp_path) as watch, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.connect(watch.environment()["NOTIFY_SOCKET"])
        for pause in (0.0, 0.1, 1.0, 0.1):
            time.sleep(pause)
            daemon.send(b"WATCHDOG=1")
        daemon.send(b"READY=1\nSTATUS=x")
        _wait_for(lambda: watch.ready_at is not None)
        assert len(watch.beats) == 4
        assert 0.5 <= watch.longest_gap() < 5  # a listener that was late for the beat before it sees less
        assert 1.2 <= watch.seconds_to_ready < 10
        began = time.monotonic()
        time.sleep(1.0)
        daemon.send(b"WATCHDOG=1")
        _wait_for(lambda: len(watch.beats) == 5)
        assert 1.0 <= watch.longest_gap(began) < 5  # a step that holds it up right from the beginning is not missed
        watch.restart()
        assert watch.longest_gap() == float("inf")


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_page_shows_every_suite_and_marks_what_does_not_hold() -> None:
    full = Row(what="full", measured="1 | 2", bound="0", holds=False, of="2026-01-02 at abc")
    frozen = Row(what="frozen", measured="0", bound="0", holds=True, of="2026-01-01 at abb")
    page = reliability_page({"storage": [full, frozen]}, "today")
    assert "| full | 1 \\| 2 **does not hold** | 0 |" in page
    assert "| frozen | 0 | 0 |" in page
    assert "Measured 2026-01-01 at abb, 2026-01-02 at abc." in page
    assert page.count("Not measured in this run.") == len(SUITES) - 1


def test_the_page_in_docs_has_every_suite_and_all_that_was_measured_holds() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [suite.title for suite in SUITES if f"## {suite.title}\n" not in text] == []
    assert "does not hold" not in text
    assert "Not measured" not in text
