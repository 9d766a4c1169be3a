"""How long something takes on a machine that has other work too."""

import time
from collections.abc import Callable


def least_seconds(action: Callable[[], object], tries: int = 5) -> float:
    """Return the shortest time that `action` took: what is slow by itself is slow every time, a busy machine only now and then."""
    return min(_seconds(action) for _ in range(tries))


def _seconds(action: Callable[[], object]) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began
