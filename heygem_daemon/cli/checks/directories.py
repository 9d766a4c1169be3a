"""The folders of a configuration, and what each is for."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from heygem_daemon.settings import Settings

MIB = 2**20
GIB = 2**30


class Use(StrEnum):
    """What a folder is for; the words that findings call it by."""

    INBOX = "inbox"
    OUTPUTS = "outputs"
    STATE = "state"
    CACHE = "cache"
    WEIGHTS = "weights"
    CORPUS = "corpus"
    METRICS = "metrics"


@dataclass(frozen=True, kw_only=True)
class Place:
    """One folder. `scarce_bytes`: with less free than this it serves badly; `least_bytes`: with less, not at all."""

    use: Use
    path: Path
    scarce_bytes: int = 0
    least_bytes: int = 0
    poll_seconds: float = 0.0
    """How often an inbox on a network file system is looked at."""

    @property
    def title(self) -> str:
        return f"{self.use} {self.path}"

    @property
    def is_shared(self) -> bool:
        """Whether people put files here, or fetch them."""
        return self.use in {Use.INBOX, Use.OUTPUTS}

    @property
    def mode(self) -> str:
        """The mode that an installation gives it: what lies in a setgid folder belongs to the group of the people."""
        return "2770" if self.is_shared else "750"


def places(settings: Settings) -> Iterator[Place]:
    """Yield every folder the service works in, in the order of the work; not a corpus in its usual place, which is made when needed."""
    for inbox in settings.inboxes:
        yield Place(use=Use.INBOX, path=inbox.path, scarce_bytes=GIB, poll_seconds=settings.intake.network_scan_seconds)
    yield Place(use=Use.OUTPUTS, path=settings.outputs, least_bytes=settings.disk.reserve_bytes)
    yield Place(use=Use.STATE, path=settings.state, scarce_bytes=GIB, least_bytes=100 * MIB)
    yield Place(use=Use.CACHE, path=settings.cache, scarce_bytes=GIB)
    yield Place(use=Use.WEIGHTS, path=settings.weights)
    if settings.corpus != settings.state / "corpus":
        yield Place(use=Use.CORPUS, path=settings.corpus)
    if settings.metrics.textfile:
        yield Place(use=Use.METRICS, path=Path(settings.metrics.textfile).parent)
