import random

import pytest

from heygem_daemon.core import scan as scans
from heygem_daemon.core.drop import Entry
from heygem_daemon.core.ignored_entries import IgnoredEntry
from heygem_daemon.core.names import equality_key
from heygem_daemon.core.scan import MAX_COMPARED, MAX_UNKNOWN, InboxScan, control_names, with_meant_controls, with_unused_controls


@pytest.mark.parametrize(
    ("name", "paths", "names"),
    [
        ("lesson", ["speech.wav"], ("lesson",)),
        ("", ["welcome.wav", "videos/a.mp4", "notes.docx"], ("welcome",)),
        ("", ["videos/a.mp4"], ()),
    ],
)
def test_control_files_go_by_the_name_of_the_folder_or_of_the_recording(name: str, paths: list[str], names: tuple[str, ...]) -> None:
    entries = [Entry(path=path, size=1, mtime_ns=0, ctime_ns=0) for path in paths]
    assert control_names(name, entries) == names


@pytest.mark.parametrize(
    ("file", "names", "meant"),
    [
        ("lesson", ["lesson"], "lesson"),
        ("LESSON", ["lesson", "other"], "lesson"),
        ("lesson", ["Lesson"], "Lesson"),
        ("u\u0308ben", ["\u00fcben"], "\u00fcben"),
        ("STRASSE", ["stra\u00dfe"], "stra\u00dfe"),
        ("LESSON", ["lesson", "Lesson"], "LESSON"),
        ("Lesson", ["lesson", "Lesson"], "Lesson"),
        ("a\nb", ["a\\x0ab", "A\nB"], "a\nb"),
        ("leson", ["lesson"], "leson"),
    ],
)
def test_a_control_file_is_about_the_one_name_that_is_the_same_without_case_and_unicode_form(
    file: str, names: list[str], meant: str
) -> None:
    scan = InboxScan(
        inbox="in",
        online=True,
        controls=((file, "hold"), (file, "priority")),
        control_uids={(file, "hold"): frozenset({1}), (file, "priority"): frozenset({2})},
        priorities={file: "5"},
    )
    found = with_meant_controls(scan, names, random.sample)
    assert found.controls == ((meant, "hold"), (meant, "priority"))
    assert found.control_uids == {(meant, "hold"): {1}, (meant, "priority"): {2}}
    assert found.priorities == {meant: "5"}


def test_of_several_spellings_the_exact_one_counts_and_whoever_made_any_of_them() -> None:
    controls = (("LESSON", "priority"), ("lesson", "hold"), ("lesson", "priority"))
    uids = {("LESSON", "priority"): frozenset({1}), ("lesson", "hold"): frozenset({3}), ("lesson", "priority"): frozenset({2})}
    scan = InboxScan(inbox="in", online=True, controls=controls, control_uids=uids, priorities={"lesson": "5", "LESSON": "7"})
    found = with_meant_controls(scan, ["lesson"], random.sample)
    assert found.controls == (("lesson", "hold"), ("lesson", "priority"))
    assert found.control_uids == {("lesson", "hold"): {3}, ("lesson", "priority"): {1, 2}}
    assert found.priorities == {"lesson": "5"}


def test_of_very_many_names_the_longest_are_compared_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred thousand names full of accents held up the tick for 5 s."""
    accents = "\u0315\u0300" * 60
    names = [f"{accents}{number}" for number in range(MAX_COMPARED // 60)]
    files = ["K\u00dcRZE", "LESSON", f"{accents}7", *(f"{name}x" for name in names[:1000])]
    scan = InboxScan(inbox="in", online=True, controls=tuple((file, "hold") for file in files))
    compared: list[str] = []

    def noted(name: str) -> str:
        compared.append(name)
        return equality_key(name)

    monkeypatch.setattr(scans, "equality_key", noted)
    found = with_meant_controls(scan, [*names, "k\u00fcrze", "lesson"], random.sample)
    assert sum(map(len, compared)) <= 2 * MAX_COMPARED, "of the names, and of the files"
    assert len(compared) < len(names)
    controls = set(found.controls)
    assert {("k\u00fcrze", "hold"), ("lesson", "hold"), (f"{accents}7", "hold")} <= controls


def test_of_very_many_control_files_those_are_left_that_are_about_something_and_some_others() -> None:
    """A hundred thousand held up the tick for 4 s."""
    kinds = ("hold", "cancel", "retry", "priority")
    about = tuple((f"lesson {number}", "hold") for number in range(2 * MAX_UNKNOWN))
    others = tuple((f"x {number:06}", kinds[number % 4]) for number in range(8 * MAX_UNKNOWN))
    scan = InboxScan(
        inbox="in",
        online=True,
        controls=(*about, *others),
        control_uids={control: frozenset({1}) for control in (*about, *others)},
        priorities={"x 000003": "5", others[-1][0]: "6"},
    )
    names = [name for name, _ in about]
    first, second = (with_meant_controls(scan, names, random.sample) for _ in range(2))
    assert set(about) <= set(first.controls)
    assert len(first.controls) - len(about) == 4 * (MAX_UNKNOWN // 6)
    assert set(first.controls) == set(first.control_uids)
    assert first.priorities == {"x 000003": "5"}
    stable = [{control for control in each.controls if control[1] != "retry"} for each in (first, second)]
    assert stable[0] == stable[1], "what is to go when it has lain there for a while is the same each time"
    assert set(first.controls) != set(second.controls), "each .retry has its turn"


def test_control_files_that_stay_and_are_about_nothing_are_among_what_is_ignored() -> None:
    archive = IgnoredEntry(name="m.zip", reason="it is an archive")
    controls = (("lesson", "hold"), ("other", "hold"), ("other", "ready"), ("other", "retry"), ("\udcff", "hold"))
    scan = InboxScan(inbox="/in", online=True, controls=controls, ignored=(archive,), ignored_count=1)
    found = with_unused_controls(scan, {"lesson", "\\xff"})
    assert [entry.name for entry in found.ignored] == ["m.zip", "other.hold", "other.ready"]
    assert (found.ignored_count, found.controls) == (3, controls)
    assert with_unused_controls(scan, {"lesson", "other", "\udcff"}) is scan
    many = InboxScan(inbox="/in", online=True, controls=tuple((str(number), "hold") for number in range(200)))
    assert (len(with_unused_controls(many, ()).ignored), with_unused_controls(many, ()).ignored_count) == (100, 200)
