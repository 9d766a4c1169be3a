import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from heygem_daemon.publishing.background_retention import BackgroundRetention
from heygem_daemon.publishing.delete_tree import delete_tree
from heygem_daemon.publishing.retention import DAY, FolderRetention

NOW = 1_800_000_000.0


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    for child in ("_done", "_failed", ".heygem/claimed"):
        (folder / child).mkdir(parents=True)
    (folder / ".heygem-inbox").touch()
    return folder


@pytest.fixture
def retention(inbox: Path, outputs: Path) -> FolderRetention:
    (outputs / ".heygem/staging").mkdir(parents=True)
    return FolderRetention(inboxes=[inbox], outputs=outputs)


def finished(folder: Path, *, days_ago: float, job: str = "job-1") -> Path:
    """Inputs that were put there some days ago."""
    (folder / "videos").mkdir(parents=True)
    (folder / "videos/a.mp4").write_text("x")
    record = folder / ".heygem-job.json"
    record.write_text(json.dumps({"job": job, "name": folder.name, "flat": False}))
    os.utime(record, (NOW - days_ago * DAY,) * 2)
    return folder


def test_inputs_go_after_their_keep_time_and_not_before(retention: FolderRetention, inbox: Path) -> None:
    old_done, young_done = finished(inbox / "_done/old", days_ago=14.1), finished(inbox / "_done/young", days_ago=13.9)
    old_failed, young_failed = finished(inbox / "_failed/old", days_ago=30.1), finished(inbox / "_failed/young", days_ago=29.9)
    assert retention.sweep(NOW, ()) == {"done": 1, "failed": 1, "staging": 0}
    assert not old_done.exists()
    assert not old_failed.exists()
    assert young_done.exists()
    assert young_failed.exists()
    assert sorted(os.listdir(inbox / "_done")) == ["young"]


@pytest.mark.parametrize("name", ["x" * 255, "老" * 85, "👩" * 63, os.fsdecode(b"\xff" * 255)])
def test_inputs_with_the_longest_names_go_too(retention: FolderRetention, inbox: Path, name: str) -> None:
    folder = finished(inbox / "_done" / name, days_ago=15)
    assert retention.sweep(NOW, ())["done"] == 1
    assert not folder.exists()


def test_zero_days_keep_for_ever(inbox: Path, outputs: Path) -> None:
    finished(inbox / "_done/old", days_ago=9999)
    finished(inbox / "_failed/old", days_ago=9999)
    retention = FolderRetention(inboxes=[inbox], outputs=outputs, done_days=0, failed_days=0, staging_days=0)
    assert retention.sweep(NOW, ()) == {"done": 0, "failed": 0, "staging": 0}


def test_inputs_of_an_open_job_stay(retention: FolderRetention, inbox: Path) -> None:
    folder = finished(inbox / "_failed/lesson", days_ago=99, job="job-7")
    assert retention.sweep(NOW, ["job-7"])["failed"] == 0
    assert folder.exists()


def test_an_old_copy_counts_from_the_day_it_was_put_there(retention: FolderRetention, inbox: Path) -> None:
    """An Explorer copy carries the modification times of its source."""
    folder = finished(inbox / "_done/lesson", days_ago=1)
    for path in (folder, folder / "videos", folder / "videos/a.mp4"):
        os.utime(path, (NOW - 999 * DAY,) * 2)
    assert retention.sweep(NOW, ())["done"] == 0


def test_a_folder_put_there_by_hand_counts_from_its_change_time(inbox: Path, retention: FolderRetention) -> None:
    (inbox / "_done/by-hand").mkdir()
    os.utime(inbox / "_done/by-hand", (0, 0))
    now = (inbox / "_done/by-hand").stat().st_ctime
    assert retention.sweep(now + 13 * DAY, ())["done"] == 0
    assert retention.sweep(now + 15 * DAY, ())["done"] == 1


def test_dead_staging_goes_and_what_is_being_written_stays(retention: FolderRetention, outputs: Path) -> None:
    for token, days in (("dead", 1.1), ("alive", 0.1)):
        folder = outputs / ".heygem/staging" / token
        folder.mkdir()
        (folder / "result.mp4").write_text("x")
        os.utime(folder / "result.mp4", (NOW - days * DAY,) * 2)
        os.utime(folder, (NOW - 5 * DAY,) * 2)
    assert retention.sweep(NOW, ()) == {"done": 0, "failed": 0, "staging": 1}
    assert os.listdir(outputs / ".heygem/staging") == ["alive"]


def test_links_go_and_what_they_point_to_stays(retention: FolderRetention, inbox: Path, tmp_path: Path) -> None:
    precious = finished(tmp_path / "precious", days_ago=999)
    finished(inbox / "_done/old", days_ago=15)
    (inbox / "_done/old/link").symlink_to(precious)
    (inbox / "_done/link").symlink_to(precious)
    far_future = (inbox / "_done/link").lstat().st_ctime + 99 * DAY
    assert retention.sweep(far_future, ())["done"] == 2
    assert (precious / "videos/a.mp4").exists()
    assert os.listdir(inbox / "_done") == []


@pytest.mark.timeout(30)
def test_a_record_that_is_a_pipe_does_not_hold_up_the_sweep(retention: FolderRetention, inbox: Path) -> None:
    folder = finished(inbox / "_done/lesson", days_ago=15)
    (folder / ".heygem-job.json").unlink()
    os.mkfifo(folder / ".heygem-job.json")
    os.utime(folder / ".heygem-job.json", (NOW - 15 * DAY, NOW - 15 * DAY))
    assert retention.sweep(NOW, ())["done"] == 1
    assert not folder.exists()


def test_a_done_folder_that_is_a_link_is_not_entered(retention: FolderRetention, inbox: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    precious = finished(tmp_path / "elsewhere/lesson", days_ago=999)
    (inbox / "_done").rmdir()
    (inbox / "_done").symlink_to(tmp_path / "elsewhere")
    assert retention.sweep(NOW, ())["done"] == 0
    assert precious.exists()


def test_claimed_inputs_results_and_drops_are_never_touched(retention: FolderRetention, inbox: Path, outputs: Path) -> None:
    kept = [
        finished(inbox / ".heygem/claimed/job-1", days_ago=999),
        finished(inbox / "lesson", days_ago=999),
        finished(outputs / "lesson", days_ago=999),
    ]
    retention.sweep(NOW + 9999 * DAY, ())
    assert all((folder / "videos/a.mp4").exists() for folder in kept)


def test_nothing_is_deleted_in_an_inbox_that_is_offline(retention: FolderRetention, inbox: Path) -> None:
    folder = finished(inbox / "_done/old", days_ago=99)
    (inbox / ".heygem-inbox").unlink()
    assert retention.sweep(NOW, ())["done"] == 0
    assert folder.exists()


def test_a_deletion_that_was_interrupted_is_finished(retention: FolderRetention, inbox: Path) -> None:
    (inbox / "_done/.deleting-old/videos").mkdir(parents=True)
    retention.sweep(NOW, ())
    assert os.listdir(inbox / "_done") == []


def test_missing_folders_are_no_error(tmp_path: Path) -> None:
    retention = FolderRetention(inboxes=[tmp_path / "gone"], outputs=tmp_path / "gone-too")
    assert retention.sweep(NOW, ()) == {"done": 0, "failed": 0, "staging": 0}


# -- whole folders ----------------------------------------------------------------------------------------------------


def test_a_folder_of_thousands_of_files_and_folders_is_deleted(tmp_path: Path) -> None:
    for number in range(400):
        (tmp_path / f"old/folder-{number % 50}/{number}").mkdir(parents=True)
        (tmp_path / f"old/folder-{number % 50}/{number}/file").touch()
    (tmp_path / "old/0/0").mkdir(parents=True)
    (tmp_path / "old/1").touch()
    delete_tree(tmp_path / "old")
    assert os.listdir(tmp_path) == []


def test_a_folder_of_any_depth_is_deleted(tmp_path: Path) -> None:
    """A path of 1500 levels is longer than the system takes, and ends shutil.rmtree."""
    top = tmp_path / "old"
    top.mkdir()
    for _ in range(1500):
        folder = tmp_path / "new"
        folder.mkdir()
        (folder / "file").touch()
        top.rename(folder / "d")
        folder.rename(top)
    delete_tree(top)
    assert os.listdir(tmp_path) == []


def test_a_link_inside_is_deleted_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file").touch()
    (tmp_path / "old/deep").mkdir(parents=True)
    (tmp_path / "old/link").symlink_to(tmp_path / "precious")
    (tmp_path / "old/deep/link").symlink_to(tmp_path / "precious")
    delete_tree(tmp_path / "old")
    assert (tmp_path / "precious/file").exists()
    assert not (tmp_path / "old").exists()


def test_what_cannot_be_deleted_stays_and_the_rest_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "stays", "z"):
        (tmp_path / "old/deep").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"old/deep/{name}").touch()
    unlink = os.unlink

    def refuse(path: str, *, dir_fd: int | None = None) -> None:
        if path == "stays":
            raise PermissionError(1, "Operation not permitted")
        unlink(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", refuse)
    with pytest.raises(OSError, match="not empty"):
        delete_tree(tmp_path / "old")
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if not path.is_dir()] == ["old/deep/stays"]


@pytest.mark.parametrize("refused", ["rename", "rmdir"])
def test_what_is_over_its_keep_time_and_cannot_be_deleted_is_reported_at_each_sweep(
    retention: FolderRetention, inbox: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    finished(inbox / "_done/protected", days_ago=15)
    finished(inbox / "_done/young", days_ago=1)

    def refuse(self: Path, *_: object) -> None:
        raise PermissionError(1, "Operation not permitted", str(self))

    monkeypatch.setattr(Path, refused, refuse)
    found: list[tuple[str, str | None]] = []

    def note(path: Path, problem: OSError) -> None:
        found.append((path.name.removeprefix(".deleting-"), problem.strerror))

    assert [retention.sweep(NOW, (), failed=note)["done"] for _ in range(2)] == [0, 0]
    assert found == [("protected", "Operation not permitted")] * 2


# -- beside the daemon ------------------------------------------------------------------------------------------------


@pytest.fixture
def background(retention: FolderRetention) -> Iterator[BackgroundRetention]:
    made = BackgroundRetention(retention)
    yield made
    made.close()


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_sweep_beside_the_daemon_reports_what_it_deleted(background: BackgroundRetention, inbox: Path) -> None:
    for number in range(20):
        finished(inbox / f"_done/old-{number}", days_ago=15)
    background.begin(NOW, (), [str(inbox)])
    wait_for(lambda: not background.is_sweeping)
    assert background.poll() == {"done": 20}
    assert background.poll() == {}


def test_a_sweep_beside_the_daemon_reports_once_what_it_could_not_delete(
    background: BackgroundRetention, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        finished(inbox / f"_done/old-{number}", days_ago=15)

    def refuse(self: Path, *_: object) -> None:
        raise PermissionError(1, "Operation not permitted", str(self))

    monkeypatch.setattr(Path, "rename", refuse)
    background.begin(NOW, (), [str(inbox)])
    wait_for(lambda: not background.is_sweeping)
    left = background.undeleted()
    assert left is not None
    assert (left.count, Path(left.path).parent, left.reason) == (3, inbox / "_done", "Operation not permitted")
    assert background.undeleted() is None


def test_only_the_inboxes_that_are_named_are_touched(background: BackgroundRetention, inbox: Path, outputs: Path) -> None:
    folder = finished(inbox / "_done/old", days_ago=15)
    (outputs / ".heygem/staging/dead").mkdir()
    background.begin(time.time() + 5 * DAY, (), [])
    wait_for(lambda: not background.is_sweeping)
    assert background.poll() == {"staging": 1}
    assert folder.exists()


class HangingRetention(FolderRetention):
    """A sweep of an inbox hangs, as on a dead share, until `released`."""

    released = threading.Event()
    began = 0

    def sweep(self, now: float, open_jobs: object, *, places: object = None, pause: object = None, failed: object = None) -> dict[str, int]:
        if places != [self.outputs]:
            type(self).began += 1
            self.released.wait(60)
        return {"staging": 0}


def test_a_sweep_that_hangs_holds_up_nobody_and_is_not_begun_twice(inbox: Path, outputs: Path) -> None:
    hanging = HangingRetention(inboxes=[inbox], outputs=outputs)
    background = BackgroundRetention(hanging)
    began = time.monotonic()
    for _ in range(5):
        background.begin(NOW, (), [str(inbox)])
        assert background.poll() == {}
    background.close()
    assert time.monotonic() - began < 5
    assert hanging.began == 1
    hanging.released.set()


def test_a_sweep_ends_early_when_it_is_asked_to_and_the_next_one_goes_on(
    background: BackgroundRetention, retention: FolderRetention, inbox: Path
) -> None:
    folders = [finished(inbox / f"_done/old-{number}", days_ago=15) for number in range(300)]
    background.begin(NOW, (), [str(inbox)])
    wait_for(lambda: not folders[0].exists() or sum(not folder.exists() for folder in folders) > 2)
    background.close()
    wait_for(lambda: not background.is_sweeping)
    left = len(os.listdir(inbox / "_done"))
    background.begin(NOW, (), [str(inbox)])
    assert not background.is_sweeping
    retention.sweep(NOW, ())
    assert os.listdir(inbox / "_done") == []
    assert left > 0


def test_inputs_that_are_restored_during_a_sweep_are_whole(retention: FolderRetention, inbox: Path) -> None:
    """Whoever renames first has them: the sweep finds what it wanted to delete gone."""
    folder = finished(inbox / "_done/old", days_ago=15)
    kept = inbox / ".heygem/claimed/old"

    def restore() -> None:
        if folder.exists():
            folder.rename(kept)

    assert retention.sweep(NOW, (), pause=restore)["done"] == 0
    assert (kept / "videos/a.mp4").exists()
