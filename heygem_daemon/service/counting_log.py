"""Count log events since the start."""

import threading
from collections import Counter
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Final

from heygem_daemon.core.error_catalog import CATALOG
from heygem_daemon.core.job import FINAL, State
from heygem_daemon.core.ports import Log

ITEM_RESULTS: Final[Mapping[str, str]] = {
    "item_published": "succeeded",
    "item_failed": "failed",
    "item_retrying": "retried",
    "item_interrupted": "interrupted",
}
HOOK_RESULTS: Final[Mapping[str, str]] = {"hook_finished": "succeeded", "hook_failed": "failed"}
HOOKS: Final = ("command", "webhook")
OTHER: Final = "other"
"""Stands for a code that the error catalog does not have: an unknown code must not become a time series of its own."""


@dataclass(kw_only=True)
class Counts:
    """Counts since the start. Every foreseeable value begins at 0, so that its first increase is visible as one."""

    items: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(ITEM_RESULTS.values(), 0)))
    jobs: Counter[str] = field(default_factory=lambda: Counter({str(state): 0 for state in sorted(FINAL)}))
    failures: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys((*CATALOG, OTHER), 0)))
    retries: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys((*CATALOG, OTHER), 0)))
    hooks: Counter[tuple[str, ...]] = field(
        default_factory=lambda: Counter({(hook, result): 0 for hook in HOOKS for result in HOOK_RESULTS.values()})
    )
    worker_deaths: int = 0
    failed_ticks: int = 0
    video_seconds: float = 0.0
    work_seconds: float = 0.0

    def add(self, event: str, fields: Mapping[str, object]) -> None:
        """Count one log event; other events change nothing."""
        match event:
            case "item_published" | "item_failed" | "item_retrying" | "item_interrupted":
                self._add_item(event, fields)
            case "job_finished":
                self.jobs[str(fields.get("state"))] += 1
                if fields.get("state") == State.REJECTED:  # every other end has reported its errors item by item
                    self.failures[_code(fields)] += 1
            case "hook_finished" | "hook_failed":
                self.hooks[str(fields.get("hook")), HOOK_RESULTS[event]] += 1
            case "worker_died":
                self.worker_deaths += 1
            case "tick_failed":
                self.failed_ticks += 1

    def _add_item(self, event: str, fields: Mapping[str, object]) -> None:
        self.items[ITEM_RESULTS[event]] += 1
        match event:
            case "item_published":
                self.work_seconds += _number(fields.get("seconds"))
                self.video_seconds += _number(fields.get("video_seconds"))
            case "item_failed":
                self.failures[_code(fields)] += 1
            case "item_retrying":
                self.retries[_code(fields)] += 1


def _code(fields: Mapping[str, object]) -> str:
    code = str(fields.get("error_code"))
    return code if code in CATALOG else OTHER


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and value > 0 else 0.0


class CountingLog:
    """A `Log` in front of another one: counts each event, then passes it on unchanged. May be called from any thread."""

    def __init__(self, next_log: Log) -> None:
        self._next = next_log
        self._counts = Counts()
        self._lock = threading.Lock()

    def __call__(self, event: str, /, *, level: str = "info", **fields: object) -> None:
        with self._lock:
            self._counts.add(event, fields)
        self._next(event, level=level, **fields)

    def counts(self) -> Counts:
        """Return a copy of the counts so far."""
        with self._lock:
            return deepcopy(self._counts)
