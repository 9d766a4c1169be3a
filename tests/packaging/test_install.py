"""`make install` and `make uninstall` below a DESTDIR, and what they refuse. The whole of them runs in tests/box/."""

import hashlib
import os
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Final

import pytest

from tests.packaging.functions import run_functions

PUT: Final = frozenset(
    {
        "etc/heygem/heygem.toml",
        "usr/local/bin/heygem",
        "usr/local/lib/systemd/catalog/heygem.catalog",
        "usr/local/lib/systemd/system/heygem-web.service",
        "usr/local/lib/systemd/system/heygem.service",
        "usr/local/lib/sysusers.d/heygem.conf",
        "usr/local/lib/tmpfiles.d/heygem.conf",
        "usr/local/share/bash-completion/completions/heygem",
        "usr/local/share/fish/vendor_completions.d/heygem.fish",
        "usr/local/share/man/man1/heygem.1",
        "usr/local/share/zsh/site-functions/_heygem",
    }
)
EXAMPLES: Final = "usr/local/share/doc/heygem"


def make(root: Path, target: str, destination: Path, **variables: object) -> subprocess.CompletedProcess[str]:
    words = [f"{name}={value}" for name, value in {"DESTDIR": destination, **variables}.items()]
    command = ("make", "-C", str(root), target, *words)
    return subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=60, env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    )


def tree(folder: Path) -> dict[str, str]:
    """Return every file below the folder with its mode and content, or where a link leads."""
    found = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file():
            found[name] = f"{path.stat().st_mode:o} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    return found


@pytest.fixture
def installed(root: Path, tmp_path: Path) -> Path:
    destination = tmp_path / "with a space"
    make(root, "install", destination)
    return destination


def test_every_file_lies_in_its_place(root: Path, installed: Path) -> None:
    examples = {f"{EXAMPLES}/{path.name}" for path in (root / "config").iterdir()}
    assert tree(installed).keys() == PUT | examples


def test_everybody_may_read_what_was_installed(root: Path, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        make(root, "install", tmp_path / "narrow")
    finally:
        os.umask(before)
    modes = {each.split()[0] for each in tree(tmp_path / "narrow").values()}
    assert modes == {"100644", "->"}
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "narrow").rglob("*") if path.is_dir()} == {0o755}


def test_the_command_leads_to_the_program(installed: Path) -> None:
    assert (installed / "usr/local/bin/heygem").readlink() == Path("/opt/heygem/venv/bin/heygem")


def test_a_second_time_changes_nothing(root: Path, installed: Path) -> None:
    before = tree(installed)
    make(root, "install", installed)
    assert tree(installed) == before


def test_another_prefix_takes_everything_along(root: Path, tmp_path: Path) -> None:
    make(root, "install", tmp_path, PREFIX="/usr")
    assert {name.replace("usr/", "usr/local/", 1) for name in tree(tmp_path) if not name.startswith("etc")} >= PUT - {
        "etc/heygem/heygem.toml"
    }


def test_what_systemd_reads_stays_where_it_looks(root: Path, tmp_path: Path) -> None:
    make(root, "install", tmp_path, PREFIX="/opt/local")
    assert "usr/local/lib/systemd/system/heygem.service" in tree(tmp_path)
    assert "opt/local/bin/heygem" in tree(tmp_path)


def test_the_configuration_names_the_folders_that_were_made(root: Path, installed: Path) -> None:
    given = (installed / "etc/heygem/heygem.toml").read_text(encoding="utf-8")
    set_here = tomllib.loads(given)
    assert set_here["inboxes"] == ["/srv/heygem/inbox"]
    assert set_here["outputs"] == "/srv/heygem/outputs"
    example = (root / "config" / "heygem.toml").read_text(encoding="utf-8")
    changed = [line for line, before in zip(given.splitlines(), example.splitlines(), strict=True) if line != before]
    assert len(changed) == 2


def test_a_configuration_that_is_there_is_never_touched(root: Path, installed: Path) -> None:
    config = installed / "etc/heygem/heygem.toml"
    config.write_text("mine\n", encoding="utf-8")
    make(root, "install", installed)
    assert config.read_text(encoding="utf-8") == "mine\n"


def test_uninstalling_leaves_the_configuration_and_prints_that(root: Path, installed: Path) -> None:
    done = make(root, "uninstall", installed)
    assert tree(installed).keys() == {"etc/heygem/heygem.toml"}
    assert "/etc/heygem" in done.stdout
    assert "PURGE=1" in done.stdout


def test_uninstalling_leaves_the_files_of_others(root: Path, installed: Path) -> None:
    others = installed / "usr/local/share/doc/heygem/notes", installed / "srv/heygem/inbox/speech.wav"
    for path in others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    make(root, "uninstall", installed, PURGE="1")
    assert tree(installed).keys() == {str(path.relative_to(installed)) for path in others}


# -- what is refused --------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize(("script", "command"), [("install.sh", "install"), ("install.sh", "upgrade"), ("uninstall.sh", "uninstall")])
def test_without_root_it_prints_the_command(root: Path, script: str, command: str) -> None:
    if any(not folder.stat().st_mode & 0o001 for folder in (root, *root.parents)):
        pytest.skip("the checkout lies where nobody else can look")
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    done = subprocess.run(
        (*nobody, "bash", f"scripts/{script}", command), capture_output=True, text=True, check=False, timeout=60, cwd=root
    )
    assert done.returncode == 1
    assert f"sudo make {command}" in done.stderr


def test_a_python_that_the_service_cannot_see_is_refused(root: Path, tmp_path: Path) -> None:
    assert str(tmp_path).startswith("/tmp/")
    hidden = tmp_path / "python3"
    shutil.copy("/usr/bin/python3", hidden)
    done = run_functions(root, "system_python", PYTHON=str(hidden))
    assert done.returncode == 1
    assert "which the service cannot see" in done.stderr


def test_the_python_of_the_system_is_taken(root: Path) -> None:
    assert run_functions(root, "system_python", PYTHON="").stdout == "/usr/bin/python3\n"


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing(root: Path) -> None:
    scripts = [path for path in (root / "scripts").glob("*.sh") if path.read_text(encoding="utf-8").startswith("#!")]
    assert {"install.sh", "uninstall.sh", "setup.sh"} <= {path.name for path in scripts}
    done = subprocess.run(
        ("shellcheck", "--external-sources", "--check-sourced", *map(str, scripts)),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=root,
    )
    assert (done.returncode, done.stdout) == (0, "")
