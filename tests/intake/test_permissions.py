"""What happens to a drop that its owner copied with rights of his own: the daemon is another user."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from heygem_daemon.core.errors import TransientError
from heygem_daemon.core.job import Job
from heygem_daemon.core.scan import InboxScan, ScannedDrop
from heygem_daemon.intake.claims import FolderClaims
from heygem_daemon.intake.scanner import FolderScanner
from tests.shares.people import ALICE, HEYGEM, STRANGER, USERS_GROUP, Person, as_person, needs_root

pytestmark = needs_root
CLAIMS = FolderClaims()


@pytest.fixture
def inbox() -> Iterator[Path]:
    """The inbox of an installation: 2770, of the service, with the group of the people. (pytest's own folders let nobody else in.)"""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        folder = Path(name) / "inbox"
        folder.mkdir()
        (folder / ".heygem-inbox").touch()
        os.chown(folder, HEYGEM.uid, USERS_GROUP)
        folder.chmod(0o2770)
        yield folder


def copy(inbox: Path, umask: int, person: Person = ALICE, *, name: str = "lesson") -> None:
    """Make a drop as `cp -r` does: with the copier's umask."""

    def make() -> None:
        (inbox / name / "videos").mkdir(parents=True)
        (inbox / name / "speech.wav").write_text("x")
        (inbox / name / "videos/a.mp4").write_text("x")

    as_person(person, make, umask=umask)


def scan(inbox: Path) -> InboxScan:
    return as_person(HEYGEM, lambda: FolderScanner().scan(str(inbox)))


def only_drop(inbox: Path) -> ScannedDrop:
    return scan(inbox).drops[0]


def claim(inbox: Path) -> list[str]:
    """Claim the only drop as the daemon does; return the files of the claim."""
    scanned = only_drop(inbox)

    def act() -> list[str]:
        claim_dir = CLAIMS.claim(scanned, "job-1")
        return [entry.path for entry in CLAIMS.listing(claim_dir).entries]

    return as_person(HEYGEM, act)


def run_hint(hint: str, person: Person) -> None:
    """Run exactly the command of a hint."""
    command = hint.partition(": ")[2].partition(" - then")[0]
    as_person(person, lambda: subprocess.run(["sh", "-c", command], check=True).returncode)


def test_a_drop_that_the_group_may_write_is_claimed(inbox: Path) -> None:
    copy(inbox, umask=0o002)
    assert claim(inbox) == ["speech.wav", "videos/a.mp4"]


@pytest.mark.parametrize("name", ["lesson", "第一课 'final'; rm"])
def test_a_drop_copied_with_umask_022_waits_until_its_owner_has_followed_the_hint(inbox: Path, name: str) -> None:
    copy(inbox, umask=0o022, name=name)
    with pytest.raises(TransientError) as refused:
        claim(inbox)
    assert refused.value.code == "permission_denied"
    assert f"no right to move {name}, which belongs to {ALICE.uid}" in refused.value.message
    assert not (inbox / ".heygem").exists(), "a drop that waits must not be written about at every scan"
    run_hint(refused.value.hint, ALICE)
    assert claim(inbox) == ["speech.wav", "videos/a.mp4"]


def test_the_flat_form_waits_whole_when_its_videos_folder_cannot_be_moved(inbox: Path) -> None:
    copy(inbox, umask=0o022, name=".staged")
    for part in ("speech.wav", "videos"):
        (inbox / ".staged" / part).rename(inbox / part)
    with pytest.raises(TransientError) as refused:
        claim(inbox)
    assert "move videos" in refused.value.message
    assert (inbox / "speech.wav").is_file()


@pytest.mark.parametrize("path", ["speech.wav", "videos/a.mp4", "videos", "."])
def test_what_the_daemon_cannot_read_is_named_with_the_command_that_opens_it(inbox: Path, path: str) -> None:
    copy(inbox, umask=0o002)
    (inbox / "lesson" / path).chmod(0o700)
    problem = only_drop(inbox).problem
    assert problem is not None
    assert problem.code == "permission_denied"
    assert f"read lesson/{path}".rstrip("/.") + "," in problem.message
    run_hint(problem.hint, ALICE)
    assert only_drop(inbox).problem is None
    assert claim(inbox) == ["speech.wav", "videos/a.mp4"]


def test_a_claimed_drop_that_became_unreadable_waits_with_the_command_that_opens_it(inbox: Path) -> None:
    copy(inbox, umask=0o002)
    claim(inbox)
    job = Job(id="job-1", name="lesson", inbox=str(inbox), claimed=str(inbox / ".heygem/claimed/job-1"), output="out")
    drop = Path(job.claimed) / "lesson"
    assert as_person(HEYGEM, lambda: CLAIMS.root(job)) == drop
    drop.chmod(0o700)
    with pytest.raises(TransientError) as refused:
        as_person(HEYGEM, lambda: CLAIMS.root(job))
    assert refused.value.code == "permission_denied"
    assert str(inbox / ".heygem") in refused.value.hint


def test_a_file_of_a_claimed_drop_that_became_unreadable_waits_too(inbox: Path) -> None:
    copy(inbox, umask=0o002)
    claim(inbox)
    job = Job(id="job-1", name="lesson", inbox=str(inbox), claimed=str(inbox / ".heygem/claimed/job-1"), output="out")
    video = Path(job.claimed) / "lesson" / "videos" / "a.mp4"
    video.chmod(0o600)
    files = ("speech.wav", "videos/a.mp4")
    assert as_person(HEYGEM, lambda: CLAIMS.root(job, files[:1])) == Path(job.claimed) / "lesson"
    with pytest.raises(TransientError, match=r"videos/a\.mp4") as refused:
        as_person(HEYGEM, lambda: CLAIMS.root(job, files))
    assert refused.value.code == "permission_denied"


def test_a_folder_of_a_claimed_drop_that_became_unreadable_waits_too(inbox: Path) -> None:
    copy(inbox, umask=0o002)
    claim(inbox)
    job = Job(id="job-1", name="lesson", inbox=str(inbox), claimed=str(inbox / ".heygem/claimed/job-1"), output="out")
    (Path(job.claimed) / "lesson" / "videos").chmod(0o700)
    with pytest.raises(TransientError, match="lesson/videos, ") as refused:
        as_person(HEYGEM, lambda: CLAIMS.root(job, ("speech.wav", "videos/a.mp4")))
    assert refused.value.code == "permission_denied"


def test_a_drop_of_a_group_that_is_not_ours_is_given_to_ours_first(inbox: Path) -> None:
    copy(inbox, umask=0o022)
    for path in (inbox / "lesson", *(inbox / "lesson").rglob("*")):
        os.chown(path, ALICE.uid, ALICE.groups[0])
    with pytest.raises(TransientError) as refused:
        claim(inbox)
    assert f"chgrp -R {USERS_GROUP} {inbox}/lesson && chmod -R g+rwX {inbox}/lesson" in refused.value.hint
    run_hint(refused.value.hint, ALICE)
    assert claim(inbox)


def test_an_inbox_that_belongs_to_others_is_named_itself(inbox: Path) -> None:
    copy(inbox, umask=0o002)
    scanned = only_drop(inbox)
    os.chown(inbox, STRANGER.uid, STRANGER.groups[0])
    inbox.chmod(0o755)
    with pytest.raises(TransientError) as refused:
        as_person(HEYGEM, lambda: CLAIMS.claim(scanned, "job-1"))
    assert refused.value.code == "permission_denied"
    assert f"change {inbox}, which belongs to {STRANGER.uid}" in refused.value.message
    assert f"chown {HEYGEM.uid} {inbox}" in refused.value.hint
    assert (inbox / "lesson/speech.wav").is_file()


def test_a_folder_of_ours_that_now_belongs_to_another_user_is_named(inbox: Path) -> None:
    copy(inbox, umask=0o002)
    (inbox / ".heygem").mkdir(0o755)
    scanned = only_drop(inbox)
    with pytest.raises(TransientError) as refused:
        as_person(HEYGEM, lambda: CLAIMS.claim(scanned, "job-1"))
    assert f"chown -R {HEYGEM.uid} {inbox}/.heygem" in refused.value.hint
