import errno
import os
import signal
import time
from pathlib import Path

import pytest

from heygem_daemon.cli.checks import filesystem_probe
from heygem_daemon.cli.checks.filesystem_probe import ABANDONED_SECONDS, PREFIX, clear_abandoned, probe_filesystem
from tests.shares.people import HEYGEM, as_person, needs_root


def age(path: Path, seconds: float) -> None:
    os.utime(path, (time.time() - seconds,) * 2)


def test_a_good_folder_passes_everything_and_stays_empty(tmp_path: Path) -> None:
    outcome = probe_filesystem(tmp_path)
    assert outcome.done == ("create", "write", "fsync", "rename", "link", "move a folder", "unlink")
    assert (outcome.problem, outcome.has_links, outcome.has_leases, outcome.skew) == (None, True, True, 0.0)
    assert list(tmp_path.iterdir()) == []


def test_the_step_that_fails_is_named() -> None:
    outcome = probe_filesystem(Path("/proc"))
    assert outcome.failed == "create"
    assert outcome.problem is not None


@needs_root
def test_a_folder_of_others_refuses_the_first_step(site: Path) -> None:
    outcome = as_person(HEYGEM, lambda: probe_filesystem(site))
    assert outcome.failed == "create"
    assert outcome.problem is not None
    assert outcome.problem.errno == errno.EACCES


def test_a_clock_that_is_wrong_is_measured(tmp_path: Path) -> None:
    ahead = probe_filesystem(tmp_path, clock=lambda: time.time() - 100).skew
    behind = probe_filesystem(tmp_path, clock=lambda: time.time() + 100).skew
    assert 99 < ahead < 101
    assert -101 < behind < -99


def test_what_a_killed_check_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    old, young = tmp_path / f"{PREFIX}old", tmp_path / f"{PREFIX}young"
    for folder in (old, young):
        (folder / "from").mkdir(parents=True)
    age(old, ABANDONED_SECONDS + 1)
    (tmp_path / "lesson").mkdir()
    age(tmp_path / "lesson", ABANDONED_SECONDS + 1)
    probe_filesystem(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [young.name, "lesson"]


@needs_root
def test_what_somebody_else_gave_our_name_stays_his(tmp_path: Path) -> None:
    (tmp_path / f"{PREFIX}his").mkdir()
    os.chown(tmp_path / f"{PREFIX}his", HEYGEM.uid, HEYGEM.groups[0])
    clear_abandoned(tmp_path, now=time.time() + ABANDONED_SECONDS + 1)
    assert (tmp_path / f"{PREFIX}his").is_dir()


@pytest.mark.parametrize("answer", [True, False])
def test_leases_that_prove_nothing_count_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bool) -> None:
    monkeypatch.setattr(filesystem_probe, "has_writer", lambda descriptor: answer)
    assert not probe_filesystem(tmp_path).has_leases


def test_a_link_with_our_name_loses_nothing_where_it_points(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/precious").touch()
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / f"{PREFIX}x").symlink_to(tmp_path / "outside")
    clear_abandoned(tmp_path / "inbox", now=time.time() + ABANDONED_SECONDS + 1)
    assert (tmp_path / "outside/precious").exists()
    assert not os.path.lexists(tmp_path / "inbox" / f"{PREFIX}x")


def test_interrupted_half_way_it_cleans_up(tmp_path: Path) -> None:
    def interrupt() -> float:
        signal.raise_signal(signal.SIGINT)
        return 0.0

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background of a shell
    try:
        probe_filesystem(tmp_path, clock=interrupt)
    except KeyboardInterrupt:
        assert list(tmp_path.iterdir()) == []
    else:
        raise AssertionError("it was not interrupted")
    finally:
        signal.signal(signal.SIGINT, before)
