import json
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from heygem_daemon.core.errors import TransientError
from heygem_daemon.core.job import State
from heygem_daemon.core.status import DaemonStatus, JobStatus, moment
from heygem_daemon.core.status_builder import candidate_status
from heygem_daemon.publishing.status_files import StatusFiles


@pytest.fixture
def status_files(outputs: Path) -> StatusFiles:
    return StatusFiles(outputs)


def settling(name: str, output: str, *, state: State = State.SETTLING, reason: str = "copying") -> JobStatus:
    return candidate_status(name, "job-1", output, since=0, dropped_at=0, reason=reason, state=state)


def claimed(name: str, output: str) -> JobStatus:
    return JobStatus(
        job="job-1", name=name, output=output, state=State.QUEUED, since=moment(0), times={"dropped": moment(0), "queued": moment(1)}
    )


def test_a_status_lies_in_the_folder_of_its_job(status_files: StatusFiles, outputs: Path) -> None:
    status_files.write_job(settling("lesson-01", "lesson-01"))
    assert JobStatus.read((outputs / "lesson-01/status.json").read_bytes()).name == "lesson-01"
    assert os.listdir(outputs / "lesson-01") == ["status.json"]


def test_the_daemons_status_lies_in_outputs_itself(status_files: StatusFiles, outputs: Path) -> None:
    status_files.write_daemon(DaemonStatus(version="1", state="running", pid=1, started=moment(0), heartbeat=moment(0)))
    assert json.loads((outputs / "status.json").read_text())["state"] == "running"
    assert os.listdir(outputs) == ["status.json"]


def test_a_reader_sees_the_old_or_the_new_status_and_never_half_of_one(status_files: StatusFiles, outputs: Path) -> None:
    status_files.write_job(settling("lesson", "lesson", reason="x"))
    path = outputs / "lesson/status.json"
    broken: list[str] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            try:
                JobStatus.read(path.read_bytes())
            except (ValueError, OSError) as failed:
                broken.append(repr(failed))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(200):
        status_files.write_job(settling("lesson", "lesson", reason="x" * number * 50))
    stop.set()
    reader.join()
    assert broken == []


@pytest.mark.parametrize(("umask", "mode"), [(0o002, 0o664), (0o022, 0o644), (0o027, 0o640)])
def test_a_group_may_read_the_status_as_far_as_the_umask_lets_it(status_files: StatusFiles, outputs: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        status_files.write_job(settling("lesson", "lesson"))
    finally:
        os.umask(before)
    assert stat.S_IMODE((outputs / "lesson/status.json").stat().st_mode) == mode


def test_outputs_that_are_away_raise_and_are_not_created(tmp_path: Path) -> None:
    status_files = StatusFiles(tmp_path / "unmounted")
    for attempt in (lambda: status_files.write_job(settling("l", "l")), lambda: status_files.reserve_name("l")):
        with pytest.raises(TransientError) as raised:
            attempt()
        assert raised.value.code == "outputs_offline"
    assert not (tmp_path / "unmounted").exists()


def test_a_full_disk_raises_and_leaves_the_former_status_whole(small_disk: Path, fill_up: Callable[[Path], None]) -> None:
    status_files = StatusFiles(small_disk)
    status_files.write_job(settling("lesson", "lesson", reason="before"))
    fill_up(small_disk)
    with pytest.raises(TransientError) as raised:
        status_files.write_job(settling("lesson", "lesson", reason="after"))
    assert raised.value.code == "disk_full"
    assert JobStatus.read((small_disk / "lesson/status.json").read_bytes()).reason == "before"
    assert os.listdir(small_disk / "lesson") == ["status.json"]
    (small_disk / "ballast").unlink()
    status_files.write_job(settling("lesson", "lesson", reason="after"))
    assert JobStatus.read((small_disk / "lesson/status.json").read_bytes()).reason == "after"


def test_a_status_file_that_is_a_link_is_replaced_and_not_written_through(status_files: StatusFiles, outputs: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (outputs / "lesson").mkdir()
    for name in ("status.json", ".status.json.tmp"):
        (outputs / "lesson" / name).symlink_to(tmp_path / "precious")
    status_files.write_job(settling("lesson", "lesson"))
    assert (tmp_path / "precious").read_text() == "precious"
    assert not (outputs / "lesson/status.json").is_symlink()


def test_a_job_folder_that_is_a_link_is_refused(status_files: StatusFiles, outputs: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (outputs / "lesson").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TransientError):
        status_files.write_job(settling("lesson", "lesson"))
    assert os.listdir(tmp_path / "elsewhere") == []


def test_a_drop_gets_a_folder_of_its_own_name(status_files: StatusFiles, outputs: Path) -> None:
    assert status_files.reserve_name("lesson-01") == "lesson-01"
    assert os.listdir(outputs) == []


def test_two_drops_of_one_name_get_two_folders(status_files: StatusFiles) -> None:
    assert [status_files.reserve_name("lesson"), status_files.reserve_name("Lesson"), status_files.reserve_name("lesson")] == [
        "lesson",
        "Lesson-2",
        "lesson-3",
    ]


@pytest.mark.parametrize("existing", ["lesson", "LESSON"])
def test_a_folder_of_results_is_never_given_to_another_drop(outputs: Path, existing: str) -> None:
    (outputs / existing).mkdir()
    assert StatusFiles(outputs).reserve_name("lesson") == "lesson-2"


def test_the_folder_of_a_claimed_job_is_not_reused(status_files: StatusFiles, outputs: Path) -> None:
    status_files.write_job(claimed("lesson", "lesson"))
    assert StatusFiles(outputs).reserve_name("lesson") == "lesson-2"


@pytest.mark.parametrize("state", [State.REJECTED, State.CANCELLED])
def test_the_folder_of_a_refused_drop_is_not_reused(status_files: StatusFiles, outputs: Path, state: State) -> None:
    status_files.write_job(settling("lesson", "lesson", state=state))
    assert StatusFiles(outputs).reserve_name("lesson") == "lesson-2"


@pytest.mark.parametrize("state", [State.SETTLING, State.WAITING])
def test_after_a_restart_a_waiting_drop_gets_its_own_folder_again(status_files: StatusFiles, outputs: Path, state: State) -> None:
    status_files.write_job(settling("lesson", status_files.reserve_name("lesson"), state=state))
    assert StatusFiles(outputs).reserve_name("lesson") == "lesson"


def test_after_a_restart_a_waiting_drop_of_another_name_keeps_its_folder(status_files: StatusFiles, outputs: Path) -> None:
    status_files.write_job(settling("Lesson", "Lesson"))
    assert StatusFiles(outputs).reserve_name("lesson") == "lesson-2"


def test_a_waiting_status_beside_results_is_not_reused(status_files: StatusFiles, outputs: Path) -> None:
    status_files.write_job(settling("lesson", "lesson"))
    (outputs / "lesson/a.mp4").touch()
    assert StatusFiles(outputs).reserve_name("lesson") == "lesson-2"


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        (".heygem", "_heygem"),
        ("status.json", "status.json-2"),
        ("", "drop"),
        ("..", "_"),
        ("a/b", "a_b"),
        ("two\\x0alines", "two_x0alines"),
        ("lesson. ", "lesson"),
        ("CON", "CON-2"),
        ("课程 01", "课程 01"),
        ("课" * 100, "课" * 66),
    ],
)
def test_folder_names_can_be_held_by_every_client(status_files: StatusFiles, name: str, folder: str) -> None:
    assert status_files.reserve_name(name) == folder


def test_a_drop_that_went_away_takes_its_status_with_it(status_files: StatusFiles, outputs: Path) -> None:
    output = status_files.reserve_name("lesson")
    status_files.write_job(settling("lesson", output))
    status_files.remove(output)
    assert os.listdir(outputs) == []
    assert status_files.reserve_name("lesson") == "lesson"


def test_a_folder_that_holds_more_than_a_status_is_never_removed(status_files: StatusFiles, outputs: Path) -> None:
    status_files.write_job(settling("lesson", "lesson"))
    (outputs / "lesson/a.mp4").touch()
    status_files.remove("lesson")
    assert sorted(os.listdir(outputs / "lesson")) == ["a.mp4", "status.json"]


def test_removing_what_is_not_there_is_fine(status_files: StatusFiles) -> None:
    status_files.remove("lesson")


def test_after_a_restart_a_waiting_drop_with_a_log_gets_its_folder_and_its_id_again(status_files: StatusFiles, outputs: Path) -> None:
    status_files.write_job(settling("lesson", status_files.reserve_name("lesson")))
    assert status_files.former_id("lesson") is None
    status_files.append_log("lesson", ["{}"])
    after = StatusFiles(outputs)
    assert after.reserve_name("lesson") == "lesson"
    assert (after.former_id("lesson"), after.former_id("lesson")) == ("job-1", None)


def test_a_waiting_drop_of_the_same_name_in_another_inbox_keeps_its_folder(status_files: StatusFiles, outputs: Path) -> None:
    status = settling("lesson", "lesson").model_copy(update={"inbox": "/srv/a"})
    status_files.write_job(status)
    after = StatusFiles(outputs)
    assert after.reserve_name("lesson", "/srv/b") == "lesson-2"
    assert after.former_id("lesson-2") is None
    assert after.reserve_name("lesson", "/srv/a") == "lesson"


def test_a_drop_that_went_away_takes_its_log_with_it_too(status_files: StatusFiles, outputs: Path) -> None:
    status_files.write_job(settling("lesson", status_files.reserve_name("lesson")))
    status_files.append_log("lesson", ["{}"])
    status_files.remove("lesson")
    assert os.listdir(outputs) == []
