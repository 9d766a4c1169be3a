"""Whatever a file is called: the drop has it under a name that every share can hold, and the daemon sees exactly what was uploaded."""

import tomllib
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final

import httpx
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from heygem_daemon.core.drop import DropLimits, Entry, plan
from heygem_daemon.core.file_types import RECORDING_SUFFIXES, STILL_SUFFIXES, VIDEO_SUFFIXES
from heygem_daemon.core.names import is_ignored, is_job_id, is_valid_name, name_bytes
from heygem_daemon.web.models import Role
from heygem_daemon.web.problems import WebProblem
from heygem_daemon.web.uploads.job_toml import job_toml
from heygem_daemon.web.uploads.stored_names import drop_name, numbered, stored_name, usable_name
from tests.web.uploading import Uploading

LIMITS: Final = DropLimits(items=10_000, file_bytes=2**40)

NASTY: Final = (
    "..", ".", "../../etc/passwd", "C:\\fakepath\\clip.mp4", "a/b/c.mp4", "nul\0.mp4", ".hidden.mp4", "clip.mp4.", "clip .mp4", " ", "",
    "con.mp4", "COM1.mov", "thumbs.db.mp4", "~$clip.mp4", "clip~", "lost+found", "@eaDir", "_done", "PAUSE", "videos", "AUDIOS",
    "talk.hold.mp4", "clip.!ut", "line\nbreak.mp4", "\u202egpj.exe.mp4", "<img src=x onerror=alert(1)>.mp4", "\ud800.mp4", "a\u2028b.mp4",
    "课" * 83 + ".mp4", "x" * 251 + ".mp4", "é" * 300 + ".mp4", "e\u0301.mp4", "Interview 12.05.2026", "clip.MP4", "K.m\u212av",
    "a.mp4\u3000",
    ". .mp4", "clip.part.mp4", "job.toml.mp4", "speech.txt.mp4", "?*|.mp4", "a\u200b.mp4", "مقطع.mp4", "icon\r.mp4",
)  # fmt: skip

_STEMS: Final = st.one_of(st.text(max_size=300), st.sampled_from(NASTY), st.text(st.characters(max_codepoint=0x7F), max_size=20))


def _names(suffixes: frozenset[str]) -> st.SearchStrategy[str]:
    cased = st.sampled_from([*sorted(suffixes), ""]).flatmap(lambda suffix: st.sampled_from([suffix, suffix.upper()]))
    return st.tuples(_STEMS, cased, st.sampled_from(["", "", ".", " ", ".part", "~"])).map("".join)


def _stored(names: list[str], role: Role) -> list[str]:
    """Return the stored names of files that come one after another; those of a type that is refused are left out."""
    stored: list[str] = []
    for name in names:
        with _refused_as("unsupported_type"):
            stored.append(stored_name(name, role, stored))
    return stored


@contextmanager
def _refused_as(code: str) -> Iterator[None]:
    """Allow what is inside to be refused, for this reason alone."""
    try:
        yield
    except WebProblem as problem:
        if problem.code != code:
            raise


@given(_names(RECORDING_SUFFIXES), st.lists(_names(VIDEO_SUFFIXES | STILL_SUFFIXES), min_size=1, max_size=8))
@example("speech.wav", list(NASTY))
@example("VIDEOS", ["a.mp4", "A.MP4", "a\u0301.mp4", "á.mp4"])
def test_the_daemon_sees_exactly_the_recording_and_the_videos(recording: str, videos: list[str]) -> None:
    recordings, shown = _stored([recording], "recording"), _stored(videos, "video")
    assume(recordings and shown)
    paths = [*recordings, *(f"videos/{name}" for name in shown)]
    found = plan([Entry(path=path, size=5, mtime_ns=1, ctime_ns=1) for path in paths], limits=LIMITS)
    assert list(found.recordings) == recordings
    assert set(found.videos) == set(paths[1:])
    assert len(found.videos) == len(shown)
    assert not found.problems
    assert found.rejected is found.incomplete is None
    assert not found.warnings


@given(st.lists(_names(RECORDING_SUFFIXES), min_size=2, max_size=6))
def test_the_daemon_sees_exactly_the_recordings_of_a_batch(names: list[str]) -> None:
    recordings = _stored(names, "recording")
    assume(len(recordings) > 1)
    paths = [*(f"audios/{name}" for name in recordings), "videos/a.mp4"]
    found = plan([Entry(path=path, size=5, mtime_ns=1, ctime_ns=1) for path in paths], limits=LIMITS)
    assert set(found.recordings) == set(paths[:-1])
    assert found.rejected is found.incomplete is None
    assert not found.problems


@given(st.text(max_size=400), st.booleans())
@example("\ud800", False)
@example("..mp4", False)
def test_every_name_becomes_one_that_all_shares_can_hold(name: str, is_folder: bool) -> None:
    usable = usable_name(name, limit=150, is_folder=is_folder)
    assert is_valid_name(usable)
    assert not is_ignored(usable)
    assert name_bytes(usable) <= 150
    assert not set(usable) & set('<>:"/\\|?*')
    assert usable == usable.strip(" .")
    assert usable.casefold() not in {"videos", "audios", "con", "nul"}
    assert usable_name(usable, limit=150, is_folder=is_folder) == usable


@pytest.mark.parametrize("name", ["clip.mp4", "课程 一.mp4", "Ærø (1) [x] #&%+.MOV", "a" * 251 + ".mp4", "课" * 83 + "a.mp4", "مقطع.mp4"])
def test_a_name_that_can_be_used_stays_as_it_is(name: str) -> None:
    assert stored_name(name, "video", []) == name


@given(st.lists(_names(VIDEO_SUFFIXES), max_size=10))
@example(["Clip.mp4", "clip.MP4", "ä.mp4", "a\u0308.mp4", "clip-2.mp4", "CLIP.mp4"])
def test_no_two_names_are_equal_for_clients_that_ignore_case(names: list[str]) -> None:
    stored = _stored(names, "video")
    assert len({unicodedata.normalize("NFC", name.casefold()) for name in stored}) == len(stored)


@given(st.text(max_size=200))
def test_a_name_of_a_job_is_usable_or_refused(name: str) -> None:
    with _refused_as("bad_name"):
        folder = drop_name(name)
        assert not is_ignored(folder, is_folder=True)
        assert is_valid_name(folder)


@given(st.text(), st.dictionaries(st.text(), st.text(), max_size=4))
@example("\ud800\x00\x7f\u2028\"'\\", {'"]\n[x': "\r"})
def test_every_text_can_be_read_back_from_job_toml(text: str, faces: dict[str, str]) -> None:
    def held(value: str) -> str:
        return value.encode(errors="replace").decode()

    read = tomllib.loads(job_toml({"consent": text, "zip": True, "undriven_limit": 1e-07, "priority": -3}, faces))
    assert read == {
        "consent": held(text),
        "zip": True,
        "undriven_limit": 1e-07,
        "priority": -3,
        **({"faces": {held(name): held(face) for name, face in faces.items()}} if faces else {}),
    }


@pytest.mark.parametrize("name", ["20261129-000000-lesson-k3f9", "20261129-000000-LESSON-K3F9", "20261129-000000"])
def test_no_drop_has_the_id_of_a_job(name: str) -> None:
    numbered_names = islice(numbered(drop_name(name), is_folder=True), 3)
    assert [is_job_id(each.casefold()) for each in numbered_names] == [False] * 3
    assert drop_name("2026-11-29 lesson") == "2026-11-29 lesson"


def test_uploads_show_the_name_that_the_user_gave(client: httpx.Client, inbox: Path) -> None:
    uploading = Uploading(client)
    draft = uploading.draft()
    names = ["<img src=x onerror=alert(1)>.mp4", "../../up.mp4", "a\0b.mp4", "课" * 83 + ".mp4", "مقطع.mp4", "clip.mp4", "CLIP.mp4"]
    for name in names:
        uploading.put(draft, name, b"video")
    uploading.put(draft, b"bad \xff bytes.mp4", b"video")
    shown = uploading.files(draft)
    assert set(shown) == {*names, "bad \\xff bytes.mp4"}
    assert {path.name for path in (inbox / ".heygem-uploads" / draft / "drop" / "videos").iterdir()} == set(shown.values())
    assert shown["<img src=x onerror=alert(1)>.mp4"] == "_img src=x onerror=alert(1)_.mp4"
    assert shown["../../up.mp4"] == "up.mp4"
    assert shown["课" * 83 + ".mp4"] == "课" * 83 + ".mp4"
    assert shown["CLIP.mp4"] == "CLIP-2.mp4"
