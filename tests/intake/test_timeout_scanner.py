"""A share that hangs holds a thread, never the daemon."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from heygem_daemon.core.ports import Scanner
from heygem_daemon.core.scan import InboxScan
from heygem_daemon.intake.scanner import FolderScanner
from heygem_daemon.intake.timeout_scanner import TimeoutScanner

PATIENCE = 60.0
"""In s; only a test that fails waits for so long."""


class Frozen:
    """A scanner that answers when `thaw` is set; counts its scans."""

    def __init__(self) -> None:
        self.thaw = threading.Event()
        self.scans = 0

    def scan(self, inbox: str) -> InboxScan:
        self.scans += 1
        self.thaw.wait(PATIENCE)
        return InboxScan(inbox=inbox, online=True, reason=f"scan {self.scans}")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def frozen() -> Iterator[Frozen]:
    scanner = Frozen()
    yield scanner
    scanner.thaw.set()


def make_scanner(scanner: Scanner, clock: Clock) -> TimeoutScanner:
    """Return a scanner that waits a moment only, and gives up after 10 s of the clock."""
    return TimeoutScanner(scanner, seconds=10.0, typical_seconds=0.01, clock=clock)


def online_scan(scanner: TimeoutScanner, inbox: str = "inbox") -> InboxScan:
    """Scan until there is an answer; the thread that thaws needs a moment."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        scan = scanner.scan(inbox)
        if scan is not None and scan.online:
            return scan
        time.sleep(0.005)
    raise TimeoutError


def test_a_share_that_answers_is_scanned_at_once(tmp_path: Path) -> None:
    (tmp_path / ".heygem-inbox").touch()
    scan = TimeoutScanner(FolderScanner(), seconds=PATIENCE, typical_seconds=PATIENCE).scan(str(tmp_path))
    assert scan is not None
    assert scan.online


def test_a_share_that_hangs_is_offline_after_its_time_and_scanned_only_once(frozen: Frozen, clock: Clock) -> None:
    scanner = make_scanner(frozen, clock)
    assert scanner.scan("inbox") is None
    clock.now = 9.9
    assert scanner.scan("inbox") is None
    for clock.now in (10.0, 11.0, 500.0):
        scan = scanner.scan("inbox")
        assert scan is not None
        assert not scan.online
        assert "does not answer" in scan.reason
    assert frozen.scans == 1


def test_the_result_of_a_scan_that_hung_is_old_and_discarded(frozen: Frozen, clock: Clock) -> None:
    scanner = make_scanner(frozen, clock)
    scanner.scan("inbox")
    clock.now = 60.0
    assert not getattr(scanner.scan("inbox"), "online", True)
    frozen.thaw.set()
    assert online_scan(scanner).reason == "scan 2"


def test_an_answer_that_is_only_slow_counts(frozen: Frozen, clock: Clock) -> None:
    scanner = make_scanner(frozen, clock)
    assert scanner.scan("inbox") is None
    clock.now = 5.0
    frozen.thaw.set()
    assert online_scan(scanner).reason == "scan 1"


def test_one_frozen_inbox_does_not_keep_another_from_being_scanned(frozen: Frozen, clock: Clock, tmp_path: Path) -> None:
    class Both:
        def scan(self, inbox: str) -> InboxScan:
            return frozen.scan(inbox) if inbox == "inbox" else FolderScanner().scan(inbox)

    (tmp_path / ".heygem-inbox").touch()
    scanner = make_scanner(Both(), clock)
    assert scanner.scan("inbox") is None
    assert online_scan(scanner, str(tmp_path)).inbox == str(tmp_path)
    assert scanner.scan("inbox") is None


def test_an_exception_of_a_scan_reaches_the_caller() -> None:
    class Broken:
        def scan(self, inbox: str) -> InboxScan:
            raise ValueError(inbox)

    scanner = TimeoutScanner(Broken(), seconds=PATIENCE, typical_seconds=PATIENCE)
    for _ in range(2):
        with pytest.raises(ValueError, match="inbox"):
            scanner.scan("inbox")


def test_scans_of_one_inbox_use_one_thread(tmp_path: Path) -> None:
    (tmp_path / ".heygem-inbox").touch()
    scanner = TimeoutScanner(FolderScanner(), seconds=PATIENCE, typical_seconds=PATIENCE)
    for _ in range(5):
        scanner.scan(str(tmp_path))
    assert [thread.name for thread in threading.enumerate()].count(f"scan {tmp_path}") == 1


def test_a_scan_that_hangs_does_not_keep_the_process_from_ending() -> None:
    script = (
        "import threading\n"
        "from heygem_daemon.intake.timeout_scanner import TimeoutScanner\n"
        "class Frozen:\n"
        "    def scan(self, inbox):\n"
        "        threading.Event().wait()\n"
        "assert TimeoutScanner(Frozen(), seconds=0.1).scan('x').online is False\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    assert subprocess.run((sys.executable, "-c", script), check=False, timeout=120, env=environment).returncode == 0


def test_a_scan_that_goes_on_is_waited_for_however_long_it_takes(frozen: Frozen, clock: Clock) -> None:
    scanner = make_scanner(frozen, clock)
    for _ in range(10):
        assert scanner.scan("inbox") is None
        clock.now += 9.0
        scanner.progressed("inbox")
    frozen.thaw.set()
    assert online_scan(scanner).reason == "scan 1"


def test_a_scan_that_went_on_and_then_hangs_is_offline(frozen: Frozen, clock: Clock) -> None:
    scanner = make_scanner(frozen, clock)
    assert scanner.scan("inbox") is None
    clock.now += 9.0
    scanner.progressed("inbox")
    clock.now += 10.0
    found = scanner.scan("inbox")
    assert found is not None
    assert not found.online
    scanner.progressed("inbox")  # too late: what it finds is old
    found = scanner.scan("inbox")
    assert found is not None
    assert not found.online


def test_each_drop_of_a_real_scan_is_progress(tmp_path: Path) -> None:
    (tmp_path / ".heygem-inbox").touch()
    for number in range(5):
        (tmp_path / f"lesson-{number}").mkdir()
    scanner = FolderScanner()
    seen: list[str] = []
    scanner.on_drop = seen.append
    scanner.scan(str(tmp_path))
    assert len(seen) >= 5
    assert set(seen) == {str(tmp_path)}


def test_nobody_waits_in_vain_for_an_inbox_whose_last_scan_took_long(frozen: Frozen) -> None:
    scanner = TimeoutScanner(frozen, seconds=PATIENCE, typical_seconds=1.0)
    assert scanner.scan("inbox") is None
    time.sleep(0.3)
    frozen.thaw.set()
    online_scan(scanner)
    frozen.thaw.clear()
    began = time.monotonic()
    assert scanner.scan("inbox") is None
    assert time.monotonic() - began < 0.8
    frozen.thaw.set()
    online_scan(scanner)
    assert scanner.scan("inbox") is not None, "it answered fast, so it is waited for again"


def test_a_scan_that_took_long_by_the_clock_is_not_waited_for_next_time_however_it_ended(frozen: Frozen, clock: Clock) -> None:
    class Slow:
        def scan(self, inbox: str) -> InboxScan:
            if not frozen.scans:
                clock.now += 4.0
                frozen.thaw.set()
            return frozen.scan(inbox)

    scanner = TimeoutScanner(Slow(), seconds=PATIENCE, typical_seconds=3.0, clock=clock)
    assert scanner.scan("inbox") is not None
    frozen.thaw.clear()
    began = time.monotonic()
    assert scanner.scan("inbox") is None
    assert time.monotonic() - began < 2.0
