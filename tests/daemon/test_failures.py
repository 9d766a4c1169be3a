"""What the daemon does when something beside it goes wrong: shares, ledger, outputs, clocks, workers, and itself."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.core.job import Job, State
from tests.daemon.harness import SETTLE, World


@pytest.fixture
def impatient(tmp_path: Path, material: tuple[Path, Path]) -> Iterator[World]:
    """A world with --until-idle."""
    made = World(folder=tmp_path, film=material[0], speech=material[1], impatient=True)
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


def trouble() -> HeygemError:
    return error("io_error", problem="it is gone")


# -- the way in -------------------------------------------------------------------------------------------------------


def test_a_share_that_fails_right_after_the_claim_loses_no_drop(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, world.daemon.claims, "listing", trouble())
    assert world.finish("lesson").state == "succeeded"
    assert world.told("drop_restored")


def test_a_share_that_goes_and_comes_back_after_the_claim_loses_no_drop(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.tolerant = True
    fail(monkeypatch, world.daemon.claims, "listing", trouble())
    fail(monkeypatch, world.daemon.claims, "unclaim", trouble())
    assert world.finish("lesson").state == "succeeded"


def test_a_mistake_right_after_the_claim_loses_no_drop(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.tolerant = True
    fail(monkeypatch, world.daemon.claims, "job_toml", ZeroDivisionError())
    assert world.finish("lesson").state == "succeeded"


def test_a_drop_that_cannot_be_claimed_says_why(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = fail(monkeypatch, world.daemon.claims, "claim", trouble(), times=10**6)
    world.drop("lesson")
    world.until(lambda: failing.calls > 3)
    assert "it is gone" in world.status("lesson").reason
    assert len(world.told("drop_incomplete")) == 1


def test_a_cancelled_drop_stays_cancelled_when_the_daemon_dies_in_between(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.drop("lesson")
    (world.inbox / "lesson.cancel").touch()
    fail(monkeypatch, world.ledger, "put", SystemExit())
    with pytest.raises(SystemExit):
        world.tick()
    world.crash()
    world.until(lambda: world.told("job_finished"))
    world.tick()
    assert world.job("lesson").state is State.CANCELLED
    assert not (world.inbox / "lesson.cancel").exists()


def test_a_hostile_number_in_job_toml_is_refused(world: World) -> None:
    status = world.finish("lesson", "priority = " + "9" * 5000)
    assert status.error is not None
    assert (status.state, status.error.code) == ("rejected", "bad_job_toml")


def test_what_is_too_deep_to_be_looked_at_waits_with_a_name_that_can_be_shown(world: World) -> None:
    folder = world.drop("lesson")
    bytes_name = bytes(folder) + b"/\xff" + b"/d" * 10
    Path(bytes_name.decode(errors="surrogateescape")).mkdir(parents=True)
    world.tick()
    world.tick(SETTLE + 1)
    assert "deeper than" in world.status("lesson").reason


def test_the_status_of_a_waiting_drop_forgets_a_trouble_that_is_over(world: World) -> None:
    folder = world.drop("lesson")
    speech = (folder / "speech.wav").rename(world.folder / "speech.wav")
    world.tick()
    world.tick(SETTLE + 1)
    before = world.status("lesson")
    assert before.error is not None
    speech.rename(folder / "speech.wav")
    world.tick(2)
    after = world.status("lesson")
    assert (after.state, after.error, after.since) == ("settling", None, before.since)


def test_a_drop_somebody_keeps_open_is_not_looked_at_without_pause(world: World) -> None:
    folder = world.drop("lesson")
    with (folder / "speech.wav").open("ab"):
        world.tick()
        world.tick(1)
        world.tick(SETTLE + 1)
        assert world.daemon._scan_at[str(world.inbox)] - world.monotonic == world.daemon.pace.scan


def test_a_flat_drop_whose_recording_is_a_video_is_named_after_it(world: World) -> None:
    (world.inbox / "videos").mkdir()
    shutil.copyfile(world.film, world.inbox / "videos" / "a.mp4")
    shutil.copyfile(world.film, world.inbox / "talk.mp4")
    world.tick()
    assert world.state("talk") == "settling"


# -- until idle -------------------------------------------------------------------------------------------------------


def test_an_item_that_runs_is_waited_for_whatever_is_paused(impatient: World) -> None:
    impatient.drop("lesson")
    impatient.until(lambda: impatient.daemon.dispatch.attempts)
    (impatient.inbox / "PAUSE").touch()
    impatient.daemon._scan(str(impatient.inbox), impatient.now)
    assert not impatient.daemon.is_idle


def test_a_share_that_went_away_is_not_waited_for_and_is_no_success(impatient: World) -> None:
    impatient.drop("lesson")
    impatient.tick()
    assert not impatient.daemon.is_idle
    impatient.inbox.rename(impatient.folder / "away")
    impatient.tick(1)
    assert impatient.daemon.is_idle
    assert not impatient.daemon.has_succeeded


def test_what_a_crash_left_claimed_is_done_before_the_end(impatient: World) -> None:
    claimed = impatient.inbox / ".heygem" / "claimed" / "20260101-000000-lesson-abcd"
    claimed.mkdir(parents=True)
    impatient.drop("lesson").rename(claimed / "lesson")
    impatient.tick()
    assert impatient.told("drop_restored")
    assert not impatient.daemon.is_idle
    impatient.until(lambda: impatient.daemon.is_idle)
    assert impatient.daemon.has_succeeded


def test_drops_that_nobody_could_take_are_no_success(impatient: World) -> None:
    impatient.outputs.rename(impatient.folder / "away")
    impatient.drop("lesson")
    impatient.tick()
    impatient.tick(SETTLE + 1)
    assert impatient.daemon.is_idle
    assert not impatient.daemon.has_succeeded


def test_a_drop_that_cannot_be_claimed_ends_the_wait_without_success(impatient: World, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, impatient.daemon.claims, "claim", trouble(), times=10**6)
    impatient.drop("lesson")
    impatient.until(lambda: impatient.daemon.is_idle)
    assert impatient.told("drop_incomplete")
    assert not impatient.daemon.has_succeeded


def test_inputs_that_cannot_be_put_away_end_the_wait_without_success(impatient: World, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, impatient.daemon.claims, "finish", trouble(), times=10**6)
    impatient.drop("lesson")
    impatient.until(lambda: impatient.daemon.is_idle)
    assert impatient.job("lesson").state is State.SUCCEEDED
    assert not impatient.daemon.has_succeeded
    monkeypatch.undo()
    impatient.crash()
    impatient.tick()
    assert (impatient.inbox / "_done" / "lesson").exists()


def no_worker(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    cooling = {"worker": "cuda:0", "device": "cuda:0", "state": "cooling", "token": None, "problem": "exit status 1"}
    monkeypatch.setattr(world.daemon.executor, "free", lambda: 0)
    monkeypatch.setattr(world.daemon.executor, "devices", lambda: [cooling])


def test_workers_that_never_live_are_given_up_when_nobody_mends_them(impatient: World, monkeypatch: pytest.MonkeyPatch) -> None:
    no_worker(impatient, monkeypatch)
    impatient.drop("lesson", videos=("a.mp4", "b.mp4"))
    impatient.until(lambda: impatient.daemon.is_idle)
    assert [item.failure and item.failure.code for item in impatient.job("lesson").items] == ["device_unavailable"] * 2


def test_a_queue_without_workers_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    no_worker(world, monkeypatch)
    world.drop("lesson")
    world.until(lambda: world.told("job_queued"))
    world.tick(6)
    status = world.status("lesson")
    assert status.state == "waiting"
    assert "exit status 1" in (status.waiting_for or "")


# -- the ledger -------------------------------------------------------------------------------------------------------


def test_a_ledger_that_fails_while_a_drop_becomes_a_job_hears_of_it_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, world.ledger, "put", trouble(), times=3)
    assert world.finish("lesson").state == "succeeded"
    assert len(world.told("ledger_unwritable")) == 1
    assert len(world.told("drop_claimed")) == 1


def test_a_ledger_that_fails_when_a_result_is_published_hears_of_it_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.drop("lesson")
    world.until(lambda: world.told("item_rendered"))
    fail(monkeypatch, world.ledger, "put", trouble(), times=2)
    world.until(lambda: world.told("job_finished"))
    assert world.job("lesson").state is State.SUCCEEDED
    assert len(world.session.orders) == 1


def test_nothing_starts_that_the_ledger_does_not_know(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (world.inbox / "PAUSE").touch()
    world.drop("lesson")
    world.until(lambda: world.told("job_queued"))
    failing = fail(monkeypatch, world.ledger, "put", trouble(), times=10**6)
    (world.inbox / "PAUSE").unlink()
    for _ in range(5):
        world.tick(60)
    assert failing.calls
    assert not world.session.orders
    failing.times = 0
    world.until(lambda: world.told("job_finished"), step=60)
    assert world.job("lesson").items[0].attempt == 1


# -- outputs ----------------------------------------------------------------------------------------------------------


def test_one_folder_that_cannot_be_written_does_not_silence_the_others(world: World) -> None:
    (world.inbox / "PAUSE").touch()
    for name in ("broken", "lesson"):
        world.drop(name)
    world.until(lambda: len(world.told("job_queued")) == 2)
    world.tick(6)
    shutil.rmtree(world.outputs / "broken")
    (world.outputs / "broken").write_text("somebody's file", encoding="utf-8")
    (world.inbox / "PAUSE").unlink()
    world.until(lambda: world.state("lesson") == "succeeded")
    before = world.daemon_status().heartbeat
    world.tick(6)
    assert world.daemon_status().heartbeat > before
    assert (world.outputs / "broken").is_file()


def test_the_end_tells_the_status_of_every_job(world: World) -> None:
    drop = Job(id="x", name="x", inbox=str(world.inbox), claimed=str(world.inbox / "x"), output="x", state=State.CANCELLED)
    for number in range(120):
        world.daemon.reporting.changed(replace(drop, id=f"job-{number}", output=f"job-{number}"))
    world.daemon.reporting.finish(world.now, world.daemon.dispatch, {}, {})
    assert len(list(world.outputs.glob("*/status.json"))) == 120


def test_a_crash_right_after_the_last_result_still_tells_the_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.drop("lesson")
    world.until(lambda: world.told("item_rendered"))
    write = world.daemon.reporting.write

    def die(*args: Any) -> None:
        if world.job("lesson").is_final:
            raise SystemExit
        write(*args)

    monkeypatch.setattr(world.daemon.reporting, "write", die)
    with pytest.raises(SystemExit):
        world.until(lambda: False)
    assert world.state("lesson") == "running"
    world.crash()
    world.until(lambda: world.told("job_finished"))
    world.tick()
    assert world.state("lesson") == "succeeded"
    assert not world.session.orders


def test_a_zip_is_written_once_however_long_the_inputs_cannot_be_moved(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    finishing = fail(monkeypatch, world.daemon.claims, "finish", trouble(), times=3)
    bundling = fail(monkeypatch, world.publisher, "_pack", trouble(), times=0)
    status = world.finish("lesson", "zip = true\n")
    assert (finishing.calls, bundling.calls, status.links) == (4, 1, {"zip": "lesson.zip"})
    assert len(world.told("job_waiting")) == 1


# -- wishes -----------------------------------------------------------------------------------------------------------


def test_a_retry_before_the_inputs_were_put_away_keeps_them(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.session.spoilt = {"a"}
    failing = fail(monkeypatch, world.daemon.claims, "finish", trouble(), times=10**6)
    world.drop("lesson")
    world.until(lambda: failing.calls)
    failing.times = 0
    world.session.spoilt = set()
    world.ledger.request("retry", "lesson")
    world.until(lambda: world.told("job_finished"))
    assert world.job("lesson").state is State.SUCCEEDED
    assert (world.inbox / "_done" / "lesson").exists()


def test_a_retry_of_inputs_that_were_deleted_changes_nothing(world: World) -> None:
    world.finish("lesson", 'text = "fail no_face"\n')
    shutil.rmtree(world.inbox / "_failed" / "lesson")
    world.ledger.request("retry", "lesson")
    world.tick(1)
    assert world.told("request_unknown")
    assert world.job("lesson").state is State.FAILED


def test_a_wish_that_the_share_refuses_does_not_take_the_next_one_along(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.finish("first", 'engine = "magic"\n')
    world.finish("second", 'text = "fail no_face"\n')
    fail(monkeypatch, world.daemon.claims, "unclaim", trouble())
    world.ledger.request("retry", "first")
    world.ledger.request("retry", "second")
    world.tick(1)
    assert world.told("request_taken", target="second")


def test_a_job_with_an_odd_name_is_cancelled_by_its_file(world: World) -> None:
    (world.inbox / "PAUSE").touch()
    world.drop("odd\u200bname")
    world.until(lambda: world.told("job_queued"))
    (world.inbox / "odd\u200bname.cancel").touch()
    world.until(lambda: world.told("job_finished", state=State.CANCELLED))
    assert not (world.inbox / "odd\u200bname.cancel").exists()


# -- clocks and mistakes ----------------------------------------------------------------------------------------------


def test_a_clock_that_is_set_back_makes_nobody_wait_for_the_old_time(world: World) -> None:
    world.drop("lesson", 'text = "fail io_error"\n')
    world.until(lambda: world.told("item_retrying"))
    world.wall -= 10**7
    world.tick(1)
    world.tick(601)
    assert len(world.session.orders) == 2


def test_a_clock_that_was_set_back_while_the_daemon_was_away_makes_nobody_wait(world: World) -> None:
    world.drop("lesson", 'text = "fail io_error"\n')
    world.until(lambda: world.told("item_retrying"))
    world.wall -= 10**7
    world.crash()
    world.tick(1)
    world.tick(601)
    assert len(world.session.orders) == 1


def test_a_mistake_in_one_step_keeps_no_worker_unheard(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.drop("lesson")
    world.until(lambda: world.daemon.dispatch.attempts)
    world.tolerant = True
    fail(monkeypatch, world.daemon.scanner, "scan", ZeroDivisionError(), times=10**6)
    world.until(lambda: world.told("job_finished"))
    assert world.told("tick_failed")
