"""Drafts that nobody continues, and what is left of those that became jobs."""

import asyncio
import json
import math
import os
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Final

import httpx
import pytest

from heygem_daemon.settings import Settings
from heygem_daemon.web.caller import Caller
from heygem_daemon.web.problems import WebProblem
from heygem_daemon.web.shares import Shares
from heygem_daemon.web.uploads import draft_store, safe_files
from heygem_daemon.web.uploads import drafts as drafts_module
from heygem_daemon.web.uploads.drafts import Drafts
from tests.web.uploading import Uploading

DAY = 24 * 3600


@pytest.fixture
def uploading(client: httpx.Client) -> Uploading:
    return Uploading(client)


def _with_drafts(settings: Settings, work: Callable[[Drafts], Awaitable[object]]) -> None:
    async def run() -> None:
        shares = Shares(5)
        try:
            await work(Drafts(settings, shares))
        finally:
            shares.close()

    asyncio.run(run())


def _age(folder: Path, seconds: float) -> None:
    """Make everything in a draft so many seconds older."""
    state = folder / "draft.json"
    created = time.time() - seconds
    state.write_text(state.read_text().replace('"created": ', f'"created": {created}, "was": '))
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (created, created), follow_symlinks=False)


def test_a_draft_that_nobody_continues_is_deleted_and_no_link_is_followed(
    settings: Settings, uploading: Uploading, inbox: Path, tmp_path: Path
) -> None:
    old, new = uploading.draft(), uploading.draft()
    for draft in (old, new):
        uploading.put(draft, "a.mp4", b"video")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("mine")
    folder = inbox / ".heygem-uploads" / old
    (folder / "drop" / "audios").symlink_to(tmp_path / "mine")
    _age(folder, DAY + 60)
    _age(inbox / ".heygem-uploads" / new, DAY - 600)
    _with_drafts(settings, Drafts.sweep)
    assert not folder.exists()
    assert (inbox / ".heygem-uploads" / new).exists()
    assert (tmp_path / "mine" / "file").read_text() == "mine"


def test_an_upload_that_goes_on_keeps_its_draft(settings: Settings, uploading: Uploading, inbox: Path) -> None:
    draft = uploading.draft()
    location = uploading.begun(draft, "a.mp4", 10)
    uploading.send(location, b"abc")
    _age(inbox / ".heygem-uploads" / draft, DAY + 60)
    uploading.send(location, b"def", 3)
    _with_drafts(settings, Drafts.sweep)
    assert uploading.offset(location) == 6


def test_drafts_are_swept_at_the_start_of_the_page(settings: Settings, uploading: Uploading, inbox: Path) -> None:
    draft = uploading.draft()
    _age(inbox / ".heygem-uploads" / draft, DAY + 60)

    async def start(drafts: Drafts) -> None:
        drafts.start()
        async with asyncio.timeout(10):
            while (inbox / ".heygem-uploads" / draft).exists():
                await asyncio.sleep(0.01)
        await drafts.stop()

    _with_drafts(settings, start)


def test_a_draft_says_when_it_expires(uploading: Uploading) -> None:
    status = uploading.client.get(f"/api/v1/drafts/{uploading.draft()}").json()
    assert datetime.fromisoformat(status["expires"]).timestamp() - time.time() == pytest.approx(DAY, abs=60)


def test_a_folder_without_a_state_is_deleted_once_it_is_old(settings: Settings, uploading: Uploading, inbox: Path) -> None:
    uploading.draft()
    stray = inbox / ".heygem-uploads" / ("0" * 32)
    (stray / "drop").mkdir(parents=True)
    (inbox / ".heygem-uploads" / "something else").mkdir()
    _with_drafts(settings, Drafts.sweep)
    assert stray.exists()
    os.utime(stray, (0, 0))
    _with_drafts(settings, Drafts.sweep)
    assert not stray.exists()
    assert (inbox / ".heygem-uploads" / "something else").exists()


def test_a_ready_file_whose_drop_is_gone_is_not_left_for_the_next_drop(settings: Settings, uploading: Uploading, inbox: Path) -> None:
    draft = uploading.draft()
    uploading.put(draft, "talk.wav", b"audio", "recording")
    uploading.put(draft, "a.mp4", b"video")
    assert uploading.job(draft=draft).status_code == 201
    _with_drafts(settings, Drafts.sweep)
    assert (inbox / "lesson.ready").exists()
    (inbox / "lesson").rename(inbox / ".claimed")
    _with_drafts(settings, Drafts.sweep)
    assert not (inbox / "lesson.ready").exists()
    folder = inbox / ".heygem-uploads" / draft
    assert folder.exists()
    _age(folder, 3700)
    _with_drafts(settings, Drafts.sweep)
    assert not folder.exists()


def test_a_state_file_that_leads_elsewhere_is_not_believed(uploading: Uploading, inbox: Path) -> None:
    draft = uploading.draft()
    location = uploading.put(draft, "a.mp4", b"video")
    state = inbox / ".heygem-uploads" / draft / "draft.json"
    state.write_text(state.read_text().replace('"stored": "a.mp4"', '"stored": "../../../../a.mp4"'))
    assert uploading.client.head(location, headers={"Tus-Resumable": "1.0.0"}).status_code == 404


FORGED: Final = [
    "[" * 200_000,
    '{"owner": "", "created": 1, "drop": "", "reference": "", "uploads": ' + "[" * 200_000,
    *(
        json.dumps({"owner": "", "created": created, "drop": "", "reference": "", "uploads": [
            {"id": "DRAFT-" + "0" * 16, "name": "a", "stored": "a.mp4", "role": "video", "length": length}]})
        for created, length in [(1.0, math.inf), (1.0, -(10**15)), (1.0, 0), (1.0, 10**30), (1.0, math.nan), (math.inf, 5), (-math.inf, 5),
                                (math.nan, 5), (1e300, 5), (10**400, 5)]
    ),
]  # fmt: skip


@pytest.mark.family(4)
@pytest.mark.parametrize("content", FORGED)
def test_a_forged_state_file_stops_neither_uploads_nor_the_sweep(
    settings: Settings, uploading: Uploading, inbox: Path, content: str
) -> None:
    draft = uploading.draft()
    uploads = inbox / ".heygem-uploads"
    forged = draft[:8] + "0" * 24  # looked at before all others
    (uploads / forged).mkdir()
    (uploads / forged / "draft.json").write_text(content.replace("DRAFT", forged))
    uploading.put(draft, "a.mp4", b"video")
    assert uploading.client.get(f"/api/v1/drafts/{forged}").status_code == 404
    _age(uploads / draft, DAY + 60)
    _with_drafts(settings, Drafts.sweep)
    assert not (uploads / draft).exists()
    os.utime(uploads / forged, (0, 0))
    _with_drafts(settings, Drafts.sweep)
    assert not (uploads / forged).exists()


def test_a_draft_whose_sweep_fails_is_left_and_the_others_are_swept(
    settings: Settings, uploading: Uploading, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing, denied, old = sorted(uploading.draft() for _ in range(3))
    for draft in (failing, denied, old):
        _age(inbox / ".heygem-uploads" / draft, DAY + 60)
    delete = draft_store.delete

    def deleted(where: Path, draft: str) -> None:
        if draft == failing:
            raise RecursionError
        if draft == denied:
            raise WebProblem("permission_denied", name="inbox")
        delete(where, draft)

    monkeypatch.setattr(draft_store, "delete", deleted)
    _with_drafts(settings, Drafts.sweep)
    assert sorted(path.name for path in (inbox / ".heygem-uploads").iterdir()) == [failing, denied]


def test_a_link_is_no_draft_and_no_folder_of_drafts(settings: Settings, uploading: Uploading, inbox: Path, tmp_path: Path) -> None:
    draft = uploading.draft()
    uploads = inbox / ".heygem-uploads"
    (uploads / draft).rename(tmp_path / draft)
    (uploads / draft).symlink_to(tmp_path / draft)
    assert uploading.client.get(f"/api/v1/drafts/{draft}").status_code == 404
    uploading.put(uploading.draft(), "a.mp4", b"video")
    uploads.rename(tmp_path / "uploads")
    uploads.symlink_to(tmp_path / "uploads")
    assert draft_store.ids(inbox) == []
    _with_drafts(settings, Drafts.sweep)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_draft_that_another_user_has_made_is_none(uploading: Uploading, inbox: Path) -> None:
    draft = uploading.draft()
    os.chown(inbox / ".heygem-uploads" / draft, 12345, 23456)
    assert uploading.client.get(f"/api/v1/drafts/{draft}").status_code == 404
    assert uploading.client.post("/api/v1/jobs", json={"name": "lesson", "draft": draft}).status_code in {404, 422}
    assert [path.name for path in inbox.iterdir() if path.name.endswith(".tmp")] == []


def test_where_a_share_names_one_owner_for_everything_drafts_are_ours(
    uploading: Uploading, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safe_files, "_owners", {})
    monkeypatch.setattr("heygem_daemon.web.uploads.safe_files.os.geteuid", lambda: 54321)
    draft = uploading.draft()
    uploading.put(draft, "a.mp4", b"video")
    assert uploading.files(draft) == {"a.mp4": "a.mp4"}


def test_a_finished_file_has_a_path_and_an_unfinished_one_has_none(settings: Settings, uploading: Uploading, inbox: Path) -> None:
    draft = uploading.draft()
    whole = uploading.put(draft, "a.mp4", b"video").rpartition("/")[2]
    partial = uploading.begun(draft, "b.mp4", 5).rpartition("/")[2]

    async def look(drafts: Drafts) -> None:
        assert await drafts.finished_file(Caller(), whole) == inbox / ".heygem-uploads" / draft / "drop" / "videos" / "a.mp4"
        with pytest.raises(WebProblem, match="draft_incomplete"):
            await drafts.finished_file(Caller(), partial)
        with pytest.raises(WebProblem, match="not_found"):
            await drafts.finished_file(Caller(name="anna", is_admin=False), whole)

    _with_drafts(settings, look)


def test_a_clock_that_is_far_ahead_deletes_no_draft(
    settings: Settings, uploading: Uploading, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = uploading.draft()
    uploading.put(draft, "a.mp4", b"video")
    _with_drafts(settings, Drafts.sweep)
    now = time.time()
    monkeypatch.setattr(drafts_module, "time", SimpleNamespace(time=lambda: now + 40 * DAY, monotonic=time.monotonic))
    _with_drafts(settings, Drafts.sweep)
    assert (inbox / ".heygem-uploads" / draft).exists()
    monkeypatch.undo()
    _age(inbox / ".heygem-uploads" / draft, DAY + 60)
    _with_drafts(settings, Drafts.sweep)
    assert not (inbox / ".heygem-uploads" / draft).exists()
