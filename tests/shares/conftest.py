"""A real smbd with the example configuration as it stands; the accounts and /srv/heygem that it names exist for it alone."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.shares.people import ALICE, BEN, HEYGEM, STRANGER, USERS_GROUP

PASSWORD = "a password"  # noqa: S105 - of people who live as long as a test
APART = Path(__file__).with_name("apart.py")
UMASK = 0o007
"""Of systemd/heygem.service."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """A machine with the folders of an installation, which commands that run `apart` see as /srv/heygem."""

    root: Path

    @property
    def inbox(self) -> Path:
        return self.root / "srv/inbox"

    @property
    def outputs(self) -> Path:
        return self.root / "srv/outputs"

    def apart(self, *command: str) -> tuple[str, ...]:
        return (sys.executable, str(APART), str(self.root / "passwd"), str(self.root / "group"), str(self.root / "srv"), *command)

    def clear(self) -> None:
        """Take everything out of the inbox and the outputs but the marker."""
        for folder in (self.inbox, self.outputs):
            subprocess.run(["find", str(folder), "-mindepth", "1", "!", "-name", ".heygem-inbox", "-delete"], check=True)

    def run(self, *command: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.apart(*command), input=text, capture_output=True, text=True, timeout=60, check=False)


@dataclass(frozen=True, kw_only=True)
class Share:
    """The share as clients see it."""

    site: Site
    port: int

    def command(self, share: str, words: str, user: str = "alice") -> tuple[str, ...]:
        return ("smbclient", f"//127.0.0.1/{share}", "--port", str(self.port), "--user", f"{user}%{PASSWORD}", "--command", words)

    def ask(self, share: str, words: str, user: str = "alice") -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        return subprocess.run(self.command(share, words, user), capture_output=True, text=True, timeout=60, check=False, env=environment)

    def do(self, share: str, words: str, user: str = "alice") -> str:
        """Run a line of smbclient's commands; every one of them must succeed."""
        done = self.ask(share, words, user)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "NT_STATUS" not in done.stdout, done.stdout
        return done.stdout


@pytest.fixture(scope="module")
def site(root: Path) -> Iterator[Site]:
    """Folders and accounts as an installation has them, with three people: alice and ben may use the share, stranger may not."""
    if os.geteuid() != 0:
        pytest.skip("smbd needs root")
    with TemporaryDirectory() as name:
        made = Site(root=Path(name))
        made.root.chmod(0o755)
        (made.root / "srv").mkdir()
        _write_accounts(made.root)
        tried = made.run("true")
        if tried.returncode != 0:
            pytest.skip(f"no mount namespaces here: {tried.stderr}")
        rules = root / "systemd/heygem.tmpfiles"
        done = made.run("systemd-tmpfiles", "--create", "--prefix=/srv/heygem", str(rules))
        assert done.returncode == 0, done.stderr
        (made.inbox / ".heygem-inbox").touch()
        yield made


def _write_accounts(folder: Path) -> None:
    people = (HEYGEM, ALICE, BEN, STRANGER)
    others = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"
    (folder / "passwd").write_text(others + "".join(f"{each.name}:x:{each.uid}:{each.groups[0]}::/:/bin/false\n" for each in people))
    groups = [f"{each.name}:x:{each.groups[0]}:\n" for each in people]
    members = ",".join(each.name for each in people if USERS_GROUP in each.groups)
    (folder / "group").write_text("".join(("root:x:0:\nnogroup:x:65534:\n", *groups, f"heygem-users:x:{USERS_GROUP}:{members}\n")))


@pytest.fixture(scope="module")
def share(site: Site, root: Path) -> Iterator[Share]:
    """The example configuration served on a free port, as the file stands."""
    with serving(site, root / "config/smb.conf.example") as served:
        yield served


@contextmanager
def serving(site: Site, config: Path) -> Iterator[Share]:
    """Serve this configuration to all people on a free port."""
    options = _own_places(site.root / "samba")
    for person in (ALICE, BEN, STRANGER):
        added = site.run("pdbedit", "-s", str(config), *options, "-a", "-t", "-u", person.name, text=f"{PASSWORD}\n{PASSWORD}\n")
        assert added.returncode == 0, added.stdout + added.stderr
    port = _free_port()
    command = ("smbd", "--foreground", "--no-process-group", f"--configfile={config}", *options, f"--option=smb ports={port}")
    server = subprocess.Popen(site.apart(*command), start_new_session=True, stdin=subprocess.DEVNULL)
    try:
        _wait_for(port, server)
        yield Share(site=site, port=port)
    finally:
        os.killpg(server.pid, 15)
        server.wait(60)


def _own_places(folder: Path) -> list[str]:
    """Return the options that keep this Samba out of the folders of the machine's own."""
    kinds = {"private dir": "private", "lock directory": "lock", "state directory": "state", "cache directory": "cache"}
    kinds |= {"pid directory": "pid", "ncalrpc dir": "ncalrpc"}
    for name in kinds.values():
        (folder / name).mkdir(parents=True)
    own = {name: str(folder / each) for name, each in kinds.items()} | {"log file": str(folder / "log"), "interfaces": "lo"}
    return [f"--option={name}={value}" for name, value in {**own, "bind interfaces only": "yes"}.items()]


def _free_port() -> int:
    """Return a port that the kernel gives to nobody by itself, another one for every process that runs tests."""
    for port in range(20_000 + os.getpid() % 10_000, 32_000):
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def _wait_for(port: int, server: subprocess.Popen[bytes], seconds: float = 60) -> None:
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        assert server.poll() is None, "smbd ended"
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError("smbd does not listen")
