"""Who copies how, and whether the daemon can take what arrives: the table of docs/shares.md, for people with accounts on the server.

The inbox has the rights that systemd/heygem.tmpfiles gives it."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from heygem_daemon.core.errors import HeygemError
from heygem_daemon.intake.claims import FolderClaims
from heygem_daemon.intake.scanner import FolderScanner
from tests.shares.conftest import UMASK, Site
from tests.shares.people import ALICE, HEYGEM, Person, as_person

SFTP_SERVER: Final = "/usr/lib/openssh/sftp-server"
FROM, TO = "/srv/heygem/source", "/srv/heygem/inbox/lesson"
WAYS: Final = {
    "mkdir, cp": f"mkdir {TO} {TO}/videos && cp {FROM}/speech.wav {TO} && cp {FROM}/videos/a.mp4 {TO}/videos",
    "cp -r": f"cp -r {FROM} {TO}",
    "cp -r --no-preserve=mode": f"cp -r --no-preserve=mode {FROM} {TO}",
    "cp -a": f"cp -a {FROM} {TO}",
    "mv": f"mv {FROM} {TO}",
    "rsync -a": f"rsync -a {FROM}/ {TO}",
    "rsync --chmod": f"rsync -a --chmod=Dg+rwx,Fg+rw {FROM}/ {TO}",
    "sftp put -r": f"printf 'put -r %s %s\\n' {FROM} {TO} | sftp -q -b - -D {SFTP_SERVER}",
    "scp -r": f"scp -q -r -D {SFTP_SERVER} {FROM} server:{TO}",
}
TAKEN, WAITS = "taken", "permission_denied"


@pytest.fixture(autouse=True)
def clean(site: Site) -> Iterator[None]:
    yield
    site.clear()


def copy(site: Site, way: str, mode: int, umask: int, person: Person = ALICE) -> None:
    """Let a person copy a folder of that mode, as the only thing in the inbox."""
    source = site.root / "srv/source"
    shutil.rmtree(source, ignore_errors=True)
    (source / "videos").mkdir(parents=True)
    for path in (source / "speech.wav", source / "videos/a.mp4", source / "videos", source):
        if path.suffix:
            path.write_text("x")
        os.chown(path, person.uid, person.groups[0])
        path.chmod(mode if path.is_dir() else mode & 0o666)
    (site.root / "srv").chmod(0o1777)  # alice must be able to move her folder out of it
    account = ("setpriv", f"--reuid={person.name}", f"--regid={person.name}", "--init-groups")
    site.run(*account, "sh", "-c", f"umask {umask:03o}; {WAYS[way]}")


def outcome(site: Site) -> str:
    """Return what becomes of the drop: taken, or the code of the error that it waits with."""

    def act() -> str:
        (scanned,) = FolderScanner().scan(str(site.inbox)).drops
        if scanned.problem is not None:
            return scanned.problem.code
        try:
            FolderClaims().claim(scanned, "job-1")
        except HeygemError as problem:
            return problem.code
        return TAKEN

    return as_person(HEYGEM, act, umask=UMASK)


@pytest.mark.family(2)
@pytest.mark.parametrize(
    ("way", "mode", "umask", "expected"),
    [
        ("mkdir, cp", 0o755, 0o022, TAKEN),
        ("mkdir, cp", 0o755, 0o077, TAKEN),
        ("mkdir, cp", 0o700, 0o022, WAITS),
        ("cp -r", 0o755, 0o022, WAITS),
        ("cp -r", 0o775, 0o022, WAITS),
        ("cp -r", 0o775, 0o002, TAKEN),
        ("cp -r --no-preserve=mode", 0o755, 0o022, WAITS),
        ("cp -r --no-preserve=mode", 0o700, 0o002, TAKEN),
        ("cp -a", 0o775, 0o002, WAITS),
        ("mv", 0o775, 0o002, WAITS),
        ("rsync -a", 0o755, 0o022, WAITS),
        ("rsync -a", 0o775, 0o022, TAKEN),
        ("rsync --chmod", 0o755, 0o022, TAKEN),
        ("rsync --chmod", 0o700, 0o077, TAKEN),
        ("sftp put -r", 0o755, 0o022, WAITS),
        ("sftp put -r", 0o775, 0o022, TAKEN),
        ("scp -r", 0o755, 0o022, WAITS),
        ("scp -r", 0o775, 0o022, TAKEN),
    ],
)
def test_what_a_person_copied_on_the_server_is_taken_or_waits(site: Site, way: str, mode: int, umask: int, expected: str) -> None:
    if way.startswith("rsync") and shutil.which("rsync") is None:
        pytest.skip("rsync is not installed")
    copy(site, way, mode, umask)
    assert outcome(site) == expected


@pytest.mark.parametrize("way", ["sftp put -r", "scp -r"])
@pytest.mark.parametrize("mode", [0o755, 0o700])
def test_what_comes_by_sftp_under_the_services_own_number_is_taken(site: Site, way: str, mode: int) -> None:
    copy(site, way, mode, 0o022, HEYGEM)
    assert outcome(site) == TAKEN


@pytest.mark.family(2)
@pytest.mark.parametrize(("way", "mode"), [("cp -r", 0o755), ("cp -a", 0o700), ("mv", 0o700), ("scp -r", 0o700)])
def test_what_waits_is_taken_once_its_owner_has_opened_it(site: Site, way: str, mode: int) -> None:
    copy(site, way, mode, 0o022)
    assert outcome(site) == WAITS
    (scanned,) = as_person(HEYGEM, lambda: FolderScanner().scan(str(site.inbox))).drops
    assert ".heygem" not in os.listdir(site.inbox)
    _, _, after = (scanned.problem.hint if scanned.problem else _refusal(site)).partition(": ")
    command = after.partition(" - then")[0]
    as_person(ALICE, lambda: subprocess.run(["sh", "-c", command], check=True).returncode)
    assert outcome(site) == TAKEN


def _refusal(site: Site) -> str:
    def act() -> str:
        try:
            FolderClaims().claim(FolderScanner().scan(str(site.inbox)).drops[0], "job-1")
        except HeygemError as problem:
            return problem.hint
        raise AssertionError("it was taken")

    return as_person(HEYGEM, act)


def test_the_installed_inbox_is_all_well_for_heygem_check(site: Site) -> None:
    from heygem_daemon.cli.checks import folders  # noqa: PLC0415
    from heygem_daemon.cli.checks.directories import Directory, Role  # noqa: PLC0415
    from heygem_daemon.cli.checks.finding import Severity  # noqa: PLC0415
    from heygem_daemon.cli.checks.identity import Identity  # noqa: PLC0415

    me = Identity(name="heygem", uid=HEYGEM.uid, gid=HEYGEM.groups[0], groups=frozenset(HEYGEM.groups), is_run_by_root=True)
    for role, path in ((Role.INBOX, site.inbox), (Role.OUTPUTS, site.outputs)):
        found = as_person(HEYGEM, lambda: list(folders.findings(Directory(role=role, path=path), me)))  # noqa: B023 - called at once
        assert {finding.severity for finding in found} == {Severity.OK}, found


def test_every_way_is_in_the_table_of_the_page(root: Path) -> None:
    page = (root / "docs/shares.md").read_text(encoding="utf-8")
    for way in WAYS:
        assert f"`{way}`" in page
