"""The time of one tick."""

import time
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Instant:
    """`monotonic` in s measures waits (nobody can set it), `wall` in s of unix time is for people and for the ledger."""

    monotonic: float
    wall: float

    @classmethod
    def now(cls) -> "Instant":
        return cls(monotonic=time.monotonic(), wall=time.time())
