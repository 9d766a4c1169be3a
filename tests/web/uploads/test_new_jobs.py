"""Jobs made by uploads and from files of an inbox: what the daemon will find in the inbox, and what happens when something fails."""

import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from heygem_daemon.core.drop import DropLimits, Plan, plan
from heygem_daemon.core.job import State
from heygem_daemon.core.names import MARKER
from heygem_daemon.intake.listing import opened_folder
from heygem_daemon.intake.scanner import FolderScanner
from heygem_daemon.settings import Disk, Intake, Settings, Web
from heygem_daemon.web.app import create_app
from heygem_daemon.web.caller import Caller
from heygem_daemon.web.context import caller_of
from heygem_daemon.web.uploads import drop_folder, inbox_files
from tests.web.serving import serving
from tests.web.site import Daemon, job_status, until
from tests.web.uploading import Uploading

LIMITS = DropLimits(items=500, file_bytes=2**40)


@pytest.fixture
def uploading(client: httpx.Client) -> Uploading:
    return Uploading(client)


def _planned(inbox: Path, name: str = "lesson") -> Plan:
    """Return what the daemon finds in a drop of the inbox, which is there, complete, and may start at once."""
    (scanned,) = [each for each in FolderScanner().scan(str(inbox)).drops if each.name == name]
    assert scanned.ready
    assert not scanned.unreadable
    return plan(scanned.entries, job_toml=(inbox / name / "job.toml").read_text(encoding="utf-8"), limits=LIMITS)


def _options(inbox: Path, name: str = "lesson") -> dict[str, Any]:
    return tomllib.loads((inbox / name / "job.toml").read_text(encoding="utf-8"))


def _aged(path: Path, content: bytes = b"x") -> Path:
    """Write a file that nobody has touched for a minute."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (path.stat().st_mtime - 60,) * 2)
    return path


def _as(app: FastAPI, name: str) -> None:
    app.dependency_overrides[caller_of] = lambda: Caller(name=name, is_admin=False)


def test_a_draft_becomes_a_drop_that_starts_at_once(uploading: Uploading, inbox: Path) -> None:
    draft = uploading.draft()
    uploading.put(draft, "Speech.wav", b"audio", "recording")
    uploading.put(draft, "a.mp4", b"video")
    uploading.put(draft, "b.mov", b"other")
    answer = uploading.job(draft=draft, options={"fit": "video", "face": "2", "zip": True, "first_seconds": 5, "priority": -3})
    assert answer.status_code == 201, answer.text
    created = answer.json()
    assert answer.headers["Location"] == created["url"] == f"/api/v1/jobs/{created['id']}"
    found = _planned(inbox)
    assert (found.recordings, found.videos) == (("Speech.wav",), ("videos/a.mp4", "videos/b.mov"))
    assert found.rejected is found.incomplete is None
    assert not found.warnings
    consent = _options(inbox)["consent"]
    assert datetime.fromisoformat(consent.removeprefix("Anna, ")).tzinfo is not None
    assert _options(inbox) == {
        "fit": "video",
        "face": 2,
        "zip": True,
        "first_seconds": 5.0,
        "priority": -3,
        "reference": created["id"],
        "consent": consent,
    }
    assert found.options.reference == created["id"]
    assert (inbox / "lesson" / "videos" / "a.mp4").read_bytes() == b"video"


def test_the_job_is_in_the_list_at_once(client: httpx.Client, uploading: Uploading) -> None:
    draft = uploading.draft()
    uploading.put(draft, "speech.wav", b"audio", "recording")
    uploading.put(draft, "a.mp4", b"video")
    created = uploading.job(draft=draft).json()
    assert client.get(f"/api/v1/jobs/{created['id']}").json()["entry"]["name"] == "lesson"


def test_a_drop_can_be_moved_and_read_by_the_group(uploading: Uploading, inbox: Path) -> None:
    umask = os.umask(0o077)
    try:
        draft = uploading.draft()
        uploading.put(draft, "speech.wav", b"audio", "recording")
        uploading.put(draft, "a.mp4", b"video")
        uploading.job(draft=draft)
    finally:
        os.umask(umask)
    for path in (inbox / "lesson", *(inbox / "lesson").rglob("*")):
        assert path.stat().st_mode & 0o070 == (0o070 if path.is_dir() else 0o060), path
    assert (inbox / ".heygem-uploads").stat().st_mode & 0o077 == 0


def test_a_drop_has_the_group_of_its_inbox_also_where_that_hands_it_to_nothing(uploading: Uploading, inbox: Path) -> None:
    try:
        os.chown(inbox, -1, 12345)
    except PermissionError:
        pytest.skip("only root may give a folder to any group")
    draft = uploading.draft()
    uploading.put(draft, "speech.wav", b"audio", "recording")
    uploading.put(draft, "a.mp4", b"video")
    assert uploading.job(draft=draft).status_code == 201
    assert {path.stat().st_gid for path in (inbox / "lesson", *(inbox / "lesson").rglob("*"))} == {12345}


def test_the_same_draft_again_is_the_same_job(client: httpx.Client, uploading: Uploading, inbox: Path) -> None:
    draft = uploading.draft()
    uploading.put(draft, "speech.wav", b"audio", "recording")
    uploading.put(draft, "a.mp4", b"video")
    first, second = (uploading.job(draft=draft).json() for _ in range(2))
    assert first == second
    assert [path.name for path in inbox.iterdir() if path.is_dir() and not path.name.startswith(".")] == ["lesson"]
    assert client.get(f"/api/v1/drafts/{draft}").status_code == 404


def test_several_recordings_are_a_batch_with_scripts_of_the_same_names(uploading: Uploading, inbox: Path) -> None:
    draft = uploading.draft()
    for name in ("english.wav", "talk.zh.wav", "french.mp3"):
        uploading.put(draft, name, b"audio", "recording")
    uploading.put(draft, "english.srt", b"words", "script")
    uploading.put(draft, "Talk.zh.txt", b"words", "script")
    uploading.put(draft, "a.mp4", b"video")
    assert uploading.job(draft=draft).status_code == 201
    found = _planned(inbox)
    assert found.recordings == ("audios/english.wav", "audios/french.mp3", "audios/talk.zh.wav")
    assert found.scripts == {"audios/english.wav": "audios/english.srt", "audios/talk.zh.wav": "audios/talk.zh.txt"}
    assert found.videos == ("videos/a.mp4",)


def test_a_script_of_any_name_belongs_to_the_only_recording(uploading: Uploading, inbox: Path) -> None:
    draft = uploading.draft()
    uploading.put(draft, "words of mine.DOCX", b"words", "script")
    uploading.put(draft, "Interview 12.05.2026", b"audio", "recording")
    uploading.put(draft, "a.mp4", b"video")
    assert uploading.job(draft=draft).status_code == 201
    assert _planned(inbox).scripts == {"Interview 12.05.2026": "speech.docx"}


def test_typed_words_become_a_script(uploading: Uploading, inbox: Path) -> None:
    draft = uploading.draft()
    uploading.put(draft, "talk.wav", b"audio", "recording")
    uploading.put(draft, "a.mp4", b"video")
    assert uploading.job(draft=draft, script="你好，\r\nworld \U0001f600").status_code == 201
    assert _planned(inbox).scripts == {"talk.wav": "speech.txt"}
    assert (inbox / "lesson" / "speech.txt").read_bytes().decode() == "你好，\r\nworld \U0001f600"


def test_two_scripts_for_one_recording_are_refused(uploading: Uploading, inbox: Path) -> None:
    draft = uploading.draft()
    uploading.put(draft, "talk.wav", b"audio", "recording")
    uploading.put(draft, "a.mp4", b"video")
    script = uploading.put(draft, "talk.srt", b"words", "script")
    assert uploading.job(draft=draft, script="hello").json()["code"] == "two_scripts"
    uploading.client.delete(script, headers={"Tus-Resumable": "1.0.0"})
    assert uploading.job(draft=draft, script="hello").status_code == 201
    assert _planned(inbox).scripts == {"talk.wav": "speech.txt"}


def test_a_script_that_belongs_to_none_of_several_recordings_is_refused(uploading: Uploading) -> None:
    draft = uploading.draft()
    for name in ("one.wav", "two.wav"):
        uploading.put(draft, name, b"audio", "recording")
    uploading.put(draft, "a.mp4", b"video")
    assert uploading.job(draft=draft, script="hello").json()["code"] == "script_unmatched"
    uploading.put(draft, "three.txt", b"words", "script")
    answer = uploading.job(draft=draft)
    assert (answer.status_code, answer.json()["code"]) == (422, "script_unmatched")
    assert "three.txt" in answer.json()["message"]


def test_what_is_missing_is_named(uploading: Uploading) -> None:
    draft = uploading.draft()
    assert uploading.job(draft=draft).json()["code"] == "no_recording"
    uploading.put(draft, "talk.wav", b"audio", "recording")
    assert uploading.job(draft=draft).json()["code"] == "no_videos"
    location = uploading.begun(draft, "clip.mp4", 5)
    answer = uploading.job(draft=draft)
    assert (answer.status_code, answer.json()["code"]) == (409, "draft_incomplete")
    assert "clip.mp4" in answer.json()["message"]
    uploading.send(location, b"video")
    assert uploading.job(draft=draft).status_code == 201


@pytest.mark.family(3)
@pytest.mark.parametrize("consent", [None, {"given": False, "by": "Anna"}, {"given": True, "by": " "}, {"given": True}])
def test_a_job_needs_the_consent_of_somebody(uploading: Uploading, consent: object) -> None:
    answer = uploading.job(draft=uploading.draft(), consent=consent)
    assert (answer.status_code, answer.json()["code"]) == (422, "consent_missing")


def test_the_consent_and_the_owner_are_those_of_the_login(app: FastAPI, uploading: Uploading, inbox: Path) -> None:
    _as(app, "zoë")
    draft = uploading.draft()
    uploading.put(draft, "talk.wav", b"audio", "recording")
    uploading.put(draft, "a.mp4", b"video")
    assert uploading.job(draft=draft, consent={"given": True, "by": "somebody else"}).status_code == 201
    assert _options(inbox)["consent"].startswith("zoë, ")
    assert _options(inbox)["owner"] == "zoë"


@pytest.mark.family(3)
@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"quality": 99}, "quality"),
        ({"engine": "magic"}, "rewrite"),
        ({"engine": "wav2lip"}, "engine"),
        ({"face": "chin"}, "face"),
        ({"background": "red"}, "background"),
        ({"first_seconds": -1}, "first_seconds"),
        ({"language": '"\nlabel = true'}, "language"),
        ({"faces": {"other.mp4": "left"}}, "other.mp4"),
    ],
)
def test_a_bad_option_is_named(uploading: Uploading, options: dict[str, object], word: str) -> None:
    draft = uploading.draft()
    uploading.put(draft, "talk.wav", b"audio", "recording")
    uploading.put(draft, "a.mp4", b"video")
    answer = uploading.job(draft=draft, options=options)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_option")
    assert word in answer.json()["message"]


def test_faces_are_named_as_the_user_calls_the_videos(uploading: Uploading, inbox: Path) -> None:
    draft = uploading.draft()
    uploading.put(draft, "talk.wav", b"audio", "recording")
    uploading.put(draft, 'a "b" <c>.mp4', b"video")
    uploading.put(draft, "d.mp4", b"video")
    assert uploading.job(draft=draft, options={"faces": {'a "b" <c>.mp4': "1", "d.mp4": "left"}}).status_code == 201
    assert _options(inbox)["faces"] == {"a _b_ _c_.mp4": 1, "d.mp4": "left"}
    assert _planned(inbox).rejected is None


@pytest.mark.parametrize("name", ["..", " . ", "\u202e", "\u3000."])
def test_a_name_of_which_nothing_can_be_used_is_refused(uploading: Uploading, name: str) -> None:
    assert uploading.job(draft=uploading.draft(), name=name).json()["code"] == "bad_name"


@pytest.mark.family(4)
@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("../../etc", "_.._etc"),
        ("A/B test", "A_B test"),
        ("_done", "__done_"),
        ("videos", "_videos_"),
        (".hidden", "hidden"),
        ("lesson.hold", "_lesson.hold_"),
        ("a:b*c", "a_b_c"),
        ("课程 一", "课程 一"),
        ("con", "con_"),
        ("x" * 200, "x" * 150),
    ],
)
def test_the_folder_of_a_job_has_a_name_for_every_share(uploading: Uploading, inbox: Path, name: str, folder: str) -> None:
    draft = uploading.draft()
    uploading.put(draft, "talk.wav", b"audio", "recording")
    uploading.put(draft, "a.mp4", b"video")
    assert uploading.job(draft=draft, name=name).json()["name"] == folder
    assert _planned(inbox, folder).videos == ("videos/a.mp4",)


def test_a_name_that_is_taken_gets_a_number_also_where_an_old_control_file_has_it(uploading: Uploading, inbox: Path) -> None:
    (inbox / "LESSON").mkdir()
    (inbox / "lesson-2.hold").touch()
    draft = uploading.draft()
    uploading.put(draft, "talk.wav", b"audio", "recording")
    uploading.put(draft, "a.mp4", b"video")
    assert uploading.job(draft=draft).json()["name"] == "lesson-3"


def test_a_job_that_is_open_keeps_its_name_to_itself(client: httpx.Client, uploading: Uploading, inbox: Path, outputs: Path) -> None:
    daemon = Daemon(outputs, (inbox,))
    daemon.write(job_status("lesson", State.RUNNING, inbox=str(inbox)), job_status("elsewhere", State.RUNNING, inbox="/srv/other"))
    until(lambda: client.get("/api/v1/jobs").json()["total"] == 2)
    _aged(inbox / "material/speech.wav")
    _aged(inbox / "material/a.mp4")
    files = {"recording": "material/speech.wav", "videos": ["material/a.mp4"]}
    names = [uploading.job(name=name, **files).json()["name"] for name in ("LESSON", "elsewhere")]
    assert names == ["LESSON-2", "elsewhere"]


def test_a_drop_that_cannot_be_renamed_stays_a_draft(uploading: Uploading, inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draft = uploading.draft()
    uploading.put(draft, "talk.wav", b"audio", "recording")
    uploading.put(draft, "second.wav", b"audio", "recording")
    uploading.put(draft, "a.mp4", b"video")

    def fail(*_: object) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr(drop_folder, "rename_numbered", fail)
    assert uploading.job(draft=draft).json()["code"] == "disk_full"
    assert not list(inbox.glob("lesson*"))
    monkeypatch.undo()
    assert len(uploading.files(draft)) == 3
    assert uploading.job(draft=draft).status_code == 201
    assert _planned(inbox).recordings == ("audios/second.wav", "audios/talk.wav")


def test_a_page_that_fails_after_the_rename_has_made_the_job_all_the_same(
    uploading: Uploading, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = uploading.draft()
    uploading.put(draft, "talk.wav", b"audio", "recording")
    uploading.put(draft, "a.mp4", b"video")

    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(drop_folder, "_write_ready", fail)
    assert uploading.job(draft=draft).status_code == 500
    monkeypatch.undo()
    answer = uploading.job(draft=draft)
    assert answer.status_code == 201
    assert answer.json()["id"] == _options(inbox)["reference"]
    assert [path.name for path in inbox.glob("lesson*")] == ["lesson"]


def test_what_is_left_of_a_ready_file_that_could_not_be_put_down_is_deleted_with_the_draft(
    uploading: Uploading, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = uploading.draft()
    uploading.put(draft, "talk.wav", b"audio", "recording")
    uploading.put(draft, "a.mp4", b"video")
    rename = os.rename

    def fail(source: str, target: str, **folders: int) -> None:
        if target.endswith(".ready"):
            raise OSError
        rename(source, target, **folders)

    monkeypatch.setattr(os, "rename", fail)
    assert uploading.job(draft=draft).status_code == 201
    assert [name for name in os.listdir(inbox) if name.endswith(".tmp")] == []


def test_a_scan_at_any_moment_sees_whole_drops_only(uploading: Uploading, inbox: Path) -> None:
    ended, seen, wrong = Event(), set[str](), list[str]()

    def scan() -> None:
        scanner = FolderScanner()
        while not ended.is_set():
            for each in scanner.scan(str(inbox)).drops:
                seen.add(each.name)
                found = plan(each.entries, job_toml="", limits=LIMITS)
                names = {entry.path for entry in each.entries}
                if found.incomplete or not names >= {"job.toml", "talk.wav", "speech.txt", "videos/a.mp4", "videos/b.mp4"}:
                    wrong.append(f"{each.name}: {sorted(names)}")

    scanning = Thread(target=scan)
    scanning.start()
    try:
        for number in range(5):
            draft = uploading.draft()
            uploading.put(draft, "talk.wav", b"audio", "recording")
            uploading.put(draft, "a.mp4", b"video")
            uploading.put(draft, "b.mp4", b"video")
            assert uploading.job(draft=draft, name=f"lesson {number}", script="words").status_code == 201
    finally:
        ended.set()
        scanning.join(10)
    assert len(seen) >= 4
    assert wrong == []


def test_what_somebody_else_puts_into_a_draft_is_no_part_of_the_job(uploading: Uploading, inbox: Path, tmp_path: Path) -> None:
    draft = uploading.draft()
    uploading.put(draft, "talk.wav", b"audio", "recording")
    uploading.put(draft, "a.mp4", b"video")
    drop = inbox / ".heygem-uploads" / draft / "drop"
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    (drop / "videos" / "evil.mp4").symlink_to(tmp_path / "secret.mp4")
    (drop / "audios").symlink_to(tmp_path)
    (drop / "job.toml").symlink_to(tmp_path / "secret.mp4")
    assert uploading.job(draft=draft).status_code == 201
    assert sorted(path.name for path in (inbox / "lesson").rglob("*")) == ["a.mp4", "job.toml", "talk.wav", "videos"]
    assert (tmp_path / "secret.mp4").read_bytes() == b"secret"


# -- files that lie in the inbox ---------------------------------------------------------------------------------------


def test_files_of_the_inbox_are_linked_and_stay_where_they_are(uploading: Uploading, inbox: Path) -> None:
    speech = _aged(inbox / "material" / "monday.wav")
    video = _aged(inbox / "_done" / "last week" / "videos" / "anna.mp4")
    answer = uploading.job(recording="material/monday.wav", videos=["_done/last week/videos/anna.mp4"])
    assert answer.status_code == 201, answer.text
    assert _planned(inbox).videos == ("videos/anna.mp4",)
    assert (inbox / "lesson" / "monday.wav").samefile(speech)
    assert (inbox / "lesson" / "videos" / "anna.mp4").samefile(video)


def test_a_draft_and_files_of_the_inbox_make_one_job(uploading: Uploading, inbox: Path) -> None:
    _aged(inbox / "material" / "anna.mp4", b"from the inbox")
    draft = uploading.draft()
    uploading.put(draft, "talk.wav", b"audio", "recording")
    uploading.put(draft, "anna.mp4", b"uploaded")
    assert uploading.job(draft=draft, videos=["material/anna.mp4"], options={"faces": {"material/anna.mp4": "left"}}).status_code == 201
    assert {path.name: path.read_bytes() for path in (inbox / "lesson" / "videos").iterdir()} == {
        "anna.mp4": b"uploaded",
        "anna-2.mp4": b"from the inbox",
    }
    assert _options(inbox)["faces"] == {"anna-2.mp4": "left"}


def test_files_are_copied_where_they_cannot_be_linked(uploading: Uploading, inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_files, "STEP_BYTES", 1000)
    monkeypatch.setattr("heygem_daemon.web.uploads.named_files.link", lambda *_: False)
    content = os.urandom(4321)
    video = _aged(inbox / "material" / "anna.mp4", content)
    _aged(inbox / "material" / "monday.wav")
    assert uploading.job(recording="material/monday.wav", videos=["material/anna.mp4"]).status_code == 201
    copy = inbox / "lesson" / "videos" / "anna.mp4"
    assert copy.read_bytes() == content
    assert not copy.samefile(video)


@pytest.mark.family(4)
@pytest.mark.parametrize(
    "path",
    [
        "../outside.mp4",
        "material/../../outside.mp4",
        "/etc/passwd",
        "material//anna.mp4",
        ".heygem/claimed/x/anna.mp4",
        "material/link.mp4",
        "linked/outside.mp4",
        "material/nothing.mp4",
        "material/pipe.mp4",
        "material/folder.mp4",
        "material/.anna.mp4",
        "",
    ],
)
def test_what_is_no_file_of_the_inbox_is_not_found(uploading: Uploading, inbox: Path, tmp_path: Path, path: str) -> None:
    _aged(tmp_path / "outside.mp4")
    _aged(inbox / "material" / "anna.mp4")
    _aged(inbox / "material" / ".anna.mp4")
    _aged(inbox / ".heygem" / "claimed" / "x" / "anna.mp4")
    (inbox / "material" / "link.mp4").symlink_to(tmp_path / "outside.mp4")
    (inbox / "linked").symlink_to(tmp_path)
    os.mkfifo(inbox / "material" / "pipe.mp4")
    (inbox / "material" / "folder.mp4").mkdir()
    _aged(inbox / "material" / "monday.wav")
    answer = uploading.job(recording="material/monday.wav", videos=[path])
    assert answer.status_code == 404 or answer.json()["code"] == "unsupported_type"
    assert not (inbox / "lesson").exists()
    assert list((inbox / ".heygem-uploads").iterdir()) == []


def test_a_user_may_name_files_of_his_own_drops_alone(app: FastAPI, uploading: Uploading, inbox: Path) -> None:
    for owner in ("anna", "bob"):
        for folder in (inbox / owner, inbox / "_done" / owner):
            _aged(folder / "videos" / "a.mp4")
            _aged(folder / "talk.wav")
            (folder / "job.toml").write_text(f'owner = "{owner}"\n')
    _aged(inbox / "unowned" / "a.mp4")
    _aged(inbox / "a.mp4")
    _as(app, "anna")
    for path in ("bob/videos/a.mp4", "_done/bob/videos/a.mp4", "unowned/a.mp4", "a.mp4"):
        answer = uploading.job(recording="anna/talk.wav", videos=[path])
        assert (answer.status_code, answer.json()["code"]) == (404, "no_such_file"), path
    assert uploading.job(recording="anna/talk.wav", videos=["_done/anna/videos/a.mp4"]).status_code == 201


def test_the_owner_of_a_file_is_that_of_the_drop_in_which_it_was_opened(
    app: FastAPI, uploading: Uploading, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for owner in ("anna", "bob", "forged"):
        _aged(inbox / owner / "videos" / "a.mp4")
        _aged(inbox / owner / "talk.wav")
        (inbox / owner / "job.toml").write_text(f'owner = "{"bob" if owner == "bob" else "anna"}"\n')
    _as(app, "anna")

    @contextmanager
    def opened_and_exchanged(name: str, parent: int | None = None) -> Iterator[int]:
        with opened_folder(name, parent) as folder:
            if name == "bob" and (inbox / "forged").exists():
                (inbox / "bob").rename(inbox / "of bob")
                (inbox / "forged").rename(inbox / "bob")
            yield folder

    monkeypatch.setattr(inbox_files, "opened_folder", opened_and_exchanged)
    answer = uploading.job(recording="anna/talk.wav", videos=["bob/videos/a.mp4"])
    assert (inbox / "of bob").exists()
    assert (answer.status_code, answer.json()["code"]) == (404, "no_such_file")


def test_a_file_that_is_still_being_copied_is_not_used(uploading: Uploading, inbox: Path) -> None:
    _aged(inbox / "material" / "monday.wav")
    with _aged(inbox / "material" / "anna.mp4").open("ab") as writing:
        answer = uploading.job(recording="material/monday.wav", videos=["material/anna.mp4"])
        assert (answer.status_code, answer.json()["code"]) == (409, "file_in_use")
        writing.write(b"more")
    assert not (inbox / "lesson").exists()


def test_a_file_that_changes_within_the_settle_time_is_not_used(settings: Settings, inbox: Path) -> None:
    quick = settings.model_copy(update={"intake": Intake(settle_seconds=0.5)})
    _aged(inbox / "material" / "monday.wav")
    video, ended = inbox / "material" / "anna.mp4", Event()
    video.write_bytes(b"v")

    def write() -> None:
        while not ended.wait(0.02):
            video.write_bytes(video.read_bytes() + b"v")

    writing = Thread(target=write)
    with serving(create_app(quick)) as address, httpx.Client(base_url=address, timeout=20) as client:
        writing.start()
        try:
            answer = Uploading(client).job(recording="material/monday.wav", videos=["material/anna.mp4"])
        finally:
            ended.set()
            writing.join(10)
        assert (answer.status_code, answer.json()["code"]) == (409, "file_in_use")
        assert Uploading(client).job(recording="material/monday.wav", videos=["material/anna.mp4"]).status_code == 201
    assert (inbox / "lesson" / "videos" / "anna.mp4").samefile(video)


# -- limits ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def narrow(settings: Settings) -> Iterator[Uploading]:
    web = Web(state=settings.web.state, upload_bytes=1000, upload_files=3, user_bytes=1500, user_drafts=2)
    narrow = settings.model_copy(update={"web": web})
    with serving(create_app(narrow)) as address, httpx.Client(base_url=address) as client:
        yield Uploading(client)


def test_a_drop_has_a_largest_size_and_a_number_of_files(narrow: Uploading) -> None:
    draft = narrow.draft()
    assert narrow.begin(draft, "a.mp4", 1001).json()["code"] == "upload_too_large"
    narrow.begun(draft, "a.mp4", 600)
    assert narrow.begin(draft, "b.mp4", 600).status_code == 413
    narrow.begun(draft, "b.mp4", 1)
    narrow.begun(draft, "c.mp4", 1)
    assert narrow.begin(draft, "d.mp4", 1).json()["code"] == "too_many_files"


def test_a_user_has_a_number_of_drafts_and_bytes_over_all_inboxes(narrow: Uploading) -> None:
    first, second = narrow.draft(0), narrow.draft(1)
    answer = narrow.client.post("/api/v1/drafts", json={"inbox": 0})
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_uploads")
    narrow.begun(first, "a.mp4", 900)
    assert narrow.begin(second, "a.mp4", 900).json()["code"] == "too_many_uploads"
    narrow.client.delete(f"/api/v1/drafts/{first}")
    assert narrow.begin(second, "a.mp4", 900).status_code == 201


def test_an_upload_begins_only_where_the_disk_has_room_for_all_that_is_promised(settings: Settings, inbox: Path) -> None:
    disk = os.statvfs(inbox)
    free = disk.f_bavail * disk.f_frsize
    some = free // 10
    full = settings.model_copy(update={"disk": Disk(reserve_bytes=free - 3 * some)})
    with serving(create_app(full)) as address, httpx.Client(base_url=address) as client:
        uploading = Uploading(client)
        draft = uploading.draft()
        uploading.begun(draft, "a.mp4", 2 * some)
        other = uploading.draft(inbox=1)
        answer = uploading.begin(other, "b.mp4", 2 * some)
        assert (answer.status_code, answer.json()["code"]) == (507, "disk_full")
        client.delete(f"/api/v1/drafts/{draft}")
        assert uploading.begin(other, "b.mp4", 2 * some).status_code == 201


def test_nothing_is_written_into_a_folder_whose_share_is_not_mounted(uploading: Uploading, inbox: Path) -> None:
    (inbox / MARKER).unlink()
    answer = uploading.client.post("/api/v1/drafts", json={"inbox": 0})
    assert (answer.status_code, answer.json()["code"]) == (503, "inbox_offline")
    assert list(inbox.iterdir()) == []


@pytest.mark.family(3)
@pytest.mark.parametrize(
    ("role", "name"), [("recording", "a.jpg"), ("video", "a.wav"), ("script", "a.pdf"), ("video", "a.zip"), ("video", "a.part")]
)
def test_a_type_that_fits_nowhere_is_refused_before_it_is_sent(uploading: Uploading, role: str, name: str) -> None:
    answer = uploading.begin(uploading.draft(), name, 5, role)
    assert (answer.status_code, answer.json()["code"]) == (422, "unsupported_type")
    assert {"recording": "wav", "video": "mp4", "script": "srt"}[role] in answer.json()["hint"]


def test_an_empty_file_is_refused(uploading: Uploading) -> None:
    assert uploading.begin(uploading.draft(), "a.mp4", 0).json()["code"] == "empty_file"


def test_the_options_are_those_of_the_configuration(client: httpx.Client, settings: Settings, second_inbox: Path) -> None:
    (second_inbox / MARKER).unlink()
    (settings.inboxes[0].path / "PAUSE").touch()
    options = client.get("/api/v1/options").json()
    assert [(each["name"], each["online"], each["paused"]) for each in options["inboxes"]] == [
        ("inbox", True, True),
        ("urgent", False, False),
    ]
    assert options["engines"] == ["rewrite"]
    assert options["defaults"]["quality"] == settings.engine.quality
    assert ".wav" in options["recording_suffixes"]
    assert ".jpg" in options["video_suffixes"]
    assert options["require_consent"]


@pytest.mark.family(3)
@pytest.mark.parametrize(
    "body",
    [
        rb'{"name": "\ud800", "videos": []}',
        rb'{"name": "a", "consent": {"given": true, "by": "\udfff"}}',
        rb'{"name": "a", "options": {"magic": 1}}',
        b'{"name": "a", "draft": 5}',
        b'{"name": "' + b"x" * 300 + b'"}',
        b"[]",
        b"{",
        b"\xff",
    ],
)
def test_a_request_that_is_none_is_refused_with_a_sentence(client: httpx.Client, body: bytes) -> None:
    answer = client.post("/api/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in {400, 422}
    assert answer.json()["code"] == "invalid_request"
    assert answer.json()["message"]


@pytest.mark.family(3)
@pytest.mark.parametrize("draft", ["..", "x", "0" * 32, "../../etc", ""])
def test_a_draft_that_is_none_does_not_exist(uploading: Uploading, draft: str) -> None:
    assert uploading.job(draft=draft).status_code == 404
