"""What the daemon reports to the service manager, to monitoring and to hooks, and when it has to be restarted."""

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from heygem_daemon.core.errors import error
from heygem_daemon.core.job import Job
from heygem_daemon.core.scan import InboxScan
from heygem_daemon.daemon.dispatcher import STALL_TIMEOUT
from heygem_daemon.daemon.health import Health
from heygem_daemon.daemon.main_loop import Daemon
from tests.core import making
from tests.daemon.doubles import ManualClock
from tests.daemon.harness import SETTLE, DaemonHarness


def unanswered(_: Job) -> frozenset[str]:
    raise error("outputs_offline", path="outputs", problem="it has not answered yet")


def test_ready_is_sent_once_when_every_inbox_was_scanned(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = harness.daemon.inboxes.scanner.scan
    answers: list[InboxScan | None] = [None]
    monkeypatch.setattr(harness.daemon.inboxes.scanner, "scan", lambda inbox: answers.pop() if answers else scan(inbox))
    harness.tick()
    assert "ready" not in harness.observers.calls
    harness.tick(1)
    harness.tick(1)
    assert harness.observers.calls.count("ready") == 1
    assert harness.events_named("daemon_ready", inboxes=1)


def test_a_first_scan_that_takes_long_does_not_keep_the_daemon_from_being_ready(
    harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness.daemon.inboxes.scanner, "scan", lambda _inbox: None)
    harness.tick()
    assert "ready" not in harness.observers.calls
    for _ in range(40):
        harness.tick(1)
    assert harness.observers.calls.count("ready") == 1
    assert harness.observers.calls[-1] == "alive"
    assert not harness.daemon.inboxes.all_scanned


def test_an_offline_inbox_does_not_keep_the_daemon_from_being_ready(harness: DaemonHarness) -> None:
    (harness.inbox / ".heygem-inbox").unlink()
    harness.tick()
    assert harness.observers.calls.count("ready") == 1
    assert harness.observers.lines == ["0 queued, 0 running, 0 inboxes online, 1 OFFLINE"]


def test_the_status_line_names_what_runs_and_how_far_it_is(harness: DaemonHarness) -> None:
    harness.drop("lesson-01", videos=("teacher-a.mp4", "teacher-b.mp4"))
    harness.tick()
    assert harness.observers.lines == ["0 queued, 0 running, 1 arriving, 1 inbox online"]
    attempts = harness.daemon.dispatcher.attempts
    harness.until(lambda: any(attempt.progress for attempt in attempts.values()))
    line = harness.daemon.reporter.status_line(harness.now)
    assert re.fullmatch(r"0 queued, 2 running: lesson-01/teacher-a \d+ % and lesson-01/teacher-b, 1 inbox online", line)


def test_the_hooks_are_called_when_all_of_a_job_is_over(harness: DaemonHarness) -> None:
    harness.finish("lesson", "zip = true\n")
    (status,) = harness.observers.ended
    assert (status.name, status.state, status.links) == ("lesson", "succeeded", {"zip": "lesson.zip"})
    assert status.items[0].output == "a.mp4"


def test_the_hooks_are_called_for_a_rejected_drop_too(harness: DaemonHarness) -> None:
    harness.finish("lesson", "colour = true\n")
    (status,) = harness.observers.ended
    assert status.state == "rejected"
    assert status.error is not None


def test_metrics_are_exported_even_while_outputs_are_away(harness: DaemonHarness) -> None:
    harness.tick()
    harness.outputs.rename(harness.folder / "away")
    before = len(harness.observers.statuses)
    harness.tick(10)
    assert len(harness.observers.statuses) > before
    assert harness.observers.statuses[-1].disk is not None
    assert not harness.observers.statuses[-1].disk.ok


def test_a_failure_names_the_stage_it_happened_in(harness: DaemonHarness) -> None:
    harness.finish("lesson", 'text = "fail no_face"\n')
    assert harness.events_named("item_stage", stage="render", item="a")
    (failed,) = harness.events_named("item_failed")
    assert (failed["stage"], failed["error_code"]) == ("render", "no_face")


def test_a_video_that_the_inspection_finds_broken_is_logged_once(media_harness: DaemonHarness) -> None:
    folder = media_harness.drop("lesson", videos=("a.mp4", "b.mp4"))
    (folder / "videos" / "b.mp4").write_text("not a film", encoding="utf-8")
    (media_harness.inbox / "lesson.ready").touch()
    media_harness.until(lambda: media_harness.events_named("job_finished"))
    assert [failed["item"] for failed in media_harness.events_named("item_failed")] == ["b"]
    assert media_harness.status("lesson").state == "partial"


def test_a_published_result_says_how_long_and_how_fast(harness: DaemonHarness) -> None:
    harness.finish("lesson")
    (published,) = harness.events_named("item_published")
    assert (published["video_seconds"], published["speed"]) == (1.0, 2.0)
    assert isinstance(published["seconds"], float)


# -- health -----------------------------------------------------------------------------------------------------------


def test_a_part_fails_after_the_timeout_and_recovers() -> None:
    clock = ManualClock(monotonic=0.0, wall=0.0)
    health = Health(clock=clock, timeout=30.0)
    health.tried("queue")
    health.succeeded("scan")
    clock.advance(29.9)
    assert not health.failing()
    clock.monotonic = 30.0
    assert health.failing() == ["queue: nothing for 30 s", "scan: nothing for 30 s"]
    clock.monotonic = 31.0
    health.succeeded("queue")
    assert health.failing() == ["scan: nothing for 31 s"]


def test_a_drop_that_confuses_the_daemon_is_no_reason_to_restart_it(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    def confused(*_: object, **__: object) -> None:
        raise ValueError("a drop that nobody thought of")

    monkeypatch.setattr(harness.daemon.candidates, "process_scan", confused)
    harness.tolerant = True
    for _ in range(10):
        harness.tick(harness.daemon.health.timeout + 1)
    assert harness.events_named("tick_failed", part="inbox")
    assert harness.observers.calls[-1] == "alive"


@pytest.mark.parametrize("part", ["scan", "workers", "queue", "ledger"])
def test_the_watchdog_is_notified_only_while_every_part_works(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    harness.tick()
    assert harness.observers.calls[-1] == "alive"
    daemon = harness.daemon
    target, name = {
        "scan": (daemon.inboxes.scanner, "scan"),
        "workers": (daemon.dispatcher, "collect"),
        "queue": (daemon.dispatcher, "start"),
        "ledger": (daemon.ledger, "healthy"),
    }[part]

    def broken(*_: object) -> bool:
        if part == "ledger":
            return False
        raise ValueError("broken")

    monkeypatch.setattr(target, name, broken)
    harness.tolerant = True
    harness.tick(20)
    assert harness.observers.calls[-1] == "alive", "a failure of 20 s does not count yet"
    signals = harness.observers.calls.count("alive")
    harness.tick(20)
    assert harness.observers.calls.count("alive") == signals
    assert [str(unwell["reason"]).partition(":")[0] for unwell in harness.events_named("daemon_unwell")] == [part]
    monkeypatch.undo()
    harness.tick(20)
    assert harness.observers.calls.count("alive") == signals + 1


def test_a_full_disk_is_no_failing_part(harness: DaemonHarness) -> None:
    harness.reserve_bytes = 2**60
    harness.crash()
    harness.drop("lesson")
    harness.until(lambda: harness.state("lesson") == "waiting")
    signals = harness.observers.calls.count("alive")
    harness.tick(100)
    assert harness.observers.calls.count("alive") == signals + 1
    assert "needed" in harness.observers.lines[-1]


# -- a frozen share ---------------------------------------------------------------------------------------------------


def test_inputs_in_an_inbox_that_is_offline_are_not_touched(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    finish = harness.daemon.inboxes.claims.finish
    touched: list[str] = []

    def finish_and_note(job: Job, to: str, reason: str | None) -> Path | None:
        touched.append(job.name)
        return finish(job, to, reason)

    monkeypatch.setattr(harness.daemon.inboxes.claims, "finish", finish_and_note)
    scan = harness.daemon.inboxes.scanner.scan
    offline = InboxScan(inbox=str(harness.inbox), online=False, reason="it does not answer")
    harness.drop("lesson")
    harness.until(lambda: harness.daemon.dispatcher.attempts)
    monkeypatch.setattr(harness.daemon.inboxes.scanner, "scan", lambda _inbox: offline)
    harness.tick(5)
    harness.until(lambda: harness.events_named("item_published"))
    harness.tick(5)
    assert touched == []
    monkeypatch.setattr(harness.daemon.inboxes.scanner, "scan", scan)
    harness.until(lambda: harness.events_named("job_finished"))
    assert touched == ["lesson"]


def test_a_stalled_attempt_on_a_dead_share_frees_its_device_and_is_made_again(
    harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancelled: list[str] = []
    harness.drop("lesson")
    harness.until(lambda: harness.events_named("job_queued"))
    monkeypatch.setattr(harness.daemon.executor, "poll", list)
    harness.until(lambda: harness.daemon.dispatcher.attempts)
    monkeypatch.setattr(harness.daemon.executor, "cancel", cancelled.append)
    harness.tick(STALL_TIMEOUT + 1)
    assert not cancelled, "only slow"
    offline = InboxScan(inbox=str(harness.inbox), online=False, reason="it does not answer")
    monkeypatch.setattr(harness.daemon.inboxes.scanner, "scan", lambda _inbox: offline)
    harness.tick(1)
    harness.tick(1)
    assert len(cancelled) == 1
    (retrying,) = harness.events_named("item_retrying")
    assert retrying["error_code"] == "share_offline"
    monkeypatch.undo()
    harness.until(lambda: harness.events_named("job_finished"), step=5)
    assert harness.state("lesson") == "succeeded"
    assert len(harness.events_named("item_started")) == 2


# -- new values while it works ----------------------------------------------------------------------------------------


class ReloadThenStop:
    """A StopSignal that requests one reload, then the end."""

    def __init__(self) -> None:
        self.requested = self.urgent = False
        self.wakeup = os.eventfd(1, os.EFD_CLOEXEC)

    def reload_requested(self) -> bool:
        was_requested, self.requested = self.requested, True
        return not was_requested


def test_the_service_manager_is_notified_when_a_reload_begins_and_ends(harness: DaemonHarness) -> None:
    reloaded: list[Daemon] = []
    harness.daemon.reconfigure = reloaded.append
    stop = ReloadThenStop()
    assert harness.daemon.run(stop)
    os.close(stop.wakeup)
    assert reloaded == [harness.daemon]
    calls = [call for call in harness.observers.calls if call != "alive"]
    assert calls == ["reloading", "ready", "stopping", "close"]


def test_an_inbox_that_is_no_longer_watched_does_not_keep_the_daemon_awake(harness: DaemonHarness) -> None:
    harness.tick()
    harness.daemon.apply(replace(harness.daemon.config, inboxes=()))
    assert harness.tick(10) == 1.0


def test_new_values_hold_for_new_drops_and_a_new_inbox_is_scanned(harness: DaemonHarness) -> None:
    harness.tick()
    more = harness.folder / "more"
    more.mkdir()
    (more / ".heygem-inbox").touch()
    config = harness.daemon.config
    options, inboxes = replace(config.options, quality=30), (*config.inboxes, str(more))
    harness.daemon.apply(replace(config, inboxes=inboxes, options=options, zip=True, history_seconds=9.0))
    assert harness.finish("lesson").links == {"zip": "lesson.zip"}
    assert harness.session.orders[-1].options.quality == 30
    assert harness.daemon.inboxes.scans[str(more)].online


def test_a_removed_inbox_is_forgotten_but_its_job_goes_on(harness: DaemonHarness) -> None:
    harness.drop("running")
    harness.until(lambda: harness.daemon.store.jobs)
    harness.drop("coming")
    harness.tick(1)
    assert harness.state("coming") == "settling"
    other = harness.folder / "other"
    other.mkdir()
    harness.daemon.apply(replace(harness.daemon.config, inboxes=(str(other),)))
    harness.until(lambda: harness.events_named("job_finished"))
    harness.tick(SETTLE * 3)
    assert harness.state("running") == "succeeded"
    assert harness.state("coming") is None
    assert (harness.inbox / "coming").is_dir()
    assert list(harness.daemon.inboxes.scans) == [str(other)]


def test_nothing_is_kept_of_an_inbox_that_is_no_longer_watched(harness: DaemonHarness) -> None:
    harness.tick()
    inboxes, inbox = harness.daemon.inboxes, str(harness.inbox)
    inboxes._unrecovered[inbox], inboxes._unlooked[inbox], inboxes._scan_began[inbox] = "it failed", ["job-1"], 1.0
    harness.daemon.apply(replace(harness.daemon.config, inboxes=()))
    kept = {name: value for name, value in vars(inboxes).items() if isinstance(value, dict | set) and inbox in value}
    assert not kept
    harness.daemon.apply(replace(harness.daemon.config, inboxes=(inbox,)))
    assert not inboxes.all_begun


def test_the_hooks_wait_until_outputs_answers(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as slow:
        slow.setattr(harness.daemon.publisher, "missing_results", unanswered)
        harness.drop("lesson")
        harness.until(lambda: harness.events_named("job_finished"))
        harness.tick(1)
        assert not harness.observers.ended
    harness.tick(1)
    harness.tick(1)
    assert [status.name for status in harness.observers.ended] == ["lesson"]


def test_the_hooks_are_called_at_the_end_whether_outputs_answers_or_not(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness.daemon.publisher, "missing_results", unanswered)
    harness.drop("lesson")
    harness.until(lambda: harness.events_named("job_finished"))
    harness.daemon.reporter.finish(harness.now)
    assert [(status.name, status.state) for status in harness.observers.ended] == [("lesson", "succeeded")]


def test_on_slow_outputs_the_ends_of_many_jobs_are_reported_in_turn(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    reporter = harness.daemon.reporter

    def slowly(_: Job) -> frozenset[str]:
        harness.clock.monotonic += 0.2
        return frozenset()

    monkeypatch.setattr(harness.daemon.publisher, "missing_results", slowly)
    reporter._ended = {str(number): making.job(id=f"20261130-120000-lesson-{number}") for number in range(5)}
    reporter._ended = {each.id: each for each in reporter._ended.values()}
    for count in (2, 4, 5):
        reporter._tell_ends(harness.now)
        assert len(harness.observers.ended) == count
