"""What a survey of outputs finds, and what follows from it."""

from heygem_daemon.core.found_status import FoundStatus, is_of, published_keys
from heygem_daemon.core.job import Job, State
from heygem_daemon.core.status import JobStatus
from heygem_daemon.core.status_builder import candidate_status, concluded, job_status, with_missing
from tests.core.making import failure, item, job

PUBLISHED = item("a", State.SUCCEEDED, result={"frames": 10})


def status(*items: object, **changes: object) -> JobStatus:
    return job_status(job(*items, queued_at=1.0, **changes).rollup(5), now=5)  # type: ignore[arg-type]


def test_a_status_is_of_this_daemon_only_in_its_own_folder_and_of_its_inboxes() -> None:
    mine = status(PUBLISHED)
    assert is_of(mine, "lesson-01", {"/inbox"})
    assert not is_of(mine, "lesson-01 - Copy", {"/inbox"})
    assert not is_of(mine, "lesson-01", {"/elsewhere"})
    assert not is_of(mine.model_copy(update={"job": "../x"}), "lesson-01", {"/inbox"})


def test_a_drop_that_was_never_claimed_is_told_from_a_job() -> None:
    waiting = candidate_status("a", "id", "a", since=5, dropped_at=4, reason="x")
    assert not FoundStatus(status=waiting).was_claimed
    assert FoundStatus(status=status(PUBLISHED)).was_claimed
    assert FoundStatus(status=status(PUBLISHED).model_copy(update={"times": waiting.times})).was_claimed
    assert not FoundStatus(status=waiting).is_over
    assert FoundStatus(status=status(PUBLISHED)).is_over


def test_a_status_follows_the_files_that_are_there() -> None:
    whole = status(PUBLISHED, item("b", State.FAILED))
    assert published_keys(whole) == {"a": "a.mp4"}
    gone = with_missing(whole, {"a"})
    assert [(each.output, each.missing) for each in gone.items] == [(None, "a.mp4"), (None, None)]
    assert published_keys(gone) == {"a": "a.mp4"}
    assert with_missing(gone, {"a"}) == gone
    assert with_missing(gone, ()) == with_missing(whole, ()) == whole
    assert FoundStatus(status=whole, missing=frozenset("a")).is_wrong_about_files
    assert not FoundStatus(status=gone, missing=frozenset("a")).is_wrong_about_files
    assert FoundStatus(status=gone).is_wrong_about_files


def test_a_published_item_shows_whether_its_file_is_there() -> None:
    (shown,) = job_status(job(PUBLISHED).rollup(5), now=5, missing={"a"}).items
    assert (shown.output, shown.thumbnail, shown.missing) == (None, None, "a.mp4")


def test_the_last_word_about_a_lost_job_keeps_what_is_published() -> None:
    running: Job = job(PUBLISHED, item("b", State.RUNNING), queued_at=1.0).rollup(5)
    last = concluded(job_status(running, now=5, position=3, waiting_for="a miracle", worker="cpu"), failure("job_lost"), 9.0)
    assert [each.state for each in last.items] == ["succeeded", "failed"]
    assert (last.state, last.position, last.waiting_for, last.worker, last.progress) == ("partial", None, None, None, None)
    assert last.items[1].error is not None
    assert last.times.finished is not None
    assert last.times.finished.timestamp() == 9.0
    assert concluded(status(item("b")), failure("job_lost"), 9.0).state is State.FAILED
