"""The service manager's end of sd_notify(3): when a daemon is ready, and the longest time in which it gave no sign of life."""

import os
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final, Self

WATCHDOG_SECONDS: Final = 0.4
"""The daemon sends WATCHDOG=1 at every tick that is a quarter of this later than the last one. An idle tick comes every second."""


@dataclass(kw_only=True)
class HeartbeatWatch:
    """Use as a context manager around a daemon that is started with `environment()`.

    `beats` are the times (monotonic, s) of its WATCHDOG=1 messages, `ready_at` that of READY=1."""

    folder: Path
    beats: list[float] = field(default_factory=list)
    ready_at: float | None = None
    _began: float = 0.0
    _is_over: bool = False

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._path = self.folder / "notify"
        self._path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self._path))
        self._socket.settimeout(0.1)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self.restart()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._thread.join(5)
        self._socket.close()

    def environment(self) -> Mapping[str, str]:
        """Return the environment that makes a daemon notify us."""
        inherited = {name: value for name, value in os.environ.items() if name != "WATCHDOG_PID"}
        return {**inherited, "NOTIFY_SOCKET": str(self._path), "WATCHDOG_USEC": str(round(WATCHDOG_SECONDS * 1e6))}

    def restart(self) -> None:
        """Forget what came so far; call it when a daemon is started."""
        self.beats, self.ready_at, self._began = [], None, time.monotonic()

    @property
    def seconds_to_ready(self) -> float:
        """Return s from the start to READY=1; infinite while it has not come."""
        return float("inf") if self.ready_at is None else self.ready_at - self._began

    def longest_gap(self, since: float | None = None) -> float:
        """Return the longest time in s without a heartbeat until now: since the first one, or since the time `since` (monotonic)."""
        if since is None and not self.beats:
            return float("inf")
        begin = [] if since is None else [since]
        beats = [beat for beat in self.beats if since is None or beat >= since]
        return max(later - earlier for earlier, later in pairwise([*begin, *beats, time.monotonic()]))

    def _listen(self) -> None:
        while not self._is_over:
            with suppress(TimeoutError):
                message = self._socket.recv(8192)
                now = time.monotonic()
                lines = message.split(b"\n")
                if b"WATCHDOG=1" in lines:
                    self.beats.append(now)
                if b"READY=1" in lines and self.ready_at is None:
                    self.ready_at = now
