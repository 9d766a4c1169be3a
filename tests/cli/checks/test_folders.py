"""One directory, checked as a user of its own; the fix of each finding is executed, and the directory checked again."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from heygem_daemon.cli.checks import folders, volumes
from heygem_daemon.cli.checks.directories import Directory, Role
from heygem_daemon.cli.checks.finding import Finding, Severity
from heygem_daemon.cli.checks.identity import Identity
from heygem_daemon.intake.mounts import Mount
from tests.cli.checks.conftest import installed
from tests.shares.people import ALICE, HEYGEM, USERS_GROUP, as_person, needs_root

pytestmark = needs_root


@pytest.fixture
def me(service: Identity) -> Identity:
    """The service by its number: it has no account here, and chown takes numbers too."""
    return replace(service, name=str(HEYGEM.uid))


def inbox_at(path: Path) -> Directory:
    return Directory(role=Role.INBOX, path=path, poll_seconds=5.0)


def look(directory: Directory, me: Identity, ahead: float = 0.0) -> list[Finding]:
    """Return what is wrong or worth knowing, as the service sees it, with a clock that is `ahead`."""
    found = as_person(HEYGEM, lambda: list(folders.findings(directory, me, clock=lambda: time.time() + ahead)))
    return [finding for finding in found if finding.severity is not Severity.OK]


def apply_fixes(directory: Directory, me: Identity) -> list[str]:
    """Execute the fixes until nothing is found; return the findings."""
    problems: list[str] = []
    while found := look(directory, me):
        problems.append(found[0].what)
        assert len(problems) < 5, problems
        subprocess.run(["sh", "-c", found[0].fix.replace("heygem init-inbox", "touch -- ") + marker(found[0])], check=True)
    return problems


def marker(finding: Finding) -> str:
    return "/.heygem-inbox" if "init-inbox" in finding.fix else ""


def test_an_installed_inbox_is_all_well_and_nothing_stays_in_it(site: Path, me: Identity) -> None:
    inbox = installed(site / "inbox")
    (inbox / ".heygem-inbox").touch()
    assert look(inbox_at(inbox), me) == []
    assert os.listdir(inbox) == [".heygem-inbox"]


def test_a_missing_inbox_is_made_by_the_command_printed(site: Path, me: Identity) -> None:
    (finding,) = look(inbox_at(site / "in box"), me)
    made, _, marked = finding.fix.partition(" && ")
    subprocess.run(["sh", "-c", made], check=True)
    assert ((site / "in box").stat().st_uid, (site / "in box").stat().st_mode & 0o7777) == (HEYGEM.uid, 0o2770)
    assert marked == f"heygem init-inbox '{site / 'in box'}'"


@pytest.mark.parametrize("use", [Role.OUTPUTS, Role.STATE, Role.CACHE])
def test_a_folder_of_somebody_else_becomes_ours_by_the_command_printed(site: Path, me: Identity, use: Role) -> None:
    folder = installed(site / "folder", 0o2755, ALICE.uid)
    (refused,) = [finding for finding in look(Directory(role=use, path=folder), me) if "cannot create" in finding.what]
    assert f"in {use} {folder}, which belongs to {ALICE.uid}" in refused.what
    apply_fixes(Directory(role=use, path=folder), me)
    assert folder.stat().st_uid == HEYGEM.uid


@pytest.mark.parametrize("mode", [0o2570, 0o2070])
def test_our_own_folder_that_is_closed_to_us_is_opened(site: Path, me: Identity, mode: int) -> None:
    assert apply_fixes(Directory(role=Role.OUTPUTS, path=installed(site / "outputs", mode)), me)


def test_a_closed_folder_above_is_the_one_that_is_named(site: Path, me: Identity) -> None:
    home = installed(site / "home", 0o700, ALICE.uid, ALICE.groups[0])
    inbox = installed(home / "inbox")
    (inbox / ".heygem-inbox").touch()
    assert apply_fixes(inbox_at(inbox), me) == [f"{HEYGEM.uid} cannot get to inbox {inbox}: {home} is closed"]


def test_a_folder_of_node_exporter_stays_its_own(site: Path, me: Identity) -> None:
    folder = installed(site / "textfile", 0o755, ALICE.uid, ALICE.groups[0])
    (finding,) = look(Directory(role=Role.METRICS, path=folder), me)
    assert finding.fix == f"setfacl -m u:{HEYGEM.uid}:rwx {folder}"
    assert apply_fixes(Directory(role=Role.METRICS, path=folder), me)
    assert folder.stat().st_uid == ALICE.uid


def test_an_immutable_folder_is_recognised(site: Path, me: Identity) -> None:
    folder = installed(site / "outputs")
    if subprocess.run(["chattr", "+i", str(folder)], check=False, capture_output=True).returncode != 0:
        pytest.skip("this file system knows no immutable files")
    try:
        (finding,) = look(Directory(role=Role.OUTPUTS, path=folder), me)
    finally:
        subprocess.run(["chattr", "-i", str(folder)], check=True)
    assert finding.fix == f"chattr -i {folder}"


def test_an_inbox_without_its_marker_is_offline(site: Path, me: Identity) -> None:
    (finding,) = look(inbox_at(installed(site / "inbox")), me)
    assert (finding.severity, finding.fix) == (Severity.ERROR, f"heygem init-inbox {site / 'inbox'}")


def test_a_drop_that_cannot_be_claimed_is_named_with_its_fix(site: Path, me: Identity) -> None:
    inbox = installed(site / "inbox")
    (inbox / ".heygem-inbox").touch()
    as_person(ALICE, (inbox / "lesson 1").mkdir, umask=0o022)
    (inbox / ".DS_Store").mkdir()
    assert apply_fixes(inbox_at(inbox), me) == [f"The server has no right to move lesson 1, which belongs to {ALICE.uid}."]


def test_inputs_that_cannot_be_deleted_are_found(site: Path, me: Identity) -> None:
    inbox = installed(site / "inbox")
    for path in (".heygem-inbox", "_done/.deleting-lesson/videos"):
        (inbox / path).mkdir(parents=True)
    (inbox / ".heygem-inbox").rmdir()
    (inbox / ".heygem-inbox").touch()
    assert len(apply_fixes(inbox_at(inbox), me)) == 1
    assert os.listdir(inbox / "_done") == []


@pytest.mark.parametrize(("ahead", "words"), [(3600, "behind"), (-3600, "ahead of")])
def test_a_share_with_another_time_is_found(site: Path, me: Identity, ahead: float, words: str) -> None:
    (finding,) = look(Directory(role=Role.OUTPUTS, path=installed(site / "outputs")), me, ahead)
    said = re.search(rf" is ([0-9.]+) s {words} this machine's", finding.what)
    assert said is not None, finding.what
    assert 3500 < float(said[1]) <= 3600, "less by what the look took"
    assert finding.fix == "timedatectl set-ntp true"
    assert look(Directory(role=Role.OUTPUTS, path=site / "outputs"), me, 1.5) == []


@pytest.fixture
def memory(site: Path) -> Iterator[Path]:
    """A file system of 1 MB in memory."""
    point = installed(site / "memory")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=1m,uid={HEYGEM.uid},gid={USERS_GROUP},mode=2770", "tmpfs", str(point)], check=True)
    yield point
    subprocess.run(["umount", "-l", str(point)], check=True)


def test_a_ledger_in_memory_is_lost_at_the_next_start(memory: Path, me: Identity) -> None:
    memory.chmod(0o750)
    os.chown(memory, HEYGEM.uid, HEYGEM.groups[0])
    (finding,) = look(Directory(role=Role.STATE, path=memory), me)
    assert finding.severity is Severity.WARNING
    assert "lies in memory (tmpfs)" in finding.what


def test_a_full_disk_and_a_read_only_one_are_distinguished(memory: Path, me: Identity) -> None:
    directory = Directory(role=Role.OUTPUTS, path=memory, least_bytes=2**20)
    (memory / "large").write_bytes(b"x" * (2**20 - 8192))
    assert any("kept in reserve: nothing will start" in finding.what for finding in look(directory, me))
    subprocess.run(["mount", "-o", "remount,ro", str(memory)], check=True)
    finding = look(directory, me)[-1]
    assert "Read-only file system" in finding.what
    assert finding.fix == f"mount -o remount,rw {memory}"


def test_a_dead_share_is_reported_without_touching_it(dead_share: Path, me: Identity) -> None:
    finding = folders.unresponsive(inbox_at(dead_share / "inbox"), me, 10.0)
    assert f"does not answer within 10 s (fuse at {dead_share})" in finding.what
    assert finding.fix == f"umount -l {dead_share} && mount {dead_share}"


@pytest.mark.parametrize(("fs_type", "severity"), [("nfs4", Severity.ERROR), ("fuse.sshfs", Severity.ERROR), ("ext4", None)])
def test_a_ledger_on_a_network_file_system_is_an_error(fs_type: str, severity: Severity | None) -> None:
    found = list(volumes.kind_findings(Directory(role=Role.STATE, path=Path("/state")), Mount(point="/", fs_type=fs_type)))
    assert [finding.severity for finding in found] == ([severity] if severity else [])


def test_an_inbox_on_a_network_file_system_is_polled_and_the_interval_is_reported() -> None:
    (finding,) = volumes.kind_findings(inbox_at(Path("/inbox")), Mount(point="/", fs_type="cifs"))
    assert finding.severity is Severity.NOTE
    assert "scanned every 5 s" in finding.what


@pytest.mark.parametrize(("fs_type", "shown"), [("cifs", False), ("fuse.sshfs", False), ("vfat", False), ("nfs4", True), ("ext4", True)])
def test_owner_and_mode_mean_something_only_on_some_file_systems(fs_type: str, shown: bool) -> None:
    assert volumes.shows_rights(Mount(point="/", fs_type=fs_type)) is shown
