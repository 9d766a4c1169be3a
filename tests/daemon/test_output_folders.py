"""Two jobs never share an output folder, whatever people delete in outputs."""

import shutil

import pytest

from heygem_daemon.core.job import State
from tests.daemon.harness import DaemonHarness


@pytest.fixture
def old_id(harness: DaemonHarness) -> str:
    """The id of a job of two items, of which one failed, whose output folder somebody deleted."""
    harness.drop("lesson", videos=("a.mp4", "b.mp4"))
    harness.session.spoilt = {"b"}
    harness.until(lambda: harness.events_named("job_finished"))
    harness.tick(1)
    harness.session.spoilt.clear()
    shutil.rmtree(harness.outputs / "lesson")
    return harness.job("lesson").id


def job_of(harness: DaemonHarness, job_id: str) -> tuple[str, State]:
    job = harness.ledger.get(job_id)
    assert job is not None
    return job.output, job.state


def test_a_retried_job_is_made_in_another_folder_where_a_newer_one_has_its_own(harness: DaemonHarness, old_id: str) -> None:
    harness.drop("lesson")
    harness.until(lambda: len(harness.events_named("job_finished")) == 2)
    harness.tick(1)
    new = harness.status("lesson")
    assert new.job != old_id
    film = (harness.outputs / "lesson/a.mp4").stat().st_ino
    harness.ledger.request("retry", old_id)
    harness.until(lambda: len(harness.events_named("job_finished")) == 3)
    harness.tick(1)
    assert job_of(harness, old_id) == ("lesson-2", State.SUCCEEDED)
    assert {path.name for path in (harness.outputs / "lesson-2").iterdir()} >= {"a.mp4", "b.mp4"}
    assert (harness.status("lesson").job, harness.status("lesson-2").job) == (new.job, old_id)
    assert (harness.outputs / "lesson/a.mp4").stat().st_ino == film
    assert not (harness.outputs / "lesson/b.mp4").exists()


def test_a_retried_job_is_made_in_another_folder_where_a_drop_waits_in_its_own(harness: DaemonHarness, old_id: str) -> None:
    (harness.drop("lesson") / "speech.wav").unlink()
    harness.until(lambda: harness.state("lesson"))
    harness.ledger.request("retry", old_id)
    harness.until(lambda: len(harness.events_named("job_finished")) == 2)
    harness.tick(1)
    assert job_of(harness, old_id) == ("lesson-2", State.SUCCEEDED)
    shutil.copyfile(harness.speech, harness.inbox / "lesson/speech.wav")
    harness.until(lambda: len(harness.events_named("job_finished")) == 3)
    assert harness.status("lesson").job not in {"", old_id}


def test_a_retried_job_has_its_own_folder_again_and_a_later_drop_another(harness: DaemonHarness, old_id: str) -> None:
    (harness.inbox / "PAUSE").touch()
    harness.ledger.request("retry", old_id)
    harness.drop("lesson")
    harness.until(lambda: len(harness.daemon.store.jobs) == 2)
    harness.tick(1)
    (harness.inbox / "PAUSE").unlink()
    harness.until(lambda: len(harness.events_named("job_finished")) == 3)
    assert {job.output for job in harness.ledger.finished(5)} == {"lesson", "lesson-2"}


def test_after_a_restart_the_folder_of_an_open_job_is_not_given_away_though_somebody_deleted_it(harness: DaemonHarness) -> None:
    (harness.inbox / "PAUSE").touch()
    harness.drop("lesson")
    harness.until(lambda: harness.daemon.store.jobs)
    open_id = harness.job("lesson").id
    harness.close()
    shutil.rmtree(harness.outputs / "lesson")
    harness.drop("lesson")
    harness.open()
    harness.until(lambda: len(harness.daemon.store.jobs) == 2)
    harness.tick(1)
    assert {job.output: job.id == open_id for job in harness.daemon.store.jobs.values()} == {"lesson": True, "lesson-2": False}


@pytest.mark.parametrize("has_inputs", [True, False])
def test_a_retry_that_does_nothing_keeps_no_name(harness: DaemonHarness, has_inputs: bool) -> None:
    over = harness.finish("lesson")
    if not has_inputs:
        shutil.rmtree(harness.inbox / "_done" / "lesson")
        (harness.outputs / "lesson" / "a.mp4").unlink()
    harness.ledger.request("retry", over.job)
    harness.until(lambda: harness.events_named("request_unknown"))
    shutil.rmtree(harness.outputs / "lesson")
    harness.drop("lesson")
    harness.until(lambda: len(harness.events_named("job_finished")) == 2)
    assert [path.name for path in harness.outputs.glob("lesson*")] == ["lesson"]


def test_the_name_of_a_rejected_job_that_goes_back_into_its_inbox_is_free(harness: DaemonHarness) -> None:
    harness.drop("lesson", job_toml='colour = "red"')
    harness.until(lambda: harness.events_named("job_finished"))
    harness.tick(1)
    job_id = harness.status("lesson").job
    shutil.rmtree(harness.outputs / "lesson")
    harness.ledger.request("retry", job_id)
    harness.until(lambda: len(harness.events_named("job_finished")) == 2)
    harness.tick(1)
    assert [path.name for path in harness.outputs.glob("lesson*")] == ["lesson"]
