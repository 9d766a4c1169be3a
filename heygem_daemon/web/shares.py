"""Call functions that touch a folder of a share, in threads of their own for each share and with a time limit.

A system call on a dead share hangs in the kernel; here it holds a thread of that share, never the page.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Final, TypeVar

from heygem_daemon.daemon_threads import DaemonThreadPool
from heygem_daemon.web.problems import WebProblem

T = TypeVar("T")

THREADS: Final = 8
"""Of each share. Requests beyond wait for their turn, up to their time limit."""


class Shares:
    """The threads of every share; `seconds` is how long a call may take before the share counts as not answering."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._pools: dict[Path, DaemonThreadPool] = {}

    async def call(self, share: Path, work: Callable[[], T]) -> T:
        """Run `work`, which touches files below `share` (an inbox or outputs). Raises WebProblem (`share_timeout`), and what it raises."""
        future = self._submit(share, work)
        try:
            # Not wait_for: before Python 3.12 it loses a cancellation that comes in the moment of the result.
            async with asyncio.timeout(self.seconds):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise WebProblem("share_timeout", path=str(share), headers={"Retry-After": "10"}) from None

    def start(self, share: Path, work: Callable[[], object]) -> None:
        """Run `work`, which touches files below `share`, and wait for nothing."""
        self._submit(share, work)

    def _submit(self, share: Path, work: Callable[[], T]) -> Future[T]:
        if share not in self._pools:
            self._pools[share] = DaemonThreadPool(f"web {share}", threads=THREADS)
        return self._pools[share].submit(work)

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()
