"""The index of jobs: what it takes from the folders, and what it does while they are away."""

import asyncio
import os
import shutil
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from heygem_daemon.core.job import State
from heygem_daemon.core.names import MARKER
from heygem_daemon.core.status import Heartbeat, JobStatus
from heygem_daemon.publishing.status_files import StatusFiles
from heygem_daemon.settings import Intake, Settings
from heygem_daemon.web.app import create_app
from heygem_daemon.web.caller import Caller
from heygem_daemon.web.jobs.daemon_view import daemon_summary
from heygem_daemon.web.jobs.index import JobIndex
from heygem_daemon.web.jobs.job_record import record_of
from heygem_daemon.web.jobs.job_table import JobTable
from heygem_daemon.web.jobs.status_file import MAX_STATUS
from heygem_daemon.web.problems import WebProblem
from heygem_daemon.web.shares import Shares
from tests.web.frozen_share import FrozenShare, frozen_share
from tests.web.serving import serving
from tests.web.site import NOW, Daemon, entries, item_status, job_id, job_status, make_drop, until

pytestmark = pytest.mark.anyio

ADMIN = Caller()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def daemon(outputs: Path, inbox: Path, second_inbox: Path) -> Daemon:
    return Daemon(outputs, (inbox, second_inbox))


@pytest.fixture
def share(tmp_path: Path) -> Iterator[FrozenShare]:
    with frozen_share(tmp_path) as share:
        yield share


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[JobIndex]:
    """An index that polls, and has listed outputs once."""
    shares = Shares(settings.intake.answer_seconds)
    index = JobIndex(settings, shares)
    index.start()
    try:
        await happens(lambda: index.ready and all(inbox.online or inbox.reason for inbox in index.inboxes))
        yield index
    finally:
        await index.stop()
        shares.close()


async def happens(condition: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        await asyncio.sleep(0.02)


def names(index: JobIndex) -> list[str]:
    return [job.name for job in (*index.table.open(), *index.table.finished())]


def state_of(index: JobIndex, name: str) -> State:
    return index.find(ADMIN, name).state


async def test_the_history_is_read_from_the_folders_the_newest_first(settings: Settings, daemon: Daemon) -> None:
    daemon.write(job_status("old", minutes=60), job_status("new", minutes=5), job_status("now", State.RUNNING, minutes=2))
    async with running(settings) as index:
        assert names(index) == ["now", "new", "old"]
        assert index.daemon_state == "running"


async def test_a_job_is_followed_from_the_queue_to_its_end(settings: Settings, daemon: Daemon) -> None:
    daemon.write(job_status("lesson", State.QUEUED, position=1))
    async with running(settings) as index:
        assert state_of(index, "lesson") is State.QUEUED
        daemon.write(job_status("lesson", State.RUNNING))
        await happens(lambda: state_of(index, "lesson") is State.RUNNING)
        daemon.write(job_status("lesson"))
        await happens(lambda: state_of(index, "lesson") is State.SUCCEEDED)
        assert index.table.open() == []


async def test_a_new_job_is_found_by_the_daemons_list_before_the_next_listing(settings: Settings, daemon: Daemon) -> None:
    async with running(settings) as index:
        daemon.write(job_status("lesson", State.QUEUED))
        await happens(lambda: names(index) == ["lesson"], 2.5)


async def test_a_job_that_was_retried_is_open_again(settings: Settings, daemon: Daemon) -> None:
    daemon.write(job_status("lesson", State.FAILED))
    async with running(settings) as index:
        daemon.write(job_status("lesson", State.QUEUED))
        await happens(lambda: [job.name for job in index.table.open()] == ["lesson"], 2.5)


async def test_a_deleted_folder_leaves_the_history(settings: Settings, daemon: Daemon, outputs: Path) -> None:
    daemon.write(job_status("one"), job_status("two"))
    async with running(settings) as index:
        shutil.rmtree(outputs / "one")
        await happens(lambda: names(index) == ["two"])


async def test_links_copies_giants_and_rubbish_are_no_jobs(settings: Settings, daemon: Daemon, outputs: Path, tmp_path: Path) -> None:
    daemon.write(job_status("real"))
    shutil.copytree(outputs / "real", tmp_path / "elsewhere")
    (outputs / "link").symlink_to(tmp_path / "elsewhere")
    shutil.copytree(outputs / "real", outputs / "real - Copy")
    for name, content in {"giant": b" " * (MAX_STATUS + 1), "rubbish": b"{", "list": b"[]", "bytes": b"\xff\xfe"}.items():
        (outputs / name).mkdir()
        (outputs / name / "status.json").write_bytes(content)
    (outputs / "linked-status").mkdir()
    (outputs / "linked-status/status.json").symlink_to(outputs / "real/status.json")
    (outputs / "pipe").mkdir()
    os.mkfifo(outputs / "pipe/status.json")
    async with running(settings) as index:
        assert names(index) == ["real"]


async def test_outputs_that_vanish_leave_the_last_known_state(settings: Settings, daemon: Daemon, outputs: Path) -> None:
    daemon.write(job_status("lesson"))
    async with running(settings) as index:
        outputs.rename(outputs.with_name("away"))
        await happens(lambda: not index.online)
        assert names(index) == ["lesson"]
        outputs.mkdir()  # the empty mount point
        await asyncio.sleep(1.0)
        assert not index.online
        assert names(index) == ["lesson"]
        outputs.rmdir()
        outputs.with_name("away").rename(outputs)
        await happens(lambda: index.online)


async def test_a_heartbeat_that_is_old_makes_the_daemon_silent(settings: Settings, daemon: Daemon) -> None:
    daemon.beat(age=60)
    async with running(settings) as index:
        assert index.daemon_state == "silent"
        daemon.beat()
        await happens(lambda: index.daemon_state == "running")
        daemon.beat(state="stopped")
        await happens(lambda: index.daemon_state == "stopped")
        assert not index.is_daemon_alive


async def test_a_daemon_that_cannot_write_its_status_is_not_called_silent(settings: Settings, daemon: Daemon, outputs: Path) -> None:
    daemon.beat(age=60)
    async with running(settings) as index:
        await happens(lambda: index.daemon_state == "silent")
        now = datetime.now(UTC)
        beat = Heartbeat(pid=1, outputs=str(outputs), state="running", heartbeat=now, unwritable="There is no room.", unwritable_since=now)
        StatusFiles(outputs).write_heartbeat(beat)
        await happens(lambda: index.daemon_state == "unreported")
        assert index.is_daemon_alive
        assert daemon_summary(index, "en").unwritable == "There is no room."
        StatusFiles(outputs).write_heartbeat(beat.model_copy(update={"state": "stopped"}))
        await happens(lambda: index.daemon_state == "stopped")
        daemon.beat()
        await happens(lambda: index.daemon_state == "running")
        assert daemon_summary(index, "en").unwritable is None


async def test_without_a_daemon_nothing_is_known_of_it(settings: Settings) -> None:
    async with running(settings) as index:
        assert index.daemon_state == "unknown"
        assert index.heartbeat_age is None


# -- drops -------------------------------------------------------------------------------------------------------------


async def test_a_drop_that_no_daemon_has_seen_is_shown_with_its_owner(settings: Settings, inbox: Path) -> None:
    make_drop(inbox, "lesson", 'owner = "anna"\nreference = "r-1"\n')
    async with running(settings) as index:
        found = index.find(Caller(name="anna", is_admin=False), "r-1")
        assert (found.name, found.state, found.output) == ("lesson", State.SETTLING, "")
        with pytest.raises(WebProblem, match="not_found"):
            index.find(Caller(name="ben", is_admin=False), "r-1")


async def test_what_is_no_drop_is_not_shown(settings: Settings, inbox: Path) -> None:
    for name in ("_done", "_failed", ".heygem", ".heygem-uploads", "Thumbs.db", "copy.part"):
        (inbox / name).mkdir()
    for name in ("lesson.hold", "PAUSE", "job.toml", "notes.pdf"):
        (inbox / name).touch()
    async with running(settings) as index:
        assert names(index) == []
        assert index.inboxes[0].paused


async def test_a_drop_without_a_folder_is_called_after_its_recording(settings: Settings, inbox: Path) -> None:
    (inbox / "videos").mkdir()
    (inbox / "speech.wav").write_bytes(b"RIFF")
    async with running(settings) as index:
        assert names(index) == ["speech"]


async def test_a_hostile_job_toml_costs_nothing_and_shows_no_owner(settings: Settings, inbox: Path) -> None:
    make_drop(inbox, "large", 'owner = "anna"\n' + "# " + "x" * 70_000)
    (make_drop(inbox, "linked") / "job.toml").symlink_to("/etc/passwd")
    os.mkfifo(make_drop(inbox, "pipe") / "job.toml")
    async with running(settings) as index:
        assert sorted(names(index)) == ["large", "linked", "pipe"]
        assert {job.owner for job in index.table.open()} == {""}


async def test_a_job_that_the_page_made_is_there_at_once_and_under_its_reference_all_its_life(
    settings: Settings, daemon: Daemon, inbox: Path
) -> None:
    daemon.beat()
    async with running(settings) as index:
        drop = make_drop(inbox, "lesson", 'owner = "anna"\nreference = "r-1"\n')
        index.expect(reference="r-1", name="lesson", inbox=inbox, owner="anna")
        assert index.find(ADMIN, "r-1").id == "r-1"

        origin: dict[str, Any] = {"inbox": str(inbox), "minutes": 0}
        daemon.write(job_status("lesson", State.SETTLING, items=(), **origin))  # not claimed: it names no owner
        await happens(lambda: index.find(ADMIN, "r-1").id == job_id("lesson"))
        assert index.find(Caller(name="anna", is_admin=False), "r-1").owner == "anna"

        drop.rename(inbox.with_name("claimed"))
        daemon.write(job_status("lesson", State.QUEUED, owner="anna", reference="r-1", **origin))
        await happens(lambda: state_of(index, "r-1") is State.QUEUED)
        daemon.write(job_status("lesson", owner="anna", reference="r-1", **origin))
        await happens(lambda: state_of(index, "r-1") is State.SUCCEEDED)
        assert names(index) == ["lesson"]


def _has_reason(index: JobIndex, caller: Caller, reason: str) -> bool:
    return index.find(caller, "r-1").reason == reason


async def test_its_owner_keeps_a_job_whose_status_comes_before_and_after_the_listings_of_its_inbox(
    settings: Settings, daemon: Daemon, inbox: Path
) -> None:
    anna = Caller(name="anna", is_admin=False)
    daemon.beat()
    async with running(settings) as index:
        index.expect(reference="r-1", name="lesson", inbox=inbox, owner="anna")  # no listing will ever find it
        for reason in ("Waiting", "Waiting still"):
            daemon.write(job_status("lesson", State.SETTLING, items=(), inbox=str(inbox), reason=reason, minutes=0))
            await happens(partial(_has_reason, index, anna, reason))


async def test_a_drop_that_is_taken_at_once_never_disappears_in_between(settings: Settings, daemon: Daemon, inbox: Path) -> None:
    daemon.beat()
    async with running(settings) as index:
        drop = make_drop(inbox, "lesson", 'reference = "r-1"\n')
        await happens(lambda: names(index) == ["lesson"])
        drop.rename(inbox.with_name("claimed"))
        await asyncio.sleep(2.5)  # the daemon is slow: nothing tells of the drop now
        assert names(index) == ["lesson"]
        daemon.write(job_status("lesson", State.QUEUED, reference="r-1", inbox=str(inbox), minutes=0))
        await happens(lambda: state_of(index, "r-1") is State.QUEUED)
        assert names(index) == ["lesson"]


async def test_a_drop_that_was_taken_back_disappears(settings: Settings, inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heygem_daemon.web.jobs.drop_tracker.GRACE", 0.5)
    drop = make_drop(inbox, "lesson")
    async with running(settings) as index:
        shutil.rmtree(drop)
        await happens(lambda: names(index) == [])


async def test_a_second_drop_of_a_used_reference_is_a_drop_of_its_own(settings: Settings, daemon: Daemon, inbox: Path) -> None:
    daemon.write(job_status("lesson", reference="r-1", inbox=str(inbox), minutes=60))
    make_drop(inbox, "lesson", 'reference = "r-1"\n')
    make_drop(inbox, "copy", 'reference = "r-1"\n')
    make_drop(inbox, "thief", f'reference = "{job_id("lesson")}"\n')
    async with running(settings) as index:
        assert sorted(names(index)) == ["copy", "lesson", "lesson", "thief"]
        assert index.find(ADMIN, job_id("lesson")).state is State.SUCCEEDED


async def test_an_unmounted_inbox_is_offline_and_keeps_its_drops(settings: Settings, inbox: Path) -> None:
    make_drop(inbox, "lesson")
    async with running(settings) as index:
        (inbox / MARKER).unlink()
        await happens(lambda: not index.inboxes[0].online)
        assert index.inboxes[0].reason == "unmarked"
        assert names(index) == ["lesson"]


# -- shares that hang --------------------------------------------------------------------------------------------------


async def test_a_call_that_hangs_holds_one_thread_and_requests_are_answered_at_once(
    settings: Settings, daemon: Daemon, outputs: Path, share: FrozenShare
) -> None:
    daemon.write(job_status("lesson"))
    shutil.copytree(outputs, share.served, dirs_exist_ok=True)
    settings = settings.model_copy(update={"outputs": share.mounted, "intake": Intake(answer_seconds=1.0)})
    shares = Shares(1.0)
    index = JobIndex(settings, shares)
    index.start()
    try:
        await happens(lambda: index.ready)
        share.freeze()
        await happens(lambda: not index.online)
        await asyncio.sleep(3.0)
        began = time.monotonic()
        assert names(index) == ["lesson"]
        assert time.monotonic() - began < 0.8, "a call that is waited for takes 1 s"
        assert shares._pools[share.mounted]._started <= 8
        share.thaw()
        await happens(lambda: index.online)
    finally:
        share.thaw()
        await index.stop()
        shares.close()


def test_a_frozen_share_hangs_neither_lists_nor_details_nor_the_end_of_the_page(
    settings: Settings, daemon: Daemon, outputs: Path, share: FrozenShare
) -> None:
    daemon.write(job_status("lesson"))
    shutil.copytree(outputs, share.served, dirs_exist_ok=True)
    settings = settings.model_copy(update={"outputs": share.mounted, "intake": Intake(answer_seconds=3.0)})
    with serving(create_app(settings)) as address, httpx.Client(base_url=address, timeout=20) as client:
        until(lambda: entries(client.get("/api/v1/jobs").json()))
        share.freeze()
        try:
            until(lambda: client.get("/api/v1/health").json()["status"] == "degraded")
            for path in ("/api/v1/jobs", f"/api/v1/jobs/{job_id('lesson')}", "/api/v1/system"):
                began = time.monotonic()
                answer = client.get(path)
                assert answer.status_code == 200, answer.text
                assert time.monotonic() - began < 2.0
            began = time.monotonic()
            assert client.get("/api/v1/jobs/lesson/log").json()["code"] == "share_timeout"
            assert time.monotonic() - began < 2.0
        finally:
            share.thaw()


async def test_a_job_in_memory_takes_about_a_kilobyte() -> None:
    text = job_status("lesson", items=tuple(item_status(key=f"teacher-{number}") for number in range(4))).to_json()
    tracemalloc.start()
    table = JobTable()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(500):
        status = JobStatus.read(text.replace("lesson", f"lesson-{number:03d}"))
        table.put(record_of(status, status.output), quiet=True)
    size = (tracemalloc.get_traced_memory()[0] - before) / 500
    tracemalloc.stop()
    assert size < 2500


async def test_a_status_from_the_future_is_read_as_it_is(settings: Settings, daemon: Daemon) -> None:
    daemon.write(job_status("lesson", minutes=-60))
    async with running(settings) as index:
        assert index.find(ADMIN, "lesson").ended > NOW.timestamp()
