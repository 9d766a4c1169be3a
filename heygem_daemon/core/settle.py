"""Find out when a drop has stopped changing, from repeated observations and their times alone.

Polling until the size is stable took a preallocated copy for ready at 1.5 s of 7.2 s; so the signature covers times as well as sizes,
and a copy that paused must be quiet for twice its longest pause before it counts as finished.
"""

from dataclasses import dataclass, replace
from typing import Final, Self

LONGEST_WAIT: Final = 600.0
"""s. The longest wait, however long the drop lay unchanged before its last part came."""


@dataclass(frozen=True, kw_only=True)
class Settling:
    """The observations of one drop so far. All times are s of one monotonic clock, the one given to `observe`.

    changed_at: when the drop was last seen different. longest_gap: the longest time between two changes. is_seen: it was observed.
    """

    signature: str = ""
    size: int = 0
    changed_at: float = 0.0
    longest_gap: float = 0.0
    has_writers: bool = False
    is_seen: bool = False

    def observe(self, signature: str, size: int, now: float, writers: bool) -> Self:
        """Return the state after one more observation: signature, size in bytes, and whether a file is open for writing."""
        seen = replace(self, size=size, has_writers=writers)
        if self.is_seen and signature == self.signature:
            return seen
        gap = now - self.changed_at if self.is_seen else 0.0
        return replace(seen, signature=signature, changed_at=now, longest_gap=max(self.longest_gap, gap), is_seen=True)

    def wait(self, base: float) -> float:
        """Return how many s without a change are needed, at least `base`."""
        return max(base, min(2 * self.longest_gap, LONGEST_WAIT))

    def settled_at(self, base: float) -> float:
        """Return when the drop will be settled if it does not change any more."""
        return self.changed_at + self.wait(base)

    def is_settled(self, now: float, base: float) -> bool:
        """Return whether the drop has not changed for long enough and no file is open for writing."""
        return self.is_seen and not self.has_writers and now >= self.settled_at(base)
