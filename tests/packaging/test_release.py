"""Releases: how a new one takes over from the old, and how the old one comes back. The systemctl here is a function of the test."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.packaging.functions import run_functions

SERVICE: Final = """
program_folder=$SYSTEM/opt releases=$SYSTEM/opt/releases current=$SYSTEM/opt/venv
systemd_runs() { :; }
sleep() { :; }
journalctl() { :; }
up() { [ ! -e "$current/broken" ]; }
systemctl() {
    echo "$*" >>"$SYSTEM/calls"
    case $1 in
    restart) up ;;
    is-active) up && [ -n "${READY:-}" ] ;;
    show) echo "${RESTARTS:-0}" ;;
    esac
}
"""
UNIT: Final = "unit"


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """A system with two releases, `old` and `new`; the service runs the old one."""
    for name in ("old", "new"):
        release = tmp_path / "opt" / "releases" / name
        # What is laid out lies below the folder of the test, too.
        files = Path(f"{release}/dist{tmp_path}")
        files.mkdir(parents=True)
        (files / UNIT).write_text(name, encoding="utf-8")
        (files / f"only-{name}").touch()
        (release / ".complete").touch()
    did = in_system(tmp_path, 'activate "$releases/old"')
    assert did.returncode == 0, did.stderr
    return tmp_path


def in_system(system: Path, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).resolve().parents[2]
    return run_functions(root, SERVICE + script, SYSTEM=str(system), READY="1", **environment)


def installed(system: Path) -> set[str]:
    return {path.name for path in system.iterdir() if path.is_file()} - {"calls"}


UPGRADE: Final = 'activate "$releases/new"; restart_or_go_back "$releases/new" "$releases/old"; remove_others "$releases/new"'


def test_a_release_brings_its_own_files_and_takes_those_of_the_other_away(system: Path) -> None:
    assert installed(system) == {UNIT, "only-old"}
    assert in_system(system, UPGRADE).returncode == 0
    assert (system / "opt" / "venv").readlink() == Path("releases/new")
    assert installed(system) == {UNIT, "only-new"}
    assert (system / UNIT).read_text(encoding="utf-8") == "new"


def test_after_an_upgrade_the_old_release_is_gone(system: Path) -> None:
    in_system(system, UPGRADE)
    assert [path.name for path in (system / "opt" / "releases").iterdir()] == ["new"]


@pytest.mark.parametrize(("problem", "environment"), [("does not start", {}), ("falls after its start", {"RESTARTS": "1"})])
def test_a_release_that_does_not_come_up_gives_way_to_the_old_one(system: Path, problem: str, environment: dict[str, str]) -> None:
    if problem == "does not start":
        (system / "opt" / "releases" / "new" / "broken").touch()
    did = in_system(system, UPGRADE, **environment)
    assert did.returncode == 1
    assert "went back to release old" in did.stderr
    assert (system / "opt" / "venv").readlink() == Path("releases/old")
    assert installed(system) == {UNIT, "only-old"}
    assert (system / UNIT).read_text(encoding="utf-8") == "old"
    calls = (system / "calls").read_text(encoding="utf-8").splitlines()
    assert [word for word in calls if word.startswith(("restart", "daemon-reload"))] == [
        "restart heygem",
        "daemon-reload",
        "restart heygem",
    ]


def test_a_first_release_that_does_not_come_up_stays_to_be_repaired(system: Path) -> None:
    (system / "opt" / "releases" / "old" / "broken").touch()
    did = in_system(system, 'restart_or_go_back "$releases/old" "$releases/old"')
    assert did.returncode == 1
    assert "no release to go back to" in did.stderr


def test_files_that_are_alike_are_not_written_again(system: Path) -> None:
    before = (system / UNIT).stat().st_ino
    in_system(system, 'activate "$releases/old"')
    assert (system / UNIT).stat().st_ino == before


def test_a_new_release_shares_the_libraries_and_leaves_the_old_one_as_it_was(tmp_path: Path) -> None:
    old = tmp_path / "opt" / "releases" / "old"
    subprocess.run((sys.executable, "-m", "venv", "--without-pip", str(old)), check=True, timeout=60)
    (old / "share").mkdir()
    library = next(old.glob("lib/python*/site-packages")) / "library.py"
    library.write_text("", encoding="utf-8")
    (old / "pyvenv.cfg").write_text("as it was", encoding="utf-8")
    (tmp_path / "opt" / "venv").symlink_to("releases/old")
    did = in_system(tmp_path, f'take_libraries {sys.executable} "$releases/new"')
    assert did.returncode == 0, did.stderr
    new = old.with_name("new")
    assert (new / library.relative_to(old)).samefile(library)
    assert (old / "pyvenv.cfg").read_text(encoding="utf-8") == "as it was"
    done = subprocess.run(
        (str(new / "bin" / "python"), "-c", "import sys; print(sys.prefix)"), capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == str(new)
