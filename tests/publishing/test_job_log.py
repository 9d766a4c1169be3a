"""The log of a job: lines are appended, up to a limit, never through a link, and never with an exception."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from heygem_daemon.core.names import JOB_LOG
from heygem_daemon.publishing.job_log import MAX_BYTES
from heygem_daemon.publishing.status_files import StatusFiles


@pytest.fixture
def status_files(outputs: Path) -> StatusFiles:
    (outputs / "lesson").mkdir()
    return StatusFiles(outputs)


@pytest.fixture
def path(outputs: Path) -> Path:
    return outputs / "lesson" / JOB_LOG


def line(text: str) -> str:
    return json.dumps({"time": "t", "level": "info", "event": "job_queued", "message": text}, ensure_ascii=False)


def test_lines_are_appended_in_their_order(status_files: StatusFiles, path: Path) -> None:
    assert status_files.append_log("lesson", [line("a"), line("课")])
    assert StatusFiles(path.parents[1]).append_log("lesson", [line("b")])
    assert [json.loads(each)["message"] for each in path.read_text(encoding="utf-8").splitlines()] == ["a", "课", "b"]


def test_a_full_log_ends_in_a_line_that_reports_it_and_does_not_grow_any_more(status_files: StatusFiles, path: Path) -> None:
    for number in range(400):
        assert status_files.append_log("lesson", [line(f"{number}-" + "x" * 1000)])
    content = path.read_bytes()
    assert MAX_BYTES - 2000 < len(content) <= MAX_BYTES
    lines = [json.loads(each) for each in content.splitlines()]
    assert [each["event"] for each in lines].count("job_log_full") == 1
    assert (lines[-1]["event"], lines[-1]["level"]) == ("job_log_full", "warning")
    assert [each["message"].partition("-")[0] for each in lines[:-1]] == [str(number) for number in range(len(lines) - 1)]


def test_one_line_that_is_larger_than_a_whole_log_is_left_out(status_files: StatusFiles, path: Path) -> None:
    assert status_files.append_log("lesson", [line("a"), line("x" * MAX_BYTES)])
    assert [json.loads(each)["event"] for each in path.read_text().splitlines()] == ["job_queued", "job_log_full"]


def test_a_line_that_a_crash_cut_off_does_not_spoil_the_next(status_files: StatusFiles, path: Path) -> None:
    path.write_text('{"time": "t", "lev')
    status_files.append_log("lesson", [line("a")])
    assert json.loads(path.read_text().splitlines()[1])["message"] == "a"


@pytest.mark.parametrize("kind", ["link", "hard link", "pipe", "folder"])
def test_what_is_not_a_file_of_its_own_is_left_alone(status_files: StatusFiles, path: Path, tmp_path: Path, kind: str) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    make: dict[str, Callable[[], None]] = {
        "link": lambda: path.symlink_to(precious),
        "hard link": lambda: path.hardlink_to(precious),
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
    }
    make[kind]()
    assert not status_files.append_log("lesson", [line("a")])
    assert precious.read_text() == "precious"


def test_a_job_folder_that_is_a_link_is_not_followed(outputs: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (outputs / "lesson").symlink_to(tmp_path / "elsewhere")
    assert not StatusFiles(outputs).append_log("lesson", [line("a")])
    assert os.listdir(tmp_path / "elsewhere") == []


@pytest.mark.parametrize("output", ["gone", "a\0b"])
def test_a_folder_that_is_not_there_is_not_created(outputs: Path, output: str) -> None:
    assert not StatusFiles(outputs).append_log(output, [line("a")])
    assert os.listdir(outputs) == []


def test_a_full_disk_is_no_error(small_disk: Path, fill_up: Callable[[Path], None]) -> None:
    (small_disk / "lesson").mkdir()
    fill_up(small_disk)
    assert not StatusFiles(small_disk).append_log("lesson", [line("x" * 5000)])
