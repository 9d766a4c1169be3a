"""The values of a publication: where a worker stages its files, and how their publication ended."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from heygem_daemon.core.errors import HeygemError


@dataclass(frozen=True, kw_only=True)
class Published:
    """Outcome of one publication; `problem` is None when the file is in outputs."""

    token: str
    problem: HeygemError | None


class StagingPaths(NamedTuple):
    """Where a worker writes; the thumbnail and the diagnostic image may stay absent."""

    result: Path
    thumbnail: Path
    explain: Path
