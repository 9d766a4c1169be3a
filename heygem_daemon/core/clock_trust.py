"""Decide whether the wall clock can be believed when something is deleted because of its age.

A clock that is 40 days ahead makes everything look old enough to go. At a start it looks the same as a computer that was off for so long,
so neither is believed at once: the clock must first go steadily for a day of running, in which a time server corrects a wrong one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Self

from heygem_daemon.core.clock import ClockReading

CONFIRM_SECONDS: Final = 86400.0
"""s of running, of several starts together, after which a clock that has jumped ahead is believed."""
START_TOLERANCE: Final = 86400.0
"""s for which the daemon may have been off without doubt."""
STEP_TOLERANCE: Final = 3600.0
"""s by which a running clock may be put ahead without doubt."""


@dataclass(frozen=True, kw_only=True)
class ClockTrust:
    """What is known of the wall clock: the latest time that it can be by what was believed before (`believed`, a unix time), what it showed
    last (`seen`), and since when (`monotonic`, of this start). `confirmed` is for how many s of running it has gone steadily since it
    jumped ahead, None while it is believed; until then `tolerance` is by how many s it may be ahead to be believed at once: as many as when
    it jumped."""

    believed: float
    seen: float
    monotonic: float
    confirmed: float | None = None
    tolerance: float = START_TOLERANCE

    @classmethod
    def at_start(
        cls,
        now: ClockReading,
        *,
        believed: float | None,
        seen: float | None = None,
        confirmed: float | None = None,
        tolerance: float = START_TOLERANCE,
    ) -> Self:
        """Return what follows from what was known at the end of the last run: `believed` is None where nothing is, and then the clock is
        believed."""
        known = now.wall if believed is None else believed
        last = known if seen is None else seen
        former = cls(believed=known, seen=last, monotonic=now.monotonic, confirmed=confirmed, tolerance=tolerance)
        return former.observe(now, tolerance=START_TOLERANCE)

    def observe(self, now: ClockReading, *, tolerance: float = STEP_TOLERANCE) -> Self:
        """Return what is known after another look at the clocks. A clock that was put back deletes nothing too early, so it is believed."""
        elapsed = max(now.monotonic - self.monotonic, 0.0)
        latest = self.believed + elapsed
        allowed = tolerance if self.is_believed else self.tolerance
        if now.wall <= latest + allowed:
            return replace(self, believed=max(latest, now.wall), seen=now.wall, monotonic=now.monotonic, confirmed=None)
        is_steady = self.confirmed is not None and now.wall <= self.seen + elapsed + tolerance
        confirmed = (self.confirmed or 0.0) + elapsed if is_steady else 0.0
        if confirmed >= CONFIRM_SECONDS:
            return replace(self, believed=now.wall, seen=now.wall, monotonic=now.monotonic, confirmed=None)
        return replace(self, believed=latest, seen=now.wall, monotonic=now.monotonic, confirmed=confirmed, tolerance=allowed)

    @classmethod
    def recalled(cls, now: ClockReading, numbers: Mapping[str, float]) -> Self:
        """Return what follows from the `numbers` of the last run, none of which may be there."""
        tolerance = numbers.get("tolerance", START_TOLERANCE)
        believed, seen, confirmed = (numbers.get(name) for name in ("believed", "seen", "confirmed"))
        return cls.at_start(now, believed=believed, seen=seen, confirmed=confirmed, tolerance=tolerance)

    @property
    def numbers(self) -> Mapping[str, float]:
        """Return what the next run needs to know."""
        known = {"believed": self.believed, "seen": self.seen}
        return known if self.confirmed is None else {**known, "confirmed": self.confirmed, "tolerance": self.tolerance}

    @property
    def is_believed(self) -> bool:
        return self.confirmed is None

    @property
    def ahead(self) -> float:
        """Return by how many s the clock is ahead of what can be."""
        return max(self.seen - self.believed, 0.0)
