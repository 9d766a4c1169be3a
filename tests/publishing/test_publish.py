import json
import os
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from heygem_daemon.core.errors import HeygemError, TransientError, error
from heygem_daemon.core.job import Item, Job, State
from heygem_daemon.core.ports import Publisher
from heygem_daemon.core.publication import Published
from heygem_daemon.core.storage import Room
from heygem_daemon.publishing import published_index
from heygem_daemon.publishing.publish import LOOK_SECONDS, PAUSES, STAMPS_SECONDS, FolderPublisher

WorkerResult = Mapping[str, object]


@pytest.fixture
def disk_of_few_files(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB that holds 12 files and folders."""
    folder = tmp_path / "few"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,nr_inodes=12", "tmpfs", str(folder)], check=False, capture_output=True)
    if made.returncode:
        pytest.skip("a full disk is made with mount, which needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_without_inodes_is_named_as_that_though_it_has_room(disk_of_few_files: Path, job: Job) -> None:
    publisher = FolderPublisher(disk_of_few_files)

    def stage_many() -> None:
        for number in range(20):
            publisher.stage(job, item_of(job), f"t{number}")

    with pytest.raises(TransientError) as raised:
        stage_many()
    assert (raised.value.code, str(disk_of_few_files) in raised.value.message) == ("inodes_full", True)
    subprocess.run(["mount", "-o", "remount,ro", str(disk_of_few_files)], check=True)
    with pytest.raises(TransientError) as raised:
        publisher.stage(job, item_of(job), "t99")
    assert raised.value.code == "read_only"
    assert room_of(publisher).is_read_only


@pytest.fixture
def publisher(outputs: Path) -> Iterator[FolderPublisher]:
    publisher = FolderPublisher(outputs)
    yield publisher
    publisher.close()


def item_of(job: Job) -> Item:
    return job.items[0]


def work(publisher: Publisher, job: Job, token: str, rendered: Path, item: Item | None = None) -> tuple[Path, Path]:
    """Do what a worker does: write the result and the thumbnail to the staged paths."""
    result, thumbnail, _explain = publisher.stage(job, item or item_of(job), token)
    shutil.copyfile(rendered, result)
    thumbnail.write_bytes(b"jpeg")
    return result, thumbnail


def wait_for(publisher: FolderPublisher) -> Published:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for published in publisher.poll():
            return published
        time.sleep(0.01)
    raise AssertionError("nothing was published in a minute")


def publish(
    publisher: FolderPublisher,
    job: Job,
    rendered: Path,
    worker_result: WorkerResult,
    item: Item | None = None,
    token: str = "t1",  # noqa: S107
) -> None:
    work(publisher, job, token, rendered, item)
    publisher.publish(job, item or item_of(job), token, worker_result)
    assert wait_for(publisher) == Published(token=token, problem=None)


def problem_of(published: Published) -> HeygemError:
    assert published.problem is not None
    return published.problem


def test_a_verified_result_stands_in_outputs_with_its_thumbnail(
    publisher: FolderPublisher, outputs: Path, job: Job, rendered: Path, worker_result: WorkerResult
) -> None:
    publish(publisher, job, rendered, worker_result)
    assert (outputs / "lesson-01/a.mp4").read_bytes() == rendered.read_bytes()
    assert (outputs / "lesson-01/thumbnails/a.jpg").read_bytes() == b"jpeg"
    assert os.listdir(outputs / ".heygem/staging") == []


def test_staging_lies_on_the_file_system_of_outputs(publisher: FolderPublisher, outputs: Path, job: Job) -> None:
    result, thumbnail, explain = publisher.stage(job, item_of(job), "t1")
    assert result.is_relative_to(outputs / ".heygem/staging/t1")
    assert (result.suffix, thumbnail.suffix, explain.suffix) == (".mp4", ".jpg", ".png")
    assert not result.exists()


def test_several_recordings_make_subfolders(
    publisher: FolderPublisher, outputs: Path, job: Job, rendered: Path, worker_result: WorkerResult
) -> None:
    item = replace(item_of(job), output="english/a.mp4", thumbnail="thumbnails/english/a.jpg")
    publish(publisher, job, rendered, worker_result, item)
    assert (outputs / "lesson-01/english/a.mp4").is_file()
    assert (outputs / "lesson-01/thumbnails/english/a.jpg").is_file()


def test_the_explain_image_is_published_beside_the_result(
    publisher: FolderPublisher, outputs: Path, job: Job, rendered: Path, worker_result: WorkerResult
) -> None:
    item = replace(item_of(job), explain="explain/a.png")
    work(publisher, job, "t1", rendered, item)
    publisher.stage(job, item, "t2").explain.write_bytes(b"another attempt's")
    (outputs / ".heygem/staging/t1/explain.png").write_bytes(b"png")
    publisher.publish(job, item, "t1", worker_result)
    assert wait_for(publisher).problem is None
    assert (outputs / "lesson-01/explain/a.png").read_bytes() == b"png"


def test_an_item_of_an_older_ledger_without_an_explain_name_is_published_without_the_image(
    publisher: FolderPublisher, outputs: Path, job: Job, rendered: Path, worker_result: WorkerResult
) -> None:
    work(publisher, job, "t1", rendered)
    (outputs / ".heygem/staging/t1/explain.png").write_bytes(b"png")
    publisher.publish(job, item_of(job), "t1", worker_result)
    assert wait_for(publisher).problem is None
    assert sorted(os.listdir(outputs / "lesson-01")) == [".heygem.json", "a.mp4", "thumbnails"]


def test_a_missing_thumbnail_keeps_no_result_back(
    publisher: FolderPublisher, outputs: Path, job: Job, rendered: Path, worker_result: WorkerResult
) -> None:
    _, thumbnail = work(publisher, job, "t1", rendered)
    thumbnail.unlink()
    publisher.publish(job, item_of(job), "t1", worker_result)
    assert wait_for(publisher).problem is None
    assert (outputs / "lesson-01/a.mp4").is_file()


@pytest.mark.parametrize("wrong", [{"frames": 26}, {"width": 130}, {"frame_rate": "24"}, {"seconds": 2.0}, {"frame_rate": "25/0"}])
def test_a_result_that_differs_from_the_workers_report_is_not_published(
    publisher: FolderPublisher, outputs: Path, job: Job, rendered: Path, worker_result: WorkerResult, wrong: WorkerResult
) -> None:
    work(publisher, job, "t1", rendered)
    publisher.publish(job, item_of(job), "t1", {**worker_result, **wrong})
    assert problem_of(wait_for(publisher)).code == "result_invalid"
    assert not (outputs / "lesson-01").exists()


def test_a_truncated_result_is_not_published(
    publisher: FolderPublisher, outputs: Path, job: Job, rendered: Path, worker_result: WorkerResult
) -> None:
    result, _ = work(publisher, job, "t1", rendered)
    os.truncate(result, result.stat().st_size // 2)
    publisher.publish(job, item_of(job), "t1", worker_result)
    assert problem_of(wait_for(publisher)).code == "result_invalid"
    assert not (outputs / "lesson-01").exists()


def test_a_worker_that_reports_success_and_wrote_nothing_is_not_believed(
    publisher: FolderPublisher, job: Job, worker_result: WorkerResult
) -> None:
    publisher.stage(job, item_of(job), "t1")
    publisher.publish(job, item_of(job), "t1", worker_result)
    assert problem_of(wait_for(publisher)).code == "result_invalid"


def test_an_incomplete_report_is_an_invalid_result(publisher: FolderPublisher, job: Job, rendered: Path) -> None:
    work(publisher, job, "t1", rendered)
    publisher.publish(job, item_of(job), "t1", {})
    assert problem_of(wait_for(publisher)).code == "result_invalid"


def test_what_was_discarded_is_never_published_even_when_it_is_verified_already(
    publisher: FolderPublisher, outputs: Path, job: Job, rendered: Path, worker_result: WorkerResult
) -> None:
    work(publisher, job, "t1", rendered)
    publisher.publish(job, item_of(job), "t1", worker_result)
    for pending in publisher._pending.values():
        pending.verification.result(60)
    publisher.discard("t1")
    assert list(publisher.poll()) == []
    assert not (outputs / "lesson-01").exists()
    assert not (outputs / ".heygem/staging/t1").exists()


def test_discarding_what_was_never_staged_is_fine(publisher: FolderPublisher) -> None:
    publisher.discard("t1")


def test_a_late_worker_cannot_write_once_its_attempt_is_discarded(publisher: FolderPublisher, job: Job) -> None:
    result = publisher.stage(job, item_of(job), "t1").result
    publisher.discard("t1")
    with pytest.raises(FileNotFoundError):
        result.write_bytes(b"late")


def test_the_report_of_a_published_item_is_found_again_by_another_daemon(
    publisher: FolderPublisher, outputs: Path, job: Job, rendered: Path, worker_result: WorkerResult
) -> None:
    publish(publisher, job, rendered, worker_result)
    after_restart = FolderPublisher(outputs)
    assert after_restart.published_result(job, job.items[0]) == worker_result
    assert after_restart.published_result(job, job.items[1]) is None
    after_restart.close()


def test_items_of_one_job_keep_each_others_records(
    publisher: FolderPublisher, outputs: Path, job: Job, rendered: Path, worker_result: WorkerResult
) -> None:
    for number, item in enumerate(job.items):
        publish(publisher, job, rendered, worker_result, item, f"t{number}")
    assert all(publisher.published_result(job, item) == worker_result for item in job.items)


def test_a_result_is_not_taken_for_published_when_its_file_was_exchanged(
    publisher: FolderPublisher, outputs: Path, job: Job, rendered: Path, worker_result: WorkerResult
) -> None:
    publish(publisher, job, rendered, worker_result)
    (outputs / "lesson-01/a.mp4").write_bytes(rendered.read_bytes())
    assert publisher.published_result(job, item_of(job)) is None


def test_a_result_is_not_taken_for_published_when_an_input_changed(
    publisher: FolderPublisher, job: Job, rendered: Path, worker_result: WorkerResult
) -> None:
    publish(publisher, job, rendered, worker_result)
    (Path(job.claimed) / "lesson-01/speech.wav").write_text("another recording")
    assert publisher.published_result(job, item_of(job)) is None


def test_inputs_that_cannot_be_seen_at_the_moment_do_not_undo_a_publication(
    publisher: FolderPublisher, job: Job, rendered: Path, worker_result: WorkerResult
) -> None:
    publish(publisher, job, rendered, worker_result)
    Path(job.inbox).rename(Path(job.inbox).with_name("unmounted"))
    assert publisher.published_result(job, item_of(job)) == worker_result


def test_another_job_does_not_inherit_a_result(publisher: FolderPublisher, job: Job, rendered: Path, worker_result: WorkerResult) -> None:
    publish(publisher, job, rendered, worker_result)
    assert publisher.published_result(replace(job, id="job-2"), item_of(job)) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"items": []}', '{"items": {"a": 1}}'])
def test_a_damaged_record_means_not_published(
    publisher: FolderPublisher, outputs: Path, job: Job, rendered: Path, worker_result: WorkerResult, text: str
) -> None:
    publish(publisher, job, rendered, worker_result)
    (outputs / "lesson-01/.heygem.json").write_text(text)
    assert publisher.published_result(job, item_of(job)) is None
    publish(publisher, job, rendered, worker_result, token="t2")
    assert publisher.published_result(job, item_of(job)) == worker_result


CRASH = """
import json, os, sys, time
from pathlib import Path
from heygem_daemon.core.job import Item, Job
from heygem_daemon.publishing import publish, published_index
outputs, claimed, rendered, worker_result, moment = sys.argv[1:]
item = Item(key="a", recording="speech.wav", video="videos/a.mp4", output="a.mp4", thumbnail="thumbnails/a.jpg")
job = Job(id="job-1", name="lesson-01", inbox="", claimed=claimed, output="lesson-01", items=(item,))
publisher = publish.FolderPublisher(Path(outputs))
result, thumbnail, _explain = publisher.stage(job, item, "t1")
result.write_bytes(Path(rendered).read_bytes())
publisher.publish(job, item, "t1", json.loads(worker_result))
add, rename = published_index.add, publisher._rename
def add_then_die(*args, **named):
    add(*args, **named)
    os._exit(9)
def rename_then_die(*args):
    rename(*args)
    os._exit(9)
if moment == "before the rename":
    published_index.add = add_then_die
else:
    publisher._rename = rename_then_die
while True:
    publisher.poll()
    time.sleep(0.01)
"""


@pytest.mark.parametrize(("moment", "published"), [("before the rename", False), ("after the rename", True)])
def test_a_daemon_killed_around_the_rename_knows_afterwards_which_it_was(
    outputs: Path, job: Job, rendered: Path, worker_result: WorkerResult, moment: str, published: bool
) -> None:
    arguments = [str(outputs), job.claimed, str(rendered), json.dumps(worker_result), moment]
    assert subprocess.run([sys.executable, "-c", CRASH, *arguments], check=False, timeout=60).returncode == 9
    publisher = FolderPublisher(outputs)
    assert (publisher.published_result(job, item_of(job)) == worker_result) is published
    assert (outputs / "lesson-01/a.mp4").exists() is published
    publisher.close()


def test_outputs_that_are_not_there_are_offline_and_not_created(job: Job, tmp_path: Path) -> None:
    publisher = FolderPublisher(tmp_path / "unmounted")
    with pytest.raises(TransientError) as raised:
        publisher.stage(job, item_of(job), "t1")
    assert raised.value.code == "outputs_offline"
    assert publisher.room() is None
    assert not (tmp_path / "unmounted").exists()
    publisher.close()


def test_outputs_that_go_away_before_the_rename_are_reported_and_the_work_is_not_lost_silently(
    publisher: FolderPublisher, outputs: Path, job: Job, rendered: Path, worker_result: WorkerResult
) -> None:
    work(publisher, job, "t1", rendered)
    publisher.publish(job, item_of(job), "t1", worker_result)
    for pending in publisher._pending.values():
        pending.verification.result(60)
    outputs.rename(outputs.with_name("unmounted"))
    assert problem_of(wait_for(publisher)).code == "outputs_offline"


def test_a_job_folder_that_is_a_link_is_not_followed(
    publisher: FolderPublisher, outputs: Path, job: Job, rendered: Path, worker_result: WorkerResult, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (outputs / "lesson-01").symlink_to(tmp_path / "elsewhere")
    work(publisher, job, "t1", rendered)
    publisher.publish(job, item_of(job), "t1", worker_result)
    assert problem_of(wait_for(publisher)).code == "outputs_offline"
    assert os.listdir(tmp_path / "elsewhere") == []


def test_an_output_path_that_leaves_outputs_is_an_error_of_ours(
    publisher: FolderPublisher, outputs: Path, job: Job, rendered: Path, worker_result: WorkerResult
) -> None:
    bad = replace(item_of(job), output="../../escape.mp4")
    work(publisher, job, "t1", rendered, bad)
    publisher.publish(job, bad, "t1", worker_result)
    assert problem_of(wait_for(publisher)).code == "internal"
    assert not (outputs.parent / "escape.mp4").exists()


def room_of(publisher: FolderPublisher) -> Room:
    room = publisher.room()
    assert room is not None
    return room


def test_free_space_is_that_of_the_file_system(publisher: FolderPublisher, outputs: Path) -> None:
    assert 0 < room_of(publisher).free <= shutil.disk_usage(outputs).total


def test_a_full_disk_waits_with_its_own_code(
    small_disk: Path, job: Job, rendered: Path, worker_result: WorkerResult, fill_up: Callable[[Path], None]
) -> None:
    publisher = FolderPublisher(small_disk)
    work(publisher, job, "t1", rendered)
    publisher.publish(job, item_of(job), "t1", worker_result)
    for pending in publisher._pending.values():
        pending.verification.result(60)
    fill_up(small_disk)
    problem = problem_of(wait_for(publisher))
    assert problem.code == "disk_full"
    assert problem.retryable
    assert room_of(publisher).free == 0
    publisher.close()


def succeeded(job: Job) -> Job:
    return replace(job, items=tuple(replace(item, state=State.SUCCEEDED) for item in job.items))


def build_zip(publisher: FolderPublisher, job: Job) -> None:
    """Ask for the ZIP until it is there, as the daemon does."""
    assert not publisher.build_zip(job)
    deadline = time.monotonic() + 30
    while not publisher.build_zip(job):
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_zip_holds_the_published_results_uncompressed(
    publisher: FolderPublisher, outputs: Path, job: Job, rendered: Path, worker_result: WorkerResult
) -> None:
    for number, item in enumerate(job.items):
        publish(publisher, job, rendered, worker_result, item, f"t{number}")
    assert publisher.zip_name(job) is None
    build_zip(publisher, succeeded(job))
    assert publisher.zip_name(job) == "lesson-01.zip"
    with zipfile.ZipFile(outputs / "lesson-01/lesson-01.zip") as bundle:
        assert bundle.testzip() is None
        assert bundle.namelist() == ["a.mp4", "b.mp4"]
        assert bundle.read("a.mp4") == rendered.read_bytes()
        assert {entry.compress_type for entry in bundle.infolist()} == {zipfile.ZIP_STORED}
    assert os.listdir(outputs / ".heygem/staging") == []


def test_a_zip_leaves_out_what_did_not_succeed(
    publisher: FolderPublisher, outputs: Path, job: Job, rendered: Path, worker_result: WorkerResult
) -> None:
    publish(publisher, job, rendered, worker_result)
    build_zip(publisher, job.with_item(replace(item_of(job), state=State.SUCCEEDED)))
    with zipfile.ZipFile(outputs / "lesson-01/lesson-01.zip") as bundle:
        assert bundle.namelist() == ["a.mp4"]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("what", ["link", "pipe", "folder that is a link"])
def test_a_zip_holds_nothing_that_somebody_put_in_the_place_of_a_result(outputs: Path, tmp_path: Path, job: Job, what: str) -> None:
    """The daemon may read what others may not: its ZIP lies where everybody reads it."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/a.mp4").write_text("secret")
    if what == "folder that is a link":
        (outputs / "lesson-01").symlink_to(tmp_path / "secret")
    else:
        (outputs / "lesson-01").mkdir()
        result = outputs / "lesson-01/a.mp4"
        result.symlink_to(tmp_path / "secret/a.mp4") if what == "link" else os.mkfifo(result)
    publisher = FolderPublisher(outputs)
    with pytest.raises(TransientError):
        build_zip(publisher, job.with_item(replace(item_of(job), state=State.SUCCEEDED)))
    assert not [*tmp_path.rglob("*.zip")]
    publisher.close()


def test_a_folder_in_the_place_of_a_result_gets_a_number(
    publisher: FolderPublisher, outputs: Path, job: Job, rendered: Path, worker_result: WorkerResult
) -> None:
    (outputs / "lesson-01/a.mp4/notes").mkdir(parents=True)
    publish(publisher, job, rendered, worker_result)
    assert (outputs / "lesson-01/a.mp4").read_bytes() == rendered.read_bytes()
    assert (outputs / "lesson-01/a.mp4-2/notes").is_dir()


def test_a_zip_that_does_not_fit_leaves_nothing_behind(small_disk: Path, job: Job) -> None:
    publisher = FolderPublisher(small_disk)
    (small_disk / "lesson-01").mkdir()
    (small_disk / "lesson-01/a.mp4").write_bytes(b"x" * 700_000)
    with pytest.raises(TransientError) as raised:
        build_zip(publisher, job.with_item(replace(item_of(job), state=State.SUCCEEDED)))
    assert raised.value.code == "disk_full"
    assert os.listdir(small_disk / "lesson-01") == ["a.mp4"]
    assert os.listdir(small_disk / ".heygem/staging") == []
    publisher.close()


def test_a_zip_that_is_being_written_does_not_block_the_end(outputs: Path, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    publisher = FolderPublisher(outputs)
    (outputs / "lesson-01").mkdir()
    with (outputs / "lesson-01/a.mp4").open("wb") as huge:
        huge.truncate(2**40)  # a terabyte of nothing: hours to copy
    assert not publisher.build_zip(job.with_item(replace(item_of(job), state=State.SUCCEEDED)))
    began = outputs / ".heygem/staging" / f"zip-{job.id}" / "bundle.zip"
    deadline = time.monotonic() + 30
    while not (began.exists() and began.stat().st_size > 2**22):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    writing = publisher._zips[job.id]
    publisher.close()
    assert isinstance(writing.exception(30), InterruptedError)
    assert began.stat().st_size < 2**38
    assert not (outputs / "lesson-01/lesson-01.zip").exists()


class Checks:
    """Checks of results that end as a test says, one after the other; an answer of None passes."""

    def __init__(self, *answers: HeygemError | OSError | None) -> None:
        self.answers, self.made, self.now = list(answers), 0, 1000.0

    def __call__(self, path: Path, **_: object) -> None:
        self.made += 1
        answer = self.answers.pop(0)
        if answer is not None:
            raise answer

    def clock(self) -> float:
        return self.now


def killed() -> HeygemError:
    return error("tool_killed", program="ffprobe", name="the result", how="SIGKILL")


def checked_until_published(publisher: FolderPublisher, checks: Checks, step: float) -> Published:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for published in publisher.poll():
            return published
        checks.now += step
        time.sleep(0.01)
    raise AssertionError("nothing was published in a minute")


def test_a_check_that_the_machine_ended_is_made_again_and_the_result_is_kept(
    outputs: Path, job: Job, rendered: Path, worker_result: WorkerResult
) -> None:
    checks = Checks(
        killed(),
        OSError(5, "Input/output error"),
        error("tool_crashed", program="ffprobe", name="the result", how="SIGSEGV"),
        error("storage_slow", program="ffprobe", name="the result", seconds=3600),
        None,
    )
    with closing(FolderPublisher(outputs, verify=checks, clock=checks.clock)) as publisher:
        work(publisher, job, "t1", rendered)
        publisher.publish(job, item_of(job), "t1", worker_result)
        assert checked_until_published(publisher, checks, 20.0).problem is None
    assert checks.made == 5
    assert (outputs / "lesson-01/a.mp4").is_file()


def test_a_check_is_not_made_again_at_once(outputs: Path, job: Job, rendered: Path, worker_result: WorkerResult) -> None:
    checks = Checks(killed(), None)
    with closing(FolderPublisher(outputs, verify=checks, clock=checks.clock)) as publisher:
        work(publisher, job, "t1", rendered)
        publisher.publish(job, item_of(job), "t1", worker_result)
        futures.wait([pending.verification for pending in publisher._pending.values()], 60)
        for _ in range(5):
            assert list(publisher.poll()) == []
        checks.now += PAUSES[0] - 0.1
        assert (list(publisher.poll()), checks.made) == ([], 1)
        checks.now += 0.2
        assert checked_until_published(publisher, checks, 0.0).problem is None


def test_a_check_that_is_ended_every_time_becomes_a_matter_of_the_machine_and_not_of_the_result(
    outputs: Path, job: Job, rendered: Path, worker_result: WorkerResult
) -> None:
    checks = Checks(*(killed() for _ in range(len(PAUSES) + 1)))
    with closing(FolderPublisher(outputs, verify=checks, clock=checks.clock)) as publisher:
        work(publisher, job, "t1", rendered)
        publisher.publish(job, item_of(job), "t1", worker_result)
        problem = problem_of(checked_until_published(publisher, checks, 100.0))
    assert (problem.kind, problem.code) == ("transient", "tool_killed")
    assert checks.made == len(PAUSES) + 1


def test_what_was_discarded_between_two_checks_is_not_checked_again(
    outputs: Path, job: Job, rendered: Path, worker_result: WorkerResult
) -> None:
    checks = Checks(killed(), None)
    with closing(FolderPublisher(outputs, verify=checks, clock=checks.clock)) as publisher:
        work(publisher, job, "t1", rendered)
        publisher.publish(job, item_of(job), "t1", worker_result)
        futures.wait([pending.verification for pending in publisher._pending.values()], 60)
        assert list(publisher.poll()) == []
        publisher.discard("t1")
        checks.now += 1000
        assert list(publisher.poll()) == []
    assert checks.made == 1


def test_a_staging_folder_that_is_gone_with_its_share_is_no_fault_of_the_worker(
    publisher: FolderPublisher, outputs: Path, job: Job, rendered: Path, worker_result: WorkerResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heygem_daemon.publishing.publish.PAUSES", ())
    work(publisher, job, "t1", rendered)
    shutil.rmtree(outputs / ".heygem/staging/t1")
    publisher.publish(job, item_of(job), "t1", worker_result)
    assert problem_of(wait_for(publisher)).code == "outputs_offline"


# -- an inbox that hangs ----------------------------------------------------------------------------------------------


@pytest.fixture
def hung(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Job]:
    """A second job, each look at whose inbox hangs until the test is over."""
    shutil.copytree(tmp_path / "inbox", tmp_path / "hung")
    claimed = job.claimed.replace("/inbox/", "/hung/")
    made = replace(job, id="job-2", inbox=str(tmp_path / "hung"), claimed=claimed, output="lesson-02")
    answers, look = threading.Event(), published_index.sources

    def hanging(of: Job, item: Item) -> published_index.Sources:
        if of.inbox == made.inbox:
            answers.wait(60)
        return look(of, item)

    monkeypatch.setattr(published_index, "sources", hanging)
    yield made
    answers.set()


def test_an_inbox_that_hangs_holds_up_no_result_of_another(
    outputs: Path, job: Job, hung: Job, rendered: Path, worker_result: WorkerResult
) -> None:
    checks = Checks(None, None)
    with closing(FolderPublisher(outputs, verify=checks, clock=checks.clock)) as publisher:
        for each, token in ((hung, "t2"), (job, "t1")):
            work(publisher, each, token, rendered)
            publisher.publish(each, item_of(each), token, worker_result)
        assert wait_for(publisher) == Published(token="t1", problem=None)
        assert list(publisher.poll()) == [], "the inputs of the other may answer yet"
        checks.now += STAMPS_SECONDS
        assert wait_for(publisher) == Published(token="t2", problem=None)
        assert publisher.published_result(hung, item_of(hung)) == worker_result


def test_an_inbox_that_hangs_is_waited_for_once_and_not_for_every_item(outputs: Path, hung: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    waited = list[float]()
    monkeypatch.setattr("heygem_daemon.publishing.publish.wait", lambda _futures, seconds: waited.append(seconds))
    with closing(FolderPublisher(outputs)) as publisher:
        for number in range(5):
            publisher.stage(hung, item_of(hung), f"t{number}")
    assert waited == [LOOK_SECONDS, 0.0, 0.0, 0.0, 0.0]
