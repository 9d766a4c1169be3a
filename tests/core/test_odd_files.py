"""Files that are left aside for what they are or for their names are warnings; control files and PAUSE are known in every spelling."""

import pytest

from heygem_daemon.core import drop, unused_files
from heygem_daemon.core.drop import DropLimits, Entry, Kind
from heygem_daemon.core.names import control_of, is_ignored, is_pause, output_stems

LIMITS = DropLimits(items=500, file_bytes=2**40)


@pytest.mark.parametrize("kind", [Kind.SYMLINK, Kind.OTHER])
def test_a_script_that_is_no_file_is_left_aside_with_a_warning(kind: Kind) -> None:
    entries = [Entry(path=path, size=1, mtime_ns=0, ctime_ns=0) for path in ("speech.wav", "videos/a.mp4")]
    plan = drop.plan([*entries, Entry(path="speech.txt", size=1, mtime_ns=0, ctime_ns=0, kind=kind)], limits=LIMITS)
    assert plan.scripts == {}
    assert [each.message for each in plan.warnings] == ["speech.txt was not used: it is a link or no ordinary file."]


def test_unfinished_copies_are_named() -> None:
    (warning,) = unused_files.unfinished_files(["videos/b.mp4.part"])
    assert warning.message == "videos/b.mp4.part was not used: it has the name of a copy that is not finished."


def test_a_drop_that_is_refused_has_no_problems_of_single_files() -> None:
    entries = [Entry(path=f"videos/{number}.mp4", size=0, mtime_ns=0, ctime_ns=0) for number in range(600)]
    usable = [Entry(path=path, size=1, mtime_ns=0, ctime_ns=0) for path in ("speech.wav", "videos/a.mp4")]
    plan = drop.plan([*entries, *usable], limits=LIMITS)
    assert plan.rejected is not None
    assert plan.problems == {}


@pytest.mark.parametrize(
    ("name", "control"),
    [
        ("a.hold", ("a", "hold")),
        ("a.HOLD", ("a", "hold")),
        ("a.hold.txt", ("a", "hold")),
        ("a.Ready.TXT", ("a", "ready")),
        ("a.b.cancel.txt", ("a.b", "cancel")),
        ("a.txt", None),
        (".hold.txt", None),
        ("a.hold.md", None),
        ("speech.txt", None),
    ],
)
def test_a_control_file_is_known_with_what_editors_append(name: str, control: tuple[str, str] | None) -> None:
    assert control_of(name) == control


def test_in_a_drop_only_the_plain_spelling_is_left_aside() -> None:
    assert is_ignored("talk.ready")
    assert not is_ignored("talk.ready.txt")


@pytest.mark.parametrize("name", ["PAUSE", "pause", "Pause.txt", "PAUSE.TXT"])
def test_pause_is_known_in_every_spelling(name: str) -> None:
    assert is_pause(name, is_folder=False)


def test_a_folder_pauses_only_by_the_very_name() -> None:
    assert is_pause("PAUSE", is_folder=True)
    assert not is_pause("pause", is_folder=True)
    assert not is_pause("pause.mp4", is_folder=False)


def test_thousands_of_equal_names_get_numbers_one_after_the_other() -> None:
    paths = [f"{number}/a.mp4" for number in range(5000)]
    assert list(output_stems(paths).values())[-1] == "a-mp4-4999"
