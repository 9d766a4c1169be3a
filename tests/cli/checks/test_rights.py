"""Who can write, and the command that changes it: each is run, and the folder checked again."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from heygem_daemon.cli.checks import rights
from heygem_daemon.cli.checks.directories import Directory, Role
from heygem_daemon.cli.checks.finding import Finding, Severity
from heygem_daemon.cli.checks.identity import Identity
from tests.cli.checks.conftest import installed
from tests.shares.people import ALICE, HEYGEM, USERS_GROUP, needs_root

pytestmark = needs_root


def found(folder: Path, me: Identity, use: Role = Role.INBOX) -> list[Finding]:
    return [each for each in rights.findings(Directory(role=use, path=folder), me) if each.severity is not Severity.OK]


def apply_fix(finding: Finding) -> None:
    subprocess.run(["sh", "-c", finding.fix], check=True)


def acl(folder: Path, *entries: str) -> None:
    subprocess.run(["setfacl", "-m", ",".join(entries), str(folder)], check=True)


def test_an_installed_inbox_is_all_well_and_lists_who_may(site: Path, service: Identity) -> None:
    inbox = installed(site / "inbox")
    assert found(inbox, service) == []
    (shown,) = rights.findings(Directory(role=Role.INBOX, path=inbox), service)
    assert shown.what == f"{HEYGEM.uid} and the group {USERS_GROUP} (nobody is in it) can put drops into inbox {inbox}"


@pytest.mark.parametrize(
    ("mode", "words"),
    [(0o750, "nobody but"), (0o2750, "nobody but"), (0o770, "setgid"), (0o2777, "everybody"), (0o3777, "everybody")],
)
def test_an_inbox_with_wrong_rights_is_fixed_by_the_command_printed(site: Path, service: Identity, mode: int, words: str) -> None:
    inbox = installed(site / "in box", mode)
    (finding,) = found(inbox, service)
    assert finding.severity is Severity.WARNING
    assert words in finding.what
    apply_fix(finding)
    assert found(inbox, service) == []


def test_outputs_that_people_cannot_read_are_found(site: Path, service: Identity) -> None:
    outputs = installed(site / "outputs", 0o2700)
    (finding,) = found(outputs, service, Role.OUTPUTS)
    assert f"can read outputs {outputs}" in finding.what
    apply_fix(finding)
    assert found(outputs, service, Role.OUTPUTS) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: folder.chmod(0o757),
        lambda folder: folder.chmod(0o770),
        lambda folder: acl(folder, f"u:{ALICE.uid}:rwx"),
        lambda folder: acl(folder, f"g:{USERS_GROUP}:rwx", "u:65534:rwx"),
        lambda folder: os.chown(folder, ALICE.uid, HEYGEM.groups[0]),
    ],
    ids=["others", "group", "a user by ACL", "a group and a user by ACL", "owner"],
)
def test_a_state_that_others_can_write_is_an_error_until_the_command_was_run(
    site: Path, service: Identity, spoil: Callable[[Path], None]
) -> None:
    state = installed(site / "state", 0o750)
    spoil(state)
    me = Identity(name=str(HEYGEM.uid), uid=service.uid, gid=service.gid, groups=service.groups, is_run_by_root=True)
    (finding,) = found(state, me, Role.STATE)
    assert finding.severity is Severity.ERROR
    apply_fix(finding)
    assert found(state, me, Role.STATE) == []


def test_the_mask_of_an_acl_takes_away_what_its_entries_give(site: Path, service: Identity) -> None:
    state = installed(site / "state", 0o700)
    acl(state, f"u:{ALICE.uid}:rwx", "m::r-x")
    assert found(state, service, Role.STATE) == []


def test_people_named_in_an_acl_may_use_an_inbox_that_is_closed_to_its_group(site: Path, service: Identity) -> None:
    inbox = installed(site / "inbox", 0o2700)
    acl(inbox, f"u:{ALICE.uid}:rwx", "g::---")
    assert found(inbox, service) == []


def test_an_inbox_of_ones_own_needs_no_group(site: Path) -> None:
    me = Identity(name="alice", uid=ALICE.uid, gid=ALICE.groups[0], groups=frozenset(ALICE.groups), is_run_by_root=False)
    assert found(installed(site / "inbox", 0o755, ALICE.uid, ALICE.groups[0]), me) == []
