"""The survey of the status files in outputs: in a thread, bounded, and complete only where outputs could be listed."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from heygem_daemon.core.job import State
from heygem_daemon.core.status_builder import job_status
from heygem_daemon.publishing.survey import WAITING, OutputsSurvey, found_statuses
from tests.core.making import item, job

INBOX = "/inbox"


@pytest.fixture
def survey(tmp_path: Path) -> Iterator[OutputsSurvey]:
    made = OutputsSurvey(tmp_path)
    yield made
    made.close()


def put(outputs: Path, name: str, state: State = State.RUNNING) -> None:
    (outputs / name).mkdir()
    each = job(item("a", state), id=f"20260101-000000-{name}", output=name, queued_at=1.0).rollup(1)
    (outputs / name / "status.json").write_text(job_status(each, now=1).to_json(), encoding="utf-8")


def is_running(survey: OutputsSurvey) -> bool:
    return survey.is_running


def test_it_finds_what_is_not_over_or_wrong_about_its_files_and_what_is_asked_for(survey: OutputsSurvey, tmp_path: Path) -> None:
    put(tmp_path, "open")
    put(tmp_path, "over", State.FAILED)
    put(tmp_path, "gone", State.SUCCEEDED)
    put(tmp_path, "there", State.SUCCEEDED)
    put(tmp_path, "wanted", State.SUCCEEDED)
    for name in ("there", "wanted"):
        (tmp_path / name / "a.mp4").write_bytes(b"film")
    assert not is_running(survey)
    survey.begin({INBOX}, {"20260101-000000-wanted"})
    survey.wait(30)
    assert survey.is_complete
    assert is_running(survey)  # until all is taken
    found = {each.status.output: each for each in survey.take(99)}
    assert set(found) == {"open", "gone", "wanted"}
    assert (found["gone"].missing, found["wanted"].missing) == (frozenset("a"), frozenset())
    assert not is_running(survey)
    survey.begin({"/elsewhere"}, ())
    survey.wait(30)
    assert survey.take(99) == []


def test_it_rests_while_its_findings_wait_and_ends_when_it_is_closed(survey: OutputsSurvey, tmp_path: Path) -> None:
    for number in range(WAITING + 50):
        put(tmp_path, f"job-{number}")
    survey.begin({INBOX}, ())
    survey.wait(1.0)
    assert survey.is_running
    with pytest.raises(RuntimeError):
        survey.begin({INBOX}, ())
    taken = []
    deadline = time.monotonic() + 30
    while survey.is_running and time.monotonic() < deadline:
        taken += survey.take(20)
        survey.wait(0.01)
    assert len(taken) == WAITING + 50
    survey.begin({INBOX}, ())
    survey.wait(0.5)
    survey.close()
    survey.wait(5)
    assert not survey.is_complete


def test_nothing_is_concluded_from_outputs_that_cannot_be_listed(tmp_path: Path) -> None:
    survey = OutputsSurvey(tmp_path / "away")
    survey.begin({INBOX}, ())
    survey.wait(5)
    assert not survey.is_complete
    assert not survey.is_running


def test_links_and_pipes_beside_the_folders_of_jobs_are_passed_over(tmp_path: Path) -> None:
    put(tmp_path, "job")
    (tmp_path / "link").symlink_to(tmp_path / "job")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "odd").mkdir()
    os.mkfifo(tmp_path / "odd/status.json")
    assert [each.status.output for each in found_statuses(tmp_path, {INBOX})] == ["job"]
