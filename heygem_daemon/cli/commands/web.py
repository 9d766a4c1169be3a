"""Run the page, and manage its users and tokens. Nothing here needs the extra `web` but `run`."""

import getpass
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import typer

from heygem_daemon.cli.commands.config import refuse_root
from heygem_daemon.cli.exit_codes import ExitCode
from heygem_daemon.core.names import escape_name
from heygem_daemon.settings import ConfigurationError, Settings
from heygem_daemon.web.access.accounts import Accounts, AccountsError
from heygem_daemon.web.access.passwords import MAX_LENGTH, MIN_LENGTH

NEEDED: Final = ("fastapi", "uvicorn", "jinja2", "itsdangerous", "httptools")
"""The packages of the extra `web`."""


def run(settings: Settings, *, address: str | None, port: int | None) -> ExitCode:
    """Serve the page until a signal comes."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        typer.echo(f"heygem: the page needs more packages ({', '.join(missing)}): pip install 'heygem-daemon[web]'", err=True)
        return ExitCode.USAGE
    from heygem_daemon.web.server import serve  # noqa: PLC0415 - needs the extra

    chosen = {key: value for key, value in {"address": address, "port": port}.items() if value is not None}
    web = settings.web.model_copy(update={**chosen, "state": settings.web.state.absolute()})
    refuse_root(web.state)
    try:
        serve(settings.model_copy(update={"web": web}))
    except ConfigurationError as problem:
        for line in str(problem).splitlines():
            typer.echo(f"heygem: {line}", err=True)
        return ExitCode.USAGE
    return ExitCode.OK


def add_user(state: Path, name: str, *, admin: bool, from_stdin: bool) -> ExitCode:
    """Add a user, or change one."""
    password = sys.stdin.readline().rstrip("\r\n") if from_stdin else _asked()
    if password is None:
        return _refused("the two passwords differ")
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        return _refused(f"a password has {MIN_LENGTH} to {MAX_LENGTH} characters")
    accounts, rights = Accounts(state), " as administrator" if admin else ""

    def add() -> str:
        is_new = accounts.add_user(name, password, admin=admin)
        return f"{'added' if is_new else 'changed'} {name}{rights}"

    return _done(add)


def _asked() -> str | None:
    password = getpass.getpass("Password: ")
    return password if password == getpass.getpass("Again: ") else None


def remove_user(state: Path, name: str) -> ExitCode:
    """Remove a user."""

    def remove() -> str:
        accounts = Accounts(state)
        accounts.remove_user(name)
        rest = "" if accounts.users() else "; nobody is left who can log in"
        return f"removed {name}{rest}"

    return _done(remove)


def list_users(state: Path) -> ExitCode:
    """Print the users."""

    def rows() -> str:
        users = Accounts(state).users().values()
        return _table(("NAME", "RIGHTS", "SINCE"), [(user.name, _rights(user.admin), user.created) for user in users]) or "no users"

    return _done(rows)


def add_token(state: Path, name: str, *, user: str, admin: bool) -> ExitCode:
    """Make a token; only the token itself goes to standard output, for a script to take."""
    code = _done(lambda: Accounts(state).add_token(name, user=user, admin=admin))
    if code is ExitCode.OK:
        typer.echo("heygem: keep it now, it is not shown again. Use it as: Authorization: Bearer TOKEN", err=True)
    return code


def remove_token(state: Path, name: str) -> ExitCode:
    """Remove a token."""

    def remove() -> str:
        Accounts(state).remove_token(name)
        return f"removed {name}"

    return _done(remove)


def list_tokens(state: Path) -> ExitCode:
    """Print the tokens."""

    def rows() -> str:
        tokens = Accounts(state).tokens().values()
        shown = [(each.name, each.user, _rights(each.admin), f"...{each.last4}", each.created) for each in tokens]
        return _table(("NAME", "ACTS AS", "RIGHTS", "ENDS IN", "SINCE"), shown) or "no tokens"

    return _done(rows)


def _rights(admin: bool) -> str:
    return "administrator" if admin else "own jobs"


def _done(work: Callable[[], str]) -> ExitCode:
    """Print what `work` returns, or why it cannot be done."""
    try:
        typer.echo(work())
    except AccountsError as problem:
        return _refused(str(problem))
    except OSError as failed:
        return _refused(f"{failed.filename}: {failed.strerror}")
    return ExitCode.OK


def _refused(sentence: str) -> ExitCode:
    typer.echo(f"heygem: {escape_name(sentence)}", err=True)
    return ExitCode.USAGE


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows in columns, "" without any."""
    shown = [tuple(escape_name(cell) for cell in row) for row in rows]
    if not shown:
        return ""
    widths = [max(len(row[column]) for row in (head, *shown)) for column in range(len(head))]
    return "\n".join("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in (head, *shown))
