"""Control files beside the drops reach candidates, open and finished jobs, by the name of the drop and by the id of the job."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from heygem_daemon.core.errors import error
from heygem_daemon.core.job import Job, State
from heygem_daemon.core.names import escape_name
from heygem_daemon.daemon import control_files
from heygem_daemon.daemon.control_files import UNKNOWN_SECONDS
from heygem_daemon.daemon.inboxes import CONTROL_SECONDS
from heygem_daemon.intake.mounts import Mount
from tests.daemon.harness import SETTLE, DaemonHarness

ODD_NAMES = ["x" * 255, "مرحبا", os.fsdecode(b"caf\xe9"), "a\u202eb", "<img src=x onerror=alert(1)>", " ", "lesson.hold"]


def pause(harness: DaemonHarness) -> None:
    (harness.inbox / "PAUSE").touch()


def go_on(harness: DaemonHarness) -> None:
    (harness.inbox / "PAUSE").unlink()


def put(harness: DaemonHarness, name: str, text: str = "") -> Path:
    """Write a control file as the page does: it appears whole."""
    temporary = harness.inbox / ".control.tmp"
    temporary.write_text(text, encoding="utf-8")
    return temporary.replace(harness.inbox / name)


def queued(harness: DaemonHarness, *names: str) -> list[str]:
    """Drop these, wait until all are in the queue, and return their ids."""
    for name in names:
        harness.drop(name)
    ids = {escape_name(name): "" for name in names}
    harness.until(lambda: len([job for job in harness.daemon.store.jobs.values() if job.name in ids]) == len(names))
    ids |= {job.name: job.id for job in harness.daemon.store.jobs.values()}
    return [ids[escape_name(name)] for name in names]


def failed(harness: DaemonHarness, name: str = "lesson") -> str:
    """Let a job fail and return its id; it would succeed when tried again."""
    harness.session.spoilt = {"a"}
    job = harness.finish(name)
    harness.session.spoilt.clear()
    assert job.state == "failed"
    return job.job


def as_name(job_id: str) -> str:
    del job_id
    return "lesson"


def as_id(job_id: str) -> str:
    return job_id


ADDRESSES = pytest.mark.parametrize("address", [as_name, as_id])

# -- open jobs --------------------------------------------------------------------------------------------------------


@ADDRESSES
def test_a_queued_job_is_cancelled(harness: DaemonHarness, address: Callable[[str], str]) -> None:
    pause(harness)
    (job_id,) = queued(harness, "lesson")
    file = put(harness, f"{address(job_id)}.cancel")
    harness.tick(1)
    harness.tick(1)
    assert harness.state("lesson") == "cancelled"
    assert not file.exists()


@ADDRESSES
def test_a_hold_file_holds_a_job_and_its_removal_releases_it(harness: DaemonHarness, address: Callable[[str], str]) -> None:
    pause(harness)
    (job_id,) = queued(harness, "lesson")
    file = put(harness, f"{address(job_id)}.hold")
    harness.tick(1)
    go_on(harness)
    harness.tick(6)
    assert harness.job("lesson").on_hold
    assert harness.status("lesson").waiting_for == f"Held back by {address(job_id)}.hold"
    assert file.exists()
    harness.crash()
    harness.tick(6)
    assert harness.job("lesson").on_hold
    assert not harness.session.orders
    file.unlink()
    harness.until(lambda: harness.events_named("job_finished"))


@ADDRESSES
def test_resume_releases_a_job_and_deletes_every_hold_file_of_it(harness: DaemonHarness, address: Callable[[str], str]) -> None:
    pause(harness)
    (job_id,) = queued(harness, "lesson")
    put(harness, "lesson.hold")
    put(harness, f"{job_id}.hold")
    harness.tick(1)
    assert harness.job("lesson").on_hold
    put(harness, f"{address(job_id)}.resume")
    harness.tick(1)
    harness.tick(1)
    assert not harness.job("lesson").on_hold
    assert [name for name in os.listdir(harness.inbox) if name.endswith((".hold", ".resume"))] == []
    go_on(harness)
    harness.until(lambda: harness.events_named("job_finished"))


def test_resume_releases_what_was_held_by_hand(harness: DaemonHarness) -> None:
    pause(harness)
    (job_id,) = queued(harness, "lesson")
    harness.ledger.request("hold", "lesson")
    harness.tick(1)
    assert harness.job("lesson").on_hold
    put(harness, f"{job_id}.resume")
    harness.tick(1)
    assert not harness.job("lesson").on_hold


def test_a_hold_file_that_cannot_be_deleted_is_outweighed_by_the_resume_file_that_stays(
    harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    pause(harness)
    (job_id,) = queued(harness, "lesson")
    put(harness, "lesson.hold")
    harness.tick(1)

    def refuse(_inbox: str, _name: str, _kind: str) -> None:
        raise error("io_error", problem="it is of another")

    monkeypatch.setattr(harness.daemon.inboxes.claims, "clear_control", refuse)
    file = put(harness, f"{job_id}.resume")
    for _ in range(3):
        harness.tick(1)
        assert not harness.job("lesson").on_hold
    assert file.exists()
    assert len(harness.events_named("job_released")) == 1


def test_the_queue_follows_a_priority_file_and_so_does_the_ledger(harness: DaemonHarness) -> None:
    pause(harness)
    first, second, third = queued(harness, "first", "second", "third")
    put(harness, f"{third}.priority", "90\r\n")
    put(harness, "second.priority", "-7")
    harness.tick(6)
    harness.tick(6)
    assert [(job.name, job.priority) for job in harness.daemon_status().jobs] == [("third", 90), ("first", 5), ("second", -7)]
    assert [harness.job(name).priority for name in ("first", "second", "third")] == [5, -7, 90]
    assert (harness.status("third").priority, harness.status("third").position) == (90, 1)
    assert [name for name in os.listdir(harness.inbox) if name.endswith(".priority")] == []
    harness.crash()
    go_on(harness)
    harness.until(lambda: len(harness.events_named("job_finished")) == 3)
    assert [fields["job_id"] for fields in harness.events_named("item_started")] == [third, first, second]


@pytest.mark.parametrize("text", ["soon", "1.5", "101", "-101", "1" * 65, "5 5", "\0", "٣"])
def test_what_is_no_priority_is_refused_and_removed(harness: DaemonHarness, text: str) -> None:
    pause(harness)
    queued(harness, "lesson")
    file = put(harness, "lesson.priority", text)
    harness.tick(1)
    assert not file.exists()
    assert harness.job("lesson").priority == 5
    (refused,) = harness.events_named("control_refused")
    assert (refused["control"], refused["level"]) == ("lesson.priority", "warning")


def test_an_empty_priority_file_is_not_written_yet(harness: DaemonHarness) -> None:
    pause(harness)
    queued(harness, "lesson")
    file = put(harness, "lesson.priority")
    harness.tick(1)
    harness.tick(UNKNOWN_SECONDS * 2)
    assert file.exists()
    file.write_text("12")
    harness.tick(1)
    assert (harness.job("lesson").priority, file.exists()) == (12, False)


def test_control_files_reach_a_job_while_it_runs(harness: DaemonHarness) -> None:
    harness.drop("lesson", videos=("a.mp4", "b.mp4"))
    harness.until(lambda: harness.events_named("item_started"))
    (job,) = harness.daemon.store.jobs.values()
    assert job.state is State.RUNNING
    put(harness, f"{job.id}.priority", "44")
    put(harness, f"{job.id}.hold")
    harness.until(lambda: harness.events_named("job_held"))
    assert harness.job("lesson").priority == 44
    harness.until(lambda: harness.events_named("item_published"))
    harness.tick(6)
    assert len(harness.session.orders) == 1
    put(harness, f"{job.id}.resume")
    harness.until(lambda: harness.events_named("job_finished"))
    assert harness.job("lesson").state is State.SUCCEEDED


def test_control_files_work_on_a_network_inbox(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    share = Mount(point=str(harness.inbox), fs_type="cifs")
    for module in ("scanner", "claims"):
        monkeypatch.setattr(f"heygem_daemon.intake.{module}.mount_of", lambda _inbox: share)
    pause(harness)
    harness.drop("lesson")
    harness.until(lambda: harness.daemon.store.jobs, step=3)
    (job_id,) = harness.daemon.store.jobs
    assert harness.daemon_status().inboxes[0].network
    put(harness, f"{job_id}.priority", "7")
    put(harness, f"{job_id}.hold")
    harness.until(lambda: harness.job("lesson").on_hold, step=3)
    assert harness.job("lesson").priority == 7
    for kind in ("resume", "cancel", "retry"):
        file = put(harness, f"{job_id}.{kind}")
        harness.until(lambda file=file: not file.exists(), step=3)  # type: ignore[misc]
    go_on(harness)
    harness.until(lambda: harness.events_named("job_finished", state="succeeded"), step=3)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_every_name_is_reached_by_the_id_of_its_job(harness: DaemonHarness, name: str) -> None:
    pause(harness)
    (job_id,) = queued(harness, name)
    put(harness, f"{job_id}.priority", "9")
    put(harness, f"{job_id}.hold")
    harness.tick(1)
    job = harness.ledger.get(job_id)
    assert job is not None
    assert (job.priority, job.on_hold) == (9, True)
    put(harness, f"{job_id}.resume")
    harness.tick(1)
    put(harness, f"{job_id}.cancel")
    harness.until(lambda: harness.events_named("job_finished"))
    put(harness, f"{job_id}.retry")
    harness.until(lambda: harness.events_named("job_retried"))
    go_on(harness)
    harness.until(lambda: len(harness.events_named("job_finished")) == 2)
    after = harness.ledger.get(job_id)
    assert after is not None
    assert after.state is State.SUCCEEDED
    assert sorted(os.listdir(harness.inbox)) == [".heygem", ".heygem-inbox", "_done", "_failed"]


def test_a_drop_in_the_inbox_itself_is_controlled_by_name_and_by_id(harness: DaemonHarness) -> None:
    pause(harness)
    (harness.inbox / "videos").mkdir()
    shutil.copyfile(harness.film, harness.inbox / "videos" / "a.mp4")
    shutil.copyfile(harness.speech, harness.inbox / "welcome.wav")
    put(harness, "welcome.hold")
    harness.tick()
    harness.tick(SETTLE * 2)
    held = harness.status("welcome")
    assert (held.state, held.reason) == ("settling", "Held back by welcome.hold")
    put(harness, f"{held.job}.resume")
    put(harness, "welcome.priority", "31")
    harness.until(lambda: harness.events_named("job_queued", job_id=held.job))
    assert harness.job("welcome").priority == 31
    put(harness, f"{held.job}.cancel")
    harness.until(lambda: harness.events_named("job_finished", state="cancelled"))
    harness.tick(1)
    assert [name for name in os.listdir(harness.inbox) if name.startswith(("welcome", held.job))] == []


# -- candidates -------------------------------------------------------------------------------------------------------


def test_a_drop_that_settles_is_held_resumed_and_cancelled_by_its_id(harness: DaemonHarness) -> None:
    harness.drop("lesson")
    harness.tick()
    job_id = harness.status("lesson").job
    hold = put(harness, f"{job_id}.hold")
    harness.tick(SETTLE * 2)
    harness.tick(SETTLE * 2)
    assert (harness.status("lesson").waiting_for, harness.status("lesson").reason) == ("held", f"Held back by {job_id}.hold")
    hold.unlink()
    harness.tick(0.5)
    put(harness, f"{job_id}.cancel")
    harness.until(lambda: harness.events_named("job_finished"))
    harness.tick(1)
    status = harness.status("lesson")
    assert (status.job, status.state) == (job_id, "cancelled")
    assert not (harness.inbox / f"{job_id}.cancel").exists()


def test_resume_deletes_the_hold_files_of_a_drop_that_is_not_a_job_yet(harness: DaemonHarness) -> None:
    harness.drop("lesson")
    put(harness, "lesson.hold")
    harness.tick()
    job_id = harness.status("lesson").job
    put(harness, f"{job_id}.hold")
    harness.tick(SETTLE * 2)
    assert harness.status("lesson").waiting_for == "held"
    put(harness, f"{job_id}.resume")
    harness.until(lambda: harness.events_named("job_finished"))
    assert harness.job("lesson").id == job_id
    assert [name for name in os.listdir(harness.inbox) if name.endswith((".hold", ".resume"))] == []


def test_a_ready_file_by_id_starts_a_drop_at_once(harness: DaemonHarness) -> None:
    harness.drop("lesson")
    harness.tick()
    job_id = harness.status("lesson").job
    put(harness, f"{job_id}.ready")
    harness.until(lambda: harness.events_named("drop_claimed"), step=0.5)
    assert harness.clock.monotonic < 1000 + SETTLE
    assert not (harness.inbox / f"{job_id}.ready").exists()


def test_the_priority_of_a_drop_that_settles_is_shown_and_goes_into_its_job(harness: DaemonHarness) -> None:
    pause(harness)
    harness.drop("lesson", "priority = 1\n")
    harness.tick()
    put(harness, "lesson.priority", "66")
    harness.tick(1)
    assert (harness.state("lesson"), harness.status("lesson").priority) == ("settling", 66)
    harness.crash()
    harness.until(lambda: harness.daemon.store.jobs)
    assert harness.job("lesson").priority == 66
    assert not (harness.inbox / "lesson.priority").exists()


def test_a_drop_keeps_its_id_over_a_restart_so_that_it_stays_held(harness: DaemonHarness) -> None:
    harness.drop("lesson")
    harness.tick()
    job_id = harness.status("lesson").job
    put(harness, f"{job_id}.hold")
    harness.tick(SETTLE * 2)
    for _ in range(2):
        harness.crash()
        harness.tick()
        harness.tick(SETTLE * 2)
    status = harness.status("lesson")
    assert (status.job, status.waiting_for) == (job_id, "held")
    assert sorted(name for name in os.listdir(harness.outputs) if name != ".heygem") == ["lesson", "status.json"]


@pytest.mark.parametrize("forged", ["../../x", "lesson", "taken", ""])
def test_an_id_in_outputs_that_is_none_or_is_taken_is_not_believed(harness: DaemonHarness, forged: str) -> None:
    taken = harness.finish("other").job
    harness.drop("lesson")
    put(harness, "lesson.hold")
    harness.tick(1)
    status = harness.status("lesson")
    forged = taken if forged == "taken" else forged
    (harness.outputs / "lesson" / "status.json").write_text(status.model_copy(update={"job": forged}).to_json())
    harness.crash()
    harness.tick()
    assert harness.status("lesson").job not in {forged, taken}
    assert harness.job("other").name == "other"


def test_a_cancelled_drop_shows_its_owner(harness: DaemonHarness) -> None:
    harness.drop("lesson", 'owner = "amy"\nreference = "r-1"\nengine = 5\n')
    put(harness, "lesson.cancel")
    harness.until(lambda: harness.events_named("job_finished"))
    harness.tick(1)
    status = harness.status("lesson")
    assert (status.state, status.owner, status.reference) == ("cancelled", "amy", "r-1")


# -- finished jobs ----------------------------------------------------------------------------------------------------


@ADDRESSES
def test_a_failed_job_is_tried_again(harness: DaemonHarness, address: Callable[[str], str]) -> None:
    job_id = failed(harness)
    file = put(harness, f"{address(job_id)}.retry")
    harness.until(lambda: len(harness.events_named("job_finished")) == 2)
    job = harness.ledger.get(job_id)
    assert job is not None
    assert job.state is State.SUCCEEDED
    assert not file.exists()
    assert len(harness.events_named("job_retried")) == 1


def test_a_retry_is_taken_after_a_restart(harness: DaemonHarness) -> None:
    job_id = failed(harness)
    harness.close()
    put(harness, f"{job_id}.retry")
    harness.open()
    harness.until(lambda: len(harness.events_named("job_finished")) == 2)


@pytest.mark.parametrize("name", ["nobody", "20260101-000000-nobody-abcdef"])
def test_a_retry_of_nobody_is_logged_and_removed_at_once(harness: DaemonHarness, name: str) -> None:
    file = put(harness, f"{name}.retry")
    harness.tick()
    harness.tick(1)
    assert not file.exists()
    assert [(fields["verb"], fields["target"]) for fields in harness.events_named("request_unknown")] == [("retry", name)]


def test_a_job_that_is_open_or_succeeded_is_not_tried_again(harness: DaemonHarness) -> None:
    harness.finish("done")
    pause(harness)
    queued(harness, "open")
    for name in ("done", "open"):
        put(harness, f"{name}.retry")
    harness.tick(1)
    assert [fields["target"] for fields in harness.events_named("request_unknown")] == ["done", "open"]
    assert [name for name in os.listdir(harness.inbox) if name.endswith(".retry")] == []


def test_a_retry_file_that_cannot_be_deleted_is_applied_once(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    harness.session.spoilt = {"a"}
    harness.finish("lesson")

    def refuse(_inbox: str, _name: str, _kind: str) -> None:
        raise error("io_error", problem="it is of another")

    monkeypatch.setattr(harness.daemon.inboxes.claims, "clear_control", refuse)
    put(harness, "lesson.retry")
    harness.until(lambda: len(harness.events_named("job_finished")) == 2)
    for _ in range(5):
        harness.tick(2)
    assert len(harness.events_named("job_retried")) == 1
    monkeypatch.undo()
    (harness.inbox / "lesson.retry").unlink()
    harness.tick(1)
    put(harness, "lesson.retry")
    harness.until(lambda: len(harness.events_named("job_retried")) == 2)


def test_a_retry_at_which_the_program_fails_is_tried_once_and_the_others_have_their_turn(
    harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It made every round fail for as long as the file lay there, and no other control file of the inbox was applied."""
    harness.tolerant = True
    failed(harness, "a")
    failed(harness, "b")
    restore = harness.daemon.requests.claims.restore

    def broken(job: Job) -> Path | None:
        if job.name == "a":
            raise ValueError("unforeseen")
        return restore(job)

    monkeypatch.setattr(harness.daemon.requests.claims, "restore", broken)
    put(harness, "a.retry")
    put(harness, "b.retry")
    harness.until(lambda: harness.state("b") == "succeeded")
    for _ in range(4):
        harness.tick(1)
    assert len(harness.events_named("tick_failed")) == 1


def test_a_retry_waits_while_the_ledger_does_not_answer(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = failed(harness)
    file = put(harness, f"{job_id}.retry")

    def fail(_job_id: str) -> None:
        raise error("io_error", problem="x")

    monkeypatch.setattr(harness.daemon.ledger, "get", fail)
    harness.tick(1)
    assert file.exists()
    monkeypatch.undo()
    harness.until(lambda: harness.events_named("job_retried"))


def test_a_drop_whose_name_looks_like_an_id_is_tried_again_by_its_name(harness: DaemonHarness) -> None:
    failed(harness, "20261122-231500-lesson")
    put(harness, "20261122-231500-lesson.retry")
    harness.until(lambda: len(harness.events_named("job_finished")) == 2)


def test_jobs_of_other_inboxes_are_not_reached(harness: DaemonHarness) -> None:
    job_id = failed(harness)
    job = harness.job("lesson")
    harness.ledger.put(replace(job, inbox="/elsewhere"))
    for name in (job_id, "lesson"):
        put(harness, f"{name}.retry")
    harness.tick(1)
    assert len(harness.events_named("request_unknown")) == 2
    assert not harness.events_named("job_retried")


# -- what is about nothing, and too much of it ------------------------------------------------------------------------


def test_files_about_nothing_are_removed_after_a_while_because_a_drop_may_still_come(harness: DaemonHarness) -> None:
    files = [put(harness, name, "3") for name in ("early.priority", "nobody.cancel", "20260101-000000-nobody-abcdef.resume")]
    hold = put(harness, "nobody.hold")
    harness.tick()
    harness.tick(UNKNOWN_SECONDS - 1)
    assert all(file.exists() for file in files)
    harness.drop("early")
    harness.tick(0.5)
    harness.tick(UNKNOWN_SECONDS)
    harness.until(lambda: harness.events_named("job_finished", job="early"))
    assert harness.job("early").priority == 3
    assert not any(file.exists() for file in files)
    assert hold.exists()
    assert sorted(str(fields["verb"]) for fields in harness.events_named("request_unknown")) == ["cancel", "resume"]


def test_a_hold_file_by_the_id_of_a_job_that_is_over_is_only_left_behind(harness: DaemonHarness) -> None:
    pause(harness)
    kept, retried = queued(harness, "kept", "retried")
    for job_id in (kept, retried):
        put(harness, f"{job_id}.hold")
        put(harness, f"{job_id}.cancel")
    harness.until(lambda: len(harness.events_named("job_finished")) == 2)
    put(harness, f"{retried}.retry")
    harness.tick(1)
    harness.tick(1)
    assert not harness.job("retried").on_hold
    harness.tick(UNKNOWN_SECONDS)
    harness.tick(1)
    assert [name for name in os.listdir(harness.inbox) if name.endswith(".hold")] == []
    assert not harness.events_named("request_unknown")


def test_a_file_by_the_id_of_a_drop_waits_while_outputs_are_away(harness: DaemonHarness) -> None:
    harness.drop("lesson")
    harness.tick()
    file = put(harness, f"{harness.status('lesson').job}.priority", "8")
    away = harness.outputs.rename(harness.folder / "away")
    harness.crash()
    harness.tick()
    harness.tick(UNKNOWN_SECONDS * 2)
    assert file.exists()
    away.rename(harness.outputs)
    harness.until(lambda: harness.events_named("job_finished"))
    assert harness.job("lesson").priority == 8


def test_many_control_files_are_applied_some_with_each_scan(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_files, "CHANGES_PER_SCAN", 3)
    monkeypatch.setattr(control_files, "RETRIES_PER_SCAN", 3)
    pause(harness)
    names = [f"lesson-{number}" for number in range(7)]
    queued(harness, *names)
    ids = {name: harness.job(name).id for name in names}
    for name in names:
        put(harness, f"{name}.cancel")
    left: list[int] = []
    while not left or left[-1]:
        harness.tick(1)
        left.append(len(list(harness.inbox.glob("*.cancel"))))
    assert left == [4, 1, 0]
    harness.until(lambda: len(harness.events_named("job_finished", state="cancelled")) == 7)
    for name in names:
        put(harness, f"{name if name < 'lesson-3' else ids[name]}.retry")
    left = [7]
    while left[-1]:
        harness.tick(1)
        left.append(len(list(harness.inbox.glob("*.retry"))))
    assert left == [7, 4, 1, 0]
    assert len(harness.events_named("job_retried")) == 7
    assert not harness.events_named("request_unknown")


def test_a_folder_named_like_a_control_file_is_a_drop(harness: DaemonHarness) -> None:
    harness.drop("lesson")
    harness.drop("lesson.hold")
    harness.drop("cv.resume")
    harness.until(lambda: len(harness.events_named("job_finished")) == 3)
    assert {fields["state"] for fields in harness.events_named("job_finished")} == {"succeeded"}


def test_on_slow_storage_fewer_control_files_are_applied_after_a_scan(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    claims, clear = harness.daemon.inboxes.claims, harness.daemon.inboxes.claims.clear_control

    def clear_slowly(inbox: str, name: str, kind: str) -> None:
        harness.clock.monotonic += CONTROL_SECONDS / 3.5
        clear(inbox, name, kind)

    monkeypatch.setattr(claims, "clear_control", clear_slowly)
    for number in range(10):
        (harness.inbox / f"lesson-{number}.priority").write_text("none")
    for left in (6, 2, 0):
        harness.tick(20)
        assert len([*harness.inbox.glob("*.priority")]) == left


def test_without_time_one_change_is_made_after_each_scan_also_of_the_last_jobs(harness: DaemonHarness) -> None:
    pause(harness)
    queued(harness, "a", "b", "c", "d")
    for name in ("c.cancel", "d.hold", "a.hold"):
        put(harness, name)
    scan = harness.daemon.inboxes.scanner.scan(str(harness.inbox))
    assert scan is not None
    asked: list[int] = []
    for _ in range(4):
        harness.daemon.inboxes.controls.apply(scan, harness.now, has_time=lambda: False)
        asked.append(sum(job.on_hold for job in harness.daemon.store.jobs.values()) + len(harness.daemon.store._unfinished))
    assert asked == [1, 2, 3, 3]
    assert {job.name for job in harness.daemon.store.jobs.values() if job.on_hold} == {"a", "d"}


def test_why_a_retry_cannot_be_done_is_logged(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    failed(harness)
    file = put(harness, "lesson.retry")

    def refuse(_: Job) -> Path | None:
        raise error("io_error", problem="its folder cannot be read")

    monkeypatch.setattr(harness.daemon.requests.claims, "restore", refuse)
    harness.until(lambda: not file.exists())
    (logged,) = harness.events_named("job_waiting")
    assert (logged["error_code"], "cannot be read" in str(logged["reason"])) == ("io_error", True)


@pytest.mark.parametrize("is_offline", [False, True])
def test_a_retry_file_waits_while_outputs_does_not_answer(
    harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch, is_offline: bool
) -> None:
    failed(harness)
    file = put(harness, "lesson.retry")

    def refuse(_: Job) -> frozenset[str]:
        raise error("outputs_offline", path="outputs", problem="it has not answered yet")

    with monkeypatch.context() as slow:
        slow.setattr(harness.daemon.publisher, "answers", lambda: is_offline)
        slow.setattr(harness.daemon.publisher, "missing_results", refuse)
        for _ in range(3):
            harness.tick(1)
        assert file.exists()
        assert not harness.events_named("request_unknown")
    harness.until(lambda: harness.events_named("job_retried"))
    assert not file.exists()
