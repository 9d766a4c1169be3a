import fcntl
import os
import subprocess
from pathlib import Path

import pytest

from heygem_daemon.cli.checks import machine
from heygem_daemon.cli.checks.finding import Severity
from heygem_daemon.cli.checks.identity import Identity
from tests.shares.people import ALICE, HEYGEM, USERS_GROUP, as_person, needs_root


def test_a_daemon_that_holds_the_ledger_is_found_without_touching_its_lock(tmp_path: Path) -> None:
    lock = tmp_path / "daemon.lock"
    assert list(machine.ledger_lock(tmp_path)) == []
    lock.write_text("4242\n")
    assert list(machine.ledger_lock(tmp_path)) == []
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        (finding,) = machine.ledger_lock(tmp_path)
    assert finding.what == f"a daemon (process 4242) is using {tmp_path}"


def test_a_missing_journal_is_an_error_only_where_it_is_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "JOURNAL_SOCKET", tmp_path / "socket")
    assert machine.journal("auto").severity is Severity.NOTE
    assert machine.journal("journal").severity is Severity.ERROR


def test_a_missing_program_is_found(tmp_path: Path, service: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [(each.severity, each.fix) for each in machine.programs(service)] == [(Severity.ERROR, "apt-get install ffmpeg")] * 2


def test_a_program_that_does_not_start_is_found(tmp_path: Path, service: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ffmpeg", "ffprobe"):
        (tmp_path / name).write_text("no program")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert {finding.fix for finding in machine.programs(service)} == {"apt-get install --reinstall ffmpeg"}


@needs_root
@pytest.mark.parametrize(("mode", "owner", "problems"), [(0o640, 0, 0), (0o666, 0, 1), (0o644, ALICE.uid, 1), (0o660, 0, 0)])
def test_a_configuration_that_others_can_write_is_an_error(site: Path, service: Identity, mode: int, owner: int, problems: int) -> None:
    file = site / "heygem.toml"
    file.touch()
    os.chown(file, owner, HEYGEM.groups[0])
    file.chmod(mode)
    found = as_person(HEYGEM, lambda: list(machine.configuration(file, service)))
    assert len([finding for finding in found if finding.severity is Severity.ERROR]) == problems


@needs_root
def test_a_folder_in_which_others_can_replace_the_configuration_is_an_error(site: Path, service: Identity) -> None:
    (site / "heygem.toml").touch()
    os.chown(site, 0, USERS_GROUP)
    site.chmod(0o775)
    found = list(machine.configuration(site / "heygem.toml", service))
    assert [finding.fix for finding in found if finding.fix] == [f"chmod g-w {site}"]


@needs_root
def test_a_configuration_that_the_service_cannot_read_is_opened_to_it(site: Path, service: Identity) -> None:
    file = site / "heygem.toml"
    file.touch(0o600)
    (finding,) = as_person(HEYGEM, lambda: list(machine.configuration(file, service)))
    subprocess.run(["sh", "-c", finding.fix], check=True)
    assert as_person(HEYGEM, lambda: [each.fix for each in machine.configuration(file, service)]) == [""]


def test_no_configuration_is_worth_a_note(service: Identity) -> None:
    (finding,) = machine.configuration(None, service)
    assert finding.severity is Severity.NOTE
