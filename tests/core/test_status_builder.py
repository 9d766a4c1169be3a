from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heygem_daemon.core.errors import error
from heygem_daemon.core.job import FINAL, TRANSITIONS, Job, JobWarning, State
from heygem_daemon.core.job_options import JobOptions
from heygem_daemon.core.status import ErrorStatus, JobStatus, ProgressStatus, WarningStatus
from heygem_daemon.core.status_builder import (
    RECENT,
    STAGES,
    as_shown,
    candidate_status,
    item_progress,
    job_status,
    queue_status,
    summaries,
)
from tests.core.making import failure, item, job

DONE = item("a", State.SUCCEEDED, attempt=1, result={"frames": 250, "fps": 25.0, "frame_rate": "25/1", "speed": 0.8, "warnings": ["hdr"]})


def test_a_published_item_shows_its_file_and_metrics() -> None:
    (shown,) = job_status(job(DONE), now=1).items
    assert (shown.output, shown.thumbnail) == ("a.mp4", "thumbnails/a.jpg")
    assert (shown.frames, shown.fps, shown.frame_rate, shown.warnings) == (250, 25.0, "25/1", ("hdr",))
    assert shown.sync_offset_ms is None


def test_the_diagnostic_image_is_named_where_one_was_written() -> None:
    metrics = {"closure_rate": 0.875, "explained": True}
    (shown,) = job_status(job(item("a", State.SUCCEEDED, explain="explain/a.png", result=metrics)), now=1).items
    assert (shown.closure_rate, shown.explain) == (0.875, "explain/a.png")
    (plain,) = job_status(job(item("a", State.SUCCEEDED, explain="explain/a.png", result={"explained": False})), now=1).items
    assert plain.explain is None


def test_an_unfinished_item_shows_no_file() -> None:
    shown = job_status(job(item("a", State.RUNNING)), now=1).items[0]
    assert (shown.output, shown.thumbnail) == (None, None)


def test_a_value_of_the_wrong_type_costs_that_metric_only() -> None:
    (shown,) = job_status(job(item("a", State.SUCCEEDED, result={"frames": "many", "speed": 2.0, "unknown": object()})), now=1).items
    assert (shown.frames, shown.speed) == (None, 2.0)


def test_the_errors_of_an_item_and_of_a_job_are_shown() -> None:
    status = job_status(job(item("a", State.FAILED, failure=failure("no_face")), failure=failure("two_recordings")).rollup(1), now=1)
    assert status.items[0].error == ErrorStatus(code="no_face", message="It broke.", hint="Fix it.")
    assert status.error is not None
    assert (status.state, status.error.code) == (State.REJECTED, "two_recordings")


def test_the_warnings_of_a_job_are_shown_and_counted_in_the_summary() -> None:
    warning = JobWarning(code="file_ignored", message="a.heic was not used.", hint="Move it.")
    status = job_status(job(DONE, warnings=(warning,)), now=1)
    assert status.warnings == (WarningStatus(code="file_ignored", message="a.heic was not used.", hint="Move it."),)
    assert JobStatus.read(status.to_json()) == status
    assert [summary.warning_count for summary in summaries([status], [job_status(job(DONE), now=1)])] == [1, 0]


def test_a_status_names_the_inbox_and_what_the_drop_says_about_its_origin() -> None:
    options = JobOptions(owner="amy", reference="r-1", consent="Amy agreed")
    status = job_status(job(DONE, options=options, inbox="/srv/in\nbox"), now=1)
    assert (status.inbox, status.owner, status.reference, status.consent) == (r"/srv/in\x0abox", "amy", "r-1", "Amy agreed")
    (summary,) = summaries([status], [])
    assert (summary.inbox, summary.owner, summary.reference) == (r"/srv/in\x0abox", "amy", "r-1")
    assert JobStatus.read(status.to_json()) == status
    settling = candidate_status("a", "id", "a", since=5, dropped_at=4, reason="x", inbox="/srv/inbox", owner="amy")
    assert (settling.inbox, settling.owner, settling.reference) == ("/srv/inbox", "amy", None)


def test_the_progress_of_a_job_covers_all_its_items() -> None:
    half = ProgressStatus(stage="render", done=50, total=100, percent=50)
    mixed = job(DONE, item("b", State.RUNNING), item("c"), item("d", State.FAILED)).rollup(100)
    status = job_status(mixed, now=160, progress={"b": half, "c": half}, worker="cpu", position=None, links={"zip": "x.zip"})
    assert status.progress == ProgressStatus(stage="render", done=2, total=4, percent=62.5, eta_s=36.0)
    assert [each.progress for each in status.items] == [None, half, None, None]
    assert (status.worker, status.links) == ("cpu", {"zip": "x.zip"})


def test_a_job_that_is_over_or_has_not_begun_has_no_time_left() -> None:
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


def test_the_time_left_is_extrapolated_from_two_percent_on() -> None:
    assert item_progress("render", 5, 10, elapsed_s=65).eta_s == 35
    assert item_progress("analyse", 1, 10, elapsed_s=10).eta_s is None
    assert item_progress("render", 5, 10).eta_s is None
    assert item_progress("render", 5, 0).percent == 35
    assert item_progress("dancing", 5, 10) == ProgressStatus(stage="dancing", done=5, total=10, percent=0)


def test_a_drop_not_yet_claimed_has_a_status_too() -> None:
    settling = candidate_status("lesson\n01", "id", "lesson-01", since=5, dropped_at=4, reason="Still copying")
    assert (settling.name, settling.state, settling.waiting_for, settling.error) == (r"lesson\x0a01", State.SETTLING, "settling", None)
    incomplete = candidate_status("a", "id", "a", since=5, dropped_at=4, reason="x", problem=error("no_videos", extensions="mp4", found=""))
    assert incomplete.error is not None
    assert incomplete.error.code == "no_videos"
    assert JobStatus.read(incomplete.to_json()) == incomplete


# -- the daemon -------------------------------------------------------------------------------------------------------


def test_the_queue_is_counted_in_items() -> None:
    jobs = [
        job(DONE, item("b", State.RUNNING), item("c"), item("d", State.WAITING, not_before=9.0), item("e", State.INTERRUPTED)),
        job(item("f"), on_hold=True),
    ]
    assert queue_status(jobs, now=5).model_dump() == {"queued": 2, "running": 1, "waiting": 2}


def test_what_has_waited_long_enough_is_queued_and_what_its_circumstances_stop_waits() -> None:
    late = item("a", State.WAITING, not_before=9.0, failure=failure(), reason="It broke.")
    open_job = job(late, item("b", State.RUNNING), item("c")).rollup(1)
    assert as_shown(open_job, 5, is_blocked=False) == open_job
    ready = as_shown(open_job, 9, is_blocked=False)
    assert [(each.state, each.reason) for each in ready.items] == [("queued", ""), ("running", ""), ("queued", "")]
    blocked = as_shown(open_job, 9, is_blocked=True)
    assert [(each.state, each.reason) for each in blocked.items] == [("waiting", "It broke."), ("running", ""), ("waiting", "")]
    assert as_shown(job(late).rollup(1), 9, is_blocked=False).state is State.QUEUED
    tried = item("a", State.WAITING, failure=failure(), reason="Attempt 1 of 2 failed, trying again: It broke.")
    assert as_shown(job(tried).rollup(1), 9, is_blocked=False).items[0].reason == tried.reason
    over = job(DONE).rollup(1)
    assert as_shown(over, 9, is_blocked=True) is over
    empty = job()
    assert as_shown(empty, 9, is_blocked=True) == empty


ITEMS = st.builds(
    item, st.just("a"), st.sampled_from(sorted(TRANSITIONS)), not_before=st.sampled_from([0.0, 5.0, 9.0]), reason=st.sampled_from(["", "x"])
)
JOBS = st.builds(lambda items, on_hold: job(*items, on_hold=on_hold).rollup(1), st.lists(ITEMS, min_size=1, max_size=4), st.booleans())


@given(st.lists(st.tuples(JOBS, st.booleans()), max_size=6), st.sampled_from([1.0, 5.0, 10.0]))
def test_the_counts_are_the_sums_of_what_the_statuses_show(jobs: list[tuple[Job, bool]], now: float) -> None:
    numbered = [(replace(each, id=f"job-{number}"), is_blocked) for number, (each, is_blocked) in enumerate(jobs) if not each.is_final]
    blocked = {each.id for each, is_blocked in numbered if is_blocked}
    counts = queue_status([each for each, _ in numbered], now=now, is_blocked=lambda each: each.id in blocked)
    shown = [job_status(as_shown(each, now, is_blocked=is_blocked), now=now) for each, is_blocked in numbered]
    states = Counter(each.state for status in shown for each in status.items)
    assert counts.running == states[State.RUNNING]
    assert counts.waiting == states[State.WAITING]
    assert counts.queued == states[State.QUEUED] + states[State.INTERRUPTED]
    for status in shown:
        open_states = {each.state for each in status.items} - FINAL
        assert status.state in open_states
        assert (status.state is State.RUNNING) == (State.RUNNING in open_states)


def test_the_daemon_lists_all_open_jobs_and_some_finished_ones() -> None:
    begun = job_status(job(DONE, item("b", State.RUNNING)).rollup(1), now=5, progress={"b": item_progress("render", 5, 10)})
    over = job_status(job(DONE).rollup(1), now=5)
    unknown = candidate_status("a", "id", "a", since=5, dropped_at=4, reason="x")
    listed = summaries([begun, unknown], [over] * 50)
    assert len(listed) == 2 + RECENT
    assert (listed[0].state, listed[0].percent, listed[1].percent) == (State.RUNNING, 82.5, None)
