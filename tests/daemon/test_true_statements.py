"""What the status says is true, and stops being said when it is no longer: items, counts, reasons, inputs that are gone."""

import os
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from heygem_daemon.core.errors import error
from heygem_daemon.core.job import FINAL, Item, Job, State
from heygem_daemon.core.names import MARKER
from heygem_daemon.core.publication import StagingPaths
from heygem_daemon.core.status import JobStatus
from heygem_daemon.core.work import WorkOrder
from heygem_daemon.daemon.dispatcher import GONE_SECONDS
from heygem_daemon.worker.loop import OnStep
from tests.daemon.doubles import StubSession
from tests.daemon.harness import SETTLE, DaemonHarness


def queued(harness: DaemonHarness, *names: str, videos: tuple[str, ...] = ("a.mp4",)) -> None:
    """Let drops become jobs that wait, because their inbox is paused."""
    (harness.inbox / "PAUSE").touch()
    for name in names:
        harness.drop(name, videos=videos)
    harness.until(lambda: len(harness.events_named("job_queued")) == len(names))
    harness.tick(1)


def go_on(harness: DaemonHarness) -> None:
    (harness.inbox / "PAUSE").unlink()


def claimed(harness: DaemonHarness, name: str) -> Path:
    return Path(harness.job(name).claimed) / name


def statuses(harness: DaemonHarness) -> list[JobStatus]:
    return [JobStatus.read(path.read_bytes()) for path in harness.outputs.glob("*/status.json")]


# -- a job that is over has no item that is not -----------------------------------------------------------------------


def test_the_items_of_a_job_that_names_an_unknown_engine_have_failed(harness: DaemonHarness) -> None:
    status = harness.finish("lesson", 'engine = "magic"\n')
    assert status.state == "rejected"
    assert [(item.state, item.error and item.error.code) for item in status.items] == [("failed", "unknown_engine")]
    assert "a: queued" not in (harness.inbox / "_failed/lesson/reason.txt").read_text()
    assert status.progress is not None
    assert status.progress.done == status.progress.total == 1


def test_a_partial_job_whose_engine_is_gone_at_a_retry_keeps_what_is_published(harness: DaemonHarness) -> None:
    harness.session.spoilt.add("b")
    harness.drop("lesson", 'engine = "rewrite"\n', videos=("a.mp4", "b.mp4"))
    harness.until(lambda: harness.events_named("job_finished"))
    known = harness.daemon.dispatcher._config
    harness.daemon.dispatcher._config = type(known)(**{**known.__dict__, "engines": ("other",)})
    harness.ledger.request("retry", "lesson")
    harness.until(lambda: len(harness.events_named("job_finished")) == 2)
    harness.tick(1)
    status = harness.status("lesson")
    assert (status.state, [item.state for item in status.items]) == ("partial", ["succeeded", "failed"])
    harness.daemon.dispatcher._config = known
    harness.session.spoilt.clear()
    harness.ledger.request("retry", "lesson")
    harness.until(lambda: harness.state("lesson") == "succeeded")
    assert harness.status("lesson").error is None


# -- inputs that are gone ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gone", [".", "videos", "videos/a.mp4", "speech.wav"])
def test_a_job_whose_inputs_were_deleted_fails_and_says_so(harness: DaemonHarness, gone: str) -> None:
    queued(harness, "lesson")
    path = claimed(harness, "lesson") / gone
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    go_on(harness)
    harness.until(lambda: harness.state("lesson") == "failed", step=1)
    (item,) = harness.status("lesson").items
    assert item.error is not None
    assert (item.error.code, item.error.retryable) == ("inputs_gone", False)
    assert not harness.session.orders
    assert len(harness.events_named("item_retrying", error_code="inputs_gone")) <= 1


def test_the_claimed_folders_of_all_jobs_may_be_gone(harness: DaemonHarness) -> None:
    queued(harness, "lesson", "other")
    shutil.rmtree(harness.inbox / ".heygem")
    go_on(harness)
    harness.until(lambda: harness.state("lesson") == harness.state("other") == "failed", step=1)
    harness.until(lambda: not harness.daemon.store.jobs and harness.daemon.store.all_finalized)
    assert harness.finish("next").state == "succeeded"


def test_nothing_is_concluded_while_the_share_comes_and_goes(harness: DaemonHarness) -> None:
    queued(harness, "lesson")
    away = harness.folder / "away"
    go_on(harness)
    for _ in range(6):
        (harness.inbox / ".heygem").rename(away)
        harness.tick(1)
        harness.tick(1)
        (harness.inbox / MARKER).rename(harness.folder / "marker")
        harness.tick(GONE_SECONDS)
        (harness.folder / "marker").rename(harness.inbox / MARKER)
        away.rename(harness.inbox / ".heygem")
    harness.until(lambda: harness.state("lesson") == "succeeded")
    assert not harness.events_named("item_failed")


def test_what_waited_for_its_share_goes_on_when_it_is_back(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    queued(harness, "lesson")
    go_on(harness)
    with monkeypatch.context() as dead:
        dead.setattr(harness.daemon.dispatcher._claims, "root", lambda *_: (_ for _ in ()).throw(error("share_offline", path="x")))
        harness.until(lambda: harness.events_named("item_retrying"))
    (harness.inbox / MARKER).unlink()
    harness.tick(1)
    (harness.inbox / MARKER).touch()
    harness.tick(1)
    harness.tick(1)
    harness.tick(1)
    assert harness.state("lesson") == "succeeded"


# -- inputs that became something else --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["a link to a file", "a link to a folder", "a folder", "a pipe", "the whole drop a link"])
def test_an_input_that_became_something_else_is_refused_and_never_followed(harness: DaemonHarness, kind: str, tmp_path: Path) -> None:
    queued(harness, "lesson")
    secret = tmp_path / "secret"
    (secret / "videos").mkdir(parents=True)
    shutil.copyfile(harness.film, secret / "videos" / "a.mp4")
    shutil.copyfile(harness.speech, secret / "speech.wav")
    drop = claimed(harness, "lesson")
    video = drop / "videos" / "a.mp4"
    match kind:
        case "a link to a file":
            video.unlink()
            video.symlink_to(secret / "videos" / "a.mp4")
        case "a link to a folder":
            shutil.rmtree(drop / "videos")
            (drop / "videos").symlink_to(secret / "videos")
        case "a folder":
            video.unlink()
            video.mkdir()
        case "a pipe":
            video.unlink()
            os.mkfifo(video)
        case _:
            shutil.rmtree(drop)
            drop.symlink_to(secret)
    go_on(harness)
    harness.until(lambda: harness.state("lesson") == "failed", step=1)
    assert not harness.session.orders
    (item,) = harness.status("lesson").items
    assert item.error is not None
    assert item.error.code in {"symlink", "not_a_file"}
    assert (secret / "speech.wav").exists()


class MeddlingSession(StubSession):
    """A session during which somebody changes the video, as often as `times`."""

    times = 1
    becomes: Path | None = None

    def run(self, order: WorkOrder, on_step: OnStep) -> Mapping[str, Any]:
        result = super().run(order, on_step)
        if self.times:
            self.times -= 1
            Path(order.video).unlink()
            if self.becomes is not None:
                Path(order.video).symlink_to(self.becomes)
            else:
                shutil.copyfile(self.film, order.video)
                os.utime(order.video, ns=(self.times, self.times))
        return result


def test_a_result_whose_inputs_changed_meanwhile_is_made_again(harness: DaemonHarness) -> None:
    harness.session = MeddlingSession(harness.film)
    status = harness.finish("lesson")
    assert (status.state, status.items[0].attempt) == ("succeeded", 2)
    assert harness.events_named("item_retrying", error_code="inputs_changed")


def test_inputs_that_change_again_and_again_fail_in_the_end(harness: DaemonHarness) -> None:
    session = harness.session = MeddlingSession(harness.film)
    session.times = 99
    status = harness.finish("lesson")
    assert status.state == "failed"
    assert status.items[0].error is not None
    assert status.items[0].error.code == "inputs_changed"
    assert not (harness.outputs / "lesson" / "a.mp4").exists()


def test_nothing_that_was_made_from_a_link_is_published(harness: DaemonHarness) -> None:
    session = harness.session = MeddlingSession(harness.film)
    session.times, session.becomes = 99, harness.film
    status = harness.finish("lesson")
    assert status.state == "failed"
    assert not (harness.outputs / "lesson" / "a.mp4").exists()
    assert len(session.orders) == 1


# -- counts -----------------------------------------------------------------------------------------------------------


def check_counts(harness: DaemonHarness) -> None:
    """Check that the daemon's status, the statuses of the jobs, the metrics and the status line say the same."""
    for _ in range(3):
        harness.tick(6)
    whole = harness.daemon_status()
    found = [status for status in statuses(harness) if status.times.queued is not None]
    states = Counter(item.state for status in found for item in status.items)
    counted = {state: states[State(state)] for state in ("queued", "running", "waiting")}
    counted["queued"] += states[State.INTERRUPTED]
    assert whole.queue.model_dump() == counted
    assert harness.observers.statuses[-1].queue == whole.queue
    assert harness.observers.lines[-1].startswith(f"{counted['queued']} queued, {counted['running']} running")
    listed = {each.job: (each.state, each.waiting_for, each.position) for each in whole.jobs}
    assert len(listed) == len(whole.jobs)
    for status in found:
        assert listed[status.job][0] == status.state
        if status.state not in FINAL:
            assert listed[status.job][1:] == (status.waiting_for, status.position)
            assert status.state in {item.state for item in status.items}
            assert (status.waiting_for is not None) == (status.state is State.WAITING)
        assert (status.state in FINAL) == all(item.state in FINAL for item in status.items)


def test_all_counts_agree_whatever_the_jobs_wait_for(harness: DaemonHarness) -> None:
    queued(harness, "one", "two", "three", videos=("a.mp4", "b.mp4"))
    check_counts(harness)
    harness.ledger.request("hold", "one")
    check_counts(harness)
    harness.ledger.request("cancel", "two")
    check_counts(harness)
    (harness.inbox / MARKER).unlink()
    check_counts(harness)
    (harness.inbox / MARKER).touch()
    (harness.inbox / "PAUSE").unlink()
    harness.tick(1)
    check_counts(harness)
    harness.until(lambda: harness.state("three") == "succeeded")
    check_counts(harness)
    harness.ledger.request("retry", "two")
    harness.tick(1)
    check_counts(harness)
    harness.ledger.request("release", "one")
    harness.until(lambda: not harness.daemon.store.jobs)
    check_counts(harness)


@pytest.mark.parametrize("code", ["io_error", "device_memory", "internal", "disk_full"])
def test_all_counts_agree_after_failures(harness: DaemonHarness, code: str) -> None:
    for name in ("one", "two"):
        harness.drop(name, f'text = "fail {code}"\n', videos=("a.mp4", "b.mp4"))
    harness.until(lambda: harness.events_named("item_retrying"))
    for _ in range(4):
        check_counts(harness)
        harness.tick(7)


def test_a_job_that_is_tried_again_is_listed_once(harness: DaemonHarness) -> None:
    harness.session.spoilt.add("a")
    harness.finish("lesson")
    harness.tick(6)
    assert [job.state for job in harness.daemon_status().jobs] == ["failed"]
    (harness.inbox / "PAUSE").touch()
    harness.tick(1)
    harness.ledger.request("retry", "lesson")
    harness.tick(6)
    harness.tick(6)
    assert [job.state for job in harness.daemon_status().jobs] == ["waiting"]


# -- reasons ----------------------------------------------------------------------------------------------------------


def test_the_reason_to_wait_goes_when_it_is_over(harness: DaemonHarness) -> None:
    harness.drop("lesson", 'text = "fail io_error"\n')
    harness.until(lambda: harness.events_named("item_retrying"))
    harness.tick(1)
    assert "failed" in (harness.status("lesson").waiting_for or "")
    harness.daemon.executor.free = lambda: 0  # type: ignore[method-assign]  # every worker is busy
    for _ in range(7):
        harness.tick(6)
    status = harness.status("lesson")
    assert (status.state, status.waiting_for, status.position) == ("queued", None, 1)
    assert (status.items[0].state, status.items[0].reason) == ("queued", "")


def test_a_ledger_that_cannot_be_written_is_the_reason_why_nothing_starts(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    queued(harness, "lesson")
    with monkeypatch.context() as full:
        full.setattr(harness.daemon.ledger, "put", lambda *_: (_ for _ in ()).throw(error("io_error", problem="the disk is full")))
        harness.daemon.store.save(harness.job("lesson"))
        go_on(harness)
        for _ in range(3):
            harness.tick(6)
        status = harness.status("lesson")
        assert (status.state, "the disk is full" in (status.waiting_for or "")) == ("waiting", True)
    harness.until(lambda: harness.state("lesson") == "succeeded")


def test_an_item_that_the_ledger_did_not_let_start_starts_once_it_can_be_written(
    harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    queued(harness, "lesson")
    with monkeypatch.context() as full:
        full.setattr(harness.daemon.ledger, "put", lambda *_: (_ for _ in ()).throw(error("io_error", problem="the disk is full")))
        go_on(harness)
        harness.tick(6)
        status = harness.status("lesson")
        assert (status.state, "the disk is full" in (status.waiting_for or "")) == ("waiting", True)
    harness.tick(1)
    harness.tick(1)
    assert harness.job("lesson").items[0].not_before == 0.0
    assert "the disk is full" not in (harness.status("lesson").waiting_for or "")
    harness.until(lambda: harness.state("lesson") == "succeeded")


def test_a_hold_file_that_was_removed_while_the_daemon_was_down_holds_nothing(harness: DaemonHarness) -> None:
    queued(harness, "lesson")
    (harness.inbox / "lesson.hold").touch()
    harness.tick(1)
    harness.tick(1)
    assert harness.status("lesson").waiting_for == "Held back by lesson.hold"
    harness.close()
    (harness.inbox / "lesson.hold").unlink()
    go_on(harness)
    harness.open()
    harness.until(lambda: harness.state("lesson") == "succeeded")
    assert harness.status("lesson").reason == ""


def test_the_breaker_is_no_reason_any_more_once_it_is_closed(harness: DaemonHarness) -> None:
    harness.drop("bad", 'text = "fail device_memory"\n')
    harness.tick()
    harness.until(lambda: harness.events_named("breaker_opened"))
    harness.drop("lesson")
    harness.until(lambda: harness.events_named("breaker_closed"), step=SETTLE)
    for _ in range(3):
        harness.tick(6)
    whole = harness.daemon_status()
    assert (whole.breaker, whole.until) == (None, None)
    assert not [status for status in statuses(harness) if status.waiting_for == "Paused: the device failed repeatedly"]


def test_a_crash_in_the_middle_of_a_retry_leaves_no_reason_beside_the_inputs(
    harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.session.spoilt.add("a")
    harness.finish("lesson")
    assert (harness.inbox / "_failed/lesson/reason.txt").exists()
    harness.session.spoilt.clear()
    before = Path.unlink

    def die(path: Path, missing_ok: bool = False) -> None:
        if path.name == "reason.txt":
            raise OSError(5, "the power went")
        before(path, missing_ok=missing_ok)

    with monkeypatch.context() as crash:
        crash.setattr(Path, "unlink", die)
        harness.ledger.request("retry", "lesson")
        harness.tick(1)
    harness.crash()
    harness.ledger.request("retry", "lesson")
    harness.until(lambda: harness.state("lesson") == "succeeded")
    harness.until((harness.inbox / "_done/lesson").is_dir)
    assert not (harness.inbox / "_done/lesson/reason.txt").exists()


def test_inputs_that_came_back_are_looked_for_once_more_when_they_go_again(harness: DaemonHarness) -> None:
    (harness.inbox / "PAUSE").touch()
    harness.drop("lesson", 'text = "fail device_memory"\n')
    harness.until(lambda: harness.events_named("job_queued"))
    folder, away = claimed(harness, "lesson"), harness.folder / "away"
    folder.rename(away)
    go_on(harness)
    harness.until(lambda: harness.events_named("item_retrying", error_code="inputs_gone"))
    away.rename(folder)
    harness.until(lambda: harness.events_named("item_retrying", error_code="device_memory"), step=1)
    folder.rename(away)
    harness.until(lambda: len(harness.events_named("item_retrying", error_code="inputs_gone")) == 2, step=1)
    assert not harness.events_named("item_failed")
    away.rename(folder)


def test_while_outputs_is_slow_nothing_starts_and_nothing_fails_of_it(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    queued(harness, "lesson", "other")
    dispatcher, publisher = harness.daemon.dispatcher, harness.daemon.publisher
    tokens: list[str] = []
    is_slow = False

    def stage(_job: Job, _item: Item, token: str) -> StagingPaths:
        nonlocal is_slow
        is_slow = True
        tokens.append(token)
        raise error("outputs_offline", path="outputs", problem="it has not answered yet")

    with monkeypatch.context() as slow:
        slow.setattr(publisher, "stage", stage)
        slow.setattr(publisher, "answers", lambda: not is_slow)
        go_on(harness)
        for _ in range(4):
            is_slow = False
            harness.tick(1)
    assert len(tokens) == 4
    assert len(set(tokens)) == 1, "an item is staged again under its token"
    assert {job.state for job in harness.daemon.store.jobs.values()} == {State.QUEUED}
    assert not harness.events_named("item_retrying")
    discarded: list[str] = []
    monkeypatch.setattr(publisher, "discard", discarded.append)
    for job in list(harness.daemon.store.jobs.values()):
        dispatcher.cancel(job, harness.now)
    harness.tick(1)
    assert set(tokens) == set(discarded)
