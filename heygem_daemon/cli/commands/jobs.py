"""`heygem retry | cancel | hold | pause | resume | init-inbox | sweep`: requests to the daemon, through the ledger or the folders."""

import os
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import typer

from heygem_daemon.cli.checks.timed_call import call_all
from heygem_daemon.cli.exit_codes import ExitCode
from heygem_daemon.core.clock_trust import ClockTrust
from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.core.job import Job, State
from heygem_daemon.core.names import MARKER, PAUSE, escape_name, is_pause
from heygem_daemon.core.ports import Ledger
from heygem_daemon.service.clock import SystemClock
from heygem_daemon.settings import Settings
from heygem_daemon.wiring.config_mapping import clock_record, ledger_path, missing_results, open_ledger, retention

REFUSALS = {
    "retry": "is {state}; only jobs that ended without full success, or whose results were deleted, can be tried again",
    "open": "is {state} already",
}


def send_request(settings: Settings, verb: str, target: str) -> ExitCode:
    """Write a request into the ledger; the daemon takes it within a second, or at its next start."""
    try:
        if not _has_ledger(settings):
            return _refuse(f"there is no ledger in {settings.state}; has the daemon run with this configuration?")
        with closing(open_ledger(settings)) as ledger:
            problem = _problem(settings, ledger, verb, target)
            if problem:
                return _refuse(problem)
            ledger.request(verb, target)
    except HeygemError as problem:
        return _refuse(problem.message)
    typer.echo(f"{verb} {target}: requested")
    return ExitCode.OK


def _has_ledger(settings: Settings) -> bool:
    """Raises TransientError where this user may not look."""
    try:
        return ledger_path(settings).is_file()
    except OSError as problem:
        raise error("io_error", problem=f"{settings.state}: {problem.strerror}") from problem


def _refuse(problem: str) -> ExitCode:
    typer.echo(f"heygem: {problem}", err=True)
    return ExitCode.PROBLEM


def _problem(settings: Settings, ledger: Ledger, verb: str, target: str) -> str:
    jobs = ledger.find(target)
    if not jobs:
        return f"there is no job named {target} (a drop that is not queued yet: put {target}.hold or .cancel beside it)"
    newest = jobs[0]
    if verb != "retry":
        return f"{target} {REFUSALS['open'].format(state=newest.state)}" if all(job.is_final for job in jobs) else ""
    if newest.is_final and (away := _unreachable(settings, newest)):
        return f"{target} cannot be tried again now: {away}"
    is_whole = newest.state is State.SUCCEEDED and not missing_results(settings, newest)
    return f"{target} {REFUSALS['retry'].format(state=newest.state)}" if not newest.is_final or is_whole else ""


def _unreachable(settings: Settings, job: Job) -> str:
    """Return which of the folders that another try needs cannot be reached, and why; "" for none. Does not wait for a dead share."""
    places = {settings.outputs: settings.outputs, Path(job.inbox): Path(job.inbox, MARKER)}
    answers = call_all([partial(_problem_at, place) for place in places.values()], settings.intake.answer_seconds)
    problems = [(folder, "it does not answer" if answer is None else answer) for folder, answer in zip(places, answers, strict=True)]
    return next((f"{folder} cannot be reached ({problem})" for folder, problem in problems if problem), "")


def _problem_at(path: Path) -> str:
    """Return why there is nothing at a path; "" where there is, or where this user may not know."""
    try:
        path.stat()
    except PermissionError:
        return ""
    except OSError as problem:
        return problem.strerror or str(problem)
    return ""


def pause(settings: Settings) -> ExitCode:
    return _each_inbox(settings, lambda folder: (folder / PAUSE).touch(), "paused")


def resume(settings: Settings) -> ExitCode:
    return _each_inbox(settings, _unpause, "goes on")


def _unpause(folder: Path) -> None:
    """Delete PAUSE, however it is spelt."""
    for entry in list(os.scandir(folder)):
        if is_pause(entry.name, is_folder=entry.is_dir(follow_symlinks=False)):
            Path(entry.path).unlink(missing_ok=True)


def init_inbox(folder: Path) -> ExitCode:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKER).touch()
    except OSError as problem:
        return _refuse(f"{folder}: {problem.strerror}")
    typer.echo(f"{folder} is an inbox now. Watch it with: heygem run --inbox {folder}")
    return ExitCode.OK


def sweep(settings: Settings, *, trust_clock: bool = False) -> ExitCode:
    clock = ClockTrust.recalled(SystemClock().now(), clock_record(settings).read())
    if not clock.is_believed and not trust_clock:
        days = clock.ahead / 86400
        return _refuse(f"The clock is {days:.1f} days ahead of what it showed before. If it is right, add --trust-clock.")
    outcome = ExitCode.OK

    def failed(path: Path, problem: OSError) -> None:
        nonlocal outcome
        outcome = _refuse(f"{escape_name(str(path))} could not be deleted: {problem.strerror}")

    try:
        counts = retention(settings).sweep(time.time(), _open_jobs(settings), failed=failed)
    except HeygemError as problem:
        return _refuse(problem.message)
    typer.echo(", ".join(f"{kind}: {count} deleted" for kind, count in counts.items()))
    return outcome


def _open_jobs(settings: Settings) -> list[str]:
    if not _has_ledger(settings):
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
