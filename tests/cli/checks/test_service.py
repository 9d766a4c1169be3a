"""The unit as systemd shows it; a program named systemctl stands for systemd where there is none."""

import subprocess
from pathlib import Path

import pytest

from heygem_daemon.cli.checks import service as unit
from heygem_daemon.cli.checks.directories import Directory, Role
from heygem_daemon.cli.checks.finding import Severity
from heygem_daemon.cli.checks.identity import Identity

SHOWN = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "User": "heygem",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "ReadWritePaths": "-/srv/heygem",
    "StateDirectory": "heygem",
    "CacheDirectory": "heygem",
}


def directory(path: str, use: Role = Role.INBOX) -> Directory:
    return Directory(role=use, path=Path(path))


@pytest.mark.parametrize(
    "path", ["/srv/heygem/inbox", "/srv/heygem", "/var/lib/heygem", "/var/cache/heygem/deep", "/var/lib/heygem/corpus"]
)
def test_what_the_unit_lets_the_service_write_is_all_well(path: str, service: Identity) -> None:
    assert {finding.severity for finding in unit.findings(SHOWN, [directory(path)], service)} == {Severity.OK}


@pytest.mark.parametrize(("path", "allowed"), [("/data/in box", True), ("/data/in box/x", True), ("/data/in", False), ("/data", False)])
def test_a_name_with_a_space_is_found_in_the_list_of_systemctl(path: str, allowed: bool, service: Identity) -> None:
    shown = {**SHOWN, "ReadWritePaths": '-/srv/heygem "-/data/in box"'}
    found = list(unit.findings(shown, [directory(path)], service))
    assert (Severity.ERROR not in {finding.severity for finding in found}) is allowed


def test_a_folder_outside_gets_a_drop_in_that_works(tmp_path: Path, service: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit, "_DROP_IN", str(tmp_path / "heygem.service.d"))
    finding = list(unit.findings(SHOWN, [directory("/data/100 % new/inbox")], service))[-1]
    assert finding.severity is Severity.ERROR
    command = finding.fix.partition(" && systemctl")[0]
    subprocess.run(["sh", "-c", command], check=True, capture_output=True)
    assert (tmp_path / "heygem.service.d/folders.conf").read_text() == '[Service]\nReadWritePaths="/data/100 %% new/inbox"\n'


def test_weights_need_only_be_readable_but_not_in_a_home(service: Identity) -> None:
    assert len(list(unit.findings(SHOWN, [directory("/opt/weights", Role.WEIGHTS)], service))) == 1
    finding = list(unit.findings(SHOWN, [directory("/home/weights", Role.WEIGHTS)], service))[-1]
    assert "lies in a home" in finding.what


def test_a_unit_of_another_user_is_checked_as_that_user(service: Identity) -> None:
    found = list(unit.findings({**SHOWN, "User": "films"}, [], service))
    assert found[-1].fix == "heygem check --user films"


@pytest.mark.parametrize(
    ("shown", "severity", "words"),
    [
        ({}, Severity.NOTE, "no systemd here"),
        ({"LoadState": "not-found"}, Severity.NOTE, "no service here"),
        ({**SHOWN, "ActiveState": "inactive"}, Severity.NOTE, "inactive"),
        ({**SHOWN, "ActiveState": "failed"}, Severity.WARNING, "failed"),
    ],
)
def test_the_state_of_the_service_is_reported(shown: dict[str, str], severity: Severity, words: str, service: Identity) -> None:
    (finding,) = unit.findings(shown, [], service)
    assert finding.severity is severity
    assert words in finding.what


def test_the_answer_of_systemctl_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "systemctl"
    program.write_text("#!/bin/sh\n[ \"$1 $2\" = 'show heygem.service' ] && printf 'LoadState=loaded\\nReadWritePaths=/a /b\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert unit.properties() == {"LoadState": "loaded", "ReadWritePaths": "/a /b"}
    program.unlink()
    assert unit.properties() == {}
