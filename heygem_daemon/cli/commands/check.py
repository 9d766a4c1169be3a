"""`heygem check`: does this machine have what it takes? Every finding comes with the command that mends it."""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import typer
from rich.console import Console
from rich.markup import escape

from heygem_daemon.cli.app import Exit
from heygem_daemon.cli.checks import engine, folders, machine, service
from heygem_daemon.cli.checks.directories import Place, places
from heygem_daemon.cli.checks.finding import Finding, Severity, note
from heygem_daemon.cli.checks.identity import Identity, IdentityError, become, group_name
from heygem_daemon.cli.checks.timed_call import ask_all
from heygem_daemon.settings import CONFIG_VARIABLE, DEFAULT_CONFIG, Settings

_MARKS: Final = {
    Severity.OK: "[green]ok     [/green]",
    Severity.NOTE: "[cyan]note   [/cyan]",
    Severity.WARNING: "[yellow]warning[/yellow]",
    Severity.ERROR: "[red]error  [/red]",
}
_EXITS: Final = {Severity.ERROR: Exit.PROBLEM, Severity.WARNING: Exit.WARNINGS}
_WEIGHTS_SECONDS: Final = 120.0
"""Hundreds of megabytes of checkpoints are read from end to end."""


def check(settings: Settings, *, config: Path | None = None, user: str | None = None) -> Exit:
    """Print all findings, as the user the service runs as. By root: becomes that user, for good."""
    try:
        me = become(user, _owner(settings.state, settings.intake.answer_seconds))
    except IdentityError as problem:
        typer.echo(f"heygem: {problem}", err=True)
        return Exit.USAGE
    console = Console(highlight=False)
    worst = Severity.OK
    for finding in (introduction(me), *findings(settings, me, config)):
        console.print(f"{_MARKS[finding.severity]} {escape(finding.what)}", soft_wrap=True)
        if finding.mend:
            console.print(f"        mend: {escape(finding.mend)}", soft_wrap=True)
        worst = max(worst, finding.severity, key=list(Severity).index)
    return _EXITS.get(worst, Exit.OK)


def introduction(me: Identity) -> Finding:
    groups = ", ".join(sorted(group_name(number) for number in me.groups))
    return note(f"checking as {me.name} (groups: {groups})")


def findings(settings: Settings, me: Identity, config: Path | None = None) -> Iterator[Finding]:
    """Yield what `check` prints, in its order."""
    everywhere = list(places(settings))
    yield from machine.configuration(_in_force(config), me)
    yield from _folders(everywhere, me, settings.intake.answer_seconds)
    yield from _weights(settings)
    yield from machine.programs(me)
    yield engine.device(settings.engine.device)
    yield machine.journal(settings.log.format)
    yield from service.findings(service.properties(), everywhere, me)
    yield from _lock(settings)


def _in_force(config: Path | None) -> Path | None:
    """Return the configuration file that `settings.load` read."""
    named = config or (Path(os.environ[CONFIG_VARIABLE]) if os.environ.get(CONFIG_VARIABLE) else None)
    return named or (DEFAULT_CONFIG if DEFAULT_CONFIG.is_file() else None)


def _folders(everywhere: Sequence[Place], me: Identity, seconds: float) -> Iterator[Finding]:
    questions = [partial(_listed, folders.findings, place, me) for place in everywhere]
    for place, answer in zip(everywhere, ask_all(questions, seconds), strict=True):
        yield from [folders.silent(place, me, seconds)] if answer is None else answer


def _listed(look: Callable[..., Iterator[Finding]], *given: object) -> list[Finding]:
    return list(look(*given))


def _weights(settings: Settings) -> Iterator[Finding]:
    """Yield what is to say of the files in the weights folder; one that is not there or hangs has been told of already."""
    if ask_all([settings.weights.is_dir], settings.intake.answer_seconds) != [True]:
        return
    (answer,) = ask_all([partial(_listed, engine.weights, settings)], _WEIGHTS_SECONDS)
    yield from answer or []


def _lock(settings: Settings) -> Iterator[Finding]:
    (answer,) = ask_all([partial(_listed, machine.ledger_lock, settings.state)], settings.intake.answer_seconds)
    yield from answer or []


def _owner(folder: Path, seconds: float) -> tuple[int, int] | None:
    """Return the user and group that a folder belongs to; None where it is not there or does not answer."""

    def ask() -> tuple[int, int]:
        found = folder.stat()
        return found.st_uid, found.st_gid

    try:
        return ask_all([ask], seconds)[0]
    except OSError:
        return None
