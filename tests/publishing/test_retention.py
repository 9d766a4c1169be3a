import json
import os
from pathlib import Path

import pytest

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
