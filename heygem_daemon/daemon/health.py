"""Whether the daemon is really at work: what a restart would mend has to have succeeded a short while ago."""

from dataclasses import dataclass, field
from typing import Final

VITAL: Final = frozenset({"scan", "workers", "queue", "ledger"})
"""Only these count: a file that makes another part fail again and again would fail it after a restart too, and each restart costs the
running results an attempt."""


@dataclass(kw_only=True)
class Health:
    """A vital part that has failed for `patience` s ails. What is late for a reason (a full disk, a share that is away) does not fail."""

    patience: float = 30.0
    _well: dict[str, float] = field(default_factory=dict)

    def tried(self, part: str, now: float) -> None:
        """A part began; the first time, its patience begins too."""
        if part in VITAL:
            self._well.setdefault(part, now)

    def succeeded(self, part: str, now: float) -> None:
        if part in VITAL:
            self._well[part] = now

    def ailing(self, now: float) -> list[str]:
        """Return the parts that have not succeeded for too long, in words."""
        return [f"{part}: nothing for {now - since:.0f} s" for part, since in self._well.items() if now - since >= self.patience]
