"""`heygem ledger rebuild`: the ledger from the folders."""

import json
import time
from dataclasses import asdict

import typer

from heygem_daemon.cli.exit_codes import ExitCode
from heygem_daemon.core.errors import HeygemError
from heygem_daemon.settings import Settings
from heygem_daemon.wiring.config_mapping import ledger_path
from heygem_daemon.wiring.instance_lock import AlreadyRunningError, only_instance
from heygem_daemon.wiring.ledger_rebuild import Rebuilt, rebuild_ledger


def rebuild(settings: Settings, *, as_json: bool) -> ExitCode:
    """Rebuild the ledger, and print what that did; exit 1 while a daemon runs, exit 4 where an inbox could not be looked at."""
    try:
        with only_instance(settings):
            done = rebuild_ledger(settings, time.time())
    except AlreadyRunningError as problem:
        typer.echo(f"heygem: the ledger is rebuilt while the daemon is stopped: {problem}", err=True)
        return ExitCode.PROBLEM
    except HeygemError as problem:
        typer.echo(f"heygem: {problem.message} The ledger is as it was.", err=True)
        return ExitCode.PROBLEM
    typer.echo(json.dumps(asdict(done), default=str, indent=2) if as_json else "\n".join(_lines(settings, done)))
    return ExitCode.WARNINGS if done.offline else ExitCode.OK


def _lines(settings: Settings, done: Rebuilt) -> list[str]:
    path = ledger_path(settings)
    lines = ["The ledger was damaged; nothing of it was used."] if done.was_damaged else []
    lines.append(f"{path}: {done.kept} jobs kept, {done.finished} finished ones and {done.queued} open ones added from the folders.")
    if done.left:
        lines.append(f"{done.left} claimed folders are not jobs, or cannot be read now; the daemon deals with them at its start.")
    lines += [f"{inbox} is offline: its jobs are not in the ledger. Run this again when it is online." for inbox in done.offline]
    lines.append(f"The old ledger is kept in {done.aside}." if done.aside else "The file was not replaced: nothing was missing in it.")
    return lines
