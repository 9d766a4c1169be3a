"""The values that a daemon works with and that a reload of the configuration can change."""

from dataclasses import dataclass

from heygem_daemon.core import policy
from heygem_daemon.core.render_options import RenderOptions
from heygem_daemon.daemon.candidate import CandidateRules


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """How often things are done and how long is waited, in s. `busy` and `shortest` are pauses between two scans of one inbox: while its
    files are opened, and after an event; `grace` is what running items are given to finish at a stop."""

    scan: float
    network_scan: float
    grace: float
    sweep: float = 3600.0
    shortest: float = 0.05
    busy: float = 0.2
    ledger: float = 10.0
    status_line: float = 1.0
    hooks: float = 5.0
    """How long hooks that still run may take when the daemon ends."""


@dataclass(frozen=True, kw_only=True)
class RuntimeConfig:
    """`breaker` gives its threshold and pause, not its state. `options` and `zip` hold where a drop names nothing else; `engines` are the
    known ones. `item_seconds` is the longest time for one item; `history_seconds` = 0 keeps finished jobs for ever."""

    inboxes: tuple[str, ...]
    intervals: Intervals
    rules: CandidateRules
    retry: policy.Policy
    breaker: policy.Breaker
    options: RenderOptions
    zip: bool
    engines: tuple[str, ...]
    item_seconds: float
    outputs: str
    reserve_bytes: int
    history_seconds: float
