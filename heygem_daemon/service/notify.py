"""Notify the service manager of our state: sd_notify(3), rate-limited, however often the methods are called."""

import os
import time
from collections.abc import Callable, Mapping
from typing import Final

from heygem_daemon.core.names import escape_name
from heygem_daemon.service.systemd import notify

STATUS_SECONDS: Final = 1.0
"""The least time between two status lines."""
KEEPALIVES_PER_WATCHDOG_TIME: Final = 4
"""WATCHDOG=1 messages per watchdog time: two may be late or lost before anything happens."""
ALARM_FRACTION: Final = 0.75
SHORTEST_ALARM: Final = 5.0
"""s. The alarm writes where every thread is, which may end the process while they run: it is for one that hangs, and is killed anyway."""
MAX_STATUS_LENGTH: Final = 400
"""Characters; systemd discards messages of more than 4096 bytes."""


class SystemdNotifier:
    """The `ServiceNotifier` port. Without `$NOTIFY_SOCKET` every call does nothing. To be called from one thread.

    `clock` is the monotonic clock in seconds (CLOCK_MONOTONIC, which is what systemd compares with).
    """

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        pid: int | None = None,
        alarm: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        """alarm: called with each WATCHDOG=1; sets a timer of so many seconds, which ends before systemd's watchdog time does."""
        environment = os.environ if environment is None else environment
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._clock = clock
        self._alarm = alarm
        self.watchdog_seconds = _watchdog_seconds(environment, os.getpid() if pid is None else pid)
        """Time without WATCHDOG=1 after which systemd restarts us, in s; None without a watchdog."""
        self._alive_at: float | None = None
        self._phase, self._is_phase_sent = "", True
        self._line, self._sent_line = "", ""
        self._sent_at: float | None = None

    def ready(self) -> None:
        self._set_phase("READY=1")

    def reloading(self) -> None:
        self._set_phase(f"RELOADING=1\nMONOTONIC_USEC={round(self._clock() * 1e6)}")

    def stopping(self) -> None:
        self._set_phase("STOPPING=1")

    def status(self, line: str) -> None:
        self._line = escape_name(line)[:MAX_STATUS_LENGTH]  # a line break in a name would be a message of its own
        self._send_pending()

    def alive(self) -> None:
        self._send_pending()
        if self.watchdog_seconds is None:
            return
        now = self._clock()
        if (self._alive_at is None or now - self._alive_at >= self.watchdog_seconds / KEEPALIVES_PER_WATCHDOG_TIME) and self._send(
            "WATCHDOG=1"
        ):
            self._alive_at = now
            if self.watchdog_seconds * ALARM_FRACTION >= SHORTEST_ALARM:
                self._alarm(self.watchdog_seconds * ALARM_FRACTION)

    def _set_phase(self, phase: str) -> None:
        if phase != self._phase:
            self._phase, self._is_phase_sent = phase, False
        self._send_pending()

    def _send_pending(self) -> None:
        """Send what was delayed or not accepted: the phase at once, the status line at most every STATUS_SECONDS."""
        if not self._is_phase_sent:
            self._is_phase_sent = self._send(self._phase)
        now = self._clock()
        is_due = self._sent_at is None or now - self._sent_at >= STATUS_SECONDS
        if self._line != self._sent_line and is_due and self._send(f"STATUS={self._line}"):
            self._sent_line, self._sent_at = self._line, now

    def _send(self, message: str) -> bool:
        return bool(self._address) and notify(self._address, message)


def _watchdog_seconds(environment: Mapping[str, str], pid: int) -> float | None:
    """Return `$WATCHDOG_USEC` in seconds if it is meant for this process, as sd_watchdog_enabled(3) does."""
    usec, meant = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", str(pid))
    return int(usec) / 1e6 if usec.isdecimal() and int(usec) > 0 and meant == str(pid) else None
