"""The shape of a drop: what a folder asks for, judged from its listing alone."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    FILE = "file"
    SYMLINK = "symlink"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True, order=True)
class Entry:
    """One file below the drop: `path` is relative, with slashes, as the file system gives it (may hold surrogates)."""

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    kind: Kind = Kind.FILE
