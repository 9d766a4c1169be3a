"""Send to the two sockets of systemd: the journal's, through systemd-python, and the service manager's.

systemd-python may be missing (it is built from source): then nothing is sent to the journal, and the log writes JSON lines instead.
"""

import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

try:
    from systemd import journal  # type: ignore[attr-defined]  # mypy takes the folder of the unit files for this package
except ImportError:
    journal = None

JOURNAL_SOCKET: Final = Path("/run/systemd/journal/socket")


def journal_is_there() -> bool:
    """Return whether an entry can be sent to the journal now."""
    return journal is not None and _is_socket(JOURNAL_SOCKET)


def send_to_journal(fields: Mapping[str, str]) -> bool:
    """Send one entry; return whether it arrived.

    Without its socket sd_journal_sendv(3) loses the entry and reports success, so the socket is checked each time. `sendv` and not
    `send`: the latter adds the calling line of code, which is always the same line of ours.
    """
    if not journal_is_there():
        return False
    try:
        journal.sendv(*(f"{name}={value}" for name, value in fields.items()))
    except OSError:
        return False
    return True


def is_journal_stream(descriptor: int, journal_stream: str) -> bool:
    """Return whether systemd connected this file descriptor to the journal: `$JOURNAL_STREAM` is its "device:inode"."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return False
    return journal_stream == f"{found.st_dev}:{found.st_ino}"


def notify(address: str, message: str) -> bool:
    """Send one message of sd_notify(3) to `$NOTIFY_SOCKET`; return whether it was accepted. Never waits, never raises.

    The protocol is one datagram. sd_notify itself would wait while the manager is busy and its queue full, which the daemon must not.
    """
    target = "\0" + address[1:] if address.startswith("@") else address
    if not target.startswith(("/", "\0")):
        return False
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as link:
            link.sendto(message.encode(errors="replace"), target)
    except OSError:
        return False
    return True


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False
