"""What the service manager, monitoring and hooks hear of the daemon, and when it has to be restarted."""

import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from heygem_daemon.core.ports import InboxScan
from heygem_daemon.daemon.clock import Instant
from heygem_daemon.daemon.dispatcher import STANDSTILL_SECONDS
from heygem_daemon.daemon.health import Health
from heygem_daemon.daemon.main_loop import Daemon
from heygem_daemon.daemon.status_line import headline
from tests.daemon.harness import SETTLE, World


def test_ready_is_told_once_when_every_inbox_was_looked_at(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = world.daemon.scanner.scan
    answers: list[InboxScan | None] = [None]
    monkeypatch.setattr(world.daemon.scanner, "scan", lambda inbox: answers.pop() if answers else scan(inbox))
    world.tick()
    assert "ready" not in world.listeners.calls
    world.tick(1)
    world.tick(1)
    assert world.listeners.calls.count("ready") == 1
    assert world.told("daemon_ready", inboxes=1)


def test_an_offline_inbox_does_not_keep_the_daemon_from_being_ready(world: World) -> None:
    (world.inbox / ".heygem-inbox").unlink()
    world.tick()
    assert world.listeners.calls.count("ready") == 1
    assert world.listeners.lines == ["0 queued, 0 running, 0 inboxes online, 1 OFFLINE"]


def test_the_headline_says_what_runs_and_how_far_it_is(world: World) -> None:
    world.drop("lesson-01", videos=("teacher-a.mp4", "teacher-b.mp4"))
    world.tick()
    assert world.listeners.lines == ["0 queued, 0 running, 1 arriving, 1 inbox online"]
    dispatch = world.daemon.dispatch
    world.until(lambda: any(attempt.progress for attempt in dispatch.attempts.values()))
    line = headline(dispatch, world.daemon.views, 0)
    assert re.fullmatch(r"0 queued, 2 running: lesson-01/teacher-a \d+ % and lesson-01/teacher-b, 1 inbox online", line)


def test_the_end_of_a_job_is_told_to_the_hooks_when_all_of_it_is_over(world: World) -> None:
    world.finish("lesson", "zip = true\n")
    (told,) = world.listeners.ended
    assert (told.name, told.state, told.links) == ("lesson", "succeeded", {"zip": "lesson.zip"})
    assert told.items[0].output == "a.mp4"


def test_a_rejected_drop_is_told_to_the_hooks_too(world: World) -> None:
    world.finish("lesson", "colour = true\n")
    (told,) = world.listeners.ended
    assert told.state == "rejected"
    assert told.error is not None


def test_monitoring_hears_of_the_daemon_even_while_outputs_are_away(world: World) -> None:
    world.tick()
    world.outputs.rename(world.folder / "away")
    before = len(world.listeners.statuses)
    world.tick(10)
    assert len(world.listeners.statuses) > before
    assert world.listeners.statuses[-1].disk is not None
    assert not world.listeners.statuses[-1].disk.ok


def test_a_failure_names_the_stage_it_happened_in(world: World) -> None:
    world.finish("lesson", 'text = "fail no_face"\n')
    assert world.told("item_stage", stage="render", item="a")
    (failed,) = world.told("item_failed")
    assert (failed["stage"], failed["error_code"]) == ("render", "no_face")


def test_a_video_that_is_found_broken_at_the_door_is_told_once(world: World) -> None:
    folder = world.drop("lesson", videos=("a.mp4", "b.mp4"))
    (folder / "videos" / "b.mp4").write_text("not a film", encoding="utf-8")
    (world.inbox / "lesson.ready").touch()
    world.until(lambda: world.told("job_finished"))
    assert [told["item"] for told in world.told("item_failed")] == ["b"]
    assert world.status("lesson").state == "partial"


def test_a_published_result_says_how_long_and_how_fast(world: World) -> None:
    world.finish("lesson")
    (published,) = world.told("item_published")
    assert (published["video_seconds"], published["speed"]) == (1.0, 2.0)
    assert isinstance(published["seconds"], float)


# -- health -----------------------------------------------------------------------------------------------------------


def test_a_part_that_fails_for_too_long_ails_and_recovers() -> None:
    health = Health(patience=30.0)
    health.tried("queue", 0.0)
    health.succeeded("scan", 0.0)
    assert not health.ailing(29.9)
    assert health.ailing(30.0) == ["queue: nothing for 30 s", "scan: nothing for 30 s"]
    health.succeeded("queue", 31.0)
    assert health.ailing(31.0) == ["scan: nothing for 31 s"]


def test_a_drop_that_confuses_the_daemon_is_no_reason_to_restart_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def confused(*_: object) -> None:
        raise ValueError("a drop that nobody thought of")

    monkeypatch.setattr(world.daemon.arrivals, "look", confused)
    world.tolerant = True
    world.daemon.health.patience = 0.05
    for _ in range(10):
        world.tick(5)
        time.sleep(0.01)
    assert world.told("tick_failed", part="inbox")
    assert world.listeners.calls[-1] == "alive"


@pytest.mark.parametrize("part", ["scan", "workers", "queue", "ledger"])
def test_the_watchdog_is_fed_only_while_every_part_works(world: World, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    world.tick()
    assert world.listeners.calls[-1] == "alive"
    daemon = world.daemon
    target, name = {
        "scan": (daemon.scanner, "scan"),
        "workers": (daemon.dispatch, "collect"),
        "queue": (daemon.dispatch, "start"),
        "ledger": (daemon.ledger, "healthy"),
    }[part]

    def broken(*_: object) -> bool:
        if part == "ledger":
            return False
        raise ValueError("broken")

    monkeypatch.setattr(target, name, broken)
    world.tolerant = True
    world.tick(20)
    assert world.listeners.calls[-1] == "alive", "a moment's trouble is no illness"
    fed = world.listeners.calls.count("alive")
    daemon.health.succeeded(part, Instant.now().monotonic - daemon.health.patience)
    world.tick(20)
    assert world.listeners.calls.count("alive") == fed
    assert [str(told["reason"]).partition(":")[0] for told in world.told("daemon_unwell")] == [part]
    monkeypatch.undo()
    world.tick(20)
    assert world.listeners.calls.count("alive") == fed + 1


def test_a_full_disk_is_no_illness(world: World) -> None:
    world.reserve_bytes = 2**60
    world.crash()
    world.drop("lesson")
    world.until(lambda: world.state("lesson") == "waiting")
    fed = world.listeners.calls.count("alive")
    world.tick(100)
    assert world.listeners.calls.count("alive") == fed + 1
    assert "needed" in world.listeners.lines[-1]


# -- a frozen share ---------------------------------------------------------------------------------------------------


def test_inputs_in_an_inbox_that_is_offline_are_not_touched(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    finish = world.daemon.claims.finish
    touched: list[str] = []
    monkeypatch.setattr(world.daemon.claims, "finish", lambda job, *rest: (touched.append(job.name), finish(job, *rest))[1])
    scan = world.daemon.scanner.scan
    offline = InboxScan(inbox=str(world.inbox), online=False, reason="it does not answer")
    world.drop("lesson")
    world.until(lambda: world.daemon.dispatch.attempts)
    monkeypatch.setattr(world.daemon.scanner, "scan", lambda _inbox: offline)
    world.tick(5)
    world.until(lambda: world.told("item_published"))
    world.tick(5)
    assert touched == []
    monkeypatch.setattr(world.daemon.scanner, "scan", scan)
    world.until(lambda: world.told("job_finished"))
    assert touched == ["lesson"]


def test_an_attempt_that_stands_still_on_a_dead_share_frees_its_device_and_is_made_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancelled: list[str] = []
    world.drop("lesson")
    world.until(lambda: world.told("job_queued"))
    monkeypatch.setattr(world.daemon.executor, "poll", list)
    world.until(lambda: world.daemon.dispatch.attempts)
    monkeypatch.setattr(world.daemon.executor, "cancel", cancelled.append)
    world.tick(STANDSTILL_SECONDS + 1)
    assert not cancelled, "only slow"
    offline = InboxScan(inbox=str(world.inbox), online=False, reason="it does not answer")
    monkeypatch.setattr(world.daemon.scanner, "scan", lambda _inbox: offline)
    world.tick(1)
    world.tick(1)
    assert len(cancelled) == 1
    (told,) = world.told("item_retrying")
    assert told["error_code"] == "share_offline"
    monkeypatch.undo()
    world.until(lambda: world.told("job_finished"), step=5)
    assert world.state("lesson") == "succeeded"
    assert len(world.told("item_started")) == 2


# -- new values while it works ----------------------------------------------------------------------------------------


class Asked:
    """A StopSignal that asks for the configuration once, then to end."""

    def __init__(self) -> None:
        self.urgent = False
        self.asks = [True]
        self.wakeup = 0

    @property
    def requested(self) -> bool:
        return not self.asks

    def reload_requested(self) -> bool:
        return self.asks.pop() if self.asks else False


def test_the_supervisor_hears_when_a_reload_begins_and_ends(tmp_path: Path, material: tuple[Path, Path]) -> None:
    reloaded: list[Daemon] = []
    world = World(folder=tmp_path, film=material[0], speech=material[1], reconfigure=reloaded.append)
    assert world.daemon.run(Asked())  # type: ignore[arg-type]
    assert reloaded == [world.daemon]
    calls = [call for call in world.listeners.calls if call != "alive"]
    assert calls == ["reloading", "ready", "stopping", "close"]
    world.publisher.close()


def test_new_values_hold_for_what_comes_and_an_inbox_more_is_looked_at(world: World) -> None:
    world.tick()
    more = world.folder / "more"
    more.mkdir()
    (more / ".heygem-inbox").touch()
    tuning = world.daemon.tuning
    world.daemon.adopt(
        replace(tuning, inboxes=(*tuning.inboxes, str(more)), defaults=replace(tuning.defaults, quality=30, zip=True), history_seconds=9.0)
    )
    assert world.finish("lesson").links == {"zip": "lesson.zip"}
    assert world.session.orders[-1].quality == 30
    assert world.daemon.views[str(more)].online


def test_an_inbox_less_is_forgotten_but_its_job_goes_on(world: World) -> None:
    world.drop("running")
    world.until(lambda: world.daemon.dispatch.jobs)
    world.drop("coming")
    world.tick(1)
    assert world.state("coming") == "settling"
    other = world.folder / "other"
    other.mkdir()
    world.daemon.adopt(replace(world.daemon.tuning, inboxes=(str(other),)))
    world.until(lambda: world.told("job_finished"))
    world.tick(SETTLE * 3)
    assert world.state("running") == "succeeded"
    assert world.state("coming") is None
    assert (world.inbox / "coming").is_dir()
    assert list(world.daemon.views) == [str(other)]
