"""What the service manager, monitoring and hooks hear of the daemon, and when it has to be restarted."""

import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from heygem_daemon.daemon.clock import ClockReading

from heygem_daemon.core.ports import InboxScan
from heygem_daemon.daemon.dispatcher import STALL_TIMEOUT
from heygem_daemon.daemon.health import Health
from heygem_daemon.daemon.main_loop import Daemon
from heygem_daemon.daemon.status_line import headline
from tests.daemon.harness import SETTLE, DaemonHarness


def test_ready_is_told_once_when_every_inbox_was_looked_at(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = harness.daemon.scanner.scan
    answers: list[InboxScan | None] = [None]
    monkeypatch.setattr(harness.daemon.scanner, "scan", lambda inbox: answers.pop() if answers else scan(inbox))
    harness.tick()
    assert "ready" not in harness.listeners.calls
    harness.tick(1)
    harness.tick(1)
    assert harness.listeners.calls.count("ready") == 1
    assert harness.events_named("daemon_ready", inboxes=1)


def test_an_offline_inbox_does_not_keep_the_daemon_from_being_ready(harness: DaemonHarness) -> None:
    (harness.inbox / ".heygem-inbox").unlink()
    harness.tick()
    assert harness.listeners.calls.count("ready") == 1
    assert harness.listeners.lines == ["0 queued, 0 running, 0 inboxes online, 1 OFFLINE"]


def test_the_headline_says_what_runs_and_how_far_it_is(harness: DaemonHarness) -> None:
    harness.drop("lesson-01", videos=("teacher-a.mp4", "teacher-b.mp4"))
    harness.tick()
    assert harness.listeners.lines == ["0 queued, 0 running, 1 arriving, 1 inbox online"]
    dispatch = harness.daemon.dispatch
    harness.until(lambda: any(attempt.progress for attempt in dispatch.attempts.values()))
    line = headline(dispatch, harness.daemon.views, 0)
    assert re.fullmatch(r"0 queued, 2 running: lesson-01/teacher-a \d+ % and lesson-01/teacher-b, 1 inbox online", line)


def test_the_end_of_a_job_is_told_to_the_hooks_when_all_of_it_is_over(harness: DaemonHarness) -> None:
    harness.finish("lesson", "zip = true\n")
    (told,) = harness.listeners.ended
    assert (told.name, told.state, told.links) == ("lesson", "succeeded", {"zip": "lesson.zip"})
    assert told.items[0].output == "a.mp4"


def test_a_rejected_drop_is_told_to_the_hooks_too(harness: DaemonHarness) -> None:
    harness.finish("lesson", "colour = true\n")
    (told,) = harness.listeners.ended
    assert told.state == "rejected"
    assert told.error is not None


def test_monitoring_hears_of_the_daemon_even_while_outputs_are_away(harness: DaemonHarness) -> None:
    harness.tick()
    harness.outputs.rename(harness.folder / "away")
    before = len(harness.listeners.statuses)
    harness.tick(10)
    assert len(harness.listeners.statuses) > before
    assert harness.listeners.statuses[-1].disk is not None
    assert not harness.listeners.statuses[-1].disk.ok


def test_a_failure_names_the_stage_it_happened_in(harness: DaemonHarness) -> None:
    harness.finish("lesson", 'text = "fail no_face"\n')
    assert harness.events_named("item_stage", stage="render", item="a")
    (failed,) = harness.events_named("item_failed")
    assert (failed["stage"], failed["error_code"]) == ("render", "no_face")


def test_a_video_that_is_found_broken_at_the_door_is_told_once(harness: DaemonHarness) -> None:
    folder = harness.drop("lesson", videos=("a.mp4", "b.mp4"))
    (folder / "videos" / "b.mp4").write_text("not a film", encoding="utf-8")
    (harness.inbox / "lesson.ready").touch()
    harness.until(lambda: harness.events_named("job_finished"))
    assert [told["item"] for told in harness.events_named("item_failed")] == ["b"]
    assert harness.status("lesson").state == "partial"


def test_a_published_result_says_how_long_and_how_fast(harness: DaemonHarness) -> None:
    harness.finish("lesson")
    (published,) = harness.events_named("item_published")
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


def test_a_drop_that_confuses_the_daemon_is_no_reason_to_restart_it(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    def confused(*_: object) -> None:
        raise ValueError("a drop that nobody thought of")

    monkeypatch.setattr(harness.daemon.arrivals, "look", confused)
    harness.tolerant = True
    harness.daemon.health.patience = 0.05
    for _ in range(10):
        harness.tick(5)
        time.sleep(0.01)
    assert harness.events_named("tick_failed", part="inbox")
    assert harness.listeners.calls[-1] == "alive"


@pytest.mark.parametrize("part", ["scan", "workers", "queue", "ledger"])
def test_the_watchdog_is_fed_only_while_every_part_works(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    harness.tick()
    assert harness.listeners.calls[-1] == "alive"
    daemon = harness.daemon
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
    harness.tolerant = True
    harness.tick(20)
    assert harness.listeners.calls[-1] == "alive", "a moment's trouble is no illness"
    fed = harness.listeners.calls.count("alive")
    daemon.health.succeeded(part, ClockReading.now().monotonic - daemon.health.patience)
    harness.tick(20)
    assert harness.listeners.calls.count("alive") == fed
    assert [str(told["reason"]).partition(":")[0] for told in harness.events_named("daemon_unwell")] == [part]
    monkeypatch.undo()
    harness.tick(20)
    assert harness.listeners.calls.count("alive") == fed + 1


def test_a_full_disk_is_no_illness(harness: DaemonHarness) -> None:
    harness.reserve_bytes = 2**60
    harness.crash()
    harness.drop("lesson")
    harness.until(lambda: harness.state("lesson") == "waiting")
    fed = harness.listeners.calls.count("alive")
    harness.tick(100)
    assert harness.listeners.calls.count("alive") == fed + 1
    assert "needed" in harness.listeners.lines[-1]


# -- a frozen share ---------------------------------------------------------------------------------------------------


def test_inputs_in_an_inbox_that_is_offline_are_not_touched(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    finish = harness.daemon.claims.finish
    touched: list[str] = []
    monkeypatch.setattr(harness.daemon.claims, "finish", lambda job, *rest: (touched.append(job.name), finish(job, *rest))[1])
    scan = harness.daemon.scanner.scan
    offline = InboxScan(inbox=str(harness.inbox), online=False, reason="it does not answer")
    harness.drop("lesson")
    harness.until(lambda: harness.daemon.dispatch.attempts)
    monkeypatch.setattr(harness.daemon.scanner, "scan", lambda _inbox: offline)
    harness.tick(5)
    harness.until(lambda: harness.events_named("item_published"))
    harness.tick(5)
    assert touched == []
    monkeypatch.setattr(harness.daemon.scanner, "scan", scan)
    harness.until(lambda: harness.events_named("job_finished"))
    assert touched == ["lesson"]


def test_an_attempt_that_stands_still_on_a_dead_share_frees_its_device_and_is_made_again(
    harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancelled: list[str] = []
    harness.drop("lesson")
    harness.until(lambda: harness.events_named("job_queued"))
    monkeypatch.setattr(harness.daemon.executor, "poll", list)
    harness.until(lambda: harness.daemon.dispatch.attempts)
    monkeypatch.setattr(harness.daemon.executor, "cancel", cancelled.append)
    harness.tick(STALL_TIMEOUT + 1)
    assert not cancelled, "only slow"
    offline = InboxScan(inbox=str(harness.inbox), online=False, reason="it does not answer")
    monkeypatch.setattr(harness.daemon.scanner, "scan", lambda _inbox: offline)
    harness.tick(1)
    harness.tick(1)
    assert len(cancelled) == 1
    (told,) = harness.events_named("item_retrying")
    assert told["error_code"] == "share_offline"
    monkeypatch.undo()
    harness.until(lambda: harness.events_named("job_finished"), step=5)
    assert harness.state("lesson") == "succeeded"
    assert len(harness.events_named("item_started")) == 2


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
    harness = DaemonHarness(folder=tmp_path, film=material[0], speech=material[1], reconfigure=reloaded.append)
    assert harness.daemon.run(Asked())  # type: ignore[arg-type]
    assert reloaded == [harness.daemon]
    calls = [call for call in harness.listeners.calls if call != "alive"]
    assert calls == ["reloading", "ready", "stopping", "close"]
    harness.publisher.close()


def test_new_values_hold_for_what_comes_and_an_inbox_more_is_looked_at(harness: DaemonHarness) -> None:
    harness.tick()
    more = harness.folder / "more"
    more.mkdir()
    (more / ".heygem-inbox").touch()
    config = harness.daemon.config
    harness.daemon.adopt(
        replace(config, inboxes=(*config.inboxes, str(more)), defaults=replace(config.defaults, quality=30, zip=True), history_seconds=9.0)
    )
    assert harness.finish("lesson").links == {"zip": "lesson.zip"}
    assert harness.session.orders[-1].options.quality == 30
    assert harness.daemon.views[str(more)].online


def test_an_inbox_less_is_forgotten_but_its_job_goes_on(harness: DaemonHarness) -> None:
    harness.drop("running")
    harness.until(lambda: harness.daemon.dispatch.jobs)
    harness.drop("coming")
    harness.tick(1)
    assert harness.state("coming") == "settling"
    other = harness.folder / "other"
    other.mkdir()
    harness.daemon.adopt(replace(harness.daemon.config, inboxes=(str(other),)))
    harness.until(lambda: harness.events_named("job_finished"))
    harness.tick(SETTLE * 3)
    assert harness.state("running") == "succeeded"
    assert harness.state("coming") is None
    assert (harness.inbox / "coming").is_dir()
    assert list(harness.daemon.views) == [str(other)]
