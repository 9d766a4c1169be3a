"""`heygem status` reads outputs, into which anybody may write: only files, only to a limit, never through a link in it."""

import os
import time
from pathlib import Path

import pytest

from heygem_daemon.cli.checks.presence import presence
from heygem_daemon.cli.commands.status import show
from heygem_daemon.cli.exit_codes import ExitCode
from heygem_daemon.core.job import State
from heygem_daemon.core.status import DaemonStatus, Heartbeat, moment
from heygem_daemon.core.status_builder import job_status
from heygem_daemon.settings import Settings, load
from tests.core.making import item, job

HIDDEN = "only for the administrator"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A site whose outputs hold the results of a job; its administrator made outputs a link."""
    over = job(item("a", State.SUCCEEDED), output="lesson-01").rollup(1.0)
    folder = tmp_path / "disk/lesson-01"
    folder.mkdir(parents=True)
    (folder / "status.json").write_text(job_status(over, now=1.0).to_json(), encoding="utf-8")
    (folder / "a.mp4").write_bytes(b"film")
    (tmp_path / "outputs").symlink_to(tmp_path / "disk")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/status.json").write_text(HIDDEN, encoding="utf-8")
    return load(None, {"outputs": tmp_path / "outputs", "state": tmp_path / "state"})


def shown(settings: Settings, job_name: str | None, capsys: pytest.CaptureFixture[str], *, as_json: bool = True) -> tuple[ExitCode, str]:
    code = show(settings, job_name, as_json=as_json, watch=False)
    printed = capsys.readouterr()
    return code, " ".join((printed.out + printed.err).split())


def replace(path: Path, what: str, secret: Path) -> None:
    path.unlink(missing_ok=True)
    match what:
        case "a link":
            path.symlink_to(secret / "status.json")
        case "a pipe":
            os.mkfifo(path)
        case "a folder":
            path.mkdir()
        case _:
            with path.open("wb") as file:
                file.truncate(2**33)


@pytest.mark.family(3)
@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("of_job", [True, False])
@pytest.mark.parametrize("what", ["a link", "a pipe", "a folder", "gigabytes"])
def test_what_is_in_the_place_of_a_status_is_not_read(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str, of_job: bool, as_json: bool
) -> None:
    folder = tmp_path / "disk/lesson-01" if of_job else tmp_path / "disk"
    replace(folder / "status.json", what, tmp_path / "secret")
    code, text = shown(settings, "lesson-01" if of_job else None, capsys, as_json=as_json)
    assert code == ExitCode.PROBLEM
    assert HIDDEN not in text
    assert "does not answer" not in text


def test_a_folder_of_a_job_that_is_a_link_is_no_job(settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "disk/linked").symlink_to(tmp_path / "secret")
    code, text = shown(settings, "linked", capsys)
    assert (code, HIDDEN in text, "there is no such job" in text) == (ExitCode.PROBLEM, False, True)


def test_the_folder_that_a_status_names_is_not_one_outside_of_outputs(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = {"job": "job-1", "name": "lesson", "output": "../secret", "state": "running", "since": moment(0)}
    head = {"version": "1", "state": "running", "pid": 1, "started": moment(0), "heartbeat": moment(0)}
    written = DaemonStatus.model_validate({**head, "jobs": [named]})
    (tmp_path / "disk/status.json").write_text(written.to_json(), encoding="utf-8")
    code, text = shown(settings, "job-1", capsys)
    assert (code, HIDDEN in text) == (ExitCode.PROBLEM, False)


@pytest.mark.parametrize("name", ["", ".", "..", "../secret", "lesson-01/../../secret", "a\0b", "x" * 300])
def test_a_name_that_is_no_folder_of_outputs_is_no_job(settings: Settings, capsys: pytest.CaptureFixture[str], name: str) -> None:
    code, text = shown(settings, name, capsys)
    assert (code, HIDDEN in text) == (ExitCode.PROBLEM, False)


def test_a_job_is_shown_and_a_link_in_the_place_of_its_result_is_no_result(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = shown(settings, "lesson-01", capsys, as_json=False)
    assert (code, "no longer in outputs" in text) == (ExitCode.OK, False)
    replace(tmp_path / "disk/lesson-01/a.mp4", "a link", tmp_path / "secret")
    code, text = shown(settings, "lesson-01", capsys, as_json=False)
    assert (code, "a.mp4 is no longer in outputs" in text) == (ExitCode.OK, True)


@pytest.mark.parametrize("place", ["status.json", ".heygem", ".heygem/heartbeat.json"])
def test_no_sign_of_life_counts_that_lies_behind_a_link(settings: Settings, tmp_path: Path, place: str) -> None:
    now = time.time()
    beat = Heartbeat(pid=1, outputs=str(settings.outputs), state="running", heartbeat=moment(now))
    status = {"version": "1", "state": "running", "pid": 1, "started": moment(now), "heartbeat": moment(now)}
    (tmp_path / "else").mkdir()
    (tmp_path / "else/heartbeat.json").write_text(beat.to_json(), encoding="utf-8")
    (tmp_path / "else/status.json").write_text(DaemonStatus.model_validate(status).to_json(), encoding="utf-8")
    (tmp_path / "disk" / place).parent.mkdir(exist_ok=True)
    target = tmp_path / "else" if place == ".heygem" else tmp_path / "else" / Path(place).name
    (tmp_path / "disk" / place).symlink_to(target)
    assert not presence(settings, now).is_there
    (tmp_path / "disk" / place).unlink()
    target.rename(tmp_path / "disk" / place)
    assert presence(settings, now).is_there


@pytest.mark.parametrize("what", ["a file", "a link", "nothing"])
def test_of_a_job_whose_folder_was_replaced_the_daemon_still_says_how_it_is(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setenv("COLUMNS", "400")  # a long path stays in one line
    outputs, now = tmp_path / "disk", moment(time.time())
    row = {"job": "id-1", "name": "lesson", "output": "lesson-01", "state": "waiting", "since": now, "inbox": "/in"}
    row["waiting_for"] = "Results cannot be written at the moment: lesson-01 in it is no folder"
    status = DaemonStatus.model_validate({"version": "1", "state": "running", "pid": 1, "started": now, "heartbeat": now, "jobs": [row]})
    (outputs / "status.json").write_text(status.to_json(), encoding="utf-8")
    (outputs / "lesson-01").rename(tmp_path / "lesson-01")
    if what == "a file":
        (outputs / "lesson-01").touch()
    elif what == "a link":
        (outputs / "lesson-01").symlink_to(tmp_path / "lesson-01")
    for name in ("lesson-01", "lesson", "id-1"):
        code, text = shown(settings, name, capsys, as_json=False)
        assert (code, "lesson waiting Results cannot be written at the moment" in text) == (ExitCode.PROBLEM, True), text
        assert "lesson-01/status.json is not there" in text if what == "nothing" else "lesson-01/status.json cannot be read: " in text
        assert "Errno" not in text
    assert "There is no job other in" in shown(settings, "other", capsys, as_json=False)[1]
