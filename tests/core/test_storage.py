"""What is wrong with a disk is named by its own code, with its place."""

import errno
import os

import pytest

from heygem_daemon.core.storage import Room, sqlite_error, storage_error


@pytest.mark.parametrize(
    ("number", "room", "code", "words"),
    [
        (errno.ENOSPC, Room(free=0), "disk_full", "in /srv: 0 B free, more needed"),
        (errno.ENOSPC, None, "disk_full", "in /srv: nothing free"),
        (errno.ENOSPC, Room(free=4096, files=10**6), "disk_full", "in /srv: 4.1 kB free"),
        (errno.ENOSPC, Room(free=140 * 10**6, files=0), "inodes_full", "no free inodes left, though 140.0 MB are free"),
        (errno.EDQUOT, Room(free=10**9, files=0), "quota_full", "The quota for /srv is used up"),
        (errno.EROFS, Room(free=10**9), "read_only", "/srv is on a file system that is read-only"),
        (errno.EIO, None, "disk_failing", "The disk or the share of /srv fails: as the system puts it."),
        (errno.EUCLEAN, None, "disk_failing", "/srv"),
    ],
)
def test_each_trouble_of_a_disk_has_its_code_and_names_the_place(number: int, room: Room | None, code: str, words: str) -> None:
    problem = storage_error(number, "/srv", room, "as the system puts it")
    assert problem is not None
    assert (problem.code, problem.retryable) == (code, True)
    assert words in problem.message
    assert problem.hint


@pytest.mark.parametrize("number", [None, errno.EACCES, errno.ENOENT, errno.ESTALE])
def test_what_is_not_the_fault_of_a_disk_has_no_such_code(number: int | None) -> None:
    assert storage_error(number, "/srv", None) is None


def test_a_failing_disk_without_words_is_named_all_the_same() -> None:
    problem = storage_error(errno.EIO, "/srv", None)
    assert problem is not None
    assert os.strerror(errno.EIO).lower() in problem.message.lower()


@pytest.mark.parametrize(
    ("code", "room", "expected"),
    [
        (13, Room(free=0, files=9000), "disk_full"),
        (13, Room(free=10**9, files=0), "inodes_full"),
        (14, Room(free=10**9, files=0), "inodes_full"),
        (8, None, "read_only"),
        (8, Room(free=0, is_read_only=True), "read_only"),
        (10, None, "disk_failing"),
    ],
)
def test_the_codes_of_sqlite_about_the_disk_are_understood(code: int, room: Room | None, expected: str) -> None:
    problem = sqlite_error(code, "/state", room, "disk I/O error")
    assert problem is not None
    assert problem.code == expected
    assert "/state" in problem.message


@pytest.mark.parametrize(("code", "room"), [(14, Room(free=1, files=900)), (14, None), (5, None), (8, Room(free=1))])
def test_other_codes_of_sqlite_are_not_about_the_disk(code: int, room: Room | None) -> None:
    assert sqlite_error(code, "/state", room, "locked") is None
