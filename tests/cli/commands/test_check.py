"""`heygem check`, and what it reports about whole configurations."""

import json
import os
import pwd
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from heygem_daemon.cli.checks import engine, guest, identity
from heygem_daemon.cli.checks.directories import Role, service_directories
from heygem_daemon.cli.checks.finding import Finding, Severity
from heygem_daemon.settings import Settings, load
from tests.cli.checks.conftest import dead_share
from tests.cli.runner import Result, heygem, heygem_program
from tests.shares.people import ALICE, as_person, needs_root

__all__ = ["dead_share"]


@pytest.fixture
def site() -> Iterator[Path]:
    """inbox, outputs, state and cache, all well; in a folder that everybody may pass through."""
    with TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        for folder in ("inbox", "outputs", "state", "cache"):
            (root / folder).mkdir()
        (root / "inbox/.heygem-inbox").touch()
        yield root


def options(site: Path, weights: Path, **changes: Path) -> tuple[str, ...]:
    folders = {**{name: site / name for name in ("inbox", "outputs", "state", "cache")}, "weights": weights, **changes}
    return ("--device", "cpu", *(word for name, path in folders.items() for word in (f"--{name}", str(path))))


def check(*arguments: str, seconds: float = 10.0, as_program: bool = False) -> Result:
    environment = {"HEYGEM_DISK__RESERVE_BYTES": "0", "HEYGEM_INTAKE__ANSWER_SECONDS": str(seconds)}
    return (heygem_program if as_program else heygem)("check", *arguments, environment=environment)


@pytest.fixture
def torch_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch is not loaded to find its version and device."""
    monkeypatch.setattr(engine, "_TORCH_PROBE", "print('2.9.0 cpu')")


def contents(site: Path) -> list[str]:
    return sorted(str(path.relative_to(site)) for path in site.rglob("*"))


def settings(site: Path, weights: Path, **given: Any) -> Settings:
    folders = {name: site / name for name in ("outputs", "state", "cache")}
    return load(None, {"inboxes": (site / "inbox",), "weights": weights, "disk": {"reserve_bytes": 0}, **folders, **given})


def test_a_good_installation_exits_0_and_nothing_is_left_in_it(site: Path, weights: Path) -> None:
    before = contents(site)
    result = check(*options(site, weights), as_program=True)
    assert (result.code, result.stderr) == (0, ""), result.stdout
    for words in ("can put drops into inbox", "read leases", "model face_mesh", "ffmpeg version", "torch"):
        assert words in result.stdout
    assert contents(site) == before


@pytest.mark.usefixtures("torch_answers")
def test_an_error_exits_1_with_the_command_that_fixes_it(site: Path, weights: Path) -> None:
    (site / "inbox/.heygem-inbox").unlink()
    result = check(*options(site, weights, outputs=site / "absent"))
    assert result.code == 1
    assert f"        fix: heygem init-inbox {site / 'inbox'}" in result.stdout
    assert f"mkdir -p {site / 'absent'}" in result.stdout


@pytest.mark.usefixtures("torch_answers")
def test_a_warning_alone_exits_4(site: Path, weights: Path) -> None:
    (site / "inbox").chmod(0o777)
    result = check(*options(site, weights))
    assert result.code == 4, result.stdout
    assert f"warning everybody on this machine can write to inbox {site / 'inbox'}" in result.stdout


def test_an_unknown_user_is_wrong_usage(site: Path, weights: Path) -> None:
    result = check(*options(site, weights), "--user", "no-such-user")
    assert (result.code, "no-such-user" in result.stderr) == (2, True)


@needs_root
def test_root_checks_as_the_owner_of_the_state_folder(site: Path, weights: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    for folder in (site / "state", site / "cache"):
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    result = check(*options(site, weights), as_program=True)
    assert "checking as nobody" in result.stdout
    assert f"error   nobody cannot create in outputs {site / 'outputs'}, which belongs to root" in result.stdout
    assert "sudo" not in result.stdout
    assert "Traceback" not in result.stdout + result.stderr


@needs_root
@pytest.mark.usefixtures("torch_answers")
def test_a_dead_share_is_reported_in_time_and_the_rest_is_checked(site: Path, weights: Path, dead_share: Path) -> None:
    result = check(*options(site, weights, outputs=dead_share / "outputs"), seconds=1.0)
    assert result.code == 1
    assert f"outputs {dead_share}/outputs does not answer within 1 s" in result.stdout
    assert f"umount -l {dead_share}" in result.stdout
    assert "ffmpeg version" in result.stdout


def test_what_the_wav2lip_engines_lack_is_reported_where_they_are_wanted(site: Path) -> None:
    def report(**given: Any) -> list[tuple[Severity, str]]:
        found = engine.weights(settings(site, site, **given))
        return [(finding.severity, finding.fix) for finding in found if "Wav2Lip" in finding.what]

    assert report() == []
    wanted = report(engine={"name": "wav2lip+atlas"})
    assert {severity for severity, _ in wanted} == {Severity.ERROR}
    assert any("licence_confirmed" in fix for _, fix in wanted)
    assert any("heygem models add" in fix for _, fix in wanted)
    assert report(wav2lip={"licence_confirmed": True}) == [(Severity.WARNING, "heygem models add FILE")]


@pytest.mark.parametrize(("wanted", "severity"), [("cpu", Severity.OK), ("auto", Severity.NOTE), ("cuda", Severity.ERROR)])
def test_a_machine_without_a_gpu_is_an_error_only_where_a_gpu_is_configured(
    wanted: str, severity: Severity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_TORCH_PROBE", "print('2.9.0 cpu')")
    assert engine.device(wanted).severity is severity


def test_an_interpreter_that_the_user_may_not_run_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "python").touch(0o600)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert "make install" in engine.device("cpu").fix


def test_the_corpus_and_the_folder_of_metrics_are_checked_where_they_are_configured(site: Path) -> None:
    given = settings(site, site, corpus=site / "corpus", metrics={"textfile": "/var/lib/node/heygem.prom"})
    wanted = {directory.role: directory.path for directory in service_directories(given)}
    assert (wanted[Role.CORPUS], wanted[Role.METRICS]) == (site / "corpus", Path("/var/lib/node"))
    assert not {Role.CORPUS, Role.METRICS} & {directory.role for directory in service_directories(settings(site, site))}


def test_findings_are_printed_as_json_for_other_programs(site: Path, weights: Path, torch_answers: None) -> None:
    (site / "inbox/.heygem-inbox").unlink()
    result = check("--json", *options(site, weights))
    found = json.loads(result.stdout)
    assert result.code == 1
    assert {frozenset(each) for each in found} == {frozenset({"severity", "what", "fix"})}
    wrong = [each for each in found if each["severity"] == "error"]
    assert any(f"heygem init-inbox {site / 'inbox'}" in each["fix"] for each in wrong)


def test_a_guest_checks_only_what_a_user_of_the_share_can(site: Path) -> None:
    result = check("--guest", "--json", *options(site, site / "absent", state=site / "absent"))
    assert result.code == 0, result.output
    words = " ".join(each["what"] for each in json.loads(result.stdout))
    assert "can put drops into it" in words
    assert "can read it" in words
    assert "absent" not in words
    assert contents(site) == ["cache", "inbox", "inbox/.heygem-inbox", "outputs", "state"]


@needs_root
def test_a_guest_without_rights_is_advised_how_to_get_them_and_not_to_take_the_folder(site: Path) -> None:
    def findings() -> list[Finding]:
        me = identity.current()
        shared = [directory for directory in service_directories(settings(site, site)) if directory.is_shared]
        return [each for directory in shared for each in guest.findings(directory, me)]

    (site / "outputs").chmod(0o700)
    found = as_person(ALICE, findings)
    assert [each.severity for each in found] == [Severity.ERROR, Severity.ERROR]
    assert all("setfacl -m u:" in each.fix and "chown" not in each.fix for each in found)
