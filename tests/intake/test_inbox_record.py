"""Which inboxes were watched is kept, and nothing that happens to the record stops the daemon."""

from pathlib import Path

import pytest

from heygem_daemon.intake.inbox_record import InboxRecord


def test_what_is_written_is_read_also_names_that_are_not_unicode(tmp_path: Path) -> None:
    record = InboxRecord(tmp_path / "inboxes.json")
    record.write({"/srv/inbox", "/srv/\udcff"})
    assert record.read() == {"/srv/inbox", "/srv/\udcff"}


@pytest.mark.parametrize("content", ["", "{", "{}", "7", "null", "[" * 100_000])
def test_a_damaged_record_counts_as_none(content: str, tmp_path: Path) -> None:
    (tmp_path / "inboxes.json").write_text(content, encoding="utf-8")
    assert InboxRecord(tmp_path / "inboxes.json").read() == frozenset()


def test_only_paths_are_taken(tmp_path: Path) -> None:
    (tmp_path / "inboxes.json").write_text('["/srv/inbox", 7, null, ["x"]]', encoding="utf-8")
    assert InboxRecord(tmp_path / "inboxes.json").read() == {"/srv/inbox"}


def test_a_place_that_cannot_be_used_is_no_error(tmp_path: Path) -> None:
    record = InboxRecord(tmp_path / "gone" / "inboxes.json")
    record.write({"/srv/inbox"})
    assert record.read() == frozenset()
