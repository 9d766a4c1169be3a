"""What lies in an inbox and is used for nothing is named, with the reason."""

import pytest

from heygem_daemon.core.ignored_entries import why_ignored


@pytest.mark.parametrize("name", ["lesson.tmp", "lesson~", "lesson.part", "lesson.crdownload", "LESSON.TMP"])
@pytest.mark.parametrize("is_folder", [False, True])
def test_the_name_of_an_unfinished_copy_is_given_as_the_reason(name: str, is_folder: bool) -> None:
    assert "not finished" in (why_ignored(name, is_folder=is_folder) or "")


@pytest.mark.parametrize(
    ("name", "words"), [("notes.docx", "only folders"), ("lesson.zip", "it is an archive; only folders"), ("x", "only folders")]
)
def test_a_file_that_is_no_part_of_a_drop_is_named(name: str, words: str) -> None:
    assert words in (why_ignored(name, is_folder=False) or "")


@pytest.mark.parametrize("name", [".heygem-inbox", ".hidden", "Thumbs.db", "~$notes.docx", "_done", "_failed", "@eaDir"])
@pytest.mark.parametrize("is_folder", [False, True])
def test_what_systems_leave_everywhere_is_passed_over(name: str, is_folder: bool) -> None:
    assert why_ignored(name, is_folder=is_folder) is None


def test_a_folder_that_may_be_a_drop_is_none_of_these() -> None:
    assert why_ignored("lesson", is_folder=True) is None
