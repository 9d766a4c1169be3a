"""Check this machine: programs, the journal, the ledger's lock, the configuration file."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from heygem_daemon.cli.checks import rights
from heygem_daemon.cli.checks.finding import Finding, fault, note, ok
from heygem_daemon.cli.checks.identity import Identity

JOURNAL_SOCKET: Final = Path("/run/systemd/journal/socket")
LOCKS: Final = Path("/proc/locks")
_SECONDS: Final = 20.0


def programs(me: Identity) -> Iterator[Finding]:
    for name in ("ffmpeg", "ffprobe"):
        yield _program(name, me)


def _program(name: str, me: Identity) -> Finding:
    install = me.command(("apt-get", "install", "ffmpeg"))
    path = shutil.which(name)
    if path is None:
        return fault(f"{name} is not installed", install)
    try:
        lines = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=_SECONDS, check=True).stdout.splitlines()
    except (OSError, subprocess.SubprocessError) as problem:
        return fault(f"{path} cannot be used: {problem}", install.replace(" install ", " install --reinstall "))
    return ok(" ".join(lines[0].split()[:3]) if lines else path)


def journal(log_format: str) -> Finding:
    """Check that there is a journal to write to; its absence is an error only where the configuration demands it."""
    if JOURNAL_SOCKET.is_socket():
        return ok(f"journal: {JOURNAL_SOCKET}")
    what = f"no journal here ({JOURNAL_SOCKET} is not there)"
    if log_format == "journal":
        return fault(f"{what}, and log.format demands it: messages are lost", 'Set format = "auto" under [log] in heygem.toml')
    return note(f"{what}: the service would write JSON lines")


def configuration(path: Path | None, me: Identity) -> Iterator[Finding]:
    """Check the configuration file in force. Whoever can write it can make the daemon run programs (hooks)."""
    if path is None:
        yield note("no configuration file: the defaults hold, with those of the environment and the command line")
        return
    title = f"configuration {path}"
    try:
        path.read_bytes()
        found = rights.rights_of(path)
        above = rights.rights_of(path.parent)
    except OSError as problem:
        group = ("chgrp", str(me.gid), str(path))
        yield fault(f"{me.name} cannot read the {title}: {problem.strerror}", me.command(group, ("chmod", "g+r", str(path))))
        return
    yield from rights.private_findings(title, path, found, me, is_vital=True)
    yield from (each for each in rights.private_findings(f"the folder {path.parent}", path.parent, above, me, is_vital=True) if each.fix)


def ledger_lock(state: Path, locks: Path = LOCKS) -> Iterator[Finding]:
    """Find the daemon that uses the state folder, in the kernel's table: trying the lock could keep a daemon that starts now from it."""
    try:
        found = (state / "daemon.lock").stat()
        process_id = (state / "daemon.lock").read_text(encoding="ascii").strip()
        lines = locks.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return
    holders = [
        fields[4] for line in lines if (fields := line.split())[1:4] == ["FLOCK", "ADVISORY", "WRITE"] and _is_lock(fields[5], found)
    ]
    if holders:
        yield note(f"a daemon (process {process_id or holders[0]}) is using {state}")


def _is_lock(device_and_inode: str, found: os.stat_result) -> bool:
    """Return whether a row of /proc/locks, "major:minor:inode" in hexadecimal and decimal, is about this file."""
    major, minor, inode = device_and_inode.split(":")
    return (int(major, 16), int(minor, 16), int(inode)) == (os.major(found.st_dev), os.minor(found.st_dev), found.st_ino)
