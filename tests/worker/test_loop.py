"""What a worker reports about a broken input, and about one that is no longer there."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from heygem_daemon.core.errors import error
from heygem_daemon.core.work import WorkerMessage, WorkFailed, WorkOrder
from heygem_daemon.worker.loop import OnStep, work_on
from tests.executors.contract import order


class Broken:
    """A session that finds the recording broken, after something happened."""

    def __init__(self, happens: Callable[[], object]) -> None:
        self._happens = happens

    def device(self) -> str:
        return "none"

    def models(self) -> Mapping[str, str]:
        return {}

    def run(self, order: WorkOrder, on_step: OnStep) -> Mapping[str, Any]:
        self._happens()
        raise error("audio_unreadable", name="speech.wav", type="a text file")


@pytest.fixture
def share(tmp_path: Path) -> Path:
    for name in ("speech.wav", "a.mp4"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def outcome(share: Path, happens: Callable[[], object]) -> tuple[str, str]:
    reports: list[WorkerMessage] = []
    wanted = replace(order("t1"), recording=str(share / "speech.wav"), video=str(share / "a.mp4"))
    work_on(wanted, Broken(happens), reports.append)
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
