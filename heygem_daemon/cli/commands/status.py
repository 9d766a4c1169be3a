"""`heygem status`: the status files, as tables and bars."""

import errno
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from heygem_daemon.bounded_reading import is_file_in, read_file_in
from heygem_daemon.cli.checks.presence import presence
from heygem_daemon.cli.checks.timed_call import call_all
from heygem_daemon.cli.exit_codes import ExitCode
from heygem_daemon.core.found_status import published_keys
from heygem_daemon.core.job import FINAL, State
from heygem_daemon.core.presence import Presence, Verdict
from heygem_daemon.core.status import DaemonStatus, ItemStatus, JobStatus, JobSummary
from heygem_daemon.core.status_builder import with_missing
from heygem_daemon.core.storage import human_bytes
from heygem_daemon.core.warning_codes import describe_warning
from heygem_daemon.settings import Settings

STATUS: Final = "status.json"
COLOURS: Final = {
    State.SUCCEEDED: "green",
    State.PARTIAL: "yellow",
    State.RUNNING: "cyan",
    State.FAILED: "red",
    State.REJECTED: "red",
    State.CANCELLED: "magenta",
}


def show(settings: Settings, job: str | None, *, as_json: bool, watch: bool) -> ExitCode:
    """Print the daemon's status or one job's. Exit 1 when the daemon does not run, or there is no such job; 5 when it runs and its status
    is old."""
    if as_json:
        return _print_file(settings, job)
    console = Console()
    view, outcome = _view(settings, job)
    if not watch:
        console.print(view)
        return outcome
    with Live(view, console=console, refresh_per_second=4) as live, suppress(KeyboardInterrupt):
        while True:
            time.sleep(0.5)
            view, outcome = _view(settings, job)
            live.update(view)
    return outcome


def _print_file(settings: Settings, job: str | None) -> ExitCode:
    try:
        typer.echo(_read(settings, job)[0].decode(errors="replace"), nl=False)
    except (OSError, ValueError) as problem:
        typer.echo(f"heygem: {problem}", err=True)
        found = presence(settings, time.time())
        return _outcome(found) if job is None and found.is_there else ExitCode.PROBLEM
    if job is not None:
        return ExitCode.OK
    found = presence(settings, time.time())
    if found.presence is not Presence.RUNNING:
        typer.echo(f"heygem: {found.sentence}", err=True)
    return _outcome(found)


def _outcome(found: Verdict) -> ExitCode:
    if found.presence is Presence.RUNNING:
        return ExitCode.OK
    return ExitCode.UNREPORTED if found.is_there else ExitCode.PROBLEM


def _read(settings: Settings, job: str | None) -> tuple[bytes, frozenset[str]]:
    """Return a status file, and the keys of the published items of a job whose files are gone: the daemon looks only now and then. Does not
    wait for a dead share. Raises OSError."""
    (found,) = call_all([partial(_read_in, settings.outputs, job)], settings.intake.answer_seconds)
    if found is None:
        raise TimeoutError(errno.ETIMEDOUT, "does not answer: its share or the network hangs", str(settings.outputs))
    return found


def _read_in(outputs: Path, job: str | None) -> tuple[bytes, frozenset[str]]:
    folder = outputs.resolve()  # a link to it is the administrator's; one in it is anybody's
    content = _read_file(folder, job)
    try:
        return content, _missing_keys(folder, JobStatus.read(content)) if job is not None else frozenset()
    except (ValueError, RecursionError):  # whoever shows it says so
        return content, frozenset()


def _missing_keys(outputs: Path, status: JobStatus) -> frozenset[str]:
    return frozenset(key for key, file in published_keys(status).items() if not _is_there(outputs, f"{status.output}/{file}"))


def _is_there(outputs: Path, file: str) -> bool:
    """Return whether a result is there; True where that cannot be found out."""
    try:
        return is_file_in(outputs, file)
    except OSError:
        return True


def _read_file(outputs: Path, job: str | None) -> bytes:
    """Return the status file of a job, named by its folder in outputs, its id or its name, or the daemon's. Raises OSError."""
    if job is None:
        return read_file_in(outputs, STATUS)
    if job not in {"", ".", ".."} and "/" not in job:
        with suppress(FileNotFoundError, NotADirectoryError):
            return read_file_in(outputs, f"{job}/{STATUS}")
    summary = _summary(outputs, job)
    if summary is None:
        raise FileNotFoundError(errno.ENOENT, "there is no such job", job)
    return read_file_in(outputs, f"{summary.output}/{STATUS}")


def _summary(outputs: Path, job: str) -> JobSummary | None:
    """Return what the daemon's status says of a job, by its folder in outputs, its id or its name. Raises OSError, ValueError."""
    known: Sequence[JobSummary] = ()
    with suppress(FileNotFoundError):
        known = DaemonStatus.read(read_file_in(outputs, STATUS)).jobs
    return next((summary for summary in known if job in {summary.output, summary.job, summary.name}), None)


def _view(settings: Settings, job: str | None) -> tuple[RenderableType, ExitCode]:
    outputs, found = settings.outputs, presence(settings, time.time())
    head = () if found.presence is Presence.RUNNING else (Text(f"● {found.sentence}.", style="yellow" if found.is_there else "red"),)
    try:
        text, missing = _read(settings, job)
        if job is not None:
            status = with_missing(JobStatus.read(text), missing)
            return Group(*(() if status.state in FINAL else head), _job_view(status)), ExitCode.OK
        return _daemon_view(DaemonStatus.read(text), outputs, found), _outcome(found)
    except (OSError, ValueError) as problem:
        if job is not None:
            return Group(*head, *_unreadable(settings, job, problem)), ExitCode.PROBLEM
        is_there = not isinstance(problem, FileNotFoundError)
        what = f"The status in {outputs} cannot be read: {_words(problem)}" if is_there else f"No daemon has written to {outputs} yet."
        return Group(*head, Text(what, style="red")), _outcome(found)


def _unreadable(settings: Settings, job: str, problem: Exception) -> list[RenderableType]:
    """Return what can be shown of a job whose own status cannot be read: people delete and replace folders in outputs."""
    outputs = settings.outputs
    (summary,) = call_all([partial(_summary_in, outputs, job)], settings.intake.answer_seconds)
    is_there = not isinstance(problem, FileNotFoundError)
    if summary is None:
        what = f"The status of {job} in {outputs} cannot be read: {_words(problem)}" if is_there else f"There is no job {job} in {outputs}."
        return [Text(what, style="red")]
    what = f"cannot be read: {_words(problem)}" if is_there else "is not there"
    line = Text.assemble((summary.name, "bold"), "  ", _state(summary.state), f"  {_why(summary)}")
    return [line, Text(f"{outputs / summary.output / STATUS} {what}", style="red")]


def _summary_in(outputs: Path, job: str) -> JobSummary | None:
    with suppress(OSError, ValueError, RecursionError):
        return _summary(outputs.resolve(), job)
    return None


def _words(problem: Exception) -> str:
    return (problem.strerror if isinstance(problem, OSError) else None) or str(problem)


def _daemon_view(status: DaemonStatus, outputs: Path, found: Verdict) -> RenderableType:
    is_current = found.presence is Presence.RUNNING
    queue = f"queued {status.queue.queued}   running {status.queue.running}   waiting {status.queue.waiting}"
    colour = "green" if is_current else "yellow" if found.is_there else "red"
    head = Text.assemble(("● ", colour), found.sentence if is_current else f"{found.sentence}.")
    lines: list[RenderableType] = [head.append(f"   {queue}") if is_current else head]
    if not is_current:
        lines.append(Text(f"  The following is from {status.heartbeat.astimezone():%Y-%m-%d %H:%M:%S}:   {queue}", style="dim"))
    lines += [
        Text(f"  inbox {inbox.path}: {'online' if inbox.online else 'OFFLINE: ' + inbox.reason}{' (paused)' if inbox.paused else ''}")
        for inbox in status.inboxes
    ]
    lines += [Text(f"  worker {device.name}: {device.state}") for device in status.devices]
    if status.disk is not None:
        free = "offline" if status.disk.free is None else f"{human_bytes(status.disk.free)} free"
        why = f" ({status.disk.reason})" if status.disk.reason else ""
        lines.append(Text(f"  outputs {outputs}: {free}{why}", style="" if status.disk.ok else "red"))
    if status.breaker:
        lines.append(Text(f"  {status.breaker}", style="red"))
    table = Table("job", "state", "progress", "left", "why", box=None, pad_edge=False)
    for job in status.jobs:
        bar = ProgressBar(total=100, completed=job.percent or 0.0, width=24) if job.state is State.RUNNING else ""
        warned = f"{job.warning_count} warning{'s' * (job.warning_count > 1)}" if job.warning_count else ""
        table.add_row(Text(job.output), _state(job.state), bar, _seconds(job.eta_s), Text(_why(job) or warned))
    return Group(*lines, "", table if status.jobs else Text("No jobs yet.", style="dim"))


def _job_view(status: JobStatus) -> RenderableType:
    head = Text.assemble((status.name, "bold"), "  ", _state(status.state), f"  {_why(status)}")
    lines: list[RenderableType] = [head]
    if status.owner or status.reference:
        lines.append(Text("  ".join(filter(None, (status.owner and f"for {status.owner}", status.reference)))))
    if status.error:
        lines += [Text(f"{status.error.message}\n{status.error.hint} ({status.error.code})", style="red")]
    table = Table("item", "state", "progress", "result", "driven", "sync", "closures", box=None, pad_edge=False)
    for item in status.items:
        percent = 100.0 if item.state in FINAL else item.progress.percent if item.progress else 0.0
        result = f"{item.error.message} {item.error.hint} ({item.error.code})" if item.error else item.output or _missing(item)
        sync = "" if item.sync_offset_ms is None else f"{item.sync_offset_ms:+.0f} ms"
        closures = "" if item.closure_rate is None else f"{item.closure_rate:.0%}"
        driven = "" if item.frames_not_driven is None else f"{1 - item.frames_not_driven:.0%}"
        bar = ProgressBar(total=100, completed=percent, width=24)
        table.add_row(Text(item.key), _state(item.state), bar, Text(result), driven, sync, closures)
    of_job = [Text(f"{each.message} {each.hint} ({each.code})", style="yellow") for each in status.warnings]
    of_items = [
        Text(f"{item.key}: {describe_warning(code, item.warning_details.get(code, ''))}", style="yellow")
        for item in status.items
        for code in item.warnings
    ]
    return Group(*lines, table, *of_job, *of_items)


def _missing(item: ItemStatus) -> str:
    return f"{item.missing} is no longer in outputs; `heygem retry` makes it again" if item.missing else ""


def _why(status: JobStatus | JobSummary) -> str:
    """Return why a job waits; of a drop that is not claimed yet, `waiting_for` is only a word and `reason` the sentence."""
    return status.reason if status.state is State.SETTLING else status.waiting_for or status.reason


def _state(state: State) -> Text:
    return Text(str(state), style=COLOURS.get(state, ""))


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
