"""A clock for tests of time limits: it does not depend on how fast the machine is."""

from collections.abc import Callable


class JumpingClock:
    """Stands still until `condition` holds at two calls in a row, then shows an hour later.

    Two calls, because whoever waits for a program reads its output between them."""

    def __init__(self, condition: Callable[[], bool]) -> None:
        self._condition = condition
        self._held = 0

    def __call__(self) -> float:
        if self._held < 2:
            self._held = self._held + 1 if self._condition() else 0
        return 3600.0 if self._held == 2 else 0.0
