import os
import signal
import time
import warnings
from functools import partial
from pathlib import Path

import psutil
import pytest

from heygem_daemon.cli.checks import timed_call
from heygem_daemon.cli.checks.timed_call import call_all


def test_results_come_in_the_order_of_the_functions() -> None:
    def later(answer: str, seconds: float) -> str:
        time.sleep(seconds)
        return answer

    assert call_all([partial(later, "slow", 0.1), partial(later, "fast", 0)], 10) == ["slow", "fast"]


def test_a_long_result_arrives_whole() -> None:
    assert call_all([lambda: "x" * 10**6], 10) == ["x" * 10**6]


def test_what_hangs_is_given_up_and_the_others_return() -> None:
    begun = time.monotonic()
    assert call_all([signal.pause, lambda: 1], 2) == [None, 1]
    assert time.monotonic() - begun < 30


def test_a_dead_share_holds_nobody_up(dead_share: Path) -> None:
    assert call_all([lambda: os.listdir(dead_share), lambda: ["alive"]], 2) == [None, ["alive"]]


def test_what_a_function_raises_is_raised_here() -> None:
    def fail() -> None:
        raise FileNotFoundError(2, "gone")

    with pytest.raises(FileNotFoundError, match="gone"):
        call_all([fail], 10)


def test_no_process_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timed_call, "_REAP_SECONDS", 60.0)  # on a busy machine a killed process may take a while to end
    before = set(psutil.Process().children())  # other tests of this process have some of their own
    call_all([signal.pause, lambda: 1], 0.1)
    assert set(psutil.Process().children()) <= before


def test_a_function_finishes_though_its_caller_is_killed(tmp_path: Path) -> None:
    begun, finished = tmp_path / "begun", tmp_path / "finished"

    def work() -> None:
        begun.touch()
        while os.getppid() == caller:
            time.sleep(0.01)
        finished.touch()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on forks beside threads; the child takes no lock of theirs
        caller = os.fork()
    if caller == 0:
        caller = os.getpid()
        call_all([work], 60)
        os._exit(0)
    wait_for(begun)
    os.kill(caller, signal.SIGKILL)
    os.waitpid(caller, 0)
    wait_for(finished)


def wait_for(path: Path) -> None:
    give_up = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < give_up, f"no {path.name}"
        time.sleep(0.01)
