"""What the daemon promises, tick by tick: arrivals, dispatch, wishes, reports."""

import shutil
from concurrent.futures import wait
from dataclasses import replace
from pathlib import Path

import pytest

from heygem_daemon.core.job import State
from heygem_daemon.core.ports import Ledger
from tests.daemon.harness import INCOMPLETE, SETTLE, World

# -- arrivals ---------------------------------------------------------------------------------------------------------


def test_a_drop_is_left_alone_until_it_has_settled(world: World) -> None:
    folder = world.drop("lesson")
    world.tick()
    assert world.state("lesson") == "settling"
    assert "copy to finish" in world.status("lesson").reason
    world.tick(SETTLE - 0.1)
    (folder / "videos" / "late.mp4").write_bytes(world.film.read_bytes())
    world.tick(0.2)
    world.tick(SETTLE - 0.5)
    assert folder.exists()
    world.until(lambda: not folder.exists())
    assert len(world.job("lesson").items) == 2


def test_the_files_are_opened_while_the_drop_settles_so_that_it_is_claimed_at_once(world: World) -> None:
    world.drop("lesson")
    world.tick()
    world.tick(SETTLE * 0.6)
    assert world.state("lesson") == "settling"
    (inquiry,) = world.daemon.inspector._inquiries.values()  # type: ignore[attr-defined]
    wait(inquiry.lengths.values())
    world.tick(SETTLE * 0.3)
    assert not world.told("drop_claimed")
    world.tick(SETTLE * 0.1 + 0.01)
    assert world.told("drop_claimed")


def test_ready_beside_the_drop_means_now(world: World) -> None:
    world.drop("lesson")
    (world.inbox / "lesson.ready").touch()
    world.until(lambda: world.told("drop_claimed"), step=0.001)
    assert world.monotonic < 1000 + SETTLE
    assert not (world.inbox / "lesson.ready").exists()


def test_a_drop_that_lacks_something_says_so_and_is_refused_in_the_end(world: World) -> None:
    shutil.rmtree(world.drop("lesson") / "videos")
    world.tick()
    world.tick(SETTLE + 0.1)
    waiting = world.status("lesson")
    assert (waiting.state, waiting.error and waiting.error.code) == ("settling", "no_videos")
    world.tick(INCOMPLETE)
    world.until(lambda: world.told("job_finished"))
    world.tick()
    assert world.state("lesson") == "rejected"
    assert "no_videos" in (world.inbox / "_failed" / "lesson" / "reason.txt").read_text(encoding="utf-8")


def test_a_missing_part_that_comes_late_is_welcome(world: World) -> None:
    folder = world.drop("lesson")
    (folder / "speech.wav").unlink()
    world.tick()
    world.tick(SETTLE + 0.1)
    assert world.state("lesson") == "settling"
    shutil.copyfile(world.speech, folder / "speech.wav")
    world.until(lambda: world.told("job_finished"))
    world.tick()
    assert world.state("lesson") == "succeeded"


def test_a_file_that_cannot_be_read_yet_is_waited_for(world: World) -> None:
    folder = world.drop("lesson")
    film = world.film.read_bytes()
    (folder / "videos" / "a.mp4").write_bytes(film[: len(film) // 2])
    world.tick()
    world.until(lambda: world.told("drop_incomplete"))
    assert "still being copied" in world.status("lesson").reason
    (folder / "videos" / "a.mp4").write_bytes(film)
    world.until(lambda: world.told("job_finished"))
    world.tick()
    assert world.state("lesson") == "succeeded"


def test_a_drop_that_goes_away_takes_its_status_with_it(world: World) -> None:
    folder = world.drop("lesson")
    world.tick()
    assert (world.outputs / "lesson").is_dir()
    shutil.rmtree(folder)
    world.tick(1)
    assert not (world.outputs / "lesson").exists()
    assert world.told("drop_withdrawn")


def test_nothing_is_concluded_from_an_inbox_that_went_offline(world: World) -> None:
    world.drop("lesson")
    world.tick()
    away = world.inbox.rename(world.folder / "away")
    world.tick(1)
    assert world.told("inbox_offline")
    assert not world.told("drop_withdrawn")
    away.rename(world.inbox)
    world.until(lambda: world.told("job_finished"))


def test_a_held_drop_waits_and_a_cancelled_one_is_put_away(world: World) -> None:
    world.drop("held")
    (world.inbox / "held.hold").touch()
    world.drop("unwanted")
    (world.inbox / "unwanted.cancel").touch()
    world.until(lambda: world.told("job_finished"))
    world.tick(SETTLE * 2)
    assert world.state("unwanted") == "cancelled"
    assert (world.inbox / "_failed" / "unwanted" / "speech.wav").exists()
    assert not (world.inbox / "unwanted.cancel").exists()
    assert "held.hold" in world.status("held").reason
    assert (world.inbox / "held").exists()


def test_the_flat_form_is_a_drop_named_after_its_recording(world: World) -> None:
    (world.inbox / "videos").mkdir()
    shutil.copyfile(world.film, world.inbox / "videos" / "a.mp4")
    shutil.copyfile(world.speech, world.inbox / "welcome.wav")
    world.until(lambda: world.told("job_finished", job="welcome"))
    world.tick()
    assert world.state("welcome") == "succeeded"
    assert (world.outputs / "welcome" / "a.mp4").exists()
    assert not (world.inbox / "welcome.wav").exists()


def test_several_recordings_make_every_combination(world: World) -> None:
    folder = world.drop("lesson", videos=("a.mp4", "b.mp4"))
    (folder / "audios").mkdir()
    shutil.move(folder / "speech.wav", folder / "audios" / "en.wav")
    shutil.copyfile(world.speech, folder / "audios" / "zh.wav")
    world.until(lambda: world.told("job_finished"))
    made = sorted(str(path.relative_to(world.outputs / "lesson")) for path in (world.outputs / "lesson").rglob("*.mp4"))
    assert made == ["en/a.mp4", "en/b.mp4", "zh/a.mp4", "zh/b.mp4"]


def test_the_words_beside_a_recording_travel_to_the_worker(world: World) -> None:
    folder = world.drop("lesson", 'language = "en"')
    (folder / "speech.txt").write_text("Hello there", encoding="utf-8")
    world.until(lambda: world.told("job_finished"))
    (order,) = world.session.orders
    assert order.script is not None
    assert (Path(order.script).name, Path(order.script).parent, order.language) == ("speech.txt", Path(order.recording).parent, "en")
    assert (world.inbox / "_done" / "lesson" / "speech.txt").read_text(encoding="utf-8") == "Hello there"


def test_a_claim_without_a_job_goes_back_to_its_inbox_after_a_crash(world: World) -> None:
    folder = world.drop("lesson")
    claimed = world.inbox / ".heygem" / "claimed" / "20260101-000000-lesson-abcd"
    claimed.mkdir(parents=True)
    folder.rename(claimed / "lesson")
    world.tick()
    assert world.told("drop_restored")
    world.until(lambda: world.told("job_finished"))
    assert world.state("lesson") == "succeeded"


def test_the_same_name_again_gets_a_folder_of_its_own(world: World) -> None:
    world.finish("lesson")
    world.drop("lesson")
    world.until(lambda: len(world.told("job_finished")) == 2)
    world.tick()
    assert (world.state("lesson"), world.state("lesson-2")) == ("succeeded", "succeeded")


# -- dispatch ---------------------------------------------------------------------------------------------------------


def test_the_inboxs_priority_and_the_drops_options_reach_the_worker(world: World) -> None:
    status = world.finish("lesson", 'fit = "video"\nface = "left"\nquality = 20\nlabel = true\n')
    (order,) = world.session.orders
    assert (order.fit, order.face, order.quality, order.visible_label) == ("video", "left", 20, True)
    assert status.priority == 5


@pytest.mark.parametrize(("wish", "pictures"), [("explain = true\n", ["a.png"]), ("explain = false\n", []), ("", [])])
def test_a_picture_that_explains_a_result_is_made_where_the_drop_asks_for_it(world: World, wish: str, pictures: list[str]) -> None:
    (item,) = world.finish("lesson", wish).items
    assert [path.name for path in world.outputs.glob("lesson/explain/*")] == pictures
    assert item.explain == ("explain/a.png" if pictures else None)


def test_an_unknown_engine_is_refused_with_the_known_ones(world: World) -> None:
    status = world.finish("lesson", 'engine = "magic"\n')
    assert status.error is not None
    assert (status.state, status.error.code) == ("rejected", "unknown_engine")
    assert "rewrite" in status.error.hint


def test_bad_input_fails_at_once_and_the_inputs_are_kept_with_the_reason(world: World) -> None:
    status = world.finish("lesson", 'text = "fail no_face"\n')
    (item,) = status.items
    assert (status.state, item.state, item.attempt) == ("failed", "failed", 1)
    assert "no_face" in (world.inbox / "_failed" / "lesson" / "reason.txt").read_text(encoding="utf-8")
    assert len(world.session.orders) == 1


def test_an_engine_error_gets_one_more_try(world: World) -> None:
    assert world.finish("lesson", 'text = "fail internal"\n').state == "failed"
    assert len(world.session.orders) == 2


def test_passing_trouble_backs_off_and_costs_no_attempt(world: World) -> None:
    world.drop("lesson", 'text = "fail io_error"\n')
    world.until(lambda: world.told("item_retrying"))
    world.tick(1)
    status = world.status("lesson")
    assert (status.state, status.items[0].attempt) == ("waiting", 0)
    assert "told so" in (status.waiting_for or "")
    world.tick(25)
    assert len(world.session.orders) == 1
    world.tick(10)
    assert len(world.session.orders) == 2


def test_repeated_device_failures_pause_the_queue_for_everybody(world: World) -> None:
    world.drop("first", 'text = "fail device_lost"\n')
    world.until(lambda: world.told("breaker_opened"))
    world.drop("second")
    world.until(lambda: world.told("job_queued", job="second"))
    world.tick(6)
    assert "device failed" in (world.status("second").waiting_for or "")
    assert world.daemon_status().state == "paused"
    assert world.daemon_status().breaker
    orders = len(world.session.orders)
    world.tick(100)
    assert len(world.session.orders) == orders
    world.until(lambda: world.told("job_finished", job="second"), step=30)
    assert world.told("breaker_closed")


def test_nothing_starts_without_room_on_the_disk_and_the_status_says_how_much(world: World) -> None:
    world.daemon.dispatch._defaults = replace(world.daemon.dispatch._defaults, reserve_bytes=10**18)
    world.drop("lesson")
    world.until(lambda: world.told("job_queued"))
    world.tick(6)
    world.tick(6)
    assert not world.session.orders
    assert "disk space" in (world.status("lesson").waiting_for or "")
    world.daemon.dispatch._defaults = replace(world.daemon.dispatch._defaults, reserve_bytes=0)
    world.until(lambda: world.told("job_finished"))


def test_outputs_that_are_away_lose_nothing(world: World) -> None:
    away = world.outputs.rename(world.folder / "away")
    world.drop("lesson")
    for _ in range(10):
        world.tick(1)
    away.rename(world.outputs)
    world.until(lambda: world.told("job_finished"), step=2)
    world.tick(6)
    assert world.state("lesson") == "succeeded"
    assert (world.outputs / "lesson" / "a.mp4").exists()


def test_a_result_that_fails_its_check_is_not_published(world: World) -> None:
    world.session.spoilt = {"a"}
    status = world.finish("lesson")
    assert status.items[0].error is not None
    assert (status.state, status.items[0].error.code) == ("failed", "result_invalid")
    assert not list((world.outputs / "lesson").glob("*.mp4"))


def test_a_crash_between_rename_and_ledger_does_not_render_again(world: World) -> None:
    world.drop("lesson")
    before: Ledger = world.ledger
    world.until(lambda: world.told("item_rendered"))
    running = world.job("lesson")
    world.until(lambda: world.told("item_published"))
    before.put(running)
    world.crash()
    assert world.job("lesson").items[0].state is State.SUCCEEDED
    assert not world.session.orders


def test_a_crash_in_the_middle_of_an_item_does_it_again(world: World) -> None:
    world.drop("lesson")
    world.until(lambda: world.told("item_started"))
    world.crash()
    assert world.told("item_interrupted")
    world.until(lambda: world.told("job_finished"))
    world.tick()
    assert world.status("lesson").items[0].attempt == 2


def test_an_item_that_takes_the_daemon_down_every_time_is_given_up(world: World) -> None:
    world.drop("lesson")
    for _ in range(3):
        started = len(world.told("item_started"))
        world.until(lambda before=started: len(world.told("item_started")) > before)
        world.crash()
    world.tick()
    assert world.state("lesson") == "failed"
    assert world.status("lesson").items[0].error.code == "worker_died"  # type: ignore[union-attr]


# -- wishes -----------------------------------------------------------------------------------------------------------


def test_pause_starts_nothing_new_and_resume_goes_on(world: World) -> None:
    (world.inbox / "PAUSE").touch()
    world.drop("lesson")
    world.until(lambda: world.told("job_queued"))
    world.tick(6)
    world.tick(6)
    assert not world.session.orders
    assert "PAUSE" in (world.status("lesson").waiting_for or "")
    (world.inbox / "PAUSE").unlink()
    world.until(lambda: world.told("job_finished"))


def test_hold_and_release_by_hand(world: World) -> None:
    (world.inbox / "PAUSE").touch()
    world.drop("lesson")
    world.until(lambda: world.told("job_queued"))
    world.ledger.request("hold", "lesson")
    (world.inbox / "PAUSE").unlink()
    world.tick(6)
    world.tick(6)
    assert (world.state("lesson"), world.status("lesson").waiting_for) == ("waiting", "Held back by hand")
    world.ledger.request("release", "lesson")
    world.until(lambda: world.told("job_finished"))


def test_a_retry_makes_only_what_failed(world: World) -> None:
    world.drop("lesson", videos=("a.mp4", "b.mp4"))
    world.session.spoilt = {"b"}
    world.until(lambda: world.told("job_finished"))
    world.tick()
    assert world.state("lesson") == "partial"
    world.session.spoilt.clear()
    made = len(world.session.orders)
    world.ledger.request("retry", "lesson")
    world.until(lambda: len(world.told("job_finished")) == 2)
    world.tick()
    assert world.state("lesson") == "succeeded"
    assert len(world.session.orders) == made + 1
    assert (world.inbox / "_done" / "lesson").exists()


def test_a_rejected_drop_that_is_tried_again_arrives_anew(world: World) -> None:
    world.finish("lesson", 'engine = "magic"\n')
    world.ledger.request("retry", "lesson")
    world.until(lambda: len(world.told("job_finished")) == 2)
    assert len(world.told("drop_claimed")) == 2


def test_a_wish_that_cannot_be_granted_is_logged(world: World) -> None:
    world.ledger.request("retry", "nobody")
    world.ledger.request("dance", "nobody")
    world.tick()
    assert [fields["verb"] for fields in world.told("request_unknown")] == ["retry", "dance"]


# -- reports ----------------------------------------------------------------------------------------------------------


def test_the_daemons_status_tells_the_queue_in_order(world: World) -> None:
    (world.inbox / "PAUSE").touch()
    for name, priority in (("later", 0), ("sooner", 50)):
        world.drop(name, f"priority = {priority}\n")
    world.until(lambda: len(world.told("job_queued")) == 2)
    world.tick(6)
    status = world.daemon_status()
    assert [(job.name, job.position) for job in status.jobs] == [("sooner", 1), ("later", 2)]
    assert (status.queue.queued, status.state) == (2, "paused")
    assert status.inboxes[0].online
    assert status.inboxes[0].paused


def test_the_daemons_status_lists_drops_that_are_not_jobs_yet(world: World) -> None:
    world.drop("lesson")
    world.tick()
    world.tick(6)
    (job,) = world.daemon_status().jobs
    assert (job.name, job.state) == ("lesson", "settling")
    assert job.reason
    world.until(lambda: world.told("job_finished"))
    world.tick(6)
    assert [(job.name, job.state) for job in world.daemon_status().jobs] == [("lesson", "succeeded")]


def test_a_mistake_in_a_tick_is_logged_and_the_daemon_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.daemon.claims, "claimed", lambda _inbox: 1 / 0)
    world.tolerant = True
    assert world.tick() == 1.0
    assert world.told("tick_failed")
    monkeypatch.undo()
    world.finish("lesson")


def test_many_drops_at_once_are_all_queued_once(world: World) -> None:
    (world.inbox / "PAUSE").touch()
    names = [f"lesson-{number:03}" for number in range(30)]
    for name in names:
        (world.inbox / name).mkdir()
        (world.inbox / name / "speech.wav").write_bytes(b"not sound")
        (world.inbox / name / "videos").mkdir()
        (world.inbox / name / "videos" / "a.mp4").write_bytes(b"not a film")
        (world.inbox / f"{name}.ready").touch()
    world.until(lambda: len(world.told("job_finished")) == 30)
    assert sorted(str(fields["job"]) for fields in world.told("drop_claimed")) == names
    assert sorted(path.name for path in (world.inbox / "_failed").iterdir()) == names
