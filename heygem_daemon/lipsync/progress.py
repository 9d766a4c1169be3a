"""Progress of a render, throttled for its listeners, and the seconds each stage took."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

REPORT_SECONDS: Final = 0.2


@dataclass(frozen=True, kw_only=True)
class Progress:
    """`done` of `total` steps of `stage` (analyse, harvest, calibrate, render, verify, learn) are finished."""

    stage: str
    done: int
    total: int


OnProgress = Callable[[Progress], None]


def throttled(on_progress: OnProgress, seconds: float = REPORT_SECONDS) -> OnProgress:
    """Return a listener that forwards the first and the last step of each stage, and at most one in `seconds` between them."""
    stage, last = "", float("-inf")

    def forward(step: Progress) -> None:
        nonlocal stage, last
        now = time.monotonic()
        if step.stage != stage or step.done == step.total or now - last >= seconds:
            stage, last = step.stage, now
            on_progress(step)

    return forward


@dataclass(kw_only=True)
class StageClock:
    """Measures the wall-clock seconds of every stage. seconds: stage -> s, rounded to ms."""

    seconds: dict[str, float] = field(default_factory=dict)
    _start: float = field(default_factory=time.monotonic)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time spent in the block to the stage `name`."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - start, 3)

    def elapsed(self) -> float:
        """Return the s since this clock was made."""
        return time.monotonic() - self._start
