import errno
import json
import os
import shutil
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from heygem_daemon.core.errors import TransientError
from heygem_daemon.core.job import State
from heygem_daemon.core.status import DaemonStatus, Heartbeat, JobStatus, moment
from heygem_daemon.core.status_builder import candidate_status
from heygem_daemon.publishing import output_names
from heygem_daemon.publishing import status_files as status_files_module
from heygem_daemon.publishing.output_names import OutputNames
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
    assert os.listdir(outputs) == [".heygem"]
    assert status_files.reserve_name("lesson") == "lesson"


def test_a_folder_that_holds_more_than_a_status_is_never_removed_and_the_status_is(status_files: StatusFiles, outputs: Path) -> None:
    status_files.write_job(settling("lesson", "lesson"))
    (outputs / "lesson/a.mp4").touch()
    status_files.remove("lesson")
    assert sorted(os.listdir(outputs / "lesson")) == ["a.mp4"]


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


def test_a_file_that_cannot_be_deleted_keeps_no_other(status_files: StatusFiles, outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status_files.write_job(settling("lesson", status_files.reserve_name("lesson")))
    status_files.append_log("lesson", ["{}"])
    (outputs / "lesson/.status.json.tmp").touch()
    tried, unlink = list[str](), Path.unlink

    def unlink_all_but_the_first(path: Path, missing_ok: bool = False) -> None:
        tried.append(path.name)
        if len(tried) == 1:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink_all_but_the_first)
    status_files.remove("lesson")
    assert (len(tried), os.listdir(outputs / "lesson")) == (3, tried[:1])


def test_a_drop_that_went_away_takes_its_log_with_it_too(status_files: StatusFiles, outputs: Path) -> None:
    status_files.write_job(settling("lesson", status_files.reserve_name("lesson")))
    status_files.append_log("lesson", ["{}"])
    status_files.remove("lesson")
    assert os.listdir(outputs) == [".heygem"]


# -- years of results -------------------------------------------------------------------------------------------------


def many_results(outputs: Path, count: int) -> None:
    """lesson, lesson-2 ... lesson-<count>, each with a status of its own."""
    text = claimed("lesson", "lesson").model_copy(update={"state": State.SUCCEEDED}).to_json()
    for number in range(1, count + 1):
        folder = outputs / ("lesson" if number == 1 else f"lesson-{number}")
        folder.mkdir()
        (folder / "status.json").write_text(text)


def count_calls(monkeypatch: pytest.MonkeyPatch, of: object, name: str) -> list[object]:
    """Have the calls of a function noted in the list that is returned."""
    calls: list[object] = []
    function = getattr(of, name)

    def noted(*arguments: object, **options: object) -> object:
        calls.append(arguments)
        return function(*arguments, **options)

    monkeypatch.setattr(of, name, noted)
    return calls


def test_equally_named_drops_cost_the_same_however_many_came_before(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many_results(outputs, 1000)
    status_files = StatusFiles(outputs)
    listings = count_calls(monkeypatch, os, "listdir")
    looks = count_calls(monkeypatch, os.path, "lexists")
    reads = count_calls(monkeypatch, status_files_module, "read_file_in")
    names = [status_files.reserve_name("lesson", f"/inbox-{number}") for number in range(50)]
    assert names == [f"lesson-{number}" for number in range(1001, 1051)]
    assert listings.count((outputs,)) == 1
    assert len(reads) <= 100
    assert len(looks) / 50 < 150


def test_other_drops_cost_one_look_each(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many_results(outputs, 300)
    status_files = StatusFiles(outputs)
    listings = count_calls(monkeypatch, os, "listdir")
    looks = count_calls(monkeypatch, os.path, "lexists")
    assert [status_files.reserve_name(f"new-{number}") for number in range(100)] == [f"new-{number}" for number in range(100)]
    assert (len(listings), len(looks)) == (1, 100)


def test_after_a_restart_a_drop_with_a_high_number_gets_its_own_folder_again(outputs: Path) -> None:
    many_results(outputs, 300)
    before = StatusFiles(outputs)
    waiting = {inbox: before.reserve_name("lesson", inbox) for inbox in ("/a", "/b", "/c")}
    for inbox, output in waiting.items():
        status = candidate_status("lesson", f"job{inbox}", output, since=0, dropped_at=0, reason="copying", inbox=inbox)
        before.write_job(status)
    after = StatusFiles(outputs)
    for inbox in reversed(waiting):
        output = after.reserve_name("lesson", inbox)
        assert (output, after.former_id(output)) == (waiting[inbox], f"job{inbox}")
    assert after.reserve_name("lesson", "/d") == "lesson-304"


def test_numbers_that_became_free_are_no_hindrance(outputs: Path) -> None:
    many_results(outputs, 100)
    for number in (3, 20, 40, 64, 80):
        shutil.rmtree(outputs / f"lesson-{number}")
    status_files = StatusFiles(outputs)
    names = [status_files.reserve_name("lesson") for _ in range(20)]
    assert len(set(names)) == 20
    assert names[0] == "lesson-3"
    assert not any((outputs / name).exists() for name in names)


def test_a_folder_that_somebody_has_just_deleted_is_free_and_one_just_made_is_not(status_files: StatusFiles, outputs: Path) -> None:
    (outputs / "old").mkdir()
    assert status_files.reserve_name("first") == "first"
    (outputs / "old").rmdir()
    (outputs / "new").mkdir()
    assert status_files.reserve_name("old") == "old"
    assert status_files.reserve_name("new") == "new-2"


def test_a_folder_that_differs_by_case_is_seen_after_some_seconds(outputs: Path) -> None:
    now = [0.0]
    names = OutputNames(outputs, clock=lambda: now[0])
    names.refresh()
    (outputs / "LESSON").mkdir()
    now[0] += output_names.LISTED_SECONDS
    names.refresh()
    assert names.equal_to("lesson") == "LESSON"


@pytest.mark.parametrize(("first", "second"), [("Straße", "STRASSE"), ("u\u0308bung", "\u00fcbung"), ("Lesson", "lesson")])
def test_names_that_a_client_cannot_tell_apart_are_equal(outputs: Path, first: str, second: str) -> None:
    (outputs / first).mkdir()
    assert StatusFiles(outputs).reserve_name(second) != second


def test_the_names_of_jobs_that_are_over_are_not_remembered(status_files: StatusFiles) -> None:
    for number in range(20):
        output = status_files.reserve_name("lesson")
        assert output == ("lesson" if number == 0 else f"lesson-{number + 1}")
        status_files.write_job(claimed("lesson", output))
        assert set(status_files._reserved) == {output}
        status_files.write_job(claimed("lesson", output).model_copy(update={"state": State.SUCCEEDED}))
    assert not status_files._reserved


def test_the_folder_of_an_open_job_is_not_given_away_when_somebody_deletes_it(status_files: StatusFiles, outputs: Path) -> None:
    status_files.write_job(claimed("lesson", status_files.reserve_name("lesson")))
    shutil.rmtree(outputs / "lesson")
    assert status_files.reserve_name("lesson") == "lesson-2"


def test_a_job_that_is_done_once_more_has_its_own_folder_again(status_files: StatusFiles, outputs: Path) -> None:
    over = settling("lesson", status_files.reserve_name("lesson"), state=State.FAILED)
    status_files.write_job(over)
    assert status_files.reserve_again("lesson", "lesson", over.job) == "lesson"
    shutil.rmtree(outputs / "lesson")
    assert status_files.reserve_name("lesson") == "lesson-2", "also where somebody deletes the folder before it has a status again"
    assert status_files.reserve_again("lesson", "lesson", over.job) == "lesson"


@pytest.mark.parametrize("state", [None, State.SETTLING, State.SUCCEEDED])
def test_a_job_that_is_done_once_more_gets_another_folder_where_its_own_is_anothers(
    status_files: StatusFiles, outputs: Path, state: State | None
) -> None:
    assert status_files.reserve_name("lesson") == "lesson"
    if state is not None:
        status_files.write_job(settling("lesson", "lesson", state=state))
    assert status_files.reserve_again("lesson", "lesson", "an older job") == "lesson-2"
    assert status_files.reserve_name("lesson") == "lesson-3"
    if state is State.SUCCEEDED:
        assert StatusFiles(outputs).reserve_again("lesson", "lesson", "an older job") == "lesson-2"


def test_the_names_of_open_jobs_are_no_drops_though_somebody_deleted_their_folders(status_files: StatusFiles) -> None:
    status_files.keep_names({"lesson": "job-1", "Lesson-2": "job-2"})
    assert status_files.reserve_name("lesson") == "lesson-3"
    status_files.write_job(settling("lesson", "lesson", state=State.FAILED))
    assert status_files.reserve_again("Lesson-2", "lesson", "job-2") == "Lesson-2"


def test_a_crash_while_the_first_status_is_written_leaves_no_folder_that_takes_the_name(
    status_files: StatusFiles, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(BaseException):
        """The process ends here."""

    def die(*_: object) -> None:
        raise KilledError

    for module, place in ((os, "open"), (os, "replace"), (status_files_module, "rename_exclusive")):
        status = settling("lesson", status_files.reserve_name("lesson", "/inbox"))
        with monkeypatch.context() as crash:
            crash.setattr(module, place, die)
            with pytest.raises(KilledError):
                status_files.write_job(status)
        assert [name for name in os.listdir(outputs) if not name.startswith(".")] == []
        status_files = StatusFiles(outputs)
        assert status_files.reserve_name("lesson", "/inbox") == "lesson"
        status_files.remove("lesson")


def test_what_a_crash_left_beside_the_status_of_a_waiting_drop_takes_neither_its_folder_nor_its_id(outputs: Path) -> None:
    before = StatusFiles(outputs)
    before.write_job(settling("lesson", before.reserve_name("lesson")))
    (outputs / "lesson/.status.json.tmp").write_bytes(b"half of a stat")
    after = StatusFiles(outputs)
    assert after.reserve_name("lesson") == "lesson"
    assert after.former_id("lesson") == "job-1"
    after.remove("lesson")
    assert not (outputs / "lesson").exists()


# -- the sign of life -------------------------------------------------------------------------------------------------


def beat(unwritable: str = "") -> Heartbeat:
    return Heartbeat(pid=1, outputs="/out", state="running", heartbeat=moment(5), unwritable=unwritable)


def read_beat(folder: Path) -> Heartbeat:
    return Heartbeat.read((folder / "heartbeat.json").read_bytes())


def test_a_heartbeat_arrives_on_a_full_disk_once_it_was_there(small_disk: Path, fill_up: Callable[[Path], None]) -> None:
    files = StatusFiles(small_disk)
    files.write_heartbeat(beat())
    fill_up(small_disk)
    with pytest.raises(TransientError, match="not enough free disk space"):
        files.write_daemon(DaemonStatus(version="1", state="running", pid=1, started=moment(0), heartbeat=moment(0)))
    files.write_heartbeat(beat("It is full."))
    assert read_beat(small_disk / ".heygem").unwritable == "It is full."


def test_a_heartbeat_is_written_through_no_link_and_into_no_other_file(outputs: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious", encoding="utf-8")
    (outputs / ".heygem").mkdir()
    for put in ((outputs / ".heygem/heartbeat.json").symlink_to, (outputs / ".heygem/heartbeat.json").hardlink_to):
        put(tmp_path / "precious")
        StatusFiles(outputs).write_heartbeat(beat())
        assert (tmp_path / "precious").read_text(encoding="utf-8") == "precious"
        (outputs / ".heygem/heartbeat.json").unlink()
    shutil.rmtree(outputs / ".heygem")
    (outputs / ".heygem").symlink_to(tmp_path)
    StatusFiles(outputs).write_heartbeat(beat())
    assert not (tmp_path / "heartbeat.json").exists()


def test_a_reader_of_a_heartbeat_sees_one_that_is_whole_soon(outputs: Path) -> None:
    files, whole = StatusFiles(outputs), 0
    for number in range(100):
        files.write_heartbeat(beat("x" * (number * 30 % 1000)))
        whole += read_beat(outputs / ".heygem").pid
    assert whole == 100
    assert (outputs / ".heygem/heartbeat.json").stat().st_size == 4096
