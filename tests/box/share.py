"""The network share of the box, and people on other computers who copy to it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.box.box import Box
from tests.box.machine import wait_until

USER: Final = "anna"
PASSWORD: Final = "secret"  # noqa: S105 - of a user who lives as long as the box
SMB_PORT: Final = 445
HERE: Final = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Share:
    """smbd in the box with the example configuration. Clients run outside: killed for real, and with files of their own."""

    box: Box
    inbox: str = "inbox"
    outputs: str = "outputs"

    def open(self, configuration: str) -> None:
        """Do what the administrator does: a user in the group of the service, its password, the configuration, smbd."""
        self.box.write("/etc/samba/smb.conf", configuration)
        self.box.run("useradd", "--no-create-home", "--shell", "/usr/sbin/nologin", "--groups", "heygem-users", USER)
        self.box.run("smbpasswd", "-s", "-a", USER, text=f"{PASSWORD}\n{PASSWORD}\n")
        self.start()

    def start(self) -> None:
        self.box.run("systemctl", "start", "smbd")

    def command(self, share: str, words: str, port: int = SMB_PORT) -> tuple[str, ...]:
        return self.box.machine.outside(
            "smbclient", f"//127.0.0.1/{share}", "--port", str(port), "--user", f"{USER}%{PASSWORD}", "--timeout", "600", "--command", words
        )

    def do(self, share: str, words: str, port: int = SMB_PORT, timeout: float = 120) -> str:
        """Run a line of smbclient's commands to its end."""
        done = subprocess.run(self.command(share, words, port), check=False, capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def put(self, folder: Path, port: int = SMB_PORT) -> None:
        """Copy a whole folder into the inbox."""
        self.do(self.inbox, put_words(folder), port)

    @contextmanager
    def putting(self, folder: Path, port: int = SMB_PORT) -> Iterator[subprocess.Popen[bytes]]:
        """The same, under way while the block runs; killed at its end where it has not finished."""
        client = subprocess.Popen(self.command(self.inbox, put_words(folder), port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield client
        finally:
            client.kill()
            client.wait(10)

    def get(self, share: str, name: str, into: Path) -> Path:
        """Fetch one file."""
        target = into / Path(name).name
        self.do(share, f'get "{name}" "{target}"')
        return target

    @contextmanager
    def slow_link(self, rate: int, *, freeze_after: int = 0, port: int = 10445) -> Iterator[int]:
        """A link to the share that carries `rate` bytes/s and, after `freeze_after` bytes, nothing more; gives its port."""
        words = (str(HERE / "link.py"), str(port), str(SMB_PORT), str(rate), str(freeze_after))
        link = subprocess.Popen(self.box.machine.outside(sys.executable, *words), stdout=subprocess.PIPE)
        try:
            assert link.stdout is not None
            assert link.stdout.readline() == b"listening\n"
            yield port
        finally:
            link.kill()
            link.communicate(timeout=10)

    def explorer_copies(self, folder: Path, pause: float) -> subprocess.Popen[bytes]:
        """Begin to copy a folder as Windows Explorer does, resting `pause` s before every piece."""
        words = (str(HERE / "explorer.py"), self.inbox, str(folder), str(pause), USER, PASSWORD)
        return subprocess.Popen(self.box.machine.outside(sys.executable, *words), stdin=subprocess.DEVNULL)


def put_words(folder: Path) -> str:
    return f'prompt; recurse; lcd "{folder.parent}"; mput "{folder.name}"'


def total_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def set_old_times(folder: Path, when: float = 1_577_934_245.0) -> None:
    """As if the files had been made long ago."""
    for path in folder.rglob("*"):
        os.utime(path, (when, when))


def arrived_bytes(folder: Path) -> int:
    """Return how much of a drop is on the disk of the server: allocated blocks, for the size may be promised in advance."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file()) if folder.exists() else 0


def wait_for_arrival(folder: Path, at_least: int, timeout: float = 60) -> None:
    wait_until(lambda: arrived_bytes(folder) >= at_least, timeout, f"{at_least} bytes did not arrive in {folder}", 0.02)
