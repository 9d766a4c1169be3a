"""The share of docs/shares.md on which users are kept apart, by a real smbd: whose is what, and what one can do with another's drop."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from heygem_daemon.core.scan import InboxScan
from heygem_daemon.intake.claims import FolderClaims
from heygem_daemon.intake.scanner import FolderScanner
from tests.shares.conftest import UMASK, Share, Site, serving
from tests.shares.people import ALICE, BEN, HEYGEM, as_person

CLAIMS = FolderClaims()


@pytest.fixture(scope="module")
def share(site: Site, root: Path) -> Iterator[Share]:
    """The example without `force user` for the inbox, and the commands of the page, as they stand."""
    page = (root / "docs/shares.md").read_text(encoding="utf-8")
    commands = re.search(r"## Users kept apart.*?```sh\n(.*?)```", page, re.DOTALL)
    assert commands is not None
    for line in commands.group(1).splitlines():
        command = line.partition(" #")[0].replace(",u:heygem-web:r-x", "").split()  # there is no page here
        done = site.run(*command)
        assert done.returncode == 0, done.stderr
    example = (root / "config/smb.conf.example").read_text(encoding="utf-8")
    config = site.root / "smb.conf"
    config.write_text(example.replace("    force user = heygem\n", "", 1), encoding="utf-8")
    with serving(site, config) as served:
        yield served


@pytest.fixture
def lesson(share: Share, tmp_path: Path) -> Iterator[Path]:
    """A drop of alice in the inbox."""
    for path in ("speech.wav", "videos/a.mp4"):
        (tmp_path / "lesson" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "lesson" / path).write_bytes(b"x" * 1000)
    share.do("inbox", f'prompt; recurse; lcd "{tmp_path}"; mput "lesson"')
    yield share.site.inbox / "lesson"
    share.site.clear()


def scan_of(site: Site) -> InboxScan:
    return as_person(HEYGEM, lambda: FolderScanner().scan(str(site.inbox)))


def touch(share: Share, name: str, user: str, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    share.do("inbox", f'put "{tmp_path / "empty"}" "{name}"', user)


def test_a_drop_is_of_whoever_copied_it_and_the_service_can_take_it(share: Share, lesson: Path) -> None:
    assert {path.stat().st_uid for path in (lesson, *lesson.rglob("*"))} == {ALICE.uid}
    (scanned,) = scan_of(share.site).drops
    assert (scanned.uid, scanned.unreadable) == (ALICE.uid, "")
    claimed = as_person(HEYGEM, lambda: CLAIMS.claim(scanned, "job-1"), umask=UMASK)
    assert as_person(HEYGEM, lambda: CLAIMS.listing(claimed).uid) == ALICE.uid
    assert as_person(HEYGEM, (claimed / "lesson/videos/a.mp4").read_bytes) == b"x" * 1000
    as_person(HEYGEM, (claimed / "lesson/videos/a.mp4").unlink)  # as retention does


def test_a_control_file_is_of_whoever_put_it_there_and_the_service_can_delete_it(share: Share, lesson: Path, tmp_path: Path) -> None:
    touch(share, "lesson.cancel", "ben", tmp_path)
    touch(share, "lesson.hold", "alice", tmp_path)
    scan = scan_of(share.site)
    assert scan.control_uids == {("lesson", "cancel"): frozenset({BEN.uid}), ("lesson", "hold"): frozenset({ALICE.uid})}
    as_person(HEYGEM, lambda: CLAIMS.clear_control(str(share.site.inbox), "lesson", "cancel"))
    assert not (share.site.inbox / "lesson.cancel").exists()


@pytest.mark.parametrize(
    "words",
    [
        "cd lesson; ls",
        "get lesson/speech.wav /dev/null",
        "rename lesson mine",
        "rename lesson/speech.wav lesson.cancel",
        "rename lesson.hold lesson.cancel",
        "hardlink lesson.hold lesson.cancel",
        "del lesson.hold",
        "deltree lesson",
        "put /etc/hostname lesson/job.toml",
    ],
)
def test_another_can_neither_read_nor_change_nor_take_what_is_alices(share: Share, lesson: Path, tmp_path: Path, words: str) -> None:
    touch(share, "lesson.hold", "alice", tmp_path)
    before = sorted((str(path), path.stat().st_size) for path in share.site.inbox.rglob("*"))
    answer = share.ask("inbox", words, "ben")
    assert "NT_STATUS" in answer.stdout + answer.stderr
    assert sorted((str(path), path.stat().st_size) for path in share.site.inbox.rglob("*")) == before
