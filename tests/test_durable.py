import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from heygem_daemon import durable
from heygem_daemon.durable import free_number, rename_exclusive, rename_numbered, sync_folder, write_durably, write_whole


@pytest.fixture(params=["renameat2", "a file system without it"])
def _both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "renameat2":
        monkeypatch.setattr(durable, "_libc", SimpleNamespace())


@pytest.mark.usefixtures("_both_ways")
@pytest.mark.parametrize("kind", ["file", "folder", "dangling link"])
def test_an_exclusive_rename_overwrites_nothing(tmp_path: Path, kind: str) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("source")
    match kind:
        case "file":
            target.write_text("target")
        case "folder":
            target.mkdir()
        case _:
            target.symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        rename_exclusive(source, target)
    assert source.read_text() == "source"


@pytest.mark.usefixtures("_both_ways")
def test_an_exclusive_rename_moves_where_nothing_is(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("source")
    rename_exclusive(tmp_path / "source", tmp_path / "target")
    assert (tmp_path / "target").read_text() == "source"


@pytest.mark.usefixtures("_both_ways")
def test_a_rename_of_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        rename_exclusive(tmp_path / "source", tmp_path / "target")


def test_numbers_go_before_the_suffix_of_a_file_and_after_the_name_of_a_folder(tmp_path: Path) -> None:
    for name in ("a.b", "a.b-2"):
        (tmp_path / name).mkdir()
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    assert rename_numbered(tmp_path / "folder", tmp_path, "a.b").name == "a.b-3"
    assert rename_numbered(tmp_path / "file", tmp_path, "a.b").name == "a-2.b"


def test_of_a_thousand_taken_numbers_few_are_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1, 1001):
        (tmp_path / ("lesson" if number == 1 else f"lesson-{number}")).mkdir()
    looks: list[object] = []
    lexists = os.path.lexists

    def noted(path: Path) -> bool:
        looks.append(path)
        return lexists(path)

    monkeypatch.setattr(os.path, "lexists", noted)
    for number in range(1001, 1021):
        (tmp_path / "source").mkdir()
        assert rename_numbered(tmp_path / "source", tmp_path, "lesson").name == f"lesson-{number}"
    assert len(looks) < 20 * 40


@pytest.mark.parametrize("count", [16, 17, 33, 1000, 10_000])
def test_a_free_number_is_found_with_a_few_looks_however_many_are_taken(count: int) -> None:
    looks = list[int]()

    def is_free(number: int) -> bool:
        looks.append(number)
        return number > count

    assert free_number(16, is_free) == count + 1
    assert len(looks) <= 2 * count.bit_length()


def test_a_number_that_became_free_overwrites_nothing(tmp_path: Path) -> None:
    for number in range(2, 200):
        (tmp_path / f"lesson-{number}").mkdir()
    (tmp_path / "lesson").mkdir()
    for number in (30, 64, 128):
        (tmp_path / f"lesson-{number}").rmdir()
    names = set()
    for _ in range(10):
        (tmp_path / "source").mkdir()
        names.add(rename_numbered(tmp_path / "source", tmp_path, "lesson").name)
    assert len(names) == 10


def test_a_number_fits_even_behind_the_longest_name(tmp_path: Path) -> None:
    name = "n" * 255
    (tmp_path / name).touch()
    (tmp_path / "file").touch()
    assert rename_numbered(tmp_path / "file", tmp_path, name).name == "n" * 253 + "-2"


def test_writing_replaces_the_whole_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    for content in (b"one", b"", b"three"):
        write_durably(path, content)
        assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["status.json"]


def test_a_write_that_fails_leaves_the_former_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_durably(tmp_path / "status.json", b"one")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk"):
        write_durably(tmp_path / "status.json", b"two")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("status.json", b"one")]


def fail(descriptor: int) -> None:
    raise OSError(errno.EIO, "the disk is broken")


def test_a_folder_in_the_place_of_a_file_that_is_written_gets_a_number(tmp_path: Path) -> None:
    for name in ("status.json", ".status.json.tmp"):
        (tmp_path / name / "inside").mkdir(parents=True)
    for content in (b"one", b"two"):
        write_durably(tmp_path / "status.json", content)
        assert (tmp_path / "status.json").read_bytes() == content
    assert sorted(os.listdir(tmp_path)) == [".status.json.tmp", "status.json", "status.json-2"]
    assert (tmp_path / "status.json-2/inside").is_dir()
    assert (tmp_path / ".status.json.tmp/inside").is_dir()


def test_what_is_written_again_anyway_is_whole_and_does_not_wait_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    write_whole(tmp_path / "status.json", b"one")
    write_whole(tmp_path / "status.json", b"two")
    assert synced == []
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("status.json", b"two")]
    write_durably(tmp_path / "status.json", b"three")
    assert len(synced) == 1


def test_a_folder_can_be_made_durable(tmp_path: Path) -> None:
    sync_folder(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync_folder(tmp_path / "gone")
