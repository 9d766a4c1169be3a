"""A costly fixture is built once, whole or not at all, and goes when its code is gone."""

import os
import threading
import time
from pathlib import Path

import pytest

from tests.disk_cache import KEPT_SECONDS, _cached

OLD, NEW = "0" * 16, "1" * 16


def test_of_many_at_once_one_builds_and_the_others_read(tmp_path: Path) -> None:
    built: list[Path] = []

    def build(folder: Path) -> None:
        built.append(folder)
        time.sleep(0.05)
        (folder / "result").write_text("whole", encoding="ascii")

    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append((_cached(tmp_path, "face", NEW, build) / "result").read_text(encoding="ascii")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["whole"] * 4
    assert len(built) == 1


def test_a_failed_build_leaves_nothing_and_is_done_again(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        _cached(tmp_path, "face", NEW, fail)
    result = _cached(tmp_path, "face", NEW, lambda folder: (folder / "whole").touch())
    assert [path.name for path in result.iterdir()] == ["whole"]


def test_results_of_other_code_are_deleted_after_half_an_hour_without_use(tmp_path: Path) -> None:
    old = _cached(tmp_path, "face", OLD, lambda _: None)
    _cached(tmp_path, "face-mesh", OLD, lambda _: None)
    _cached(tmp_path, "face", NEW, lambda _: None)
    assert old.is_dir(), "another run may still be reading it"
    for path in tmp_path.glob(f"*-{OLD}"):
        os.utime(path, (0, time.time() - KEPT_SECONDS - 60))
    newer = _cached(tmp_path, "face", "2" * 16, lambda _: None)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {f"face-mesh-{OLD}", f"face-{NEW}", newer.name}
