"""`heygem retry | cancel | hold | pause | resume | init-inbox | sweep`: wishes to the daemon, through the ledger or the folders."""

import time
from collections.abc import Callable
from pathlib import Path

import typer

from heygem_daemon.cli.app import Exit
from heygem_daemon.core.job import State
from heygem_daemon.core.names import MARKER, PAUSE
from heygem_daemon.core.ports import Ledger
from heygem_daemon.settings import Settings
from heygem_daemon.wiring import open_ledger, retention

IMPOSSIBLE = {
    "retry": "is {state}; only jobs that ended without full success can be tried again",
    "open": "is {state} already",
}


def ask(settings: Settings, verb: str, target: str) -> Exit:
    """Leave a wish in the ledger; the daemon takes it within a second, or at its next start."""
    if not settings.state.is_dir():
        typer.echo(f"heygem: there is no ledger in {settings.state}; has the daemon run with this configuration?", err=True)
        return Exit.PROBLEM
    ledger = open_ledger(settings)
    try:
        problem = _problem(ledger, verb, target)
        if problem:
            typer.echo(f"heygem: {problem}", err=True)
            return Exit.PROBLEM
        ledger.request(verb, target)
    finally:
        ledger.close()
    typer.echo(f"{verb} {target}: asked")
    return Exit.OK


def _problem(ledger: Ledger, verb: str, target: str) -> str:
    jobs = ledger.find(target)
    if not jobs:
        return f"there is no job named {target} (a drop that is not queued yet: put {target}.hold or .cancel beside it)"
    newest = jobs[0]
    if verb == "retry" and (not newest.is_final or newest.state is State.SUCCEEDED):
        return f"{target} {IMPOSSIBLE['retry'].format(state=newest.state)}"
    if verb != "retry" and all(job.is_final for job in jobs):
        return f"{target} {IMPOSSIBLE['open'].format(state=newest.state)}"
    return ""


def pause(settings: Settings) -> Exit:
    return _each_inbox(settings, lambda folder: (folder / PAUSE).touch(), "paused")


def resume(settings: Settings) -> Exit:
    return _each_inbox(settings, lambda folder: (folder / PAUSE).unlink(missing_ok=True), "goes on")


def init_inbox(folder: Path) -> Exit:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKER).touch()
    except OSError as problem:
        typer.echo(f"heygem: {folder}: {problem.strerror}", err=True)
        return Exit.PROBLEM
    typer.echo(f"{folder} is an inbox now. Watch it with: heygem run --inbox {folder}")
    return Exit.OK


def sweep(settings: Settings) -> Exit:
    ledger = open_ledger(settings)
    try:
        counts = retention(settings).sweep(time.time(), [job.id for job in ledger.open_jobs()])
    finally:
        ledger.close()
    typer.echo(", ".join(f"{kind}: {count} deleted" for kind, count in counts.items()) or "nothing to delete")
    return Exit.OK


def _each_inbox(settings: Settings, act: Callable[[Path], None], word: str) -> Exit:
    outcome = Exit.OK
    for inbox in settings.inboxes:
        try:
            if not (inbox.path / MARKER).is_file():
                raise FileNotFoundError(0, f"not an inbox (no {MARKER} in it)")
            act(inbox.path)
            typer.echo(f"{inbox.path}: {word}")
        except OSError as problem:
            typer.echo(f"heygem: {inbox.path}: {problem.strerror}", err=True)
            outcome = Exit.PROBLEM
    return outcome
