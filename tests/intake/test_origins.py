"""Who asked for a drop is known before it is claimed, as far as its job.toml says so."""

from pathlib import Path

import pytest

from heygem_daemon.core.scan import ScannedDrop
from heygem_daemon.intake import origins
from heygem_daemon.intake.scanner import FolderScanner


def fill(folder: Path, text: str, name: str = "job.toml") -> Path:
    (folder / "videos").mkdir(parents=True, exist_ok=True)
    (folder / "speech.wav").write_text("x")
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def scan(inbox: Path, scanner: FolderScanner | None = None) -> dict[str, ScannedDrop]:
    return {drop.name: drop for drop in (scanner or FolderScanner()).scan(str(inbox)).drops}


@pytest.mark.parametrize("name", ["job.toml", "Job.TOML"])
def test_the_owner_and_the_reference_of_a_drop_are_known(inbox: Path, name: str) -> None:
    fill(inbox / "lesson", 'owner = "邓"\nreference = "r-1"\nquality = 20\n', name)
    found = scan(inbox)["lesson"]
    assert (found.owner, found.reference) == ("邓", "r-1")


def test_those_of_a_drop_in_the_inbox_itself_are_known_too(inbox: Path) -> None:
    fill(inbox, 'owner = "amy"')
    assert scan(inbox)[""].owner == "amy"


@pytest.mark.parametrize("text", ["", 'owner = "am', "owner = 3", 'reference = "a b"', "quality = 20", "\0", "a = " + "[" * 5000])
def test_a_drop_that_names_nobody_is_scanned_all_the_same(inbox: Path, text: str) -> None:
    fill(inbox / "lesson", text)
    found = scan(inbox)["lesson"]
    assert (found.owner, found.reference) == (None, None)


def test_a_file_is_read_again_only_when_it_changed(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fill(inbox / "lesson", 'owner = "amy"')
    scanner = FolderScanner()
    assert scan(inbox, scanner)["lesson"].owner == "amy"
    monkeypatch.setattr(origins, "READS_PER_SCAN", 0)
    assert scan(inbox, scanner)["lesson"].owner == "amy"
    path.write_text('owner = "somebody else"')
    assert scan(inbox, scanner)["lesson"].owner is None
    monkeypatch.undo()
    assert scan(inbox, scanner)["lesson"].owner == "somebody else"


def test_of_many_some_are_read_with_each_scan(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(origins, "READS_PER_SCAN", 2)
    for number in range(5):
        fill(inbox / f"lesson-{number}", 'owner = "amy"')
    scanner = FolderScanner()
    assert [sum(drop.owner == "amy" for drop in scan(inbox, scanner).values()) for _ in range(4)] == [2, 4, 5, 5]


def test_a_large_file_is_left_until_the_claim(inbox: Path) -> None:
    fill(inbox / "lesson", 'owner = "amy"\ntext = "' + "x" * origins.MAX_BYTES + '"')
    assert scan(inbox)["lesson"].owner is None


def test_a_link_is_not_read(inbox: Path, tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text('owner = "amy"')
    fill(inbox / "lesson", "").unlink()
    (inbox / "lesson" / "job.toml").symlink_to(tmp_path / "job.toml")
    assert scan(inbox)["lesson"].owner is None
