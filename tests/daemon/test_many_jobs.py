"""Thousands of jobs that change at once take many ticks, each of them short."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from heygem_daemon.core.clock import ClockReading
from heygem_daemon.core.errors import error
from heygem_daemon.core.job import Failure, Job, State
from heygem_daemon.core.scan import InboxScan, ScannedDrop
from heygem_daemon.core.status import JobStatus
from heygem_daemon.daemon import candidates
from heygem_daemon.daemon.candidate import Candidate
from heygem_daemon.daemon.dispatcher import STARTS_PER_TICK, Attempt
from heygem_daemon.daemon.inboxes import CLAIM_SECONDS, RECOVER_SECONDS
from heygem_daemon.daemon.job_store import FINALIZED_AT_ONCE
from heygem_daemon.daemon.main_loop import FINALIZE_SECONDS, REQUEST_SECONDS
from heygem_daemon.daemon.requests import CHANGES_PER_TICK, REQUESTS_PER_TICK
from heygem_daemon.daemon.status_reporter import WRITE_SECONDS
from tests.core.making import item, job
from tests.daemon.harness import DaemonHarness


def queued(harness: DaemonHarness, count: int, name: str = "lesson") -> list[Job]:
    """Jobs in the queue of a paused inbox."""
    (harness.inbox / "PAUSE").touch()
    harness.tick()
    jobs = [
        job(item("a"), id=f"20261130-120000-{name}-{number}", name=name, inbox=str(harness.inbox), output=f"{name}-{number}", queued_at=1.0)
        for number in range(count)
    ]
    jobs = [replace(each, claimed=str(harness.inbox / ".heygem/claimed" / each.id)) for each in jobs]
    harness.daemon.store.save(*jobs)
    return jobs


def test_a_request_about_a_thousand_jobs_is_done_in_parts(harness: DaemonHarness) -> None:
    queued(harness, 250)
    harness.ledger.request("hold", "lesson")
    for held in (CHANGES_PER_TICK, 2 * CHANGES_PER_TICK, 250, 250):
        harness.tick()
        assert sum(each.on_hold for each in harness.daemon.store.jobs.values()) == held
    assert len(harness.events_named("request_taken", verb="hold")) == 1
    assert not harness.ledger.requests(9)


def test_what_a_request_changes_is_written_in_one_go(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    queued(harness, 50)
    harness.ledger.request("cancel", "lesson")
    written: list[int] = []
    put = harness.ledger.put

    def noted(*jobs: Job) -> None:
        written.append(len(jobs))
        put(*jobs)

    monkeypatch.setattr(harness.ledger, "put", noted)
    harness.daemon.requests.apply_requests(harness.now)
    assert written == [50]
    assert not harness.daemon.store.jobs


def test_a_crash_in_the_midst_of_a_request_does_the_rest_after_it(harness: DaemonHarness) -> None:
    queued(harness, 150)
    harness.ledger.request("hold", "lesson")
    harness.tick()
    harness.crash()
    harness.tick()
    assert all(each.on_hold for each in harness.daemon.store.jobs.values())


def test_a_thousand_requests_take_many_ticks(harness: DaemonHarness) -> None:
    for number in range(50):
        harness.ledger.request("retry", f"unknown-{number}")
    harness.tick()
    assert len(harness.events_named("request_unknown")) == REQUESTS_PER_TICK
    harness.tick()
    harness.tick()
    assert [event["target"] for event in harness.events_named("request_unknown")] == [f"unknown-{number}" for number in range(50)]


def test_a_request_that_fails_is_not_tried_for_ever(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    queued(harness, 1)
    harness.tolerant = True

    def fail(*_: object) -> None:
        raise ValueError("nobody thought of that")

    monkeypatch.setattr(harness.daemon.dispatcher, "cancel", fail)
    harness.ledger.request("cancel", "lesson")
    harness.tick()
    harness.tick(2)
    assert len(harness.events_named("tick_failed", part="requests")) == 1


def test_a_hold_of_what_is_held_already_is_taken(harness: DaemonHarness) -> None:
    queued(harness, 1)
    for _ in range(2):
        harness.ledger.request("hold", "lesson")
        harness.tick()
    assert len(harness.events_named("request_taken", verb="hold")) == 2


# -- the inputs of those that are over --------------------------------------------------------------------------------


def over(harness: DaemonHarness, count: int) -> None:
    for each in queued(harness, count, name="done"):
        drop = Path(each.claimed) / each.name
        drop.mkdir(parents=True)
        (drop / "speech.wav").touch()
        harness.daemon.store.save(replace(each, state=State.CANCELLED, finished_at=harness.now.wall))


def test_the_inputs_of_many_jobs_are_archived_some_at_a_time(harness: DaemonHarness) -> None:
    over(harness, 50)
    for archived in (20, 40, 50):
        harness.tick()
        assert len(os.listdir(harness.inbox / "_failed")) == archived
    assert FINALIZED_AT_ONCE == 20


def test_on_slow_storage_fewer_inputs_are_archived_at_a_time(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    over(harness, 10)
    finish = harness.daemon.store.claims.finish

    def finish_slowly(each: Job, to: str, reason: str | None) -> Path | None:
        harness.clock.monotonic += FINALIZE_SECONDS / 1.5
        return finish(each, to, reason)

    monkeypatch.setattr(harness.daemon.store.claims, "finish", finish_slowly)
    for archived in (2, 4, 6):
        harness.tick()
        assert len(os.listdir(harness.inbox / "_failed")) == archived


def test_jobs_that_cannot_be_archived_do_not_keep_others_from_it(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    over(harness, 50)
    finish = harness.daemon.store.claims.finish
    stuck = {f"20261130-120000-done-{number}" for number in range(30)}

    def finish_some(each: Job, to: str, reason: str | None) -> Path | None:
        if each.id in stuck:
            raise error("io_error", problem="as ordered")
        return finish(each, to, reason)

    monkeypatch.setattr(harness.daemon.store.claims, "finish", finish_some)
    for _ in range(4):
        harness.tick()
    assert len(os.listdir(harness.inbox / "_failed")) == 20
    assert len(harness.events_named("job_waiting")) == 30


# -- drops ------------------------------------------------------------------------------------------------------------


def look_slowly(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the new drops of a scan there is time for ten, and twenty are many."""
    register = harness.daemon.candidates._register

    def register_slowly(scanned: ScannedDrop, now: ClockReading) -> Candidate:
        harness.clock.monotonic += CLAIM_SECONDS / 9.5
        return register(scanned, now)

    monkeypatch.setattr(harness.daemon.candidates, "_register", register_slowly)
    monkeypatch.setattr(candidates, "MANY_DROPS", 20)
    monkeypatch.setattr(candidates, "FIRST_OF_MANY", 6)


def test_a_drop_does_not_wait_until_thousands_of_empty_folders_were_looked_at(
    harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_slowly(harness, monkeypatch)
    for number in range(60):
        (harness.inbox / f"empty-{number}").mkdir()
    harness.drop("zz-lesson")
    harness.tick()
    seen = [fields["job"] for fields in harness.events_named("drop_seen")]
    assert seen[0] == "zz-lesson"
    assert len(seen) == 10
    for _ in range(6):
        harness.tick()
    assert len(harness.events_named("drop_seen")) == 61, "and each of them has its turn"


def test_a_drop_does_not_wait_until_thousands_of_another_owner_were_looked_at(
    harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_slowly(harness, monkeypatch)
    scan = harness.daemon.inboxes.scanner.scan
    for number in range(60):
        (harness.inbox / f"flood-{number}").mkdir()
        (harness.inbox / f"flood-{number}" / "speech.wav").touch()
    harness.drop("zz-lesson")

    def scan_of_two(inbox: str) -> InboxScan | None:
        found = scan(inbox)
        drops = (replace(each, uid=1001 if each.name == "zz-lesson" else 1002) for each in (found.drops if found else ()))
        return replace(found, drops=tuple(drops)) if found else None

    monkeypatch.setattr(harness.daemon.inboxes.scanner, "scan", scan_of_two)
    harness.tick()
    seen = [fields["job"] for fields in harness.events_named("drop_seen")]
    assert "zz-lesson" in seen[:2]
    assert len(seen) == 10


def test_drops_whose_status_can_never_be_written_are_logged_once(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    write_job = harness.daemon.candidates._status_writer.write_job

    def write_some(status: JobStatus) -> None:
        if status.name.startswith("blocked"):
            raise error("outputs_offline", path="outputs", problem="as ordered")
        write_job(status)

    monkeypatch.setattr(harness.daemon.candidates._status_writer, "write_job", write_some)
    for name in ("blocked-1", "blocked-2", "grows"):
        (harness.inbox / name).mkdir()
    for number in range(10):
        (harness.inbox / "grows" / f"{number}.mp4").write_bytes(b"x" * 1000)
        harness.tick(2)
    assert 1 <= len(harness.events_named("status_unwritable")) <= 2


# -- what many jobs cost a tick ---------------------------------------------------------------------------------------


def written(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the number of jobs of each transaction from now on."""
    counts: list[int] = []
    put = harness.ledger.put

    def noted(*jobs: Job) -> None:
        counts.append(len(jobs))
        put(*jobs)

    monkeypatch.setattr(harness.ledger, "put", noted)
    return counts


def test_of_many_items_that_cannot_start_some_are_tried_in_a_tick_and_the_next_tick_comes_at_once(harness: DaemonHarness) -> None:
    queued(harness, 50)
    (harness.inbox / "PAUSE").unlink()
    for waiting, is_next_at_once in ((20, True), (40, True), (50, False)):
        wait = harness.tick(1)
        assert sum(each.state is State.WAITING for each in harness.daemon.store.jobs.values()) == waiting
        assert (wait == 0.0) is is_next_at_once
    assert STARTS_PER_TICK == 20


def test_what_waited_for_an_inbox_is_written_in_one_go_when_that_is_back(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    offline = Failure.of(error("share_offline", path="x"))
    waiting = item("a", State.WAITING, failure=offline, not_before=harness.now.wall + 900)
    harness.daemon.store.save(*(replace(each, items=(waiting,), state=State.WAITING) for each in queued(harness, 50)))
    counts = written(harness, monkeypatch)
    harness.daemon.dispatcher.inbox_returned("another", harness.now)
    assert not counts
    harness.daemon.dispatcher.inbox_returned(str(harness.inbox), harness.now)
    assert counts == [50]
    assert {each.items[0].not_before for each in harness.daemon.store.jobs.values()} == {harness.now.wall}


def test_on_slow_storage_one_request_is_done_in_a_tick_at_least(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abcd":
        queued(harness, 1, name=name)
    for name in "abcd":
        harness.ledger.request("hold", name)
    hold = harness.daemon.dispatcher.hold

    def hold_slowly(each: Job, reason: str, now: ClockReading) -> None:
        harness.clock.monotonic += REQUEST_SECONDS * 0.7
        hold(each, reason, now)

    monkeypatch.setattr(harness.daemon.dispatcher, "hold", hold_slowly)
    harness.tick()
    assert [target for _, target in harness.ledger.requests(9)] == ["c", "d"]
    harness.daemon.requests.apply_requests(harness.now, has_time=lambda: False)
    assert [target for _, target in harness.ledger.requests(9)] == ["d"]


def test_a_retry_by_request_waits_while_outputs_is_slow_to_answer(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    over(harness, 1)
    harness.tick()
    (ended,) = harness.ledger.find("done")
    harness.ledger.put(replace(ended, items=(item("a", State.CANCELLED),)))
    harness.ledger.request("retry", "done")
    with monkeypatch.context() as slow:
        slow.setattr(harness.daemon.publisher, "answers", lambda: False)
        slow.setattr(harness.daemon.publisher, "missing_results", unanswered)
        harness.tick()
    assert harness.ledger.requests(9) == [("retry", "done")]
    assert not harness.events_named("request_unknown")
    harness.tick()
    assert harness.events_named("job_retried")
    assert not harness.ledger.requests(9)


def unanswered(_: Job) -> frozenset[str]:
    raise error("outputs_offline", path="outputs", problem="it has not answered yet")


def test_many_jobs_that_wait_for_their_zip_are_asked_for_some_at_a_time_and_hold_up_no_other(
    harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.daemon.store.zips = True
    for each in queued(harness, 30, name="zipped"):
        harness.daemon.store.save(replace(each, items=(item("a", State.SUCCEEDED),), state=State.SUCCEEDED, finished_at=1.0))
    over(harness, 5)
    asked: list[str] = []

    def build_zip(each: Job) -> bool:
        asked.append(each.id)
        return False

    monkeypatch.setattr(harness.daemon.store.publisher, "build_zip", build_zip)
    for count, archived in ((20, 0), (35, 5), (55, 5)):
        harness.tick()
        assert len(asked) == count
        assert len(list(harness.inbox.glob("_failed/*"))) == archived
    assert len(set(asked)) == 30


def test_the_claims_of_many_jobs_that_are_over_are_recovered_without_a_write_and_some_at_a_time(
    harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.drop("other")
    over(harness, 6)
    harness.crash()
    counts, get = written(harness, monkeypatch), harness.ledger.get

    def get_slowly(job_id: str) -> Job | None:
        harness.clock.monotonic += RECOVER_SECONDS * 0.6
        return get(job_id)

    with monkeypatch.context() as slow:
        slow.setattr(harness.ledger, "get", get_slowly)
        for unfinished in (2, 4):
            harness.tick(1)
            assert len(harness.daemon.store._unfinished) == unfinished
            assert not harness.daemon.inboxes.scans, "what is claimed must be known before a drop is taken"
    assert not counts
    harness.until(lambda: len(harness.events_named("job_finished", state="cancelled")) == 6)
    harness.until(lambda: harness.events_named("drop_seen", job="other"))


# -- the files of many jobs in outputs --------------------------------------------------------------------------------


def looked_at(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch, seconds: float) -> list[str]:
    """Have a look at the results of a job take so long, and return a list that gets the names of those that were looked at."""
    names: list[str] = []

    def look(each: Job) -> frozenset[str]:
        harness.clock.monotonic += seconds
        names.append(each.output)
        return frozenset()

    monkeypatch.setattr(harness.daemon.publisher, "missing_results", look)
    return names


def work_on(harness: DaemonHarness, *jobs: Job) -> None:
    for each in jobs:
        attempt = Attempt(job_id=each.id, key="a", started=harness.now, last_progress=harness.now.monotonic)
        harness.daemon.dispatcher.attempts[each.id] = attempt


def test_on_slow_outputs_the_files_of_few_jobs_are_looked_at_and_the_others_have_their_turn(
    harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = queued(harness, 7)
    harness.tick(1)
    names = looked_at(harness, monkeypatch, WRITE_SECONDS * 0.7)
    for count in (2, 4, 6, 7):
        harness.daemon.reporter._look_at_files()
        assert len(names) == count
    assert sorted(names) == [each.output for each in jobs]


@pytest.mark.parametrize("seconds", [0.0, WRITE_SECONDS * 0.7, WRITE_SECONDS * 2])
def test_the_files_of_jobs_that_are_worked_on_are_looked_at_each_time_and_of_one_other_at_least(
    harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    jobs = queued(harness, 6)
    harness.tick(1)
    work_on(harness, jobs[-1])  # the last in the row
    names = looked_at(harness, monkeypatch, seconds)
    for _ in range(12):
        before = len(names)
        harness.daemon.reporter._look_at_files()
        assert names[before] == jobs[-1].output
        assert names[before:].count(jobs[-1].output) == 1
    harness.daemon.dispatcher.attempts.clear()
    assert all(names.count(each.output) >= 2 for each in jobs)


def test_the_files_of_many_jobs_that_are_worked_on_at_once_are_looked_at_in_a_limited_time(
    harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = queued(harness, 10)
    harness.tick(1)
    work_on(harness, *jobs)
    names = looked_at(harness, monkeypatch, WRITE_SECONDS * 0.7)
    harness.daemon.reporter._look_at_files()
    harness.daemon.dispatcher.attempts.clear()
    assert len(names) == 2
