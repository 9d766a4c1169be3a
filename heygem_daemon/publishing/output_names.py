"""Know which names are taken in outputs without listing it for every drop: years of results lie there."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from heygem_daemon.core.names import equality_key

LISTED_SECONDS: Final = 10.0
"""s for which a listing counts. Meanwhile every name is looked up by itself, so that only a folder that somebody else makes under a name
which differs by case, or by its Unicode form, is not seen."""
LISTED_TIMES: Final = 100.0
"""A listing counts for so many times the s that it took."""


class OutputNames:
    """The names in one outputs folder, of which two are equal that a client which ignores case or Unicode form cannot tell apart."""

    def __init__(self, outputs: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._outputs = outputs
        self._clock = clock
        self._names: dict[str, str] = {}
        self._listed_until: float | None = None
        self.found_at_start: set[str] = set()
        """The names of the first listing; whoever uses them may take them out."""

    def refresh(self) -> None:
        """List outputs, if the last listing is old. Raises OSError where it cannot be listed."""
        began = self._clock()
        if self._listed_until is not None and began < self._listed_until:
            self._outputs.stat()
            return
        names = os.listdir(self._outputs)
        self._names = {equality_key(name): name for name in names}
        if self._listed_until is None:
            self.found_at_start = set(names)
        ended = self._clock()
        self._listed_until = ended + max(LISTED_SECONDS, LISTED_TIMES * (ended - began))

    def equal_to(self, name: str) -> str | None:
        """Return the name in outputs that is equal to this one, None where there is none."""
        key = equality_key(name)
        for known in (self._names.get(key), name):
            if known is not None and os.path.lexists(self._outputs / known):
                self._names[key] = known
                return known
        self._names.pop(key, None)
        return None
