"""Notice whatever opens a secret file or connects to us, and how much memory the descendants of a process take."""

import ctypes
import os
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.prove.hostile_files import Bait

_IN_ACCESS: Final = 0x1
_IN_OPEN: Final = 0x20
_NONBLOCK: Final = 0o4000
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_POLL_SECONDS: Final = 0.02


class WatchedBait:
    """A secret file and a port, watched while the `with` block runs. touched: what happened to them, in words; nothing should."""

    def __init__(self, folder: Path) -> None:
        self.secret = folder / "secret-4711.mp4"
        self.secret.write_bytes(b"SECRET CONTENT " * 500)
        self._libc = ctypes.CDLL(None, use_errno=True)

    def __enter__(self) -> Self:
        self._listening = [socket.socket(socket.AF_INET, socket.SOCK_STREAM), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)]
        self._listening[0].bind(("127.0.0.1", 0))
        port = self._listening[0].getsockname()[1]
        self._listening[1].bind(("127.0.0.1", port))
        self._listening[0].listen()
        for each in self._listening:
            each.setblocking(False)
        self.bait = Bait(secret=self.secret, port=port)
        self._events = self._libc.inotify_init1(_NONBLOCK)
        assert self._events >= 0
        watch = self._libc.inotify_add_watch(self._events, os.fsencode(self.secret), ctypes.c_uint32(_IN_OPEN | _IN_ACCESS))
        assert watch >= 0
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._events)
        for each in self._listening:
            each.close()

    def touched(self) -> list[str]:
        """Return what has happened to the file and to the port since the last call."""
        found: list[str] = []
        with suppress(BlockingIOError):
            while events := os.read(self._events, 4096):
                found.append(f"the secret file was opened or read ({struct.unpack_from('iI', events)[1]:#x})")
        with suppress(BlockingIOError):
            while True:
                self._listening[0].accept()[0].close()
                found.append("somebody connected")
        with suppress(BlockingIOError):
            found.append(f"somebody sent {self._listening[1].recv(4096)[:20]!r}")
        return found


@dataclass(kw_only=True)
class MemoryWatch:
    """The largest resident memory of all descendants of this process together, in bytes, sampled while the `with` block runs."""

    highest: int = 0
    _is_over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def restart(self) -> None:
        """Forget what was measured so far."""
        self.highest = 0

    def _sample(self) -> None:
        while not self._is_over.wait(_POLL_SECONDS):
            self.highest = max(self.highest, sum(map(_resident, _descendants(os.getpid()))))


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                found += [int(child), *_descendants(int(child))]
    return found


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0
