import os
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heygem_daemon.core.names import (
    MAX_STEM_BYTES,
    control_of,
    escape_name,
    is_ignored,
    is_inside,
    is_job_id,
    is_valid_name,
    name_bytes,
    new_job_id,
    output_stems,
    slug,
)

FILE_NAMES = st.binary(min_size=1, max_size=255).map(lambda raw: os.fsdecode(raw.replace(b"/", b"_").replace(b"\0", b"_")))
"""Every name that a Linux file system can give: any bytes but two."""


@pytest.mark.parametrize(
    "name",
    [
        "clip.mp4.part", "clip.tmp", "clip.mp4.crdownload", "clip.mp4.filepart", "~$speech.docx", "._clip.mp4", ".DS_Store", "Thumbs.db",
        "THUMBS.DB", "desktop.ini", "@eaDir", "#recycle", ".nfs000012", ".smbdeleteAAA0012", ".syncthing.clip.mp4.tmp", ".heygem",
        ".heygem-inbox", "_done", "_failed", "PAUSE", "lesson.ready", "lesson.hold", "lesson.CANCEL", "$RECYCLE.BIN", "clip.mp4~", "",
        "clip.mp4:Zone.Identifier", "lesson.resume", "lesson.Retry", "lesson.priority", ".heygem-uploads", ".heygem-log.jsonl",
    ],
)  # fmt: skip
def test_a_temporary_foreign_or_control_name_never_counts(name: str) -> None:
    assert is_ignored(name)


@pytest.mark.parametrize(
    "name",
    ["lesson-01", ".clip.mov.icloud", "speech.wav", "老师.mp4", "part.mp4", "ready", "hold", "template.mov", "done", "Pause music.wav"],
)
def test_an_ordinary_name_counts(name: str) -> None:
    assert not is_ignored(name)


def test_a_control_file_names_its_drop_and_its_request() -> None:
    assert control_of("lesson 1.5.Hold") == ("lesson 1.5", "hold")
    assert control_of("20261122-231500-lesson-01-k3f9.PRIORITY") == ("20261122-231500-lesson-01-k3f9", "priority")
    assert control_of(".hold") is None
    assert control_of("lesson.mp4") is None
    assert control_of("ready") is None


@pytest.mark.parametrize("name", ["lesson.hold", "cv.resume", "take.Retry", "a.priority"])
def test_a_folder_is_no_control_file(name: str) -> None:
    assert not is_ignored(name, is_folder=True)
    assert is_ignored(name)


@pytest.mark.parametrize("name", ["videos.tmp", ".lesson.hold", "_done", "@eaDir"])
def test_a_folder_of_a_temporary_or_foreign_name_does_not_count(name: str) -> None:
    assert is_ignored(name, is_folder=True)


@given(FILE_NAMES)
def test_every_new_id_has_the_form_of_an_id(name: str) -> None:
    assert is_job_id(new_job_id(name, 1.8e9, "k3f9"))


@pytest.mark.parametrize("text", ["", "lesson", "../20261122-231500-a-b", "20261122-231500-", "20261122-231500-a/b", "20261122-231500-A\n"])
def test_another_text_has_not_the_form_of_an_id(text: str) -> None:
    assert not is_job_id(text)


@pytest.mark.parametrize("name", ["a\nb", "a\x1bb", "a\udcffb", "..", ".", "", "a/b", "a\x85", "a\u2028b"])
def test_a_harmful_name_is_not_valid(name: str) -> None:
    assert not is_valid_name(name)


@pytest.mark.parametrize(
    "name", ["speech.wav", "Lehrer – Übung (1).mp4", "老师.mp4", "x" * 255, "老" * 85, "...", "a b", "-rf", "👩‍🏫.mp4"]
)
def test_an_unusual_name_is_valid(name: str) -> None:
    assert is_valid_name(name)


@given(st.binary(min_size=1, max_size=300))
def test_the_length_of_a_name_is_that_of_its_bytes(raw: bytes) -> None:
    assert name_bytes(os.fsdecode(raw)) == len(raw)


def test_what_cannot_be_shown_is_escaped() -> None:
    assert escape_name("a\nb\x1b[31m") == r"a\x0ab\x1b[31m"
    assert escape_name(os.fsdecode(b"caf\xe9.wav")) == r"caf\xe9.wav"
    assert escape_name("gpj\u202e4pm.exe") == r"gpj\u202e4pm.exe"
    assert escape_name("a\x85b\u2028c\ud800") == r"a\u0085b\u2028c\ud800"
    assert escape_name("老师 é 👩‍🏫") == "老师 é 👩‍🏫"


@given(FILE_NAMES)
def test_every_name_is_shown_as_plain_text_on_one_line(name: str) -> None:
    shown = escape_name(name)
    assert not {unicodedata.category(char) for char in shown} & {"Cc", "Cs", "Zl", "Zp"}
    assert shown.encode().decode() == shown
    assert escape_name(shown) == shown


def test_an_id_sorts_by_time_and_is_ascii() -> None:
    assert new_job_id("Lesson 01", 1_795_389_300, "K3f9") == "20261122-231500-lesson-01-k3f9"
    assert new_job_id("第一课", 1_795_389_300, "k3f9") == "20261122-231500-drop-k3f9"
    assert new_job_id("z", 1_000_000_000, "a") < new_job_id("a", 2_000_000_000, "a")
    assert slug("Übung  №1!") == "ubung-no1"
    assert slug("x" * 39 + " y") == "x" * 39


@given(FILE_NAMES, st.floats(min_value=0, max_value=2**33), st.text(max_size=8))
def test_every_id_is_a_safe_folder_name(name: str, now: float, entropy: str) -> None:
    job_id = new_job_id(name, now, entropy)
    assert job_id.isascii()
    assert is_valid_name(job_id)
    assert not is_ignored(job_id)


def test_equal_stems_are_distinguished_by_their_suffix_then_by_number() -> None:
    paths = ["videos/teacher.mp4", "videos/teacher.mov", "videos/Teacher.MP4", "videos/teacher", "Videos/teacher.mov"]
    assert list(output_stems(paths).values()) == ["teacher", "teacher-mov", "Teacher-mp4", "teacher-2", "teacher-mov-2"]


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("CON.mp4", "CON_"), ("nul.tar.mp4", "nul.tar_"), ("status.mp4", "status_"), ("Thumbnails.mov", "Thumbnails_"), ("a. .mp4", "a"),
        ("status.json.wav", "status.json_"), ("lesson.zip.wav", "lesson.zip_"), ("a:b?.mp4", "a_b_"), (".mp4", "mp4"), ("..mp4", "video"),
        ("Explain.wav", "Explain_"),
        ("e\u0301.mp4", "é"), ("com10.mp4", "com10"), ("Interview 12.05.2026", "Interview 12.05.2026"), ("a.MP4 ", "a"),
        ("老师.mp4", "老师"), ("a\nb.mp4", "a_b"), ("bad\udcff.mp4", "bad_"),
    ],
)  # fmt: skip
def test_a_stem_can_be_held_by_every_client_of_the_share(name: str, stem: str) -> None:
    assert output_stems([name]) == {name: stem}


@given(st.lists(FILE_NAMES, max_size=12, unique=True))
def test_no_two_results_share_a_name_whatever_the_client(names: list[str]) -> None:
    stems = output_stems(names)
    assert list(stems) == names
    assert len({stem.casefold() for stem in stems.values()}) == len(names)
    for stem in stems.values():
        assert is_valid_name(stem)
        assert not is_ignored(stem + ".mp4")
        assert not stem.startswith((" ", "."))
        assert not stem.endswith((" ", "."))
        assert len(stem.encode()) <= MAX_STEM_BYTES + 1


def test_long_equal_stems_stay_within_the_limit() -> None:
    stems = output_stems([f"{'老' * 60}{suffix}" for suffix in (".mp4", ".mov", ".MOV")]).values()
    assert len(set(stems)) == 3
    assert max(len(stem.encode()) for stem in stems) <= MAX_STEM_BYTES


@pytest.mark.parametrize("path", ["a", "a/b.mp4", ".x/..y", "..."])
def test_a_path_below_its_folder_is_inside(path: str) -> None:
    assert is_inside(path)


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "a/b\0"])
def test_a_path_that_leads_elsewhere_is_not(path: str) -> None:
    assert not is_inside(path)
