"""A small installation in a temporary folder: inbox, outputs, state, and the real daemon as a process of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

SETTLE = 0.4


@dataclass(kw_only=True)
class Site:
    """Use as a context manager: no process outlives it."""

    folder: Path
    weights: Path
    cache: Path
    settings: str = ""
    settle: float = SETTLE
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def inbox(self) -> Path:
        return self.folder / "inbox"

    @property
    def outputs(self) -> Path:
        return self.folder / "outputs"

    @property
    def log_file(self) -> Path:
        return self.folder / "daemon.log"

    def __enter__(self) -> Self:
        for folder in (self.inbox, self.outputs, self.folder / "state"):
            folder.mkdir(parents=True)
        (self.inbox / ".heygem-inbox").touch()
        (self.folder / "heygem.toml").write_text(
            f'inboxes = ["{self.inbox}"]\noutputs = "{self.outputs}"\nstate = "{self.folder / "state"}"\n'
            f'cache = "{self.cache}"\nweights = "{self.weights}"\n{self.settings}'
            f"[intake]\nsettle_seconds = {self.settle}\nscan_seconds = 0.5\nincomplete_seconds = 1.5\n"
            '[engine]\ndevice = "cpu"\nitems_at_once = 1\nthreads = 1\n[disk]\nreserve_bytes = 0\n[stop]\ngrace_seconds = 0\n',
            encoding="utf-8",
        )
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.wait(30)

    def command(self, *arguments: str) -> tuple[str, ...]:
        return (sys.executable, "-m", "heygem_daemon", *arguments, "--config", str(self.folder / "heygem.toml"))

    def start(self, *arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start the daemon, in this environment if one is given."""
        with self.log_file.open("ab") as log:
            command = self.command("run", *arguments)
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        self._processes.append(process)
        return process

    def run_until_idle(self, timeout: float = 240) -> int:
        """Return the exit code of `heygem run --until-idle`."""
        return self.start("--until-idle").wait(timeout)

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=60, check=False)

    def stop(self, process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGTERM) -> int:
        process.send_signal(number)
        return process.wait(60)

    # -- drops ----------------------------------------------------------------------------------------------------

    def drop(self, name: str, recording: Path | None, videos: Sequence[Path] = (), files: Mapping[str, str] | None = None) -> Path:
        """Copy a drop as a person would: folder first, files one by one."""
        folder = self.inbox / name
        (folder / "videos").mkdir(parents=True)
        if recording is not None:
            shutil.copyfile(recording, folder / recording.name)
        for video in videos:
            shutil.copyfile(video, folder / "videos" / video.name)
        for path, text in (files or {}).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
        return folder

    # -- looking --------------------------------------------------------------------------------------------------

    def status(self, output: str | None = None) -> dict[str, Any]:
        path = self.outputs / output / "status.json" if output else self.outputs / "status.json"
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return found

    def wait_for(self, condition: Callable[[], object], what: str, timeout: float = 120) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}\n{self.log_file.read_text(encoding='utf-8')[-4000:]}")
            time.sleep(0.05)

    def wait_for_state(self, output: str, *states: str, timeout: float = 120) -> dict[str, Any]:
        self.wait_for(lambda: self.status(output).get("state") in states, f"{output} never became {states}: {self.status(output)}", timeout)
        return self.status(output)

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """Return the log lines so far, those of the event `name` if given; not the last one while it is being written."""
        text = self.log_file.read_text(encoding="utf-8", errors="replace")
        lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.startswith("{") and line.endswith("\n")]
        return [line for line in lines if name is None or line["event"] == name]


def children_of(pid: int) -> list[int]:
    """Return the processes whose parent is `pid`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            if int(stat.rpartition(")")[2].split()[1]) == pid:
                found.append(int(entry.name))
    return found


def kill(pid: int) -> None:
    """Kill a process; one that has just ended is fine."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def is_running(pid: int) -> bool:
    """Return whether there is such a process; one that has ended and was not reaped has no command line."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except (FileNotFoundError, ProcessLookupError):
        return False
