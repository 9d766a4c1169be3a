"""`heygem retry | cancel | hold | pause | resume | init-inbox | sweep`: wishes to the daemon, through the ledger or the folders."""

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import typer

from heygem_daemon.cli.app import Exit
from heygem_daemon.core.errors import HeygemError
from heygem_daemon.core.job import State
from heygem_daemon.core.names import MARKER, PAUSE
from heygem_daemon.core.ports import Ledger
from heygem_daemon.settings import Settings
from heygem_daemon.wiring.config_mapping import ledger_path, open_ledger, retention

IMPOSSIBLE = {
    "retry": "is {state}; only jobs that ended without full success can be tried again",
    "open": "is {state} already",
}


def ask(settings: Settings, verb: str, target: str) -> Exit:
    """Leave a wish in the ledger; the daemon takes it within a second, or at its next start."""
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
    typer.echo(f"{verb} {target}: asked")
    return Exit.OK


def _refuse(problem: str) -> Exit:
    typer.echo(f"heygem: {problem}", err=True)
    return Exit.PROBLEM


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
        return _refuse(f"{folder}: {problem.strerror}")
    typer.echo(f"{folder} is an inbox now. Watch it with: heygem run --inbox {folder}")
    return Exit.OK


def sweep(settings: Settings) -> Exit:
    try:
        counts = retention(settings).sweep(time.time(), _open_jobs(settings))
    except HeygemError as problem:
        return _refuse(problem.message)
    typer.echo(", ".join(f"{kind}: {count} deleted" for kind, count in counts.items()))
    return Exit.OK


def _open_jobs(settings: Settings) -> list[str]:
    if not ledger_path(settings).is_file():
        return []
    with closing(open_ledger(settings)) as ledger:
        return [job.id for job in ledger.open_jobs()]


def _each_inbox(settings: Settings, act: Callable[[Path], None], word: str) -> Exit:
    outcome = Exit.OK
    for inbox in settings.inboxes:
        try:
            if not (inbox.path / MARKER).is_file():
                raise FileNotFoundError(0, f"not an inbox (no {MARKER} in it)")
            act(inbox.path)
            typer.echo(f"{inbox.path}: {word}")
        except OSError as problem:
            outcome = _refuse(f"{inbox.path}: {problem.strerror}")
    return outcome
