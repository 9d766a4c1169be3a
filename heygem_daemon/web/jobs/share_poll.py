"""Poll a share without piling up: while one call hangs in it, no other is begun, so that a dead share holds one thread and not all."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

from heygem_daemon.web.problems import WebProblem
from heygem_daemon.web.shares import Shares

T = TypeVar("T")

RESTRAINT: Final = 20.0
"""A poll is repeated after this many times the time that it took, or later: it takes at most a twentieth of the time of a share."""

LONGEST: Final = 300.0
"""s. No poll rests longer, however slow the share."""

_log: Final = logging.getLogger(__name__)


class SharePoll:
    """The calls of one poller into one share."""

    def __init__(self, shares: Shares, share: Path) -> None:
        self._shares = shares
        self.share = share
        self._inside = False

    @property
    def hangs(self) -> bool:
        """Whether a call has not come back yet."""
        return self._inside

    async def call(self, work: Callable[[], T]) -> T:
        """Run `work` in a thread of the share. Raises WebProblem (`share_timeout`), at once while an earlier call hangs."""
        if self._inside:
            raise WebProblem("share_timeout", path=str(self.share), headers={"Retry-After": "10"})

        def watched() -> T:
            self._inside = True
            try:
                return work()
            finally:
                self._inside = False

        return await self._shares.call(self.share, watched)


async def repeat(
    step: Callable[[], Awaitable[bool]],
    least_seconds: float,
    *,
    restraint: float = RESTRAINT,
    until: Callable[[], bool] = lambda: False,
) -> None:
    """Run a step again and again until `until` says so, resting `least_seconds` in between, and longer where it takes long.

    A step returns whether it succeeded: after one that did not, a share that comes back must be noticed soon."""
    while not until():
        began, succeeded = time.monotonic(), False
        try:
            succeeded = await step()
        except Exception:  # noqa: BLE001 - a mistake in one round must not end the polling for good
            _log.exception("a poll failed")
        await asyncio.sleep(max(least_seconds, min(restraint * (time.monotonic() - began), LONGEST) if succeeded else 0.0))
