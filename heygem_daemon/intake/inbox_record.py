"""Keep which inboxes were watched: the statuses of drops in one that is no longer watched would be left as they are for ever."""

import json
from collections.abc import Collection
from pathlib import Path

from heygem_daemon.durable import write_whole


class InboxRecord:
    """The `InboxMemory` port: a small JSON file with a list of paths. A damaged one counts as none."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> frozenset[str]:
        """Return the paths, none where there are none. Never raises."""
        try:
            found = json.loads(self._path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return frozenset()
        return frozenset(path for path in found if isinstance(path, str)) if isinstance(found, list) else frozenset()

    def write(self, inboxes: Collection[str]) -> None:
        """Keep the paths; a disk that takes none is no error here. Never raises."""
        try:
            write_whole(self._path, json.dumps(sorted(inboxes)).encode(), mode=0o660)
        except OSError:
            return
