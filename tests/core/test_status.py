import json
from datetime import timedelta

import pytest
from pydantic import ValidationError

from heygem_daemon.core.errors import error
from heygem_daemon.core.job import State
from heygem_daemon.core.status import (
    RECENT,
    STAGES,
    DaemonStatus,
    DeviceStatus,
    ErrorStatus,
    JobStatus,
    ProgressStatus,
    candidate_status,
    item_progress,
    job_status,
    moment,
    queue_status,
    schema,
    summaries,
)
from tests.core.making import failure, item, job

DONE = item("a", State.SUCCEEDED, attempt=1, result={"frames": 250, "fps": 25.0, "frame_rate": "25/1", "speed": 0.8, "warnings": ["hdr"]})


# -- files ------------------------------------------------------------------------------------------------------------


def test_a_status_file_reads_back_as_it_was_written() -> None:
    status = job_status(job(DONE, item("b", State.FAILED, failure=failure("no_face")), since=1_795_389_300.25).rollup(9), now=10)
    assert JobStatus.read(status.to_json()) == status
    assert json.loads(status.to_json())["schema"] == 1


def test_a_reader_skips_what_a_newer_version_added_and_a_writer_may_not() -> None:
    fields = json.loads(job_status(job(item()), now=1).to_json()) | {"mood": "good"}
    assert JobStatus.read(json.dumps(fields)).job == fields["job"]
    with pytest.raises(ValidationError):
        JobStatus.model_validate(fields)


def test_a_damaged_status_file_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="JobStatus"):
        JobStatus.read('{"schema": 1, "job"')


def test_times_carry_an_offset() -> None:
    stamp = json.loads(job_status(job(item(), since=1_795_389_300.0, dropped_at=1_795_389_200.5), now=1).to_json())
    assert stamp["since"].endswith("Z") or stamp["since"][-6] in "+-"
    assert moment(1_795_389_300.25).utcoffset() is not None
    assert moment(1_795_389_300.25) - moment(1_795_389_300.0) == timedelta(seconds=0.25)
    assert stamp["times"]["queued"] is None


def test_a_name_of_invalid_bytes_can_be_written() -> None:
    status = job_status(job(item("a", recording="audios/a\udcff\n.wav")), now=1)
    assert status.items[0].recording == r"audios/a\xff\x0a.wav"
    assert status.to_json().encode()


# -- jobs -------------------------------------------------------------------------------------------------------------


def test_a_published_item_shows_its_file_and_figures() -> None:
    (shown,) = job_status(job(DONE), now=1).items
    assert (shown.output, shown.thumbnail) == ("a.mp4", "thumbnails/a.jpg")
    assert (shown.frames, shown.fps, shown.frame_rate, shown.warnings) == (250, 25.0, "25/1", ("hdr",))
    assert shown.sync_offset_ms is None


def test_the_picture_that_explains_is_named_where_one_was_written() -> None:
    figures = {"closure_rate": 0.875, "explained": True}
    (shown,) = job_status(job(item("a", State.SUCCEEDED, explain="explain/a.png", result=figures)), now=1).items
    assert (shown.closure_rate, shown.explain) == (0.875, "explain/a.png")
    (plain,) = job_status(job(item("a", State.SUCCEEDED, explain="explain/a.png", result={"explained": False})), now=1).items
    assert plain.explain is None


def test_an_unfinished_item_shows_no_file() -> None:
    shown = job_status(job(item("a", State.RUNNING)), now=1).items[0]
    assert (shown.output, shown.thumbnail) == (None, None)


def test_an_odd_figure_costs_that_figure_only() -> None:
    (shown,) = job_status(job(item("a", State.SUCCEEDED, result={"frames": "many", "speed": 2.0, "unknown": object()})), now=1).items
    assert (shown.frames, shown.speed) == (None, 2.0)


def test_the_error_of_an_item_and_of_a_job_are_told() -> None:
    status = job_status(job(item("a", State.FAILED, failure=failure("no_face")), failure=failure("two_recordings")).rollup(1), now=1)
    assert status.items[0].error == ErrorStatus(code="no_face", message="It broke.", hint="Mend it.")
    assert status.error is not None
    assert (status.state, status.error.code) == (State.REJECTED, "two_recordings")


def test_the_progress_of_a_job_covers_all_its_items() -> None:
    half = ProgressStatus(stage="render", done=50, total=100, percent=50)
    mixed = job(DONE, item("b", State.RUNNING), item("c"), item("d", State.FAILED)).rollup(100)
    status = job_status(mixed, now=160, progress={"b": half, "c": half}, worker="cpu", position=None, links={"zip": "x.zip"})
    assert status.progress == ProgressStatus(stage="render", done=2, total=4, percent=62.5, eta_s=36.0)
    assert [each.progress for each in status.items] == [None, half, None, None]
    assert (status.worker, status.links) == ("cpu", {"zip": "x.zip"})


def test_a_job_that_is_over_or_never_began_promises_no_time() -> None:
    assert job_status(job(), now=5).progress is None
    waiting = job_status(job(DONE, item("b")), now=5).progress
    assert waiting is not None
    assert (waiting.percent, waiting.eta_s, waiting.stage) == (50, None, "queued")
    over = job_status(job(DONE, started_at=1.0).rollup(2), now=5).progress
    assert over == ProgressStatus(stage="succeeded", done=1, total=1, percent=100)


def test_the_progress_of_an_item_never_runs_backwards() -> None:
    percents = [item_progress(stage, done, 10).percent for stage in STAGES for done in range(11)]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert sum(STAGES.values()) == pytest.approx(1)


def test_the_time_left_is_extrapolated_once_there_is_something_to_extrapolate() -> None:
    assert item_progress("render", 5, 10, elapsed_s=65).eta_s == 35
    assert item_progress("analyse", 1, 10, elapsed_s=10).eta_s is None
    assert item_progress("render", 5, 10).eta_s is None
    assert item_progress("render", 5, 0).percent == 35
    assert item_progress("dancing", 5, 10) == ProgressStatus(stage="dancing", done=5, total=10, percent=0)


def test_a_drop_not_yet_claimed_has_a_status_too() -> None:
    settling = candidate_status("lesson\n01", "id", "lesson-01", since=5, dropped_at=4, reason="Still copying")
    assert (settling.name, settling.state, settling.waiting_for, settling.error) == (r"lesson\x0a01", State.SETTLING, "settling", None)
    incomplete = candidate_status("a", "id", "a", since=5, dropped_at=4, reason="x", problem=error("no_videos", extensions="mp4"))
    assert incomplete.error is not None
    assert incomplete.error.code == "no_videos"
    assert JobStatus.read(incomplete.to_json()) == incomplete


# -- the daemon -------------------------------------------------------------------------------------------------------


def test_the_queue_is_counted_in_items() -> None:
    jobs = [
        job(DONE, item("b", State.RUNNING), item("c"), item("d", State.WAITING), item("e", State.INTERRUPTED)),
        job(item("f"), on_hold=True),
    ]
    assert queue_status(jobs).model_dump() == {"queued": 2, "running": 1, "waiting": 2}


def test_the_daemon_lists_all_open_jobs_and_some_finished_ones() -> None:
    begun = job_status(job(DONE, item("b", State.RUNNING)).rollup(1), now=5, progress={"b": item_progress("render", 5, 10)})
    over = job_status(job(DONE).rollup(1), now=5)
    unknown = candidate_status("a", "id", "a", since=5, dropped_at=4, reason="x")
    listed = summaries([begun, unknown], [over] * 50)
    assert len(listed) == 2 + RECENT
    assert (listed[0].state, listed[0].percent, listed[1].percent) == (State.RUNNING, 82.5, None)


def test_the_daemon_status_reads_back() -> None:
    device = DeviceStatus.model_validate({"name": "cpu", "state": "idle", "memory": 5})
    status = DaemonStatus(version="1", state="running", pid=1, started=moment(1), heartbeat=moment(2), devices=(device,))
    assert DaemonStatus.read(status.to_json()).pid == 1
    assert json.loads(status.to_json())["devices"][0]["memory"] == 5


def test_the_published_schema_describes_both_files_and_allows_what_is_to_come() -> None:
    published = json.dumps(schema())
    assert {"JobStatus", "DaemonStatus", "ItemStatus"} <= set(schema()["$defs"])
    assert '"additionalProperties": false' not in published
    assert "schema_" not in schema()["$defs"]["JobStatus"]["properties"]
    assert "schema" in schema()["$defs"]["JobStatus"]["properties"]
