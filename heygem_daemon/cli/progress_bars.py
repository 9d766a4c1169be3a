"""Progress bars of commands that work for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from heygem_daemon.lipsync.progress import OnProgress
from heygem_daemon.lipsync.progress import Progress as Step


@contextmanager
def progress_bars(console: Console, *, transient: bool = False) -> Iterator[Progress]:
    """Show bars on `console` inside the block; `transient` ones are removed afterwards."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[stage]}"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=transient) as progress:
        yield progress


def add_bar(progress: Progress, title: str) -> OnProgress:
    """Add a bar; return the callback that moves it."""
    task = progress.add_task(escape(title), stage="", total=None)

    def show(step: Step) -> None:
        progress.update(task, stage=step.stage, completed=step.done, total=step.total or None)

    return show
