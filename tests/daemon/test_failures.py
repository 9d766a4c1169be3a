"""What the daemon does when something beside it goes wrong: shares, ledger, outputs, clocks, workers, and itself."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.core.job import Job, State
from heygem_daemon.core.scan import InboxScan
from heygem_daemon.core.work import WorkerState, WorkerView
from heygem_daemon.daemon.inboxes import REST_AFTER_SCAN
from heygem_daemon.intake.claims import FolderClaims
from tests.daemon.harness import SETTLE, DaemonHarness


@pytest.fixture
def until_idle(tmp_path: Path, film: Path, speech: Path) -> Iterator[DaemonHarness]:
    """A harness with --until-idle."""
    made = DaemonHarness(folder=tmp_path, film=film, speech=speech, until_idle=True)
    yield made
    made.close()


class Failing:
    """Stands before a method and raises instead of it, `times` times."""

    def __init__(self, real: Callable[..., Any], problem: BaseException, times: int = 1) -> None:
        self.real, self.problem, self.times = real, problem, times
        self.calls = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        if self.calls <= self.times:
            raise self.problem
        return self.real(*args, **kwargs)


def fail(monkeypatch: pytest.MonkeyPatch, owner: object, method: str, problem: BaseException, times: int = 1) -> Failing:
    failing = Failing(getattr(owner, method), problem, times)
    monkeypatch.setattr(owner, method, failing)
    return failing


def io_problem() -> HeygemError:
    return error("io_error", problem="it is gone")


# -- the way in -------------------------------------------------------------------------------------------------------


def test_a_share_that_fails_right_after_the_claim_loses_no_drop(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, harness.daemon.inboxes.claims, "listing", io_problem())
    assert harness.finish("lesson").state == "succeeded"
    assert harness.events_named("drop_restored")


def test_claims_that_the_share_cannot_make_durable_are_put_back_all_of_them(
    harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["one", "three", "two"]
    for name in names:
        harness.drop(name)
    failing = fail(monkeypatch, harness.daemon.inboxes.claims, "persist", io_problem())
    harness.until(lambda: failing.calls > 0)
    assert len(harness.events_named("drop_restored")) == 3
    assert not harness.events_named("job_queued")
    assert sorted(path.name for path in harness.inbox.iterdir() if not path.name.startswith(".")) == names
    harness.until(lambda: len(harness.events_named("job_finished")) == 3)
    assert sorted(path.name for path in (harness.inbox / "_done").iterdir()) == names


def test_a_share_that_goes_and_comes_back_after_the_claim_loses_no_drop(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    harness.tolerant = True
    fail(monkeypatch, harness.daemon.inboxes.claims, "listing", io_problem())
    fail(monkeypatch, harness.daemon.inboxes.claims, "unclaim", io_problem())
    assert harness.finish("lesson").state == "succeeded"


def test_a_mistake_right_after_the_claim_loses_no_drop(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    harness.tolerant = True
    fail(monkeypatch, harness.daemon.inboxes.claims, "job_toml", ZeroDivisionError())
    assert harness.finish("lesson").state == "succeeded"


def test_the_status_of_a_drop_that_cannot_be_claimed_gives_the_reason(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = fail(monkeypatch, harness.daemon.inboxes.claims, "claim", io_problem(), times=10**6)
    harness.drop("lesson")
    harness.until(lambda: failing.calls > 3)
    assert "it is gone" in harness.status("lesson").reason
    assert len(harness.events_named("drop_incomplete")) == 1


def test_a_cancelled_drop_stays_cancelled_when_the_daemon_dies_in_between(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    harness.drop("lesson")
    (harness.inbox / "lesson.cancel").touch()
    fail(monkeypatch, harness.ledger, "put", SystemExit())
    with pytest.raises(SystemExit):
        harness.tick()
    harness.crash()
    harness.until(lambda: harness.events_named("job_finished"))
    harness.tick()
    assert harness.job("lesson").state is State.CANCELLED
    assert not (harness.inbox / "lesson.cancel").exists()


def test_a_hostile_number_in_job_toml_is_refused(harness: DaemonHarness) -> None:
    status = harness.finish("lesson", "priority = " + "9" * 5000)
    assert status.error is not None
    assert (status.state, status.error.code) == ("rejected", "bad_job_toml")


def test_a_drop_that_is_too_deep_is_refused(harness: DaemonHarness) -> None:
    folder = harness.drop("lesson")
    bytes_name = bytes(folder) + b"/\xff" + b"/d" * 10
    Path(bytes_name.decode(errors="surrogateescape")).mkdir(parents=True)
    harness.tick()
    harness.tick(SETTLE + 1)
    refused = harness.status("lesson")
    assert refused.error is not None
    assert (refused.state, refused.error.code) == ("rejected", "too_deep")
    assert "more than 8 deep" in refused.error.message


def test_the_status_of_a_waiting_drop_drops_a_problem_that_is_over(harness: DaemonHarness) -> None:
    folder = harness.drop("lesson")
    speech = (folder / "speech.wav").rename(harness.folder / "speech.wav")
    harness.tick()
    harness.tick(SETTLE + 1)
    before = harness.status("lesson")
    assert before.error is not None
    speech.rename(folder / "speech.wav")
    harness.tick(2)
    after = harness.status("lesson")
    assert (after.state, after.error, after.since) == ("settling", None, before.since)


def test_a_drop_that_stays_open_for_writing_is_scanned_at_the_usual_interval(harness: DaemonHarness) -> None:
    folder = harness.drop("lesson")
    with (folder / "speech.wav").open("ab"):
        harness.tick()
        harness.tick(1)
        harness.tick(SETTLE + 1)
        assert harness.daemon.inboxes._scan_at[str(harness.inbox)] - harness.clock.monotonic == harness.daemon.config.intervals.scan


def test_a_flat_drop_whose_recording_is_a_video_is_named_after_it(harness: DaemonHarness) -> None:
    (harness.inbox / "videos").mkdir()
    shutil.copyfile(harness.film, harness.inbox / "videos" / "a.mp4")
    shutil.copyfile(harness.film, harness.inbox / "talk.mp4")
    harness.tick()
    assert harness.state("talk") == "settling"


def test_after_a_scan_that_took_long_the_daemon_rests_whatever_changes(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox, inboxes = str(harness.inbox), harness.daemon.inboxes
    harness.tick()
    scan = inboxes.scanner.scan

    def scan_slowly(path: str) -> InboxScan | None:
        harness.clock.monotonic += 0.2
        return scan(path)

    monkeypatch.setattr(inboxes.scanner, "scan", scan_slowly)
    monkeypatch.setattr(inboxes.change_notifier, "changed", lambda: True)
    inboxes.scan(inbox, harness.now)
    harness.clock.monotonic += REST_AFTER_SCAN * 0.2 - 0.01
    assert inboxes.due(harness.now) == []
    harness.clock.monotonic += 0.02
    assert inboxes.due(harness.now) == [inbox]


# -- until idle -------------------------------------------------------------------------------------------------------


def test_an_item_that_runs_is_waited_for_whatever_is_paused(until_idle: DaemonHarness) -> None:
    until_idle.drop("lesson")
    until_idle.until(lambda: until_idle.daemon.dispatcher.attempts)
    (until_idle.inbox / "PAUSE").touch()
    until_idle.daemon.inboxes.scan(str(until_idle.inbox), until_idle.now)
    assert not until_idle.daemon.is_idle


def test_a_share_that_went_away_is_not_waited_for_and_is_no_success(until_idle: DaemonHarness) -> None:
    until_idle.drop("lesson")
    until_idle.tick()
    was_idle = until_idle.daemon.is_idle
    until_idle.inbox.rename(until_idle.folder / "away")
    until_idle.tick(1)
    assert (was_idle, until_idle.daemon.is_idle) == (False, True)
    assert not until_idle.daemon.has_succeeded


def test_claims_left_by_a_crash_are_done_before_the_end(until_idle: DaemonHarness) -> None:
    claimed = until_idle.inbox / ".heygem" / "claimed" / "20260101-000000-lesson-abcd"
    claimed.mkdir(parents=True)
    until_idle.drop("lesson").rename(claimed / "lesson")
    until_idle.tick()
    assert until_idle.events_named("drop_restored")
    assert not until_idle.daemon.is_idle
    until_idle.until(lambda: until_idle.daemon.is_idle)
    assert until_idle.daemon.has_succeeded


def test_drops_that_could_not_be_claimed_are_no_success(until_idle: DaemonHarness) -> None:
    until_idle.outputs.rename(until_idle.folder / "away")
    until_idle.drop("lesson")
    until_idle.tick()
    until_idle.tick(SETTLE + 1)
    assert until_idle.daemon.is_idle
    assert not until_idle.daemon.has_succeeded


def test_a_drop_that_cannot_be_claimed_ends_the_wait_without_success(until_idle: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, until_idle.daemon.inboxes.claims, "claim", io_problem(), times=10**6)
    until_idle.drop("lesson")
    until_idle.until(lambda: until_idle.daemon.is_idle)
    assert until_idle.events_named("drop_incomplete")
    assert not until_idle.daemon.has_succeeded


def test_inputs_that_cannot_be_archived_end_the_wait_without_success(until_idle: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, until_idle.daemon.inboxes.claims, "finish", io_problem(), times=10**6)
    until_idle.drop("lesson")
    until_idle.until(lambda: until_idle.daemon.is_idle)
    assert until_idle.job("lesson").state is State.SUCCEEDED
    assert not until_idle.daemon.has_succeeded
    monkeypatch.undo()
    until_idle.crash()
    until_idle.tick()
    assert (until_idle.inbox / "_done" / "lesson").exists()


def no_worker(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = WorkerView(worker="cuda:0", device="cuda:0", state=WorkerState.BACKOFF, problem="exit status 1")
    monkeypatch.setattr(harness.daemon.executor, "free", lambda: 0)
    monkeypatch.setattr(harness.daemon.executor, "workers", lambda: [dead])


def test_jobs_without_a_worker_are_given_up_with_until_idle(until_idle: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    no_worker(until_idle, monkeypatch)
    until_idle.drop("lesson", videos=("a.mp4", "b.mp4"))
    until_idle.until(lambda: until_idle.daemon.is_idle)
    assert [item.failure and item.failure.code for item in until_idle.job("lesson").items] == ["device_unavailable"] * 2


def test_the_status_of_a_queue_without_workers_gives_the_reason(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    no_worker(harness, monkeypatch)
    harness.drop("lesson")
    harness.until(lambda: harness.events_named("job_queued"))
    harness.tick(6)
    status = harness.status("lesson")
    assert status.state == "waiting"
    assert "exit status 1" in (status.waiting_for or "")


# -- the ledger -------------------------------------------------------------------------------------------------------


def test_a_ledger_that_fails_while_a_drop_becomes_a_job_is_written_later(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, harness.ledger, "put", io_problem(), times=3)
    assert harness.finish("lesson").state == "succeeded"
    assert len(harness.events_named("ledger_unwritable")) == 1
    assert len(harness.events_named("drop_claimed")) == 1


def test_a_ledger_that_fails_when_a_result_is_published_is_written_later(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    harness.drop("lesson")
    harness.until(lambda: harness.events_named("item_rendered"))
    fail(monkeypatch, harness.ledger, "put", io_problem(), times=2)
    harness.until(lambda: harness.events_named("job_finished"))
    assert harness.job("lesson").state is State.SUCCEEDED
    assert len(harness.session.orders) == 1


def test_nothing_starts_that_is_not_in_the_ledger(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    (harness.inbox / "PAUSE").touch()
    harness.drop("lesson")
    harness.until(lambda: harness.events_named("job_queued"))
    failing = fail(monkeypatch, harness.ledger, "put", io_problem(), times=10**6)
    (harness.inbox / "PAUSE").unlink()
    for _ in range(5):
        harness.tick(60)
    assert failing.calls
    assert not harness.session.orders
    failing.times = 0
    harness.until(lambda: harness.events_named("job_finished"), step=60)
    assert harness.job("lesson").items[0].attempt == 1


# -- outputs ----------------------------------------------------------------------------------------------------------


def test_one_folder_that_cannot_be_written_does_not_keep_the_others_from_being_written(harness: DaemonHarness) -> None:
    (harness.inbox / "PAUSE").touch()
    for name in ("broken", "lesson"):
        harness.drop(name)
    harness.until(lambda: len(harness.events_named("job_queued")) == 2)
    harness.tick(6)
    shutil.rmtree(harness.outputs / "broken")
    (harness.outputs / "broken").write_text("somebody's file", encoding="utf-8")
    (harness.inbox / "PAUSE").unlink()
    harness.until(lambda: harness.state("lesson") == "succeeded")
    before = harness.daemon_status().heartbeat
    harness.tick(6)
    assert harness.daemon_status().heartbeat > before
    assert (harness.outputs / "broken").is_file()


def test_the_status_of_every_job_is_written_at_the_end(harness: DaemonHarness) -> None:
    drop = Job(id="x", name="x", inbox=str(harness.inbox), claimed=str(harness.inbox / "x"), output="x", state=State.CANCELLED)
    for number in range(120):
        harness.daemon.store.mark_changed(replace(drop, id=f"job-{number}", output=f"job-{number}"))
    harness.daemon.reporter.finish(harness.now)
    assert len(list(harness.outputs.glob("*/status.json"))) == 120


def test_after_a_crash_right_after_the_last_result_the_end_is_reported(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    harness.drop("lesson")
    harness.until(lambda: harness.events_named("item_rendered"))
    write = harness.daemon.reporter.write

    def die(*args: Any) -> None:
        if harness.job("lesson").is_final:
            raise SystemExit
        write(*args)

    monkeypatch.setattr(harness.daemon.reporter, "write", die)
    with pytest.raises(SystemExit):
        harness.until(lambda: False)
    assert harness.state("lesson") == "running"
    harness.crash()
    harness.until(lambda: harness.events_named("job_finished"))
    harness.tick()
    assert harness.state("lesson") == "succeeded"
    assert not harness.session.orders


def test_a_zip_is_written_once_however_long_the_inputs_cannot_be_moved(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    finishing = fail(monkeypatch, harness.daemon.inboxes.claims, "finish", io_problem(), times=3)
    zipping = fail(monkeypatch, harness.publisher, "_build_zip", io_problem(), times=0)
    status = harness.finish("lesson", "zip = true\n")
    assert (finishing.calls, zipping.calls, status.links) == (4, 1, {"zip": "lesson.zip"})
    assert len(harness.events_named("job_waiting")) == 1


def test_the_rest_of_a_flat_drop_whose_claim_was_cut_off_by_a_crash_is_no_drop_of_its_own(harness: DaemonHarness) -> None:
    folder = harness.drop("lesson")
    for name in ("speech.wav", "videos"):
        shutil.move(folder / name, harness.inbox / name)
    folder.rmdir()
    harness.tick()
    job_id = harness.status("speech").job
    claimed = harness.inbox / ".heygem/claimed" / job_id
    (claimed / "flat").mkdir(parents=True)
    (claimed / ".flat").touch()
    shutil.move(harness.inbox / "speech.wav", claimed / "flat/speech.wav")
    harness.crash()
    harness.until(lambda: harness.state("speech") == "succeeded")
    assert harness.status("speech").job == job_id
    assert [event["job"] for event in harness.events_named("drop_seen")] == ["speech"] * 2
    assert not (harness.outputs / "inbox").exists()


def test_the_status_names_the_zip_before_the_inputs_are_archived(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a crash in between nobody would look after the job any more."""
    finish = FolderClaims.finish
    named: list[dict[str, str]] = []

    def look(claims: FolderClaims, job: Job, to: str, reason: str | None) -> Path | None:
        named.append(harness.status("lesson").links)
        return finish(claims, job, to, reason)

    monkeypatch.setattr(FolderClaims, "finish", look)
    harness.finish("lesson", "zip = true\n")
    assert named == [{"zip": "lesson.zip"}]


def test_a_zip_in_progress_does_not_hold_up_the_end_of_the_daemon(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    began, interrupted = threading.Event(), list[bool]()

    def write_zip(_target: Path, _folder: Path, _names: object, stop: threading.Event) -> None:
        began.set()
        interrupted.append(stop.wait(2.0))

    monkeypatch.setattr("heygem_daemon.publishing.publish._write_zip", write_zip)
    harness.drop("lesson", "zip = true\n")
    harness.until(began.is_set)
    ended = harness.publisher._zip_pool.submit(lambda: None)
    harness.daemon.close()
    ended.result(30)
    assert interrupted == [True]


# -- requests ---------------------------------------------------------------------------------------------------------


def test_a_retry_before_the_inputs_were_archived_keeps_them(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    harness.session.spoilt = {"a"}
    failing = fail(monkeypatch, harness.daemon.inboxes.claims, "finish", io_problem(), times=10**6)
    harness.drop("lesson")
    harness.until(lambda: failing.calls)
    failing.times = 0
    harness.session.spoilt = set()
    harness.ledger.request("retry", "lesson")
    harness.until(lambda: harness.events_named("job_finished"))
    assert harness.job("lesson").state is State.SUCCEEDED
    assert (harness.inbox / "_done" / "lesson").exists()


def test_a_retry_of_inputs_that_were_deleted_changes_nothing(harness: DaemonHarness) -> None:
    harness.finish("lesson", 'text = "fail no_face"\n')
    shutil.rmtree(harness.inbox / "_failed" / "lesson")
    harness.ledger.request("retry", "lesson")
    harness.tick(1)
    assert harness.events_named("request_unknown")
    assert harness.job("lesson").state is State.FAILED


def test_a_request_that_the_share_refuses_does_not_stop_the_next_one(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    harness.finish("first", 'engine = "magic"\n')
    harness.finish("second", 'text = "fail no_face"\n')
    fail(monkeypatch, harness.daemon.inboxes.claims, "unclaim", io_problem())
    harness.ledger.request("retry", "first")
    harness.ledger.request("retry", "second")
    harness.tick(1)
    assert harness.events_named("request_taken", target="second")


def test_a_job_with_an_odd_name_is_cancelled_by_its_file(harness: DaemonHarness) -> None:
    (harness.inbox / "PAUSE").touch()
    harness.drop("odd\u200bname")
    harness.until(lambda: harness.events_named("job_queued"))
    (harness.inbox / "odd\u200bname.cancel").touch()
    harness.until(lambda: harness.events_named("job_finished", state=State.CANCELLED))
    assert not (harness.inbox / "odd\u200bname.cancel").exists()


# -- clocks and mistakes ----------------------------------------------------------------------------------------------


def test_a_clock_that_is_set_back_makes_nobody_wait_for_the_old_time(harness: DaemonHarness) -> None:
    harness.drop("lesson", 'text = "fail io_error"\n')
    harness.until(lambda: harness.events_named("item_retrying"))
    harness.clock.wall -= 10**7
    harness.tick(1)
    harness.tick(601)
    assert len(harness.session.orders) == 2


def test_a_clock_that_was_set_back_while_the_daemon_was_away_makes_nobody_wait(harness: DaemonHarness) -> None:
    harness.drop("lesson", 'text = "fail io_error"\n')
    harness.until(lambda: harness.events_named("item_retrying"))
    harness.clock.wall -= 10**7
    harness.crash()
    harness.tick(1)
    harness.tick(601)
    assert len(harness.session.orders) == 1


def test_an_error_in_one_step_does_not_keep_reports_from_being_read(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    harness.drop("lesson")
    harness.until(lambda: harness.daemon.dispatcher.attempts)
    harness.tolerant = True
    fail(monkeypatch, harness.daemon.inboxes.scanner, "scan", ZeroDivisionError(), times=10**6)
    harness.until(lambda: harness.events_named("job_finished"))
    assert harness.events_named("tick_failed")


def test_a_mistake_of_the_program_is_logged_as_an_error_with_its_place(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken_rename(*_: object) -> None:
        raise KeyError("a mistake")

    monkeypatch.setattr(harness.publisher, "_rename", broken_rename)
    harness.drop("lesson")
    harness.until(lambda: harness.events_named("item_retrying"))
    line = harness.events_named("item_retrying")[0]
    assert (line["level"], line["error_code"], "in broken_rename" in str(line["exception"])) == ("error", "internal", True)
    harness.tick(2)
    kept = [json.loads(each) for each in (harness.outputs / "lesson/.heygem-log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert any("in broken_rename" in each.get("traceback", "") for each in kept)
