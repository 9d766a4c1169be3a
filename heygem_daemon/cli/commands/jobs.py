"""`heygem retry | cancel | hold | pause | resume | init-inbox | sweep`: requests to the daemon, through the ledger or the folders."""

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import typer

from heygem_daemon.cli.exit_codes import ExitCode
from heygem_daemon.core.errors import HeygemError
from heygem_daemon.core.job import State
from heygem_daemon.core.names import MARKER, PAUSE
from heygem_daemon.core.ports import Ledger
from heygem_daemon.settings import Settings
from heygem_daemon.wiring.config_mapping import ledger_path, open_ledger, retention

REFUSALS = {
    "retry": "is {state}; only jobs that ended without full success can be tried again",
    "open": "is {state} already",
}


def send_request(settings: Settings, verb: str, target: str) -> ExitCode:
    """Write a request into the ledger; the daemon takes it within a second, or at its next start."""
    if not ledger_path(settings).is_file():
        return _refuse(f"there is no ledger in {settings.state}; has the daemon run with this configuration?")
    try:
        with closing(open_ledger(settings)) as ledger:
            problem = _problem(ledger, verb, target)
            if problem:
                return _refuse(problem)
            ledger.request(verb, target)
    except HeygemError as problem:
        return _refuse(problem.message)
    typer.echo(f"{verb} {target}: requested")
    return ExitCode.OK


def _refuse(problem: str) -> ExitCode:
    typer.echo(f"heygem: {problem}", err=True)
    return ExitCode.PROBLEM


def _problem(ledger: Ledger, verb: str, target: str) -> str:
    jobs = ledger.find(target)
    if not jobs:
        return f"there is no job named {target} (a drop that is not queued yet: put {target}.hold or .cancel beside it)"
    newest = jobs[0]
    if verb == "retry" and (not newest.is_final or newest.state is State.SUCCEEDED):
        return f"{target} {REFUSALS['retry'].format(state=newest.state)}"
    if verb != "retry" and all(job.is_final for job in jobs):
        return f"{target} {REFUSALS['open'].format(state=newest.state)}"
    return ""


def pause(settings: Settings) -> ExitCode:
    return _each_inbox(settings, lambda folder: (folder / PAUSE).touch(), "paused")


def resume(settings: Settings) -> ExitCode:
    return _each_inbox(settings, lambda folder: (folder / PAUSE).unlink(missing_ok=True), "goes on")


def init_inbox(folder: Path) -> ExitCode:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKER).touch()
    except OSError as problem:
        return _refuse(f"{folder}: {problem.strerror}")
    typer.echo(f"{folder} is an inbox now. Watch it with: heygem run --inbox {folder}")
    return ExitCode.OK


def sweep(settings: Settings) -> ExitCode:
    try:
        counts = retention(settings).sweep(time.time(), _open_jobs(settings))
    except HeygemError as problem:
        return _refuse(problem.message)
    typer.echo(", ".join(f"{kind}: {count} deleted" for kind, count in counts.items()))
    return ExitCode.OK


def _open_jobs(settings: Settings) -> list[str]:
    if not ledger_path(settings).is_file():
        return []
    with closing(open_ledger(settings)) as ledger:
        return [job.id for job in ledger.open_jobs()]


def _each_inbox(settings: Settings, action: Callable[[Path], None], done: str) -> ExitCode:
    outcome = ExitCode.OK
    for inbox in settings.inboxes:
        try:
            if not (inbox.path / MARKER).is_file():
                raise FileNotFoundError(0, f"not an inbox (no {MARKER} in it)")
            action(inbox.path)
            typer.echo(f"{inbox.path}: {done}")
        except OSError as problem:
            outcome = _refuse(f"{inbox.path}: {problem.strerror}")
    return outcome
