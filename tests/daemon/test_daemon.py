"""The behaviour of the daemon, tick by tick: candidates, dispatch, requests, status."""

import os
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from heygem_daemon.core.job import State
from heygem_daemon.core.ports import Ledger
from heygem_daemon.core.scan import ScannedDrop
from heygem_daemon.daemon.inboxes import CLAIM_SECONDS
from heygem_daemon.intake.inspector import MediaInspector
from tests.daemon.harness import INCOMPLETE, SETTLE, DaemonHarness

# -- candidates -------------------------------------------------------------------------------------------------------


def test_a_drop_is_left_alone_until_it_has_settled(harness: DaemonHarness) -> None:
    folder = harness.drop("lesson")
    harness.tick()
    assert harness.state("lesson") == "settling"
    assert "copy to finish" in harness.status("lesson").reason
    harness.tick(SETTLE - 0.1)
    (folder / "videos" / "late.mp4").write_bytes(harness.film.read_bytes())
    harness.tick(0.2)
    harness.tick(SETTLE - 0.5)
    assert folder.exists()
    harness.until(lambda: not folder.exists())
    assert len(harness.job("lesson").items) == 2


def test_the_files_are_opened_while_the_drop_settles_so_that_it_is_claimed_at_once(media_harness: DaemonHarness) -> None:
    media_harness.drop("lesson")
    media_harness.tick()
    media_harness.tick(SETTLE * 0.6)
    assert media_harness.state("lesson") == "settling"
    assert isinstance(media_harness.daemon.inspector, MediaInspector)
    (pending,) = media_harness.daemon.inspector._pending.values()
    assert len(pending.checks) == 2
    media_harness.tick(SETTLE * 0.3)
    assert not media_harness.events_named("drop_claimed")
    media_harness.tick(SETTLE * 0.1 + 0.01)
    assert media_harness.events_named("drop_claimed")


def test_a_drop_waits_while_its_files_are_being_opened_and_is_scanned_again_soon(
    harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness.daemon.inspector, "inspect", lambda *_arguments, **_options: None)
    harness.drop("lesson")
    harness.tick()
    assert harness.tick(SETTLE + 0.1) == pytest.approx(harness.daemon.config.intervals.busy)
    assert (harness.state("lesson"), harness.status("lesson").waiting_for) == ("settling", "inspection")
    monkeypatch.undo()
    harness.tick(harness.daemon.config.intervals.busy)
    assert harness.events_named("drop_claimed")


def test_a_drop_with_a_ready_file_is_claimed_at_once(harness: DaemonHarness) -> None:
    harness.drop("lesson")
    (harness.inbox / "lesson.ready").touch()
    harness.until(lambda: harness.events_named("drop_claimed"), step=0.001)
    assert harness.clock.monotonic < 1000 + SETTLE
    assert not (harness.inbox / "lesson.ready").exists()


def test_an_event_makes_a_scan_due_before_its_time(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    harness.tick()
    harness.drop("lesson")
    harness.tick(0.01)
    assert not harness.events_named("drop_seen")
    monkeypatch.setattr(harness.daemon.change_notifier, "changed", lambda: True)
    harness.tick(0.01)
    assert harness.events_named("drop_seen", job="lesson")


def test_an_incomplete_drop_has_the_reason_in_its_status_and_is_refused_in_the_end(harness: DaemonHarness) -> None:
    shutil.rmtree(harness.drop("lesson") / "videos")
    harness.tick()
    harness.tick(SETTLE + 0.1)
    waiting = harness.status("lesson")
    assert (waiting.state, waiting.error and waiting.error.code) == ("settling", "no_videos")
    harness.tick(INCOMPLETE)
    harness.until(lambda: harness.events_named("job_finished"))
    harness.tick()
    assert harness.state("lesson") == "rejected"
    assert "no_videos" in (harness.inbox / "_failed" / "lesson" / "reason.txt").read_text(encoding="utf-8")


def test_a_missing_part_may_come_late(harness: DaemonHarness) -> None:
    folder = harness.drop("lesson")
    (folder / "speech.wav").unlink()
    harness.tick()
    harness.tick(SETTLE + 0.1)
    assert harness.state("lesson") == "settling"
    shutil.copyfile(harness.speech, folder / "speech.wav")
    harness.until(lambda: harness.events_named("job_finished"))
    harness.tick()
    assert harness.state("lesson") == "succeeded"


def test_a_file_that_cannot_be_read_yet_is_waited_for(media_harness: DaemonHarness) -> None:
    folder = media_harness.drop("lesson")
    film = media_harness.film.read_bytes()
    (folder / "videos" / "a.mp4").write_bytes(film[: len(film) // 2])
    media_harness.tick()
    media_harness.until(lambda: media_harness.events_named("drop_incomplete"))
    assert "still being copied" in media_harness.status("lesson").reason
    (folder / "videos" / "a.mp4").write_bytes(film)
    media_harness.until(lambda: media_harness.events_named("job_finished"))
    media_harness.tick()
    assert media_harness.state("lesson") == "succeeded"


def test_a_drop_that_goes_away_takes_its_status_with_it(harness: DaemonHarness) -> None:
    folder = harness.drop("lesson")
    harness.tick()
    assert (harness.outputs / "lesson").is_dir()
    shutil.rmtree(folder)
    harness.until(lambda: not (harness.outputs / "lesson").exists())  # a thread beside the daemon removes it
    assert harness.events_named("drop_withdrawn")


def test_nothing_is_concluded_from_an_inbox_that_went_offline(harness: DaemonHarness) -> None:
    harness.drop("lesson")
    harness.tick()
    away = harness.inbox.rename(harness.folder / "away")
    harness.tick(1)
    assert harness.events_named("inbox_offline")
    assert not harness.events_named("drop_withdrawn")
    away.rename(harness.inbox)
    harness.until(lambda: harness.events_named("job_finished"))


def test_a_held_drop_waits_and_a_cancelled_one_is_archived(harness: DaemonHarness) -> None:
    harness.drop("held")
    (harness.inbox / "held.hold").touch()
    harness.drop("unwanted")
    (harness.inbox / "unwanted.cancel").touch()
    harness.until(lambda: harness.events_named("job_finished"))
    harness.tick(SETTLE * 2)
    assert harness.state("unwanted") == "cancelled"
    assert (harness.inbox / "_failed" / "unwanted" / "speech.wav").exists()
    assert not (harness.inbox / "unwanted.cancel").exists()
    assert "held.hold" in harness.status("held").reason
    assert (harness.inbox / "held").exists()


def test_the_flat_form_is_a_drop_named_after_its_recording(media_harness: DaemonHarness) -> None:
    (media_harness.inbox / "videos").mkdir()
    shutil.copyfile(media_harness.film, media_harness.inbox / "videos" / "a.mp4")
    shutil.copyfile(media_harness.speech, media_harness.inbox / "welcome.wav")
    media_harness.until(lambda: media_harness.events_named("job_finished", job="welcome"))
    media_harness.tick()
    assert media_harness.state("welcome") == "succeeded"
    assert (media_harness.outputs / "welcome" / "a.mp4").exists()
    assert not (media_harness.inbox / "welcome.wav").exists()


def test_several_recordings_make_every_combination(harness: DaemonHarness) -> None:
    folder = harness.drop("lesson", videos=("a.mp4", "b.mp4"))
    (folder / "audios").mkdir()
    shutil.move(folder / "speech.wav", folder / "audios" / "en.wav")
    shutil.copyfile(harness.speech, folder / "audios" / "zh.wav")
    harness.until(lambda: harness.events_named("job_finished"))
    made = sorted(str(path.relative_to(harness.outputs / "lesson")) for path in (harness.outputs / "lesson").rglob("*.mp4"))
    assert made == ["en/a.mp4", "en/b.mp4", "zh/a.mp4", "zh/b.mp4"]


def test_the_script_beside_a_recording_is_passed_to_the_worker(harness: DaemonHarness) -> None:
    folder = harness.drop("lesson", 'language = "en"')
    (folder / "speech.txt").write_text("Hello there", encoding="utf-8")
    harness.until(lambda: harness.events_named("job_finished"))
    (order,) = harness.session.orders
    assert order.script is not None
    assert (Path(order.script).name, Path(order.script).parent, order.options.language) == (
        "speech.txt",
        Path(order.recording).parent,
        "en",
    )
    assert (harness.inbox / "_done" / "lesson" / "speech.txt").read_text(encoding="utf-8") == "Hello there"


def test_a_claim_without_a_job_goes_back_to_its_inbox_after_a_crash(harness: DaemonHarness) -> None:
    folder = harness.drop("lesson")
    claimed = harness.inbox / ".heygem" / "claimed" / "20260101-000000-lesson-abcd"
    claimed.mkdir(parents=True)
    folder.rename(claimed / "lesson")
    harness.tick()
    assert harness.events_named("drop_restored")
    harness.until(lambda: harness.events_named("job_finished"))
    assert harness.state("lesson") == "succeeded"


def test_the_same_name_again_gets_a_folder_of_its_own(harness: DaemonHarness) -> None:
    harness.finish("lesson")
    harness.drop("lesson")
    harness.until(lambda: len(harness.events_named("job_finished")) == 2)
    harness.tick()
    assert (harness.state("lesson"), harness.state("lesson-2")) == ("succeeded", "succeeded")


# -- dispatch ---------------------------------------------------------------------------------------------------------


def test_the_inboxs_priority_and_the_drops_options_reach_the_worker(harness: DaemonHarness) -> None:
    status = harness.finish("lesson", 'fit = "video"\nface = "left"\nquality = 20\nlabel = true\n')
    (order,) = harness.session.orders
    assert (order.options.fit, order.options.face, order.options.quality, order.options.label) == ("video", "left", 20, True)
    assert status.priority == 5


def test_the_face_chosen_for_one_video_reaches_the_order_for_it_alone(harness: DaemonHarness) -> None:
    job_toml = 'face = "right"\nfirst_seconds = 5\n[faces]\n"a.mp4" = "left"\n'
    harness.drop("lesson", job_toml, videos=("a.mp4", "b.mp4"))
    harness.until(lambda: harness.state("lesson") == "succeeded")
    faces = {Path(order.video).name: (order.options.face, order.options.first_seconds) for order in harness.session.orders}
    assert faces == {"a.mp4": ("left", 5.0), "b.mp4": ("right", 5.0)}


@pytest.mark.parametrize(("job_toml", "images"), [("explain = true\n", ["a.png"]), ("explain = false\n", []), ("", [])])
def test_a_diagnostic_image_is_made_where_the_drop_asks_for_it(harness: DaemonHarness, job_toml: str, images: list[str]) -> None:
    (item,) = harness.finish("lesson", job_toml).items
    assert [path.name for path in harness.outputs.glob("lesson/explain/*")] == images
    assert item.explain == ("explain/a.png" if images else None)


def test_an_unknown_engine_is_refused_with_the_known_ones(harness: DaemonHarness) -> None:
    status = harness.finish("lesson", 'engine = "magic"\n')
    assert status.error is not None
    assert (status.state, status.error.code) == ("rejected", "unknown_engine")
    assert "rewrite" in status.error.hint


def test_bad_input_fails_at_once_and_the_inputs_are_kept_with_the_reason(harness: DaemonHarness) -> None:
    status = harness.finish("lesson", 'text = "fail no_face"\n')
    (item,) = status.items
    assert (status.state, item.state, item.attempt) == ("failed", "failed", 1)
    assert "no_face" in (harness.inbox / "_failed" / "lesson" / "reason.txt").read_text(encoding="utf-8")
    assert len(harness.session.orders) == 1


def test_an_engine_error_gets_one_more_try(harness: DaemonHarness) -> None:
    assert harness.finish("lesson", 'text = "fail internal"\n').state == "failed"
    assert len(harness.session.orders) == 2


def test_a_transient_error_backs_off_and_costs_no_attempt(harness: DaemonHarness) -> None:
    harness.drop("lesson", 'text = "fail io_error"\n')
    harness.until(lambda: harness.events_named("item_retrying"))
    harness.tick(1)
    status = harness.status("lesson")
    assert (status.state, status.items[0].attempt) == ("waiting", 0)
    assert "as scripted" in (status.waiting_for or "")
    harness.tick(25)
    assert len(harness.session.orders) == 1
    harness.tick(10)
    assert len(harness.session.orders) == 2


def test_repeated_device_failures_pause_the_queue_for_everybody(harness: DaemonHarness) -> None:
    harness.drop("first", 'text = "fail device_lost"\n')
    harness.until(lambda: harness.events_named("breaker_opened"))
    harness.drop("second")
    harness.until(lambda: harness.events_named("job_queued", job="second"))
    harness.tick(6)
    assert "device failed" in (harness.status("second").waiting_for or "")
    assert harness.daemon_status().state == "paused"
    assert harness.daemon_status().breaker
    orders = len(harness.session.orders)
    harness.tick(100)
    assert len(harness.session.orders) == orders
    harness.until(lambda: harness.events_named("job_finished", job="second"), step=30)
    assert harness.events_named("breaker_closed")


def reserve(harness: DaemonHarness, reserve_bytes: int) -> None:
    config = harness.daemon.config
    harness.daemon.apply(replace(config, reserve_bytes=reserve_bytes))


def test_nothing_starts_without_room_on_the_disk_and_the_status_shows_how_much_is_needed(harness: DaemonHarness) -> None:
    reserve(harness, 10**18)
    harness.drop("lesson")
    harness.until(lambda: harness.events_named("job_queued"))
    harness.tick(6)
    harness.tick(6)
    assert not harness.session.orders
    assert "disk space" in (harness.status("lesson").waiting_for or "")
    (blocked,) = harness.events_named("queue_blocked")
    assert blocked["error_code"] == "disk_full"
    reserve(harness, 0)
    harness.until(lambda: harness.events_named("job_finished"))
    assert len(harness.events_named("queue_continues")) == 1


def test_outputs_that_are_away_lose_nothing(harness: DaemonHarness) -> None:
    away = harness.outputs.rename(harness.folder / "away")
    harness.drop("lesson")
    for _ in range(10):
        harness.tick(1)
    away.rename(harness.outputs)
    harness.until(lambda: harness.events_named("job_finished"), step=2)
    harness.tick(6)
    assert harness.state("lesson") == "succeeded"
    assert (harness.outputs / "lesson" / "a.mp4").exists()


def test_a_result_that_fails_its_check_is_not_published(media_harness: DaemonHarness) -> None:
    media_harness.session.spoilt = {"a"}
    status = media_harness.finish("lesson")
    assert status.items[0].error is not None
    assert (status.state, status.items[0].error.code) == ("failed", "result_invalid")
    assert not list((media_harness.outputs / "lesson").glob("*.mp4"))


@pytest.mark.parametrize(("code", "is_retryable"), [("no_face", False), ("internal", True)])
def test_the_status_of_a_failed_item_keeps_whether_trying_again_can_help(harness: DaemonHarness, code: str, is_retryable: bool) -> None:
    problem = harness.finish("lesson", f'text = "fail {code}"\n').items[0].error
    assert problem is not None
    assert (problem.code, problem.retryable) == (code, is_retryable)


def test_a_crash_between_rename_and_ledger_does_not_render_again(harness: DaemonHarness) -> None:
    harness.drop("lesson")
    before: Ledger = harness.ledger
    harness.until(lambda: harness.events_named("item_rendered"))
    running = harness.job("lesson")
    harness.until(lambda: harness.events_named("item_published"))
    before.put(running)
    harness.crash()
    assert harness.job("lesson").items[0].state is State.SUCCEEDED
    assert not harness.session.orders


def test_a_crash_in_the_middle_of_an_item_does_it_again(harness: DaemonHarness) -> None:
    harness.drop("lesson")
    harness.until(lambda: harness.events_named("item_started"))
    staging = harness.outputs / ".heygem" / "staging"
    (interrupted,) = staging.iterdir()
    harness.crash()
    assert harness.events_named("item_interrupted")
    harness.until(lambda: harness.events_named("job_finished"))
    harness.tick()
    assert not interrupted.exists()
    assert harness.status("lesson").items[0].attempt == 2


class StopAtOnce:
    """A StopSignal that was requested, and requested again: no grace."""

    requested = urgent = True

    def __init__(self) -> None:
        self.wakeup = os.eventfd(1, os.EFD_CLOEXEC)

    def reload_requested(self) -> bool:
        return False


def test_an_orderly_stop_gives_the_item_back_and_the_next_start_does_it_as_the_same_attempt(harness: DaemonHarness) -> None:
    harness.drop("lesson")
    harness.until(lambda: harness.events_named("item_started"))
    stop = StopAtOnce()
    harness.daemon._shutdown(stop)
    harness.daemon.close()
    os.close(stop.wakeup)
    assert harness.state("lesson") == "interrupted"
    assert harness.daemon_status().state == "stopped"
    harness.open()
    harness.until(lambda: harness.events_named("job_finished"))
    harness.tick()
    assert harness.status("lesson").items[0].attempt == 1


def test_an_item_that_takes_the_daemon_down_every_time_is_given_up(harness: DaemonHarness) -> None:
    harness.drop("lesson")
    for count in range(1, 4):
        harness.until(partial(harness.has_events, "item_started", count))
        harness.crash()
    harness.tick()
    assert harness.state("lesson") == "failed"
    problem = harness.status("lesson").items[0].error
    assert problem is not None
    assert problem.code == "worker_died"


# -- requests ---------------------------------------------------------------------------------------------------------


def test_pause_starts_nothing_new_and_resume_goes_on(harness: DaemonHarness) -> None:
    (harness.inbox / "PAUSE").touch()
    harness.drop("lesson")
    harness.until(lambda: harness.events_named("job_queued"))
    harness.tick(6)
    harness.tick(6)
    assert not harness.session.orders
    assert "PAUSE" in (harness.status("lesson").waiting_for or "")
    (harness.inbox / "PAUSE").unlink()
    harness.until(lambda: harness.events_named("job_finished"))


def test_hold_and_release_by_hand(harness: DaemonHarness) -> None:
    (harness.inbox / "PAUSE").touch()
    harness.drop("lesson")
    harness.until(lambda: harness.events_named("job_queued"))
    harness.ledger.request("hold", "lesson")
    (harness.inbox / "PAUSE").unlink()
    harness.tick(6)
    harness.tick(6)
    assert (harness.state("lesson"), harness.status("lesson").waiting_for) == ("waiting", "Held back by hand")
    harness.ledger.request("release", "lesson")
    harness.until(lambda: harness.events_named("job_finished"))


def test_a_retry_makes_only_what_failed(harness: DaemonHarness) -> None:
    harness.drop("lesson", videos=("a.mp4", "b.mp4"))
    harness.session.spoilt = {"b"}
    harness.until(lambda: harness.events_named("job_finished"))
    harness.tick()
    assert harness.state("lesson") == "partial"
    harness.session.spoilt.clear()
    made = len(harness.session.orders)
    harness.ledger.request("retry", "lesson")
    harness.until(lambda: len(harness.events_named("job_finished")) == 2)
    harness.tick()
    assert harness.state("lesson") == "succeeded"
    assert len(harness.session.orders) == made + 1
    assert (harness.inbox / "_done" / "lesson").exists()


def test_a_rejected_drop_that_is_retried_is_claimed_anew(harness: DaemonHarness) -> None:
    harness.finish("lesson", 'engine = "magic"\n')
    harness.ledger.request("retry", "lesson")
    harness.until(lambda: len(harness.events_named("job_finished")) == 2)
    assert len(harness.events_named("drop_claimed")) == 2


def test_a_request_that_cannot_be_carried_out_is_logged(harness: DaemonHarness) -> None:
    harness.ledger.request("retry", "nobody")
    harness.ledger.request("dance", "nobody")
    harness.tick()
    assert [fields["verb"] for fields in harness.events_named("request_unknown")] == ["retry", "dance"]


# -- status -----------------------------------------------------------------------------------------------------------


def test_the_daemons_status_lists_the_queue_in_order(harness: DaemonHarness) -> None:
    (harness.inbox / "PAUSE").touch()
    for name, priority in (("later", 0), ("sooner", 50)):
        harness.drop(name, f"priority = {priority}\n")
    harness.until(lambda: len(harness.events_named("job_queued")) == 2)
    harness.tick(6)
    status = harness.daemon_status()
    assert [(job.name, job.position) for job in status.jobs] == [("sooner", 1), ("later", 2)]
    assert (status.queue.queued, status.queue.waiting, status.state) == (0, 2, "paused")
    assert status.inboxes[0].online
    assert status.inboxes[0].paused


def test_a_status_names_owner_reference_and_consent_from_the_first_sight_to_the_end(harness: DaemonHarness) -> None:
    harness.drop("lesson", 'owner = "amy"\nreference = "r-1"\nconsent = "Amy agreed"\n')
    harness.tick()
    settling = harness.status("lesson")
    assert (settling.state, settling.owner, settling.reference, settling.inbox) == ("settling", "amy", "r-1", str(harness.inbox))
    harness.until(lambda: harness.events_named("job_finished"))
    harness.tick(6)
    done = harness.status("lesson")
    assert (done.state, done.owner, done.reference, done.consent) == ("succeeded", "amy", "r-1", "Amy agreed")
    (summary,) = harness.daemon_status().jobs
    assert (summary.owner, summary.reference, summary.inbox) == ("amy", "r-1", str(harness.inbox))


@pytest.mark.parametrize("mistake", ["enginne = 1", 'fit = "both"', 'engine = "magic"'])
def test_a_refused_drop_still_names_its_owner(harness: DaemonHarness, mistake: str) -> None:
    status = harness.finish("lesson", f'{mistake}\nowner = "amy"\nreference = "r-1"\n')
    assert (status.state, status.owner, status.reference) == ("rejected", "amy", "r-1")


def test_the_daemons_status_lists_drops_that_are_not_jobs_yet(harness: DaemonHarness) -> None:
    harness.tick()
    harness.drop("lesson")
    harness.tick(6)
    (job,) = harness.daemon_status().jobs
    assert (job.name, job.state) == ("lesson", "settling")
    assert job.reason
    harness.until(lambda: harness.events_named("job_finished"))
    harness.tick(6)
    assert [(job.name, job.state) for job in harness.daemon_status().jobs] == [("lesson", "succeeded")]


def test_an_error_in_a_tick_is_logged_and_the_daemon_goes_on(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness.daemon.inboxes.claims, "claimed", lambda _inbox: 1 / 0)
    harness.tolerant = True
    assert harness.tick() == 1.0
    assert harness.events_named("tick_failed")
    monkeypatch.undo()
    harness.finish("lesson")


def test_many_drops_at_once_are_all_queued_once_some_with_each_scan(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    claims, claim = harness.daemon.inboxes.claims, harness.daemon.inboxes.claims.claim

    def claim_slowly(scanned: ScannedDrop, job_id: str) -> Path:
        harness.clock.monotonic += CLAIM_SECONDS / 9.5
        return claim(scanned, job_id)

    monkeypatch.setattr(claims, "claim", claim_slowly)
    (harness.inbox / "PAUSE").touch()
    names = [f"lesson-{number:03}" for number in range(16)]
    for name in names:
        (harness.inbox / name).mkdir()
        (harness.inbox / name / "speech.wav").write_bytes(b"not audio")
        (harness.inbox / name / "videos").mkdir()
        (harness.inbox / name / "videos" / "a.mp4").write_bytes(b"not a film")
        (harness.inbox / f"{name}.ready").touch()
    harness.tick()
    assert len(harness.events_named("drop_claimed")) == 10
    harness.tick()
    assert len(harness.events_named("drop_claimed")) == 16, "the next scan is due at once"
    harness.until(lambda: len(harness.events_named("job_finished")) == 16)
    assert sorted(str(fields["job"]) for fields in harness.events_named("drop_claimed")) == names
    assert sorted(path.name for path in (harness.inbox / "_failed").iterdir()) == names
