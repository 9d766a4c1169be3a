"""Checks of processes that a test did not start itself."""

import time
from pathlib import Path

_DEADLINE_SECONDS = 60.0
"""How long a test waits before it fails."""


def is_alive(pid: int) -> bool:
    """Return whether the process exists and is not merely a zombie that its new parent has not reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_gone(pid: int, seconds: float = _DEADLINE_SECONDS) -> None:
    """Wait until the process has ended."""
    deadline = time.monotonic() + seconds
    while is_alive(pid):
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.01)


def read_line_soon(path: Path, seconds: float = _DEADLINE_SECONDS) -> str:
    """Wait until the file holds a whole line; return it without the newline."""
    deadline = time.monotonic() + seconds
    while not (path.exists() and path.read_text(encoding="ascii").endswith("\n")):
        assert time.monotonic() < deadline, f"nothing in {path}"
        time.sleep(0.01)
    return path.read_text(encoding="ascii").rstrip("\n")
