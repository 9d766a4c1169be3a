"""What status files say is true after a start too: with a lost ledger, after drops were taken away, after results were deleted."""

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from heygem_daemon.core import policy
from heygem_daemon.core.errors import error
from heygem_daemon.core.found_status import FoundStatus
from heygem_daemon.core.job import FINAL, Failure, Job, State
from heygem_daemon.core.names import MARKER
from heygem_daemon.core.status import ItemStatus, JobStatus, TimesStatus, moment
from heygem_daemon.daemon import former_jobs
from heygem_daemon.daemon.adoption import Adoption, _unpublished
from heygem_daemon.daemon.candidate import CandidateRules
from heygem_daemon.daemon.recovery import recover_claims
from heygem_daemon.intake.inbox_record import InboxRecord
from heygem_daemon.publishing.publish import FolderPublisher
from heygem_daemon.publishing.status_files import StatusFiles
from heygem_daemon.service.clock import SystemClock
from tests.core.making import item
from tests.daemon.doubles import FILM
from tests.daemon.harness import SETTLE, DaemonHarness


def lose_ledger(harness: DaemonHarness) -> None:
    """Stop without an orderly end, and delete the ledger."""
    harness.close()
    for path in (harness.folder / "state").glob("ledger.sqlite3*"):
        path.unlink()


def surveyed(harness: DaemonHarness) -> bool:
    former = harness.daemon.inboxes.former
    return not former.is_active and bool(harness.daemon.inboxes.scanned_at)


def write_status(harness: DaemonHarness, status: JobStatus, folder: str | None = None) -> Path:
    path = harness.outputs / (folder or status.output)
    path.mkdir(exist_ok=True)
    (path / "status.json").write_text(status.to_json(), encoding="utf-8")
    return path


@pytest.fixture
def half_done(harness: DaemonHarness) -> DaemonHarness:
    """A job of two items, one of them published, at the moment when its daemon died and its ledger was lost."""
    harness.drop("lesson", videos=("a.mp4", "b.mp4"))
    harness.until(lambda: harness.events_named("item_published"))
    assert len(harness.events_named("item_published")) == 1
    lose_ledger(harness)
    return harness


# -- a lost ledger ----------------------------------------------------------------------------------------------------


def test_a_job_goes_on_under_its_id_and_in_its_folder_and_nothing_is_made_twice(half_done: DaemonHarness) -> None:
    before = half_done.status("lesson")
    result = (half_done.outputs / "lesson" / "a.mp4").stat()
    half_done.open()
    half_done.until(lambda: half_done.state("lesson") == "succeeded")
    after = half_done.status("lesson")
    assert after.job == before.job
    assert after.times.dropped == before.times.dropped
    assert [order.item for order in half_done.session.orders] == ["b"]
    assert (half_done.outputs / "lesson" / "a.mp4").stat().st_ino == result.st_ino
    assert [item.frames for item in after.items] == [10, 10]
    assert sorted(path.name for path in half_done.outputs.glob("lesson*")) == ["lesson"]
    assert half_done.events_named("job_adopted", job="lesson")
    assert (half_done.inbox / "_done" / "lesson").is_dir()


def test_a_job_whose_content_changed_meanwhile_is_made_from_the_new_content(half_done: DaemonHarness) -> None:
    (claimed,) = (half_done.inbox / ".heygem/claimed").iterdir()
    shutil.copyfile(half_done.film, claimed / "lesson/videos/a.mp4")
    os.utime(claimed / "lesson/videos/a.mp4", ns=(1, 1))
    half_done.open()
    half_done.until(lambda: half_done.state("lesson") == "succeeded")
    assert {order.item for order in half_done.session.orders} == {"a", "b"}


def test_a_held_job_stays_held_and_a_cancelled_one_cancelled(harness: DaemonHarness) -> None:
    (harness.inbox / "PAUSE").touch()
    for name in ("held", "over"):
        harness.drop(name)
    harness.until(lambda: len(harness.events_named("job_queued")) == 2)
    harness.ledger.request("hold", "held")
    harness.tick(1)
    harness.ledger.request("cancel", "over")
    frozen = harness.daemon.store.claims
    harness.daemon.inboxes.store.finalize = lambda offline, **_: iter(())  # type: ignore[method-assign]  # it dies before the inputs are archived
    harness.tick(1)
    assert (harness.state("held"), harness.state("over")) == ("waiting", "cancelled")
    assert len(list(frozen.claimed(str(harness.inbox)))) == 2
    lose_ledger(harness)
    (harness.inbox / "PAUSE").unlink()
    harness.open()
    harness.until(lambda: surveyed(harness))
    for _ in range(5):
        harness.tick(1)
    assert harness.status("held").waiting_for == "Held back by hand"
    assert harness.state("over") == "cancelled"
    assert (harness.inbox / "_failed" / "over").is_dir()
    assert not harness.session.orders


def test_a_claim_that_never_became_a_job_goes_back_also_without_a_ledger(harness: DaemonHarness) -> None:
    folder = harness.drop("lesson")
    claimed = harness.inbox / ".heygem/claimed/20261122-231500-lesson-k3f9"
    claimed.mkdir(parents=True)
    folder.rename(claimed / "lesson")
    lose_ledger(harness)
    harness.open()
    harness.until(lambda: harness.state("lesson") == "succeeded")
    assert harness.events_named("drop_restored")


def test_what_lies_among_the_claimed_folders_and_is_none_is_left_alone(half_done: DaemonHarness) -> None:
    (half_done.inbox / ".heygem/claimed/20260101-000000-a-file").write_text("no folder")
    (half_done.inbox / ".heygem/claimed/20260101-000000-b-empty").mkdir()
    half_done.open()
    half_done.until(lambda: half_done.state("lesson") == "succeeded")
    half_done.until(lambda: surveyed(half_done), step=5)
    assert not half_done.events_named("drop_restored")
    assert (half_done.inbox / ".heygem/claimed/20260101-000000-a-file").is_file()
    before = len(half_done.log.events)
    for _ in range(5):
        half_done.tick(30)
    assert not half_done.log.events[before:]


def test_an_inbox_that_goes_away_in_the_middle_is_looked_at_again(half_done: DaemonHarness) -> None:
    half_done.open()
    former = half_done.daemon.inboxes.former
    step, former.step = former.step, lambda scans, now: None  # type: ignore[method-assign]
    half_done.tick(1)
    former.step = step  # type: ignore[method-assign]
    (half_done.inbox / ".heygem-inbox").unlink()
    half_done.tick(1)
    half_done.tick(1)
    (half_done.inbox / ".heygem-inbox").touch()
    half_done.until(lambda: half_done.state("lesson") == "succeeded")
    assert [order.item for order in half_done.session.orders] == ["b"]


def test_a_lost_job_without_inputs_gets_a_last_word(half_done: DaemonHarness) -> None:
    shutil.rmtree(half_done.inbox / ".heygem")
    half_done.open()
    half_done.until(lambda: half_done.state("lesson") == "partial")
    status = half_done.status("lesson")
    assert [item.state for item in status.items] == ["succeeded", "failed"]
    assert status.error is not None
    assert (status.error.code, status.waiting_for, status.position, status.progress) == ("job_lost", None, None, None)
    assert status.times.finished is not None
    assert half_done.events_named("job_lost")


def test_a_ledger_that_knows_better_has_the_last_word(harness: DaemonHarness) -> None:
    over = harness.finish("lesson")
    write_status(harness, over.model_copy(update={"state": State.RUNNING, "waiting_for": "the end of the world"}))
    harness.crash()
    harness.until(lambda: harness.state("lesson") == "succeeded")
    assert harness.status("lesson").waiting_for is None


def test_a_ledger_from_a_backup_makes_nothing_again_that_is_published(harness: DaemonHarness) -> None:
    harness.drop("lesson")
    harness.until(lambda: harness.events_named("job_queued"))
    (queued,) = harness.ledger.find("lesson")
    harness.until(lambda: harness.events_named("job_finished"))
    harness.ledger.put(queued)
    orders = len(harness.session.orders)
    harness.crash()
    harness.until(lambda: len(harness.events_named("job_finished")) == 2)
    harness.tick(1)
    assert harness.state("lesson") == "succeeded"
    assert orders == 1
    assert not harness.session.orders


# -- drops that were taken away while the daemon was down -------------------------------------------------------------


def test_the_status_of_a_drop_that_was_taken_away_meanwhile_is_removed(harness: DaemonHarness) -> None:
    harness.drop("lesson")
    harness.drop("other")
    harness.tick()
    assert harness.state("lesson") == "settling"
    harness.close()
    shutil.rmtree(harness.inbox / "lesson")
    harness.open()
    harness.until(lambda: surveyed(harness))
    assert not (harness.outputs / "lesson").exists()
    assert harness.state("other") is not None
    assert harness.events_named("drop_withdrawn", job="lesson")


def test_what_somebody_put_beside_such_a_status_stays(harness: DaemonHarness) -> None:
    harness.drop("lesson")
    harness.tick()
    (harness.outputs / "lesson" / "note.txt").write_text("mine")
    harness.close()
    shutil.rmtree(harness.inbox / "lesson")
    harness.open()
    harness.until(lambda: surveyed(harness))
    assert [path.name for path in (harness.outputs / "lesson").iterdir()] == ["note.txt"]


# -- what is not ours -------------------------------------------------------------------------------------------------


def test_foreign_folders_links_and_copies_are_left_alone(half_done: DaemonHarness, tmp_path: Path) -> None:
    running = half_done.status("lesson")
    foreign = running.model_copy(update={"job": "20260101-000000-x-1", "output": "foreign", "inbox": "/elsewhere/inbox"})
    left = [write_status(half_done, foreign), write_status(half_done, running, "lesson - Copy")]
    outside = tmp_path / "outside"
    outside.mkdir()
    ours = running.model_copy(update={"job": "20260101-000000-y-1", "output": "link"})
    (outside / "status.json").write_text(ours.to_json(), encoding="utf-8")
    (half_done.outputs / "link").symlink_to(outside)
    linked = half_done.outputs / "linked"
    linked.mkdir()
    (linked / "status.json").symlink_to(outside / "status.json")
    pipe = half_done.outputs / "pipe"
    pipe.mkdir()
    os.mkfifo(pipe / "status.json")
    huge = half_done.outputs / "huge"
    huge.mkdir()
    with (huge / "status.json").open("wb") as file:
        file.truncate(2**30)
    nested = half_done.outputs / "nested"
    nested.mkdir()
    (nested / "status.json").write_text("[" * 100_000)
    before = {folder: (folder / "status.json").read_bytes() for folder in (*left, outside)}
    half_done.open()
    half_done.until(lambda: half_done.state("lesson") == "succeeded")
    assert {folder: (folder / "status.json").read_bytes() for folder in before} == before
    assert (linked / "status.json").is_symlink()
    assert not half_done.events_named("job_lost")


@pytest.mark.parametrize("output", ["../outside", "a/b", "..", "x\0y"])
def test_a_status_that_names_another_folder_is_never_followed(harness: DaemonHarness, output: str) -> None:
    over = harness.finish("lesson")
    forged = over.model_copy(update={"job": "20260101-000000-y-1", "output": output, "state": State.RUNNING})
    path = write_status(harness, forged, "forged")
    before = (path / "status.json").read_bytes()
    harness.crash()
    harness.until(lambda: surveyed(harness))
    assert (path / "status.json").read_bytes() == before


def test_nothing_follows_while_outputs_are_away(half_done: DaemonHarness) -> None:
    half_done.outputs.rename(half_done.folder / "away")
    half_done.tolerant = True
    half_done.open()
    for _ in range(20):
        half_done.tick(1)
    assert list((half_done.inbox / ".heygem/claimed").iterdir())
    (half_done.folder / "away").rename(half_done.outputs)
    half_done.until(lambda: half_done.state("lesson") == "succeeded")
    assert half_done.events_named("job_adopted")


# -- results that somebody deleted ------------------------------------------------------------------------------------


def test_a_deleted_result_is_named_as_missing_and_made_again_by_a_retry(harness: DaemonHarness) -> None:
    over = harness.finish("lesson")
    (harness.outputs / "lesson" / "a.mp4").unlink()
    harness.crash()
    harness.until(lambda: surveyed(harness))
    (item,) = harness.status("lesson").items
    assert (item.state, item.output, item.missing) == ("succeeded", None, "a.mp4")
    assert harness.events_named("result_missing")
    harness.ledger.request("retry", "lesson")
    harness.until((harness.outputs / "lesson" / "a.mp4").exists)
    harness.until(lambda: harness.state("lesson") == "succeeded")
    (item,) = harness.status("lesson").items
    assert (item.output, item.missing) == ("a.mp4", None)
    assert harness.status("lesson").job == over.job


def test_an_empty_file_in_place_of_a_result_is_no_result(harness: DaemonHarness) -> None:
    harness.finish("lesson")
    (harness.outputs / "lesson" / "a.mp4").write_bytes(b"")
    harness.crash()
    harness.until(lambda: surveyed(harness))
    assert harness.status("lesson").items[0].missing == "a.mp4"
    harness.ledger.request("retry", "lesson")
    harness.until(lambda: (harness.outputs / "lesson" / "a.mp4").stat().st_size > 0)


def test_a_result_that_is_put_back_is_no_longer_missing(harness: DaemonHarness) -> None:
    harness.finish("lesson")
    (harness.outputs / "lesson" / "a.mp4").rename(harness.folder / "a.mp4")
    harness.tick(3601)
    harness.until(lambda: harness.status("lesson").items[0].missing == "a.mp4")
    (harness.folder / "a.mp4").rename(harness.outputs / "lesson" / "a.mp4")
    harness.tick(3601)
    harness.until(lambda: harness.status("lesson").items[0].output == "a.mp4")
    assert harness.status("lesson").items[0].missing is None


def test_a_job_whose_results_are_all_there_is_not_tried_again(harness: DaemonHarness) -> None:
    harness.finish("lesson")
    harness.ledger.request("retry", "lesson")
    harness.tick(1)
    assert harness.events_named("request_unknown")
    assert len(harness.session.orders) == 1


def test_a_result_that_is_taken_away_while_the_job_runs_is_named_and_not_made_again(harness: DaemonHarness) -> None:
    harness.drop("lesson", videos=("a.mp4", "b.mp4"))
    harness.until(lambda: harness.events_named("item_published", item="a"))
    (harness.outputs / "lesson" / "a.mp4").unlink()
    harness.until(lambda: harness.state("lesson") == "succeeded")
    assert [(item.output, item.missing) for item in harness.status("lesson").items] == [(None, "a.mp4"), ("b.mp4", None)]
    assert [order.item for order in harness.session.orders] == ["a", "b"]
    assert harness.observers.ended[0].items[0].missing == "a.mp4"


def test_a_deleted_status_file_or_folder_of_an_open_job_comes_back(harness: DaemonHarness) -> None:
    (harness.inbox / "PAUSE").touch()
    harness.drop("lesson")
    harness.drop("other")
    harness.until(lambda: len(harness.events_named("job_queued")) == 2)
    harness.tick(6)
    (harness.outputs / "lesson" / "status.json").unlink()
    shutil.rmtree(harness.outputs / "other")
    harness.tick(6)
    harness.tick(6)
    assert harness.state("lesson") == harness.state("other") == "waiting"


def test_hundreds_of_old_statuses_take_no_tick(harness: DaemonHarness) -> None:
    over = harness.finish("lesson")
    stale = over.model_copy(update={"state": State.RUNNING, "items": ()})
    for number in range(200):
        name = f"old-{number}"
        write_status(harness, stale.model_copy(update={"job": f"20260101-000000-old-{number}", "output": name, "name": name}))
    harness.close()
    harness.open()
    harness.daemon.inboxes.former.clock = SystemClock()  # the time that a tick gives to it is real
    longest = 0.0
    deadline = time.monotonic() + 60
    while not surveyed(harness) and time.monotonic() < deadline:
        began = time.monotonic()
        harness.tick(0.25)
        longest = max(longest, time.monotonic() - began)
    statuses = [harness.status(f"old-{number}") for number in range(200)]
    assert {status.state for status in statuses} == {State.FAILED}
    assert longest < 1.0


def test_every_status_is_over_once_the_daemon_has_looked(half_done: DaemonHarness) -> None:
    shutil.rmtree(half_done.inbox / ".heygem")
    half_done.open()
    half_done.until(lambda: surveyed(half_done))
    for path in half_done.outputs.glob("*/status.json"):
        status = json.loads(path.read_bytes())
        assert status["state"] in {str(state) for state in FINAL}
        assert all(item["state"] in {str(state) for state in FINAL} for item in status["items"])


def test_a_link_in_place_of_a_status_does_not_lead_a_new_drop_elsewhere(harness: DaemonHarness, tmp_path: Path) -> None:
    harness.drop("lesson")
    harness.tick()
    written = (harness.outputs / "lesson" / "status.json").read_text(encoding="utf-8")
    (tmp_path / "elsewhere.json").write_text(written, encoding="utf-8")
    (harness.outputs / "lesson" / "status.json").unlink()
    (harness.outputs / "lesson" / "status.json").symlink_to(tmp_path / "elsewhere.json")
    assert StatusFiles(harness.outputs).reserve_name("lesson", str(harness.inbox)) == "lesson-2"


# -- what cannot be found out at once ---------------------------------------------------------------------------------


def cut_off_flat_claim(harness: DaemonHarness) -> str:
    """Leave what a crash in the midst of the claim of a flat drop leaves, and return the id."""
    folder = harness.drop("lesson")
    for name in ("speech.wav", "videos"):
        (folder / name).rename(harness.inbox / name)
    folder.rmdir()
    harness.tick()
    job_id = harness.status("speech").job
    claimed = harness.inbox / ".heygem/claimed" / job_id
    (claimed / "flat").mkdir(parents=True)
    (claimed / ".flat").touch()
    (harness.inbox / "speech.wav").rename(claimed / "flat/speech.wav")
    harness.crash()
    return job_id


@pytest.mark.parametrize("method", ["is_flat", "claimed"])
def test_while_it_cannot_be_known_whether_a_claim_was_of_a_flat_drop_its_rest_is_none(
    harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    job_id = cut_off_flat_claim(harness)
    harness.daemon.inboxes.former.step = lambda scans, now: None  # type: ignore[method-assign]  # the claim is not dealt with meanwhile

    def refuse(_: object) -> bool:
        raise error("io_error", problem="as ordered")

    seen = len(harness.events_named("drop_seen"))
    with monkeypatch.context() as failing:
        failing.setattr(harness.daemon.inboxes.claims, method, refuse)
        for _ in range(5):
            harness.tick(SETTLE)
        assert len(harness.events_named("drop_seen")) == seen
    harness.crash()
    harness.until(lambda: harness.state("speech") == "succeeded")
    assert harness.status("speech").job == job_id


def test_of_thousands_of_claims_some_are_looked_into_after_each_scan(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    former, inbox = harness.daemon.inboxes.former, str(harness.inbox)
    monkeypatch.setattr(former_jobs, "LOOKS_AT_ONCE", 2)
    looks: list[Path] = []

    def is_flat(claimed: Path) -> bool:
        looks.append(claimed)
        return False

    monkeypatch.setattr(former.claims, "is_flat", is_flat)
    former.inbox_recovered(inbox, [f"job-{number}" for number in range(5)])
    assert [former.may_hold_part_of_flat_drop(inbox) for _ in range(4)] == [True, True, False, False]
    assert len(looks) == len(set(looks)) == 5
    assert not former.may_hold_part_of_flat_drop("another")


def two_lost_jobs(harness: DaemonHarness) -> None:
    """Stop with two jobs in the queue, lose the ledger, and start again."""
    (harness.inbox / "PAUSE").touch()
    for name in ("alpha", "beta"):
        harness.drop(name)
    harness.until(lambda: len(harness.events_named("job_queued")) == 2)
    harness.tick(1)
    lose_ledger(harness)
    (harness.inbox / "PAUSE").unlink()
    harness.open()


@pytest.mark.parametrize("poison", ["alpha", "beta"])
def test_a_claim_that_is_more_than_the_program_can_deal_with_loses_no_other_and_is_put_back(
    harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch, poison: str
) -> None:
    two_lost_jobs(harness)
    harness.tolerant = True
    adopt = Adoption.job

    def adopt_or_fail(adoption: Adoption, inbox: str, status: JobStatus, rules: CandidateRules, now: float) -> Job:
        if status.name == poison:
            raise ValueError("as ordered")
        return adopt(adoption, inbox, status, rules, now)

    monkeypatch.setattr(Adoption, "job", adopt_or_fail)
    harness.until(lambda: len(harness.events_named("job_finished", state="succeeded")) == 2)
    assert [event["job"] for event in harness.events_named("job_adopted")] == [name for name in ("alpha", "beta") if name != poison]
    assert [event["job"] for event in harness.events_named("drop_restored")] == [poison]
    assert len(harness.events_named("tick_failed")) == former_jobs.TRIES


@pytest.mark.parametrize(("code", "is_adopted"), [("outputs_offline", True), ("io_error", False)])
def test_outputs_that_do_not_answer_tell_nothing_about_a_claimed_folder(
    harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch, code: str, is_adopted: bool
) -> None:
    two_lost_jobs(harness)

    def refuse(*_: object) -> Job:
        raise error(code, path="outputs", problem="as ordered")

    with monkeypatch.context() as failing:
        failing.setattr(Adoption, "job", refuse)
        for _ in range(3 * former_jobs.TRIES):
            harness.tick(former_jobs.AGAIN_SECONDS)
    harness.until(lambda: len(harness.events_named("job_finished", state="succeeded")) == 2)
    assert len(harness.events_named("job_adopted")) == (2 if is_adopted else 0)
    assert len(harness.events_named("drop_restored")) == (0 if is_adopted else 2)


def test_what_is_published_of_a_job_is_asked_once_however_many_items_it_has(
    harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.drop("lesson", videos=("a.mp4", "b.mp4", "c.mp4"))
    harness.until(lambda: harness.events_named("item_published"))
    lose_ledger(harness)
    asked: list[str] = []
    ask = FolderPublisher.published_results

    def noted(publisher: FolderPublisher, job: Job) -> Mapping[str, Mapping[str, Any]]:
        asked.append(job.name)
        return ask(publisher, job)

    def refuse(*_: object) -> None:
        raise AssertionError("asked for each item")

    with monkeypatch.context() as counted:
        counted.setattr(FolderPublisher, "published_results", noted)
        counted.setattr(FolderPublisher, "published_result", refuse)
        (harness.inbox / "PAUSE").touch()
        harness.open()
        harness.until(lambda: harness.events_named("job_adopted"))
    assert asked == ["lesson"]
    (job,) = harness.daemon.store.jobs.values()
    assert [each.state for each in job.items] == ["succeeded", "queued", "queued"]
    assert {each.needs_bytes for each in job.items} == {policy.guess_bytes(len(FILM))}


@pytest.mark.parametrize(
    ("of_job", "of_item", "expected"),
    [
        (State.RUNNING, State.FAILED, State.QUEUED),
        (State.PARTIAL, State.FAILED, State.FAILED),
        (State.PARTIAL, State.CANCELLED, State.CANCELLED),
        (State.PARTIAL, State.RUNNING, State.FAILED),
        (State.CANCELLED, State.QUEUED, State.CANCELLED),
        (State.CANCELLED, None, State.CANCELLED),
        (State.FAILED, State.PARTIAL, State.FAILED),
        (State.FAILED, State.REJECTED, State.FAILED),
    ],
)
def test_an_item_that_is_not_published_has_a_state_that_items_can_have(of_job: State, of_item: State | None, expected: State) -> None:
    then = moment(1.0)
    times = TimesStatus(dropped=then)
    status = JobStatus(job="20260101-000000-x-1", name="x", inbox="/inbox", output="x", state=of_job, since=then, times=times)
    known = None if of_item is None else ItemStatus(key="a", recording="speech.wav", video="videos/a.mp4", state=of_item)
    assert _unpublished(item("a"), known, status).state is expected


# -- an older finding -------------------------------------------------------------------------------------------------


def test_an_older_status_never_takes_the_place_of_what_was_written_since(harness: DaemonHarness) -> None:
    over = harness.finish("lesson")
    items = (over.items[0].model_copy(update={"output": None}),)
    older = over.model_copy(update={"state": State.FAILED, "reason": "as it was", "items": items})
    found = FoundStatus(status=older, missing=frozenset({"a"}))
    harness.daemon.inboxes.former._correct_one(found, {}, {}, harness.now)
    assert harness.status("lesson").state == "succeeded"
    harness.tick(1)
    harness.tick(1)
    assert harness.status("lesson").state == "succeeded"
    assert harness.status("lesson").items[0].output == "a.mp4"


def test_a_deleted_result_of_a_job_that_the_ledger_does_not_know_is_named_as_missing(harness: DaemonHarness) -> None:
    harness.finish("lesson")
    (harness.outputs / "lesson" / "a.mp4").unlink()
    lose_ledger(harness)
    harness.open()
    harness.until(lambda: surveyed(harness))
    assert (harness.status("lesson").state, harness.status("lesson").items[0].missing) == ("succeeded", "a.mp4")
    assert len(harness.events_named("result_missing")) == 1


# -- outputs that are slow at a start ---------------------------------------------------------------------------------


def test_an_attempt_of_which_outputs_did_not_tell_whether_it_was_published_costs_nothing(
    harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.drop("lesson")
    harness.until(lambda: harness.events_named("item_started"))
    harness.close()

    def refuse(*_: object) -> None:
        raise error("outputs_offline", path="outputs", problem="it has not answered yet")

    with monkeypatch.context() as slow:
        slow.setattr(FolderPublisher, "published_result", refuse)
        harness.open()
    (job,) = harness.daemon.store.jobs.values()
    assert (job.items[0].state, job.items[0].attempt) == ("interrupted", 0)
    harness.until(lambda: harness.state("lesson") == "succeeded")


# -- an inbox that was renamed ----------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class RenamedInbox(DaemonHarness):
    """Its inbox has another name after `rename`."""

    name: str = "inbox"

    @property
    def inbox(self) -> Path:
        return self.folder / self.name

    def rename(self) -> None:
        before = self.inbox
        self.name = "renamed"
        before.rename(self.inbox)


@pytest.fixture
def renamed(tmp_path: Path, film: Path, speech: Path) -> Iterator[RenamedInbox]:
    harness = RenamedInbox(folder=tmp_path, film=film, speech=speech)
    yield harness
    harness.close()


def test_a_queued_job_goes_on_in_an_inbox_that_was_renamed(renamed: RenamedInbox) -> None:
    (renamed.inbox / "PAUSE").touch()
    renamed.drop("lesson")
    renamed.until(lambda: renamed.events_named("job_queued"))
    renamed.rename()
    renamed.crash()
    (renamed.inbox / "PAUSE").unlink()
    renamed.until(lambda: renamed.events_named("job_finished"))
    assert renamed.status("lesson").state is State.SUCCEEDED
    assert os.listdir(renamed.inbox / "_done") == ["lesson"]
    assert not os.listdir(renamed.inbox / ".heygem" / "claimed")
    assert len(renamed.events_named("job_moved", job="lesson")) == 1


def test_what_waited_for_the_inbox_under_its_former_name_goes_on_at_once(renamed: RenamedInbox) -> None:
    renamed.drop("lesson")
    renamed.until(lambda: renamed.events_named("job_queued"))
    (job,) = renamed.ledger.open_jobs()
    gone = error("share_offline", path="inbox")
    waiting = job.items[0].transition(State.WAITING, failure=Failure.of(gone), reason=gone.message, not_before=renamed.now.wall + 600)
    renamed.ledger.put(job.with_item(waiting).rollup(renamed.now.wall))
    renamed.rename()
    renamed.crash()
    began = renamed.now.monotonic
    renamed.until(lambda: renamed.events_named("job_finished"))
    assert renamed.status("lesson").state is State.SUCCEEDED
    assert renamed.now.monotonic - began < 60


def test_the_inputs_of_a_job_that_is_over_are_archived_in_the_renamed_inbox(renamed: RenamedInbox) -> None:
    (renamed.inbox / "PAUSE").touch()
    renamed.drop("lesson")
    renamed.until(lambda: renamed.events_named("job_queued"))
    (job,) = renamed.ledger.open_jobs()
    cancelled = job.items[0].transition(State.CANCELLED, reason="Cancelled")
    renamed.ledger.put(job.with_item(cancelled).rollup(renamed.now.wall))
    renamed.rename()
    renamed.crash()
    renamed.until(lambda: renamed.events_named("job_finished"))
    assert (renamed.inbox / "_failed" / "lesson" / "reason.txt").is_file()


def test_the_claim_of_another_watched_inbox_is_not_taken(harness: DaemonHarness) -> None:
    (harness.inbox / "PAUSE").touch()
    harness.drop("lesson")
    harness.until(lambda: harness.events_named("job_queued"))
    (job,) = harness.ledger.open_jobs()
    store = harness.daemon.store
    recover_claims([job.id], store, lambda: True, inbox="/elsewhere", watched=[str(harness.inbox), "/elsewhere"])
    assert store.jobs[job.id].inbox == str(harness.inbox)


def test_a_drop_that_waits_in_an_inbox_that_was_renamed_has_one_status(renamed: RenamedInbox) -> None:
    (renamed.inbox / "lesson.hold").touch()
    renamed.drop("lesson")
    renamed.until(lambda: renamed.state("lesson") == "settling")
    renamed.rename()
    renamed.crash()
    renamed.until(lambda: surveyed(renamed) and not (renamed.outputs / "lesson").exists())
    (renamed.inbox / "lesson.hold").unlink()
    renamed.until(lambda: renamed.events_named("job_finished"))
    assert [path.name for path in renamed.outputs.glob("lesson*")] == ["lesson-2"]


def test_a_lost_ledger_and_another_name_of_the_inbox_lose_no_job(renamed: RenamedInbox) -> None:
    (renamed.inbox / "PAUSE").touch()
    renamed.drop("lesson")
    renamed.until(lambda: renamed.state("lesson") == "waiting")
    lose_ledger(renamed)
    renamed.rename()
    (renamed.inbox / "PAUSE").unlink()
    renamed.open()
    renamed.until(lambda: renamed.events_named("job_finished"))
    assert renamed.state("lesson") == "succeeded"
    assert [path.name for path in renamed.outputs.glob("lesson*")] == ["lesson"]


def test_the_status_of_a_drop_goes_with_its_inbox_and_that_of_a_job_stays(renamed: RenamedInbox) -> None:
    over = renamed.finish("done")
    (renamed.inbox / "lesson.hold").touch()
    renamed.drop("lesson")
    renamed.until(lambda: renamed.state("lesson") == "settling")
    claimed = over.model_copy(update={"job": "20260101-000000-x-1", "output": "claimed", "state": State.QUEUED})
    write_status(renamed, claimed)
    renamed.close()
    renamed.name = "another"
    renamed.inbox.mkdir()
    (renamed.inbox / MARKER).touch()
    renamed.open()
    renamed.until(lambda: surveyed(renamed) and not (renamed.outputs / "lesson").exists())
    assert renamed.events_named("drop_withdrawn", job="lesson")
    assert renamed.state("done") == "succeeded"
    assert renamed.state("claimed") == "queued"
    record = InboxRecord(renamed.folder / "state" / "inboxes.json")
    assert record.read() == {str(renamed.inbox)}


def test_the_statuses_of_an_inbox_are_looked_at_when_outputs_are_back(renamed: RenamedInbox) -> None:
    (renamed.inbox / "lesson.hold").touch()
    renamed.drop("lesson")
    renamed.until(lambda: renamed.state("lesson") == "settling")
    renamed.close()
    record = InboxRecord(renamed.folder / "state" / "inboxes.json")
    before = record.read()
    renamed.name = "another"
    renamed.inbox.mkdir()
    renamed.outputs.rename(renamed.folder / "away")
    renamed.open()
    renamed.tick(1.0)
    assert record.read() == {str(renamed.inbox), *before}
