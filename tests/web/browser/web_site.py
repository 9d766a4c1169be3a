"""A small installation whose page runs as a process of its own, beside the real daemon."""

import signal
import socket
import sqlite3
import subprocess
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import httpx
import psutil

from heygem_daemon.core.job import Job
from heygem_daemon.ledger.sqlite import SqliteLedger
from tests.e2e.site import Site


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


@dataclass(kw_only=True)
class WebSite(Site):
    """The same, with the page on a free port. `web`: further lines of [web]; `variables`: further settings, as in the environment."""

    web: str = ""
    port: int = field(default_factory=free_port)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def page_log(self) -> Path:
        return self.folder / "page.log"

    @property
    def web_state(self) -> Path:
        return self.folder / "web-state"

    def __enter__(self) -> Self:
        self.settings += f'[web]\nport = {self.port}\nstate = "{self.web_state}"\n{self.web}'
        super().__enter__()
        for path in (self.log_file, self.page_log):
            path.touch()
        self.web_state.mkdir()
        return self

    def start_page(self) -> subprocess.Popen[bytes]:
        """Start `heygem web`; it answers on return."""
        with self.page_log.open("ab") as log:
            process = subprocess.Popen(self.command("web"), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._processes.append(process)
        self.wait_for(lambda: self._answers(process), "the page did not come up", timeout=60)
        return process

    def _answers(self, process: subprocess.Popen[bytes]) -> bool:
        if process.poll() is not None:
            raise AssertionError(f"`heygem web` ended with {process.returncode}:\n{self.page_log.read_text(encoding='utf-8')[-4000:]}")
        try:
            return httpx.get(f"{self.address}/api/v1/health", timeout=5).is_success
        except httpx.TransportError:
            return False

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """End a process as a crash does."""
        process.send_signal(signal.SIGKILL)
        process.wait(60)

    def command_of_page(self, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run `heygem web ARGUMENTS`, e.g. to add a user; `text` is typed into it."""
        command = self.command("web", *arguments)
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=True)

    def add_user(self, name: str, password: str, *options: str) -> None:
        self.command_of_page("user", "add", name, *options, text=f"{password}\n{password}\n")

    # -- looking ------------------------------------------------------------------------------------------------------

    def client(self, headers: Mapping[str, str] | None = None) -> httpx.Client:
        """Return a client of the HTTP interface, as a script is one."""
        return httpx.Client(base_url=f"{self.address}/api/v1", headers=dict(headers or {}), timeout=60)

    def ledger(self) -> list[Job]:
        """Return the newest jobs of the ledger, read from a copy: the daemon goes on with its own."""
        path, copy = self.folder / "state" / "ledger.sqlite3", self.folder / "ledger-copy"
        if not path.exists():
            return []
        copy.unlink(missing_ok=True)
        with (
            closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as living,
            closing(sqlite3.connect(copy)) as target,
        ):
            living.backup(target)
        ledger = SqliteLedger(copy, repair=False)
        try:
            return list(ledger.recent(100))
        finally:
            ledger.close()

    def job(self, name: str) -> Job | None:
        """Return the newest job of this name, as the ledger has it."""
        return next((job for job in self.ledger() if job.name == name), None)

    def wait_for_job(self, name: str, condition: Callable[[Job], bool], what: str, timeout: float = 60) -> None:
        """Wait until the ledger has the newest job of this name as `condition` wants it."""

        def found() -> bool:
            job = self.job(name)
            return job is not None and condition(job)

        self.wait_for(found, f"{name}: {what} did not reach the ledger", timeout)

    def drops(self) -> list[str]:
        """Return the names of the folders in the inbox that a person sees."""
        return sorted(path.name for path in self.inbox.iterdir() if path.is_dir() and not path.name.startswith((".", "_")))

    def uploads(self) -> list[Path]:
        """Return every file of unfinished uploads."""
        return sorted(path for path in (self.inbox / ".heygem-uploads").rglob("*") if path.is_file())


def resident_bytes(process: subprocess.Popen[bytes]) -> tuple[int, int]:
    """Return the memory of a process, and of its children together."""
    root = psutil.Process(process.pid)
    children = 0
    for each in root.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            children += each.memory_info().rss
    return root.memory_info().rss, children
