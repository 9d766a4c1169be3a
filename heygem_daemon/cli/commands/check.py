"""`heygem check`: check this machine and its configuration; print the command that fixes each finding."""

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Final

import typer
from rich.console import Console
from rich.markup import escape

from heygem_daemon.cli.checks import engine, folders, guest, machine, service
from heygem_daemon.cli.checks.directories import Directory, service_directories
from heygem_daemon.cli.checks.finding import Finding, Severity, fault, note, ok, warning
from heygem_daemon.cli.checks.identity import Identity, IdentityError, become, group_name
from heygem_daemon.cli.checks.presence import presence
from heygem_daemon.cli.checks.timed_call import call_all
from heygem_daemon.cli.exit_codes import ExitCode
from heygem_daemon.core.presence import Presence
from heygem_daemon.settings import CONFIG_VARIABLE, DEFAULT_CONFIG, Settings

_MARKS: Final = {
    Severity.OK: "[green]ok     [/green]",
    Severity.NOTE: "[cyan]note   [/cyan]",
    Severity.WARNING: "[yellow]warning[/yellow]",
    Severity.ERROR: "[red]error  [/red]",
}
_EXITS: Final = {Severity.ERROR: ExitCode.PROBLEM, Severity.WARNING: ExitCode.WARNINGS}
_WEIGHTS_SECONDS: Final = 120.0
"""Hundreds of megabytes of checkpoints are read from end to end."""


def check(
    settings: Settings, *, config: Path | None = None, user: str | None = None, as_json: bool = False, as_guest: bool = False
) -> ExitCode:
    """Print all findings, as the user the service runs as. Root becomes that user for the rest of the process.

    as_guest: only what a user of the share can check who is not the service. as_json: print a list of severity, what and fix."""
    try:
        me = become(user, _owner(settings.state, settings.intake.answer_seconds))
    except IdentityError as problem:
        typer.echo(f"heygem: {problem}", err=True)
        return ExitCode.USAGE
    found = guest_findings(settings, me) if as_guest else findings(settings, me, config)
    everything = (identity_finding(me), *found)
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in everything], indent=2))
    else:
        _print(everything)
    worst = max((finding.severity for finding in everything), key=list(Severity).index)
    return _EXITS.get(worst, ExitCode.OK)


def _print(everything: Iterable[Finding]) -> None:
    console = Console(highlight=False)
    for finding in everything:
        console.print(f"{_MARKS[finding.severity]} {escape(finding.what)}", soft_wrap=True)
        if finding.fix:
            console.print(f"        fix: {escape(finding.fix)}", soft_wrap=True)


def identity_finding(me: Identity) -> Finding:
    groups = ", ".join(sorted(group_name(number) for number in me.groups))
    return note(f"checking as {me.name} (groups: {groups})")


def findings(settings: Settings, me: Identity, config: Path | None = None) -> Iterator[Finding]:
    """Yield what `check` prints, in its order."""
    directories = list(service_directories(settings))
    yield from machine.configuration(_config_file(config), me)
    yield from _folders(directories, me, settings.intake.answer_seconds, folders.findings)
    yield from _weights(settings)
    yield from machine.programs(me)
    yield engine.device(settings.engine.device)
    yield engine.items_at_once(settings)
    yield machine.journal(settings.log.format)
    yield from service.findings(service.properties(), directories, me)
    yield from _lock(settings)
    yield _daemon(settings, me)


def _config_file(config: Path | None) -> Path | None:
    """Return the configuration file that `settings.load` read."""
    named = config or (Path(os.environ[CONFIG_VARIABLE]) if os.environ.get(CONFIG_VARIABLE) else None)
    return named or (DEFAULT_CONFIG if DEFAULT_CONFIG.is_file() else None)


def guest_findings(settings: Settings, me: Identity) -> Iterator[Finding]:
    """Yield what a user of the share can find out: about the inboxes, outputs and the programs that the page needs as well."""
    shared = [directory for directory in service_directories(settings) if directory.is_shared]
    yield from _folders(shared, me, settings.intake.answer_seconds, guest.findings)
    yield from machine.programs(me)


def _folders(
    directories: Sequence[Directory], me: Identity, seconds: float, check: Callable[[Directory, Identity], Iterator[Finding]]
) -> Iterator[Finding]:
    functions = [partial(_list_of, check, directory, me) for directory in directories]
    for directory, found in zip(directories, call_all(functions, seconds), strict=True):
        yield from [folders.unresponsive(directory, me, seconds)] if found is None else found


def _list_of(check: Callable[..., Iterator[Finding]], *arguments: object) -> list[Finding]:
    return list(check(*arguments))


def _weights(settings: Settings) -> Iterator[Finding]:
    """Check the files in the weights folder, unless it is not there or hangs, which `_folders` reports."""
    if call_all([settings.weights.is_dir], settings.intake.answer_seconds) != [True]:
        return
    (found,) = call_all([partial(_list_of, engine.weights, settings)], _WEIGHTS_SECONDS)
    yield from found or []


def _lock(settings: Settings) -> Iterator[Finding]:
    (found,) = call_all([partial(_list_of, machine.ledger_lock, settings.state)], settings.intake.answer_seconds)
    yield from found or []


def _daemon(settings: Settings, me: Identity) -> Finding:
    """Return whether a daemon runs and reports; that none runs is nothing to correct."""
    found = presence(settings, time.time())
    if found.presence is Presence.UNREPORTED:
        room = me.command(("df", "-h", str(settings.outputs)), ("df", "-i", str(settings.outputs)))
        return fault(found.sentence, f"It goes on by itself as soon as {settings.outputs} can be written: {room}")
    if found.presence is Presence.BUSY:
        return warning(found.sentence, me.command(("journalctl", "-u", service.UNIT, "-e")))
    return ok(found.sentence) if found.is_there else note(found.sentence)


def _owner(folder: Path, seconds: float) -> tuple[int, int] | None:
    """Return the user and group that a folder belongs to; None where it is not there or does not answer."""

    def stat() -> tuple[int, int]:
        found = folder.stat()
        return found.st_uid, found.st_gid

    try:
        return call_all([stat], seconds)[0]
    except OSError:
        return None
