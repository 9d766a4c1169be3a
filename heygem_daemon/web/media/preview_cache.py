"""Keep what was made of a file, so that it is made once: a folder of the page's own, bounded in bytes and in age.

It lies in the folder that systemd gives the service for its cache ($CACHE_DIRECTORY), else in `web.state`. Whatever is in it can be made
again, so it may be deleted at any time. Every function blocks, on a local disk.
"""

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

MOST_BYTES: Final = 2 * 2**30
LONGEST_SECONDS: Final = 7 * 86400.0
"""s after their last use for which stills and copies are kept."""
_VERSION: Final = "previews 1"
"""Raise it whenever what is made of a file changes."""
_SCRATCH: Final = "scratch"


@dataclass(frozen=True, kw_only=True)
class FileIdentity:
    """What tells one content of a file from another without reading it."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, descriptor: int) -> "FileIdentity":
        """Raises OSError."""
        found = os.fstat(descriptor)
        return cls(device=found.st_dev, inode=found.st_ino, size=found.st_size, mtime_ns=found.st_mtime_ns, ctime_ns=found.st_ctime_ns)

    def key(self, what: str) -> str:
        """Return the name under which `what` was made of this content."""
        fields = f"{_VERSION}\0{what}\0{self.device}\0{self.inode}\0{self.size}\0{self.mtime_ns}\0{self.ctime_ns}"
        return hashlib.sha256(fields.encode()).hexdigest()


class PreviewCache:
    """The folder of what was made. Nothing is touched before the first use."""

    def __init__(self, folder: Path, *, most_bytes: int = MOST_BYTES, longest_seconds: float = LONGEST_SECONDS) -> None:
        self.folder = folder
        self._most_bytes, self._longest_seconds = most_bytes, longest_seconds
        self._is_ready = False

    def find(self, name: str) -> Path | None:
        """Return a file that is there, and keep it longer."""
        path = self.folder / name
        try:
            os.utime(path)
        except OSError:
            return None
        return path

    def read(self, name: str) -> Any:
        """Return the JSON document of a name, None where there is none."""
        path = self.find(name)
        with suppress(OSError, ValueError):
            return None if path is None else json.loads(path.read_text(encoding="utf-8"))
        return None

    def write(self, name: str, document: Mapping[str, Any]) -> None:
        """Keep a JSON document. Raises OSError."""
        with self.scratch() as folder:
            path = folder / "document"
            path.write_text(json.dumps(document), encoding="utf-8")
            self.keep(path, name)

    def keep(self, path: Path, name: str) -> Path:
        """Take a finished file of `scratch` into the cache, and delete what is too old or too much. Raises OSError."""
        kept = self.folder / name
        path.replace(kept)
        self._trim(kept)
        return kept

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Hold a folder that nobody else can enter, on the disk of the cache; it goes away with all in it. Raises OSError."""
        parent = self._prepared()
        folder = Path(tempfile.mkdtemp(dir=parent))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _prepared(self) -> Path:
        """Return the parent of scratch folders; the first time, delete what an earlier process left in it."""
        parent = self.folder / _SCRATCH
        if not self._is_ready:
            shutil.rmtree(parent, ignore_errors=True)
            self._is_ready = True
        parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return parent

    def _trim(self, kept: Path) -> None:
        with suppress(OSError), os.scandir(self.folder) as entries:
            found = [(entry.stat(), Path(entry.path)) for entry in entries if entry.is_file(follow_symlinks=False)]
            total, oldest_allowed = 0, time.time() - self._longest_seconds
            for status, path in sorted(found, key=lambda each: -each[0].st_mtime):
                total += status.st_size
                if path != kept and (total > self._most_bytes or status.st_mtime < oldest_allowed):
                    path.unlink(missing_ok=True)


def default_folder(state: Path) -> Path:
    """Return where the cache lies."""
    given = os.environ.get("CACHE_DIRECTORY", "").partition(":")[0]
    return (Path(given) if given else state / "cache") / "previews"
