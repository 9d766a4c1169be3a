"""A whole folder through a real smbd with config/smb.conf.example, and what the daemon's user can do with it."""

import os
import subprocess
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from heygem_daemon.core.names import is_ignored
from heygem_daemon.core.scan import ScannedDrop
from heygem_daemon.durable import write_durably
from heygem_daemon.intake.claims import FolderClaims
from heygem_daemon.intake.leases import has_writer_at
from heygem_daemon.intake.scanner import FolderScanner
from tests.shares.conftest import UMASK, Share, Site
from tests.shares.people import ALICE, HEYGEM, USERS_GROUP, as_person

CLAIMS = FolderClaims()


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    """A folder on alice's computer, with modes that would shut everybody out."""
    folder = tmp_path / "lesson"
    for path, size in (("speech.wav", 1000), ("videos/teacher a.mp4", 300_000), ("videos/b.mp4", 10)):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(os.urandom(size))
        (folder / path).chmod(0o600)
    (folder / "videos").chmod(0o700)
    return folder


@pytest.fixture(autouse=True)
def clean(share: Share) -> Iterator[None]:
    """Take away what a test left."""
    yield
    share.site.clear()


def put(share: Share, folder: Path) -> None:
    share.do("inbox", f'prompt; recurse; lcd "{folder.parent}"; mput "{folder.name}"')


def scan_of(site: Site, name: str) -> ScannedDrop:
    found = as_person(HEYGEM, lambda: FolderScanner().scan(str(site.inbox)))
    return next(scanned for scanned in found.drops if scanned.name == name)


def claim(site: Site, name: str) -> Path:
    scanned = scan_of(site, name)
    return as_person(HEYGEM, lambda: CLAIMS.claim(scanned, "job-1"), umask=UMASK) / name


def test_the_example_is_clean(share: Share, root: Path) -> None:
    result = share.site.run("testparm", "-s", str(root / "config/smb.conf.example"))
    assert result.returncode == 0
    for problem in ("WARNING", "ERROR", "Unknown", "Ignoring", "Invalid"):
        assert problem not in result.stdout + result.stderr


def test_what_arrives_belongs_to_the_service_and_the_group_whoever_copied_it(share: Share, drop: Path) -> None:
    put(share, drop)
    arrived = [share.site.inbox / "lesson", *(share.site.inbox / "lesson").rglob("*")]
    assert len(arrived) == 5
    for path in arrived:
        found = path.stat()
        assert (found.st_uid, found.st_gid) == (HEYGEM.uid, USERS_GROUP), path
        assert found.st_mode & 0o7777 == (0o2770 if path.is_dir() else 0o660), path


def test_the_service_claims_and_reads_what_arrived(share: Share, drop: Path) -> None:
    put(share, drop)
    claimed = claim(share.site, "lesson")
    assert not (share.site.inbox / "lesson").exists()
    for path in ("speech.wav", "videos/teacher a.mp4", "videos/b.mp4"):
        assert as_person(HEYGEM, (claimed / path).read_bytes) == (drop / path).read_bytes()


def test_a_file_that_a_client_still_writes_is_noticed_until_it_is_closed(share: Share) -> None:
    share.do("inbox", "mkdir slow")

    def is_written() -> bool:
        folder = os.open(share.site.inbox / "slow", os.O_RDONLY)
        try:
            return has_writer_at("speech.wav", folder)
        finally:
            os.close(folder)

    command = share.command("inbox", "cd slow; put - speech.wav")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        deadline = time.monotonic() + 60
        client.stdin.write(b"x" * 2**20)
        client.stdin.flush()
        while not ((share.site.inbox / "slow/speech.wav").exists() and as_person(HEYGEM, is_written)):
            assert client.poll() is None, "it was never noticed"
            assert time.monotonic() < deadline, "it was never noticed"
        client.stdin.close()
        client.stdout.read()
    assert not as_person(HEYGEM, is_written)
    assert (share.site.inbox / "slow/speech.wav").stat().st_size == 2**20


def test_results_written_under_the_units_umask_are_fetched_and_deleted_through_the_share(share: Share, tmp_path: Path) -> None:
    result = share.site.outputs / "lesson"

    def publish() -> None:
        result.mkdir()
        write_durably(share.site.outputs / "status.json", b"{}")
        write_durably(result / "status.json", b"{}")
        with (result / "a.mp4").open("wb") as film:  # as ffmpeg makes it
            film.write(b"film")

    as_person(HEYGEM, publish, umask=UMASK)
    assert (result.stat().st_gid, (result / "a.mp4").stat().st_mode & 0o777) == (USERS_GROUP, 0o660)
    assert as_person(ALICE, (result / "a.mp4").read_bytes) == b"film", "also without the share, by the group"
    share.do("outputs", f'lcd "{tmp_path}"; cd lesson; get a.mp4')
    assert (tmp_path / "a.mp4").read_bytes() == b"film"
    share.do("outputs", "deltree lesson")
    assert [path.name for path in share.site.outputs.iterdir()] == ["status.json"]


@pytest.mark.parametrize(
    "name", ["第一课 最终版", unicodedata.normalize("NFC", "Übung für Zoë"), unicodedata.normalize("NFD", "Übung für Zoë"), "урок №1 🎬"]
)
def test_a_name_arrives_as_it_was_sent(share: Share, drop: Path, name: str) -> None:
    put(share, drop.rename(drop.with_name(name)))
    assert name in os.listdir(share.site.inbox)
    assert claim(share.site, name).is_dir()


def test_what_a_mac_attaches_to_a_file_makes_nothing_that_counts(share: Share, drop: Path) -> None:
    put(share, drop)
    (drop / "AFP_AfpInfo").write_bytes(b"AFP\0" + bytes(56))
    (drop / "quarantine").write_bytes(b"0083;5f0c;Safari;")
    (drop / "fork").write_bytes(bytes(70_000))
    words = [f'put {each} "speech.wav:{stream}"' for each, stream in (("quarantine", "com.apple.quarantine"), ("fork", "AFP_Resource"))]
    share.do("inbox", f'lcd "{drop}"; cd lesson; {"; ".join(words)}; put quarantine .DS_Store; put quarantine ._b.mp4')
    folder = share.site.inbox / "lesson"
    counted = [name for name in os.listdir(folder) if not is_ignored(name)]
    assert sorted(counted) == ["speech.wav", "videos"]
    assert "user.DosStream.com.apple.quarantine:$DATA" in os.listxattr(folder / "speech.wav")
    assert {"._speech.wav", ".DS_Store", "._b.mp4"} <= set(os.listdir(folder)), "a large fork has no room in an extended attribute"
    assert [entry.path for entry in scan_of(share.site, "lesson").entries] == ["speech.wav", "videos/b.mp4", "videos/teacher a.mp4"]
    claim(share.site, "lesson")


@pytest.mark.parametrize(
    "words", ["del .heygem-inbox", "mkdir .heygem", "cd .heygem", "rename lesson .heygem/lesson", "put /etc/hostname .heygem-inbox"]
)
def test_the_daemons_own_files_are_out_of_reach(share: Share, words: str) -> None:
    share.do("inbox", "mkdir lesson")
    as_person(HEYGEM, lambda: (share.site.inbox / ".heygem").mkdir(exist_ok=True))
    assert "NT_STATUS" in share.ask("inbox", words).stdout
    assert ".heygem" not in share.do("inbox", "ls")
    assert (share.site.inbox / ".heygem-inbox").is_file()
    assert (share.site.inbox / "lesson").is_dir()


@pytest.mark.parametrize("name", ["inbox", "outputs"])
def test_who_is_not_in_the_group_is_refused(share: Share, name: str) -> None:
    assert "NT_STATUS_ACCESS_DENIED" in share.ask(name, "ls", user="stranger").stdout


def test_a_person_holds_and_releases_a_drop_through_the_share(share: Share, drop: Path) -> None:
    put(share, drop)
    share.do("inbox", f'put "{drop / "speech.wav"}" lesson.hold')
    assert scan_of(share.site, "lesson").hold
    share.do("inbox", "del lesson.hold")
    assert not scan_of(share.site, "lesson").hold
