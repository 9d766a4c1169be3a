"""The log beside a job's status has what the journal has about it, from its first sight to its end."""

import json
import os
import shutil
from datetime import datetime
from pathlib import Path

from heygem_daemon.core.names import JOB_LOG
from tests.daemon.harness import SETTLE, DaemonHarness


def lines(harness: DaemonHarness, output: str = "lesson") -> list[dict[str, str]]:
    return [json.loads(line) for line in (harness.outputs / output / JOB_LOG).read_text(encoding="utf-8").splitlines()]


def events(harness: DaemonHarness, output: str = "lesson") -> list[str]:
    return [line["event"] for line in lines(harness, output)]


LIFE = ["drop_seen", "drop_claimed", "job_queued", "item_started", "item_rendered", "item_published", "job_finished"]


def test_the_log_of_a_job_has_its_whole_life_in_the_words_of_the_journal(harness: DaemonHarness) -> None:
    harness.finish("lesson")
    assert events(harness) == LIFE
    started = lines(harness)[3]
    assert set(started) == {"time", "level", "event", "message"}
    assert (started["level"], started["message"]) == ("info", "lesson/a: started with rewrite, attempt 1")
    assert datetime.fromisoformat(started["time"]).tzinfo is not None


def test_what_went_wrong_is_there_with_its_level(harness: DaemonHarness) -> None:
    harness.finish("lesson", 'text = "fail no_face"\n')
    (failed,) = [line for line in lines(harness) if line["event"] == "item_failed"]
    assert failed["level"] == "error"
    assert failed["message"].startswith("lesson/a: failed: ")


def test_the_log_goes_on_after_a_restart_of_the_daemon_and_after_a_retry(harness: DaemonHarness) -> None:
    harness.session.spoilt = {"a"}
    harness.drop("lesson")
    harness.tick()
    harness.tick(SETTLE / 2)
    harness.crash()
    harness.session.spoilt = {"a"}
    harness.until(lambda: harness.events_named("job_finished"))
    harness.tick(1)
    harness.session.spoilt.clear()
    (harness.inbox / "lesson.retry").touch()
    harness.until(lambda: len(harness.events_named("job_finished")) == 2)
    harness.tick(1)
    found = events(harness)
    assert found[:3] == ["drop_seen", "drop_seen", "drop_claimed"]
    assert found[-5:] == ["job_queued", "item_started", "item_rendered", "item_published", "job_finished"]
    assert "job_retried" in found


def test_lines_from_before_the_folder_was_there_are_kept_until_it_is(harness: DaemonHarness) -> None:
    away = harness.outputs.rename(harness.folder / "away")
    harness.drop("first")
    harness.tick(1)
    away.rename(harness.outputs)
    harness.until(lambda: harness.events_named("job_queued"))
    away = harness.outputs.rename(harness.folder / "away")
    for _ in range(4):
        harness.tick(1)
    away.rename(harness.outputs)
    harness.until(lambda: harness.events_named("job_finished"), step=3)
    harness.tick(6)
    found = events(harness, "first")
    assert found[:3] == LIFE[:3]
    assert (found.count("drop_seen"), found[-1]) == (1, "job_finished")


def test_a_drop_that_goes_away_takes_its_log_with_it(harness: DaemonHarness) -> None:
    folder = harness.drop("lesson")
    harness.tick()
    assert sorted(os.listdir(harness.outputs / "lesson")) == [JOB_LOG, "status.json"]
    shutil.rmtree(folder)
    harness.tick(1)
    harness.tick(2)
    assert not (harness.outputs / "lesson").exists()
    assert list(harness.daemon.reporter.job_lines.pending()) == []


def test_a_log_that_is_a_link_is_not_written_through_and_holds_up_nothing(harness: DaemonHarness, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    harness.drop("lesson")
    harness.tick()
    (harness.outputs / "lesson" / JOB_LOG).unlink()
    (harness.outputs / "lesson" / JOB_LOG).symlink_to(precious)
    harness.until(lambda: harness.events_named("job_finished"))
    harness.tick(2)
    assert harness.state("lesson") == "succeeded"
    assert precious.read_text() == "precious"
    (harness.outputs / "lesson" / JOB_LOG).unlink()
    harness.tick(2)
    assert events(harness) == LIFE[1:]


def test_a_hook_that_fails_after_the_end_is_in_the_log(harness: DaemonHarness) -> None:
    status = harness.finish("lesson")
    harness.daemon.log("hook_failed", level="warning", job_id=status.job, job=status.name, hook="webhook", reason="no answer")
    harness.daemon.log("hook_finished", level="debug", job_id=status.job, job=status.name, hook="command", seconds=1.0)
    harness.tick(1)
    assert lines(harness)[-1]["message"] == "lesson: hook webhook failed: no answer"


def test_a_line_about_a_job_that_nobody_knows_is_forgotten(harness: DaemonHarness) -> None:
    harness.daemon.log("drop_restored", job_id="20260101-000000-gone-abcdef", job="gone")
    harness.tick(1)
    assert list(harness.daemon.reporter.job_lines.pending()) == []
    assert [name for name in os.listdir(harness.outputs) if name != ".heygem"] == ["status.json"]


def test_the_last_lines_are_written_when_the_daemon_ends(harness: DaemonHarness) -> None:
    harness.drop("lesson")
    harness.until(lambda: harness.events_named("job_finished"))
    harness.daemon.close()
    assert events(harness) == LIFE
    harness.open()
