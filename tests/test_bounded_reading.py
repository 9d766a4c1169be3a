"""Files into whose folder anybody may write: read to a limit, never through a link, never waiting on a pipe."""

import os
from contextlib import suppress
from pathlib import Path

import pytest

from heygem_daemon.bounded_reading import is_file_in, open_file_in, read_file_in


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """A folder with a file of 5 bytes, a link to it, a pipe, and a folder; and beside it a link to the folder."""
    folder = tmp_path / "real"
    (folder / "inner").mkdir(parents=True)
    (folder / "file").write_bytes(b"12345")
    (folder / "inner/file").write_bytes(b"inner")
    (folder / "link").symlink_to(folder / "file")
    (folder / "way").symlink_to(folder / "inner")
    os.mkfifo(folder / "pipe")
    (tmp_path / "linked").symlink_to(folder)
    return folder


def test_a_file_is_read_whole_up_to_the_limit_and_not_beyond_it(real: Path) -> None:
    assert read_file_in(real, "file", limit=5) == b"12345"
    assert read_file_in(real, "inner/file") == b"inner"
    with pytest.raises(OSError, match="File too large"):
        read_file_in(real, "file", limit=4)


@pytest.mark.parametrize("name", ["link", "way/file", "pipe", "inner", "nothing", "file/x", ".", "", "../real/file", "/etc/passwd", "a\0b"])
def test_what_is_no_file_of_the_folder_is_neither_read_nor_there(real: Path, name: str) -> None:
    for read in (read_file_in, open_file_in):
        with pytest.raises(OSError):  # noqa: PT011 - of several kinds
            read(real, name)
    assert not is_file_in(real, name)


def test_a_folder_that_is_a_link_is_not_entered(real: Path) -> None:
    linked = real.with_name("linked")
    with pytest.raises(NotADirectoryError):
        read_file_in(linked, "file")
    assert not is_file_in(linked, "file")


def test_a_file_is_there_with_content_only(real: Path) -> None:
    (real / "empty").touch()
    assert is_file_in(real, "file")
    assert is_file_in(real.parent, "real/inner/file")
    assert not is_file_in(real, "empty")


def test_what_cannot_be_found_out_is_raised(real: Path) -> None:
    with pytest.raises(OSError, match="File name too long"):
        is_file_in(real, "x" * 300)


def test_no_descriptor_is_left_open_whatever_lies_there(real: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for name in ("file", "inner", "pipe", "link", "way/file", "inner/nothing"):
        is_file_in(real, name)
        with suppress(OSError):
            read_file_in(real, name)
    assert len(os.listdir("/proc/self/fd")) == before
