"""Keep items and workers from starting while the memory available does not hold one more."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from heygem_daemon.core.ports import Log
from heygem_daemon.executors.worker_plan import IDLE_BYTES, ITEM_BYTES

GROWTH_SECONDS: Final = 60.0
"""s after which a worker counts as grown to what its item needs: until then that is kept free for it."""
LOG_SECONDS: Final = 600.0
"""s between two lines about the same shortage."""
_MIB: Final = 2**20


@dataclass(kw_only=True)
class MemoryWatch:
    """available: returns the bytes of memory that could be used now. shortage: in words, "" while there is enough.

    Whoever asks starts the first item, and the first worker, without asking: nothing else would ever make room for it.
    """

    available: Callable[[], int]
    log: Log
    clock: Callable[[], float]
    shortage: str = field(default="", init=False)
    _logged_at: float = field(default=float("-inf"), init=False)

    def has_room(self, working_seconds: Sequence[float]) -> bool:
        """Return whether one more item fits beside those worked on, given for how many s each has been."""
        growing = sum(seconds < GROWTH_SECONDS for seconds in working_seconds)
        return self._check("item", (1 + growing) * (ITEM_BYTES - IDLE_BYTES))

    def has_room_for_worker(self, starting: int) -> bool:
        """Return whether one more worker and its item fit, while `starting` others have not loaded their models yet."""
        return self._check("worker", (1 + starting) * ITEM_BYTES)

    def forget(self) -> None:
        """Forget a shortage: nothing waits for memory any more."""
        self.shortage = ""

    def _check(self, what: str, needed: int) -> bool:
        available = self.available()
        if available >= needed:
            self.shortage = ""
            return True
        self.shortage = f"one more {what} waits for memory: {available // _MIB} of {needed // _MIB} MiB are available"
        if self.clock() - self._logged_at >= LOG_SECONDS:
            self._logged_at = self.clock()
            self.log("memory_low", level="warning", reason=self.shortage)
        return False
