"""What a worker reports about a broken input, and about one that is no longer there."""

import errno
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.core.work import WorkerMessage, WorkFailed, WorkOrder
from heygem_daemon.worker import loop
from heygem_daemon.worker.loop import OnStep, work_on
from tests.executors.contract import order


class Broken:
    """A session that finds the recording broken, or fails with `problem`, after something happened."""

    def __init__(self, happens: Callable[[], object], problem: Exception | None = None) -> None:
        self._happens = happens
        self._problem = problem or error("audio_unreadable", name="speech.wav", type="a text file")

    def device(self) -> str:
        return "none"

    def models(self) -> Mapping[str, str]:
        return {}

    def run(self, order: WorkOrder, on_step: OnStep) -> Mapping[str, Any]:
        self._happens()
        raise self._problem


@pytest.fixture
def share(tmp_path: Path) -> Path:
    for name in ("speech.wav", "a.mp4"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def outcome(
    share: Path, happens: Callable[[], object], problem: Exception | None = None, *, killed: Callable[[], int] = lambda: 0
) -> tuple[str, str]:
    reports: list[WorkerMessage] = []
    wanted = replace(order("t1"), recording=str(share / "speech.wav"), video=str(share / "a.mp4"))
    work_on(wanted, Broken(happens, problem), reports.append, killed=killed)
    (report,) = reports
    assert isinstance(report, WorkFailed)
    return report.kind, report.failure.code


def test_a_broken_file_is_reported_as_one(share: Path) -> None:
    assert outcome(share, lambda: None) == ("input", "audio_unreadable")


def test_a_share_that_went_away_is_no_broken_file(share: Path) -> None:
    assert outcome(share, lambda: shutil.rmtree(share)) == ("transient", "share_offline")


def test_a_share_that_was_away_from_the_start_is_no_broken_file(share: Path) -> None:
    shutil.rmtree(share)
    assert outcome(share, lambda: None) == ("transient", "share_offline")


def test_a_share_that_was_mounted_anew_meanwhile_is_no_broken_file(share: Path) -> None:
    def remount() -> None:
        (share / "new").write_bytes(b"x")
        (share / "new").replace(share / "a.mp4")

    assert outcome(share, remount) == ("transient", "share_offline")


KILLED = error("tool_killed", program="ffmpeg", name="a.mp4", how="SIGKILL")


def test_a_program_that_the_kernel_ended_for_memory_costs_an_attempt_and_does_not_wait_for_ever(share: Path) -> None:
    counts = iter([4, 5])
    assert outcome(share, lambda: None, KILLED, killed=lambda: next(counts)) == ("engine", "memory_full")


def test_a_program_that_somebody_ended_is_tried_again(share: Path) -> None:
    assert outcome(share, lambda: None, KILLED, killed=lambda: 4) == ("transient", "tool_killed")


def test_memory_that_ran_out_elsewhere_is_not_why_a_file_is_broken(share: Path) -> None:
    counts = iter([4, 5])
    assert outcome(share, lambda: None, killed=lambda: next(counts)) == ("input", "audio_unreadable")


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (error("storage_slow", program="ffmpeg", name="a.mp4", seconds=300), "storage_slow"),
        (OSError(errno.ESTALE, "Stale file handle"), "io_error"),
        (error("tool_broken", program="ffmpeg", problem="no library"), "tool_broken"),
        (RuntimeError("CUDA error: out of memory"), "device_memory"),
    ],
    ids=lambda found: found.code if isinstance(found, HeygemError) else str(found),
)
def test_inputs_on_a_frozen_share_are_not_looked_at_again_where_they_are_not_the_cause(
    share: Path, monkeypatch: pytest.MonkeyPatch, problem: Exception, code: str
) -> None:
    def freeze() -> None:
        monkeypatch.setattr(loop, "identity", lambda _: pytest.fail("the share answers nobody"))

    assert outcome(share, freeze, problem)[1] == code
