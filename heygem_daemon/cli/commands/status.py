"""`heygem status`: the status files, as tables and bars."""

import errno
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from heygem_daemon.cli.exit_codes import ExitCode
from heygem_daemon.core.job import FINAL, State
from heygem_daemon.core.policy import human_bytes
from heygem_daemon.core.status import DaemonStatus, JobStatus, JobSummary
from heygem_daemon.core.warning_codes import describe_warning

STATUS: Final = "status.json"
COLOURS: Final = {
    State.SUCCEEDED: "green",
    State.PARTIAL: "yellow",
    State.RUNNING: "cyan",
    State.FAILED: "red",
    State.REJECTED: "red",
    State.CANCELLED: "magenta",
}


def show(outputs: Path, job: str | None, *, as_json: bool, watch: bool) -> ExitCode:
    """Print the daemon's status or one job's; exit 1 when the daemon does not run, or there is no such job."""
    if as_json:
        return _print_file(outputs, job)
    console = Console()
    view, outcome = _view(outputs, job)
    if not watch:
        console.print(view)
        return outcome
    with Live(view, console=console, refresh_per_second=4) as live, suppress(KeyboardInterrupt):
        while True:
            time.sleep(0.5)
            view, outcome = _view(outputs, job)
            live.update(view)
    return outcome


def _print_file(outputs: Path, job: str | None) -> ExitCode:
    try:
        typer.echo(_read(outputs, job).decode(errors="replace"), nl=False)
    except (OSError, ValueError) as problem:
        typer.echo(f"heygem: {problem}", err=True)
        return ExitCode.PROBLEM
    return _view(outputs, job)[1]


def _read(outputs: Path, job: str | None) -> bytes:
    """Return the status file of a job, named by its folder in outputs, its id or its name, or the daemon's. Raises OSError."""
    if job is None:
        return (outputs / STATUS).read_bytes()
    is_folder = job not in {"", ".", ".."} and "/" not in job
    if is_folder and (outputs / job / STATUS).is_file():
        return (outputs / job / STATUS).read_bytes()
    known = DaemonStatus.read((outputs / STATUS).read_bytes()).jobs if (outputs / STATUS).is_file() else ()
    folder = next((summary.output for summary in known if job in {summary.job, summary.name}), None)
    if folder is None:
        raise FileNotFoundError(errno.ENOENT, "there is no such job", job)
    return (outputs / folder / STATUS).read_bytes()


def _view(outputs: Path, job: str | None) -> tuple[RenderableType, ExitCode]:
    try:
        text = _read(outputs, job)
        if job is not None:
            return _job_view(JobStatus.read(text)), ExitCode.OK
        status = DaemonStatus.read(text)
    except FileNotFoundError:
        what = f"No daemon has written to {outputs} yet." if job is None else f"There is no job {job} in {outputs}."
        return Text(what, style="red"), ExitCode.PROBLEM
    except (OSError, ValueError) as problem:
        return Text(f"The status in {outputs} cannot be read: {problem}", style="red"), ExitCode.PROBLEM
    running = status.is_alive(datetime.now(UTC))
    return _daemon_view(status, outputs, running), ExitCode.OK if running else ExitCode.PROBLEM


def _daemon_view(status: DaemonStatus, outputs: Path, running: bool) -> RenderableType:
    head = Text.assemble(
        ("● ", "green" if running else "red"),
        f"heygem {status.version} {status.state if running else 'is not running'}",
        f"   queued {status.queue.queued}   running {status.queue.running}   waiting {status.queue.waiting}",
    )
    lines: list[RenderableType] = [head]
    lines += [
        Text(f"  inbox {inbox.path}: {'online' if inbox.online else 'OFFLINE: ' + inbox.reason}{' (paused)' if inbox.paused else ''}")
        for inbox in status.inboxes
    ]
    lines += [Text(f"  worker {device.name}: {device.state}") for device in status.devices]
    if status.disk is not None:
        free = "offline" if status.disk.free is None else f"{human_bytes(status.disk.free)} free"
        lines.append(Text(f"  outputs {outputs}: {free}", style="" if status.disk.ok else "red"))
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
        result = f"{item.error.message} {item.error.hint} ({item.error.code})" if item.error else item.output or ""
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


def _why(status: JobStatus | JobSummary) -> str:
    """Return why a job waits; of a drop that is not claimed yet, `waiting_for` is only a word and `reason` the sentence."""
    return status.reason if status.state is State.SETTLING else status.waiting_for or status.reason


def _state(state: State) -> Text:
    return Text(str(state), style=COLOURS.get(state, ""))


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
