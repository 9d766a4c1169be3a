"""`heygem web user`, `heygem web token`, and what `heygem web` says when it cannot run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from heygem_daemon.cli.app import app
from heygem_daemon.cli.commands import web
from heygem_daemon.web.access import passwords
from heygem_daemon.web.access.accounts import Accounts
from tests.cli.runner import Result, heygem


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "COST", 2**4)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "heygem.toml"
    folders = "".join(f'{name} = "{tmp_path}/{name}"\n' for name in ("outputs", "state", "cache", "weights", "corpus"))
    path.write_text(f'inboxes = [{{ path = "{tmp_path}/inbox" }}]\n{folders}[web]\nstate = "{tmp_path}/web"\n')
    return path


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    return Accounts(tmp_path / "web")


def add_user(config: Path, name: str, password: str, *more: str) -> Result:
    arguments = ("web", "user", "add", name, "--password-stdin", "--config", str(config), *more)
    done = CliRunner().invoke(app, arguments, input=password, catch_exceptions=False)
    return Result(code=done.exit_code, stdout=done.stdout, stderr=done.stderr)


def test_a_user_is_added_changed_listed_and_removed(config: Path, accounts: Accounts) -> None:
    assert add_user(config, "anna", "correct horse\n", "--admin").output == "added anna as administrator\n"
    assert add_user(config, "bert", "battery staple").output == "added bert\n"
    assert add_user(config, "anna", "another one\n").output == "changed anna\n"
    user = accounts.user("anna")
    assert user is not None
    assert user.password.matches("another one")
    listed = heygem("web", "user", "list", "--config", str(config))
    assert listed.code == 0
    assert [line.split()[:2] for line in listed.stdout.splitlines()] == [["NAME", "RIGHTS"], ["anna", "own"], ["bert", "own"]]
    assert heygem("web", "user", "remove", "anna", "--config", str(config)).output == "removed anna\n"
    assert "nobody is left" in heygem("web", "user", "remove", "bert", "--config", str(config)).output
    assert heygem("web", "user", "list", "--config", str(config)).output == "no users\n"


@pytest.mark.parametrize(
    ("name", "password"), [("anna", "short"), ("anna", ""), ("anna", "x" * 1001), ("a b", "correct horse"), ("../x", "correct horse")]
)
def test_a_bad_name_or_password_changes_nothing(config: Path, accounts: Accounts, name: str, password: str) -> None:
    done = add_user(config, name, password)
    assert done.code == 2
    assert done.stderr.startswith("heygem: ")
    assert accounts.users() == {}


def test_passwords_are_asked_twice(config: Path, accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["correct horse", "correct house", "correct horse", "correct horse"])
    monkeypatch.setattr("getpass.getpass", lambda _prompt: next(answers))
    assert "differ" in heygem("web", "user", "add", "anna", "--config", str(config)).stderr
    assert accounts.users() == {}
    assert heygem("web", "user", "add", "anna", "--config", str(config)).code == 0
    assert list(accounts.users()) == ["anna"]


def test_a_token_is_printed_once_and_alone(config: Path, accounts: Accounts) -> None:
    added = heygem("web", "token", "add", "dubbing", "--config", str(config))
    assert added.code == 0
    secret = added.stdout.strip()
    token = accounts.token(secret)
    assert token is not None
    assert token.user == "dubbing"
    listed = heygem("web", "token", "list", "--config", str(config)).stdout
    assert secret not in listed
    assert f"...{secret[-4:]}" in listed
    assert heygem("web", "token", "add", "dubbing", "--config", str(config)).code == 2
    assert heygem("web", "token", "remove", "dubbing", "--config", str(config)).code == 0
    assert "no token dubbing" in heygem("web", "token", "remove", "dubbing", "--config", str(config)).stderr
    assert heygem("web", "token", "list", "--config", str(config)).output == "no tokens\n"


def test_a_token_acts_as_a_user_that_exists(config: Path, accounts: Accounts) -> None:
    add_user(config, "anna", "correct horse")
    assert "no user bert" in heygem("web", "token", "add", "x", "--user", "bert", "--config", str(config)).stderr
    secret = heygem("web", "token", "add", "x", "--user", "anna", "--admin", "--config", str(config)).stdout.strip()
    token = accounts.token(secret)
    assert token is not None
    assert (token.user, token.admin) == ("anna", True)


def test_damaged_users_are_reported_and_kept(config: Path, accounts: Accounts) -> None:
    accounts.state.mkdir()
    (accounts.state / "users.json").write_text("{")
    done = add_user(config, "anna", "correct horse")
    assert done.code == 2
    assert "damaged" in done.stderr
    assert (accounts.state / "users.json").read_text() == "{"


def test_the_file_of_the_users_is_plain_json_without_passwords(config: Path, accounts: Accounts) -> None:
    add_user(config, "张伟", "correct horse")
    content = json.loads((accounts.state / "users.json").read_text(encoding="utf-8"))
    assert list(content) == ["张伟"]
    assert "correct horse" not in json.dumps(content)


def test_without_the_extra_it_says_how_to_install_it(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "find_spec", lambda name: None if name == "uvicorn" else object())
    done = heygem("web", "--config", str(config))
    assert done.code == 2
    assert "uvicorn" in done.stderr
    assert "pip install 'heygem-daemon[web]'" in done.stderr


def test_other_machines_are_not_let_in_without_users(config: Path) -> None:
    done = heygem("web", "--config", str(config), "--address", "0.0.0.0")  # noqa: S104 - that it refuses to
    assert done.code == 2
    assert "heygem web user add NAME --admin" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_does_not_run_the_page_of_another_user(config: Path, accounts: Accounts) -> None:
    accounts.state.mkdir(mode=0o700)
    os.chown(accounts.state, 12345, 12345)
    assert heygem("web", "--config", str(config)).code == 2
    assert add_user(config, "anna", "correct horse").code == 0
    assert (accounts.state / "users.json").stat().st_uid == 12345


@pytest.mark.parametrize("arguments", [("web", "--help"), ("web", "user", "--help"), ("web", "token", "add", "--help"), ("--help",)])
def test_asking_for_help_loads_nothing_of_the_page(arguments: tuple[str, ...]) -> None:
    script = (
        "import sys\nfrom heygem_daemon.cli.app import app\n"
        f"try:\n    app({list(arguments)!r})\nexcept SystemExit:\n    print('LOADED', *sorted(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    loaded = set(done.stdout.partition("LOADED")[2].split())
    assert "heygem_daemon.cli.app" in loaded
    assert not loaded & {"fastapi", "starlette", "uvicorn", "jinja2", "heygem_daemon.web.app"}
