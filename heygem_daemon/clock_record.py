"""Keep what the last run knew of the wall clock: at a start it may be weeks ahead, and nothing else tells. For the daemon and the page."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

from heygem_daemon.durable import write_whole


class ClockRecord:
    """The `ClockMemory` port: a small JSON file of numbers. A damaged one counts as none."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Mapping[str, float]:
        """Return the numbers by name, none where there are none. Never raises."""
        try:
            found = json.loads(self._path.read_bytes())
            return {str(name): float(value) for name, value in found.items() if value is not None and math.isfinite(float(value))}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def write(self, numbers: Mapping[str, float]) -> None:
        """Keep the numbers; a disk that takes none is no error here. Never raises."""
        try:
            write_whole(self._path, json.dumps(dict(numbers)).encode(), mode=0o664)
        except OSError:
            return
