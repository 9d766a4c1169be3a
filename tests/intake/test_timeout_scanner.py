"""A share that hangs holds a thread, never the daemon."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from heygem_daemon.core.ports import InboxScan
from heygem_daemon.intake.scanner import FolderScanner
from heygem_daemon.intake.timeout_scanner import TimeoutScanner


class Frozen:
    """A scanner that answers when `thaw` is set; counts its looks."""

    def __init__(self) -> None:
        self.thaw = threading.Event()
        self.looks = 0

    def scan(self, inbox: str) -> InboxScan:
        self.looks += 1
        self.thaw.wait(60)
        return InboxScan(inbox=inbox, online=True, reason=f"look {self.looks}")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def frozen() -> Iterator[Frozen]:
    scanner = Frozen()
    yield scanner
    scanner.thaw.set()


def answer(scanner: TimeoutScanner) -> InboxScan:
    """Ask until there is an answer; the thread that thaws needs a moment."""
    for _ in range(1000):
        view = scanner.scan("inbox")
        if view is not None and view.online:
            return view
        threading.Event().wait(0.005)
    raise TimeoutError


def test_a_share_that_answers_is_seen_at_once(tmp_path: Path) -> None:
    (tmp_path / ".heygem-inbox").touch()
    view = TimeoutScanner(FolderScanner(), seconds=10.0).scan(str(tmp_path))
    assert view is not None
    assert view.online


def test_a_share_that_hangs_is_offline_after_its_time_and_asked_only_once(frozen: Frozen) -> None:
    clock = Clock()
    scanner = TimeoutScanner(frozen, seconds=10.0, clock=clock)
    assert scanner.scan("inbox") is None
    clock.now = 9.9
    assert scanner.scan("inbox") is None
    for clock.now in (10.0, 11.0, 500.0):
        view = scanner.scan("inbox")
        assert view is not None
        assert not view.online
        assert "does not answer" in view.reason
    assert frozen.looks == 1


def test_what_a_look_brings_that_hung_is_old_and_thrown_away(frozen: Frozen) -> None:
    clock = Clock()
    scanner = TimeoutScanner(frozen, seconds=10.0, clock=clock)
    scanner.scan("inbox")
    clock.now = 60.0
    assert not getattr(scanner.scan("inbox"), "online", True)
    frozen.thaw.set()
    assert answer(scanner).reason == "look 2"


def test_an_answer_that_is_only_slow_counts(frozen: Frozen) -> None:
    clock = Clock()
    scanner = TimeoutScanner(frozen, seconds=10.0, clock=clock)
    assert scanner.scan("inbox") is None
    clock.now = 5.0
    frozen.thaw.set()
    assert answer(scanner).reason == "look 1"


def test_one_frozen_inbox_does_not_keep_another_from_being_seen(frozen: Frozen, tmp_path: Path) -> None:
    class Both:
        def scan(self, inbox: str) -> InboxScan:
            return frozen.scan(inbox) if inbox == "inbox" else FolderScanner().scan(inbox)

    (tmp_path / ".heygem-inbox").touch()
    scanner = TimeoutScanner(Both(), seconds=10.0)
    assert scanner.scan("inbox") is None
    other = scanner.scan(str(tmp_path))
    assert other is not None
    assert other.online


def test_a_mistake_in_a_look_reaches_the_caller() -> None:
    class Broken:
        def scan(self, inbox: str) -> InboxScan:
            raise ValueError(inbox)

    scanner = TimeoutScanner(Broken(), seconds=10.0)
    for _ in range(2):
        with pytest.raises(ValueError, match="inbox"):
            scanner.scan("inbox")


def test_a_look_that_hangs_does_not_keep_the_process_from_ending() -> None:
    script = (
        "import threading\n"
        "from heygem_daemon.intake.timeout_scanner import TimeoutScanner\n"
        "class Frozen:\n"
        "    def scan(self, inbox):\n"
        "        threading.Event().wait()\n"
        "assert TimeoutScanner(Frozen(), seconds=0.1).scan('x').online is False\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    assert subprocess.run((sys.executable, "-c", script), check=False, timeout=30, env=environment).returncode == 0
