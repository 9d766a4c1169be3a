"""The installed service in the box: how tests configure it, query it, and wait for it."""

import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.box.machine import Machine, wait_until

UNIT: Final = "heygem.service"
DROP_INS: Final = f"/etc/systemd/system/{UNIT}.d"
INBOX: Final = "/srv/heygem/inbox"
FINISHED: Final = frozenset({"succeeded", "partial", "failed", "rejected", "cancelled"})

Entry = dict[str, Any]


@dataclass(kw_only=True)
class Box:
    """`machine` is on while tests run; what it binds lies under `folder`, so that results can be looked at from outside."""

    machine: Machine
    folder: Path

    @property
    def inbox(self) -> Path:
        return self.folder / "srv" / "inbox"

    @property
    def outputs(self) -> Path:
        return self.folder / "srv" / "outputs"

    def run(self, *command: str, check: bool = True, timeout: float = 60, text: str | None = None) -> subprocess.CompletedProcess[str]:
        return self.machine.run(*command, check=check, timeout=timeout, text=text)

    def write(self, path: str, text: str) -> None:
        self.run("mkdir", "-p", str(Path(path).parent))
        self.run("tee", path, text=text)

    # -- systemd ---------------------------------------------------------------------------------------------------

    def show(self, *properties: str, unit: str = UNIT) -> Mapping[str, str]:
        """Return properties of a unit."""
        shown = self.run("systemctl", "show", unit, *(word for name in properties for word in ("-p", name))).stdout
        return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)

    def pid(self, unit: str = UNIT) -> int:
        """Return the main process, by its number in the box; 0 without one."""
        return int(self.show("MainPID", unit=unit)["MainPID"])

    def children(self, pid: int) -> list[int]:
        return [int(word) for word in self.run("pgrep", "-P", str(pid), check=False).stdout.split()]

    def signal(self, pid: int, name: str) -> None:
        self.run("kill", "-s", name, str(pid))

    @contextmanager
    def drop_in(self, name: str, *lines: str) -> Iterator[None]:
        """Settings of the unit that hold from the next start, while the block runs."""
        path = f"{DROP_INS}/{name}.conf"
        self.write(path, "\n".join(("[Service]", *lines, "")))
        self.run("systemctl", "daemon-reload")
        try:
            yield
        finally:
            self.run("rm", "-f", path)
            self.run("systemctl", "daemon-reload")

    def start(self) -> None:
        self.run("systemctl", "reset-failed", UNIT, check=False)
        started = self.run("systemctl", "start", UNIT, check=False)
        assert started.returncode == 0, self.diagnosis()

    # -- the journal -----------------------------------------------------------------------------------------------

    def journal(self, *matches: str, after: float = 0.0) -> list[Entry]:
        """Return entries, the oldest first; those `after` a time of day, in s."""
        self.run("journalctl", "--sync")
        lines = self.run("journalctl", "--output=json", "--all", "--no-pager", *matches, check=False).stdout
        entries = [json.loads(line) for line in lines.splitlines()]
        return [entry for entry in entries if int(entry["__REALTIME_TIMESTAMP"]) > after * 1e6]

    def events(self, event: str, *matches: str, after: float = 0.0) -> list[Entry]:
        return self.journal(f"HEYGEM_EVENT={event}", *matches, after=after)

    # -- jobs ------------------------------------------------------------------------------------------------------

    def status(self, name: str | None = None) -> Entry:
        """Return the status file of a job, or the daemon's own; {} while there is none."""
        path = self.outputs / name / "status.json" if name else self.outputs / "status.json"
        try:
            found: Entry = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return found

    def state(self, name: str) -> str:
        return str(self.status(name).get("state", ""))

    def wait_for_state(self, name: str, *states: str, timeout: float = 120) -> Entry:
        """Wait until a job has one of these states; fails at once where it has ended otherwise."""
        wanted = f"{name} did not become {' or '.join(states)}"
        self.until(lambda: self.state(name) in FINISHED.union(states), timeout, wanted, name)
        status = self.status(name)
        assert status["state"] in states, f"{wanted}\n{self.diagnosis(name)}"
        return status

    def wait_for_event(self, event: str, name: str, timeout: float = 90) -> Entry:
        """Wait for the first entry of that event about the job `name`."""
        found: list[Entry] = self.until(lambda: self.events(event, f"HEYGEM_JOB={name}"), timeout, f"no {event} of {name}", name)
        return found[0]

    def claimed(self, name: str) -> Path:
        """Return the folder in which the drop of a claimed job lies."""
        return self.inbox / ".heygem" / "claimed" / str(self.status(name)["job"]) / name

    def cancel(self, name: str) -> None:
        (self.inbox / f"{name}.cancel").touch()
        self.wait_for_state(name, *FINISHED, timeout=30)

    # -- waiting ---------------------------------------------------------------------------------------------------

    def until(self, condition: Callable[[], Any], timeout: float, what: str, job: str | None = None) -> Any:
        """Return the first true value of `condition()`. A failure shows what the box was doing."""
        try:
            return wait_until(condition, timeout, what, pause=0.1)
        except TimeoutError as late:
            raise AssertionError(f"{late}\n{self.diagnosis(job)}") from None

    def diagnosis(self, job: str | None = None) -> str:
        """Return what an administrator would look at first."""
        status = self.run("systemctl", "status", UNIT, "--no-pager", "--lines=0", check=False).stdout
        tail = self.run("journalctl", "--no-pager", "--lines=60", "--output=short-monotonic", check=False).stdout
        return f"{status}\n{json.dumps(self.status(job), indent=1)}\n{tail}"


def digests(folder: Path) -> Mapping[str, str]:
    """Return the SHA-256 of every file under a folder, by its path in it."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
