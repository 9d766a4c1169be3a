"""A systemd-journald of our own: run a command with it, in namespaces of its own, and keep what it wrote.

    python private_journal.py DIRECTORY COMMAND...

The machine's /run stays untouched: within the namespaces it is an empty tmpfs. Afterwards `journalctl --directory` reads DIRECTORY.
Needs root, and the programs of systemd; not a running systemd.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

JOURNALD: Final = Path("/lib/systemd/systemd-journald")
SOCKETS: Final = Path("/run/systemd/journal")
CONFIGURATION: Final = """[Journal]
Storage=volatile
RateLimitIntervalSec=0
ReadKMsg=no
Audit=no
ForwardToSyslog=no
ForwardToConsole=no
ForwardToWall=no
"""
ISOLATED: Final = ("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--mount-proc", "--kill-child=KILL")
BOOT_SECONDS: Final = 20.0


def why_not() -> str:
    """Return why there can be no journald of our own here, "" where there can."""
    if os.geteuid() != 0:
        return "a private journald needs root"
    if not JOURNALD.exists():
        return f"systemd is not installed: {JOURNALD} is missing"
    tried = subprocess.run((*ISOLATED, "true"), capture_output=True, text=True, check=False, timeout=30)
    return f"namespaces are not allowed here: {tried.stderr.strip()}" if tried.returncode else ""


def with_journal(directory: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run the command beside a journald that writes into this directory; its output comes back."""
    inner = (*ISOLATED, sys.executable, str(Path(__file__).resolve()), str(directory), *command)
    return subprocess.run(inner, capture_output=True, text=True, check=False, timeout=120)


def _main(directory: str, *command: str) -> int:
    subprocess.run(("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"), check=True)
    for folder in (SOCKETS, SOCKETS.parent / "journald.conf.d", Path("/run/log/journal")):
        folder.mkdir(parents=True)
    subprocess.run(("mount", "--bind", directory, "/run/log/journal"), check=True)
    (SOCKETS.parent / "journald.conf.d" / "test.conf").write_text(CONFIGURATION, encoding="utf-8")
    with subprocess.Popen((str(JOURNALD),), stderr=subprocess.DEVNULL) as journald:
        deadline = time.monotonic() + BOOT_SECONDS
        while not ((SOCKETS / "socket").is_socket() and (SOCKETS / "stdout").is_socket()):
            if journald.poll() is not None or time.monotonic() > deadline:
                print("journald did not start", file=sys.stderr)  # noqa: T201  (the caller reads it)
                return 70
            time.sleep(0.01)
        code = subprocess.run(command, check=False).returncode
        journald.terminate()  # writes what it still has
    return code


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
