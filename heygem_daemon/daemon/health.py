"""Decide whether the daemon works: every part that a restart would repair must have succeeded recently."""

from dataclasses import dataclass, field
from typing import Final

from heygem_daemon.core.ports import Clock

VITAL: Final = frozenset({"scan", "workers", "queue", "ledger"})
"""Only these count: a file that makes another part fail again and again would fail it after a restart too, and each restart costs the
running results an attempt."""


@dataclass(kw_only=True)
class Health:
    """A vital part fails when it has not succeeded for `timeout` s. What is late for a reason (a full disk, a share that is away) does
    not fail. The clock is read at every call: a tick may take long."""

    clock: Clock
    timeout: float = 30.0
    _succeeded_at: dict[str, float] = field(default_factory=dict)

    def tried(self, part: str) -> None:
        """Note that a part began; its first time limit begins with its first try."""
        if part in VITAL:
            self._succeeded_at.setdefault(part, self.clock.now().monotonic)

    def succeeded(self, part: str) -> None:
        if part in VITAL:
            self._succeeded_at[part] = self.clock.now().monotonic

    def failing(self) -> list[str]:
        """Return a description of each part that has not succeeded for too long."""
        now = self.clock.now().monotonic
        return [f"{part}: nothing for {now - since:.0f} s" for part, since in self._succeeded_at.items() if now - since >= self.timeout]
