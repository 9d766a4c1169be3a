"""`make demo`: put a drop into ./inbox as a person would, let the real daemon work, and print where the result lies."""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from heygem_daemon.core.job import FINAL, State
from heygem_daemon.core.status import DaemonStatus, ErrorStatus, JobStatus
from scripts.sample_drop import SENTENCES, make_sample

INBOX: Final = Path("inbox")
OUTPUTS: Final = Path("outputs")
STATE: Final = Path(".cache/state")
CACHE: Final = Path(".cache/presenters")
WEIGHTS: Final = Path("weights")
LOG: Final = Path(".cache/demo/daemon.log")
PAGE: Final = "http://127.0.0.1:7860"

console = Console(highlight=False)


class DemoError(Exception):
    """The demo cannot go on; the message is a sentence for the terminal."""


def main() -> int:
    """Run the demo; return 0 when every result is there."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--drop", type=Path, help="a folder with a recording and videos/; it is copied, never moved")
    parser.add_argument("--voice", choices=sorted(SENTENCES), default="en", help="the language of the sample")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return demo(options.drop, options.voice)
    except DemoError as problem:
        console.print(f"[red]{escape(str(problem))}[/red]", soft_wrap=True)
    except KeyboardInterrupt:
        console.print("Stopped. What was not finished goes on with the next `make demo`; `make demo-clean` forgets it.", soft_wrap=True)
        return 130
    return 1


def demo(own_drop: Path | None, voice: str) -> int:
    """Put the drop into the inbox, wait for its job, print the results."""
    subprocess.run([*heygem("init-inbox"), str(INBOX)], check=True, stdout=subprocess.DEVNULL)
    running = daemon_of(INBOX)
    name = put_drop(own_drop, voice)
    console.print(f"Dropped [bold]{escape(str(INBOX / name))}[/bold]", soft_wrap=True)
    if running is not None:
        console.print(f"A daemon already watches this inbox (process {running.pid}); the drop is left to it.")
        status = wait(name, None)
    else:
        with daemon("--until-idle") as process:
            status = wait(name, process)
            process.wait(60)
    print_results(status)
    console.print(f"The page: [bold]{PAGE}[/bold] - start it with [bold]make demo-web[/bold], then open this address", soft_wrap=True)
    console.print("(from another computer first: ssh -L 7860:127.0.0.1:7860 SERVER)", soft_wrap=True)
    return 0 if status.state is State.SUCCEEDED else 1


def heygem(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "heygem_daemon", *arguments)


# -- the drop ----------------------------------------------------------------------------------------------------------


def put_drop(own_drop: Path | None, voice: str) -> str:
    """Copy the user's folder, or a new sample, into the inbox under a name that is free; return that name."""
    if own_drop is not None:
        if not own_drop.is_dir():
            raise DemoError(f"{own_drop} is not a folder; DROP names a folder with a recording and a subfolder videos/")
        return copy_into_inbox(own_drop, own_drop.resolve().name)
    with tempfile.TemporaryDirectory() as scratch:
        return copy_into_inbox(make_sample(Path(scratch) / "demo", voice=voice), "demo")


def copy_into_inbox(folder: Path, wanted: str) -> str:
    name = free_name(wanted, {path.name.casefold() for place in (INBOX, OUTPUTS) if place.is_dir() for path in place.iterdir()})
    shutil.copytree(folder, INBOX / name, symlinks=True)
    return name


def free_name(wanted: str, taken: set[str]) -> str:
    """Return `wanted`, made plain enough to name the folder in outputs too, with a number where it is taken (case-folded names)."""
    plain = re.sub(r"[^\w.-]+", "_", wanted).strip("._") or "drop"
    name, number = plain, 1
    while name.casefold() in taken:
        number += 1
        name = f"{plain}-{number}"
    return name


# -- the daemon --------------------------------------------------------------------------------------------------------


def daemon_of(inbox: Path) -> DaemonStatus | None:
    """Return the status of a living daemon that watches `inbox` and writes into OUTPUTS, if there is one."""
    try:
        status = DaemonStatus.read((OUTPUTS / "status.json").read_bytes())
    except (OSError, ValueError):
        return None
    takes_drops = status.state in {"running", "paused"} and status.is_alive(datetime.now(UTC))
    return status if takes_drops and str(inbox.absolute()) in {each.path for each in status.inboxes} else None


@contextmanager
def daemon(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the daemon on the folders of the demo; `words` are further options of `heygem run`."""
    folders = ("--inbox", INBOX, "--outputs", OUTPUTS, "--state", STATE, "--cache", CACHE, "--weights", WEIGHTS)
    variables = {"HEYGEM_STOP__GRACE_SECONDS": "1", "HEYGEM_LOG__FORMAT": "json"}
    with background("daemon", heygem("run", *map(str, folders), *words), LOG, variables) as process:
        yield process


@contextmanager
def background(name: str, command: Sequence[str], log: Path, variables: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program beside this one, with `variables` in its environment; stop it politely on the way out."""
    log.parent.mkdir(parents=True, exist_ok=True)
    # A session of its own: Ctrl-C in the terminal reaches the demo alone, which then stops the program once.
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env={**os.environ, **variables}, start_new_session=True
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            console.print(f"Stopping the {name} ...")
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


# -- waiting -----------------------------------------------------------------------------------------------------------


def wait(name: str, process: subprocess.Popen[bytes] | None) -> JobStatus:
    """Show the progress of the job until it is final, and return its last status. Raises DemoError when nobody works on it any more."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("starting the daemon", total=100)
        while True:
            # Checked before the status is read, so that the last status of a daemon is not missed.
            ended = process.poll() is not None if process else daemon_of(INBOX) is None
            status = read_status(name)
            if status is not None:
                show(bar, task, status)
                if status.state in FINAL:
                    return status
            if ended:
                raise DemoError(end_of_daemon(process))
            time.sleep(0.2)


def read_status(name: str) -> JobStatus | None:
    try:
        return JobStatus.read((OUTPUTS / name / "status.json").read_bytes())
    except (OSError, ValueError):
        return None


def show(bar: Progress, task: TaskID, status: JobStatus) -> None:
    stage = status.progress.stage if status.progress else str(status.state)
    words = stage if status.state is State.RUNNING or not status.reason else f"{status.state}: {status.reason}"
    done = 100.0 if status.state in FINAL else status.progress.percent if status.progress else 0.0
    bar.update(task, completed=done, description=escape(words[:70]))


def end_of_daemon(process: subprocess.Popen[bytes] | None) -> str:
    if process is None:
        return "The daemon that watched the inbox is gone; `make demo` starts one of its own."
    lines = LOG.read_text(encoding="utf-8", errors="replace").splitlines()[-8:]
    return "\n".join(["The daemon ended without finishing the drop. The end of its log:", *lines, f"All of it: {LOG}"])


# -- the end -----------------------------------------------------------------------------------------------------------


def print_results(status: JobStatus) -> None:
    """Print where everything lies and, for what failed, the sentence and the hint."""
    folder = OUTPUTS / status.output
    for item in status.items:
        if item.state is State.SUCCEEDED and item.output:
            seconds = f"{item.seconds:.1f} s" if item.seconds is not None else ""
            took = f", made in {item.elapsed_s:.0f} s" if item.elapsed_s is not None else ""
            line("Result", folder / item.output, f"{seconds}{took}")
        if item.thumbnail:
            line("Thumbnail", folder / item.thumbnail, "before and after")
        if item.error:
            print_error(item.video, item.error)
    if status.error and status.error not in [item.error for item in status.items]:
        print_error(status.name, status.error)
    line("Status", folder / "status.json", str(status.state))
    if LOG.is_file():
        line("Log", LOG)


def line(title: str, path: Path, remark: str = "") -> None:
    console.print(f"{title:<10} [bold]{escape(str(path))}[/bold]  {escape(remark)}".rstrip(), soft_wrap=True)


def print_error(about: str, error: ErrorStatus) -> None:
    console.print(f"[red]{escape(about)}: {escape(error.message)}[/red] ({error.code})", soft_wrap=True)
    if error.hint:
        console.print(f"  {escape(error.hint)}", soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
