"""The values that a daemon works with, apart from what it does: they can be changed while it works."""

from dataclasses import dataclass

from heygem_daemon.core import policy
from heygem_daemon.daemon.candidates import ArrivalRules
from heygem_daemon.daemon.work_order import Defaults


@dataclass(frozen=True, kw_only=True)
class Pace:
    """All in s."""

    scan: float
    network_scan: float
    sweep: float = 3600.0
    grace: float = 20.0
    shortest: float = 0.05
    busy: float = 0.2
    ledger: float = 10.0
    headline: float = 1.0
    hooks: float = 5.0
    """How long what happens at the end of jobs may still take when the daemon ends."""


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """`breaker` gives its threshold and pause, not its state; `history_seconds` = 0 keeps finished jobs for ever."""

    inboxes: tuple[str, ...]
    pace: Pace
    rules: ArrivalRules
    retry: policy.Policy
    breaker: policy.Breaker
    defaults: Defaults
    history_seconds: float = 0.0
