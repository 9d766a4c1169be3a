"""The cache entries of one video."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from heygem_daemon.lipsync.cache import Cache


@dataclass(kw_only=True)
class Shelf:
    """key: of the video's content (cache.content_key); built: something was not there and had to be made."""

    cache: Cache
    key: str
    built: bool = False

    def entry(self, build: Callable[[Path], None], *parts: str) -> Path:
        """Return the directory for `parts` (versions, options) of this video, filled by `build` if it was not there."""

        def build_and_note(directory: Path) -> None:
            self.built = True
            build(directory)

        return self.cache.entry(hashlib.sha256(json.dumps([self.key, *parts]).encode()).hexdigest(), build_and_note)
