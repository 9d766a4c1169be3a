"""Check the systemd service: is it installed, does it run, and does its sandbox let it write where the configuration demands?"""

import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from shlex import quote, split
from typing import Final

from heygem_daemon.cli.checks.directories import Directory, Role
from heygem_daemon.cli.checks.finding import Finding, fault, note, ok, warning
from heygem_daemon.cli.checks.identity import Identity

UNIT: Final = "heygem.service"
_PROPERTIES: Final = (
    "LoadState",
    "ActiveState",
    "User",
    "ProtectSystem",
    "ProtectHome",
    "ReadWritePaths",
    "StateDirectory",
    "CacheDirectory",
)
_SECONDS: Final = 10.0
_HOMES: Final = (Path("/home"), Path("/root"), Path("/run/user"))
_OWN: Final = {"StateDirectory": Path("/var/lib"), "CacheDirectory": Path("/var/cache")}
"""Folders that systemd makes for a unit and lets it write."""
_DROP_IN: Final = f"/etc/systemd/system/{UNIT}.d"


def show_command() -> tuple[str, ...]:
    return ("systemctl", "show", UNIT, *(word for name in _PROPERTIES for word in ("-p", name)))


def properties() -> Mapping[str, str]:
    """Return the unit's properties as systemd knows them; empty where there is no systemd."""
    if shutil.which("systemctl") is None:
        return {}
    try:
        done = subprocess.run(show_command(), capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def findings(unit: Mapping[str, str], directories: Sequence[Directory], me: Identity) -> Iterator[Finding]:
    if unit.get("LoadState") != "loaded":
        yield note("no service here (`make install` installs it)" if unit else "no systemd here")
        return
    yield _activity(unit["ActiveState"], me)
    user = unit.get("User") or "root"
    if user != me.name:
        yield note(f"checked as {me.name}; the service runs as {user}", check_as_command(user, me))
    for directory in directories:
        yield from _sandbox(directory, unit, me)


def check_as_command(user: str, me: Identity) -> str:
    return me.command(("heygem", "check", "--user", user))


def _activity(state: str, me: Identity) -> Finding:
    if state == "failed":
        return warning("the service has failed", f"See why: {me.command(('journalctl', '-u', UNIT, '-e'))}")
    return ok("the service is running") if state == "active" else note(f"the service is {state}", me.command(("systemctl", "start", UNIT)))


def _sandbox(directory: Directory, unit: Mapping[str, str], me: Identity) -> Iterator[Finding]:
    if unit.get("ProtectHome", "no") != "no" and any(directory.path.is_relative_to(home) for home in _HOMES):
        what = f"{directory.title} lies in a home, which the service does not see (ProtectHome)"
        yield fault(what, f"Move it out, for example: {me.command(('mv', str(directory.path), f'/srv/heygem/{directory.path.name}'))}")
    elif directory.role is not Role.WEIGHTS and unit.get("ProtectSystem") == "strict" and not _is_writable(directory.path, unit):
        what = f"the service may not write to {directory.title} (ProtectSystem, ReadWritePaths)"
        yield fault(what, _allow_write_command(directory.path, me))


def _is_writable(path: Path, unit: Mapping[str, str]) -> bool:
    # systemctl shows the list as a shell would take it, signs and all: -/srv/heygem "/data/in box"
    allowed = [Path(word.lstrip("-+")) for word in split(unit.get("ReadWritePaths", ""))]
    allowed += [root / name for key, root in _OWN.items() for name in unit.get(key, "").split()]
    return any(path.is_relative_to(each) for each in allowed)


def _allow_write_command(path: Path, me: Identity) -> str:
    """Return the commands that add a drop-in; what `systemctl edit` would do by hand."""
    sudo = "" if me.is_run_by_root else "sudo "
    line = f'ReadWritePaths="{path}"'.replace("%", "%%")
    return (
        f"{me.command(('mkdir', '-p', _DROP_IN))} && printf '%s\\n' '[Service]' {quote(line)} | {sudo}tee -a {_DROP_IN}/folders.conf"
        f" && {me.command(('systemctl', 'daemon-reload'), ('systemctl', 'restart', UNIT))}"
    )
