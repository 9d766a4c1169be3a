"""The time of one round of the daemon."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ClockReading:
    """`monotonic` in s measures waits (nobody can set it), `wall` in s of unix time is for people and for the ledger."""

    monotonic: float
    wall: float
