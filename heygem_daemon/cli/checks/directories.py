"""The directories of a configuration, and the role of each."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from heygem_daemon.settings import Settings

MIB = 2**20
GIB = 2**30


class Role(StrEnum):
    """The purpose of a directory; findings call it by this word."""

    INBOX = "inbox"
    OUTPUTS = "outputs"
    STATE = "state"
    CACHE = "cache"
    WEIGHTS = "weights"
    CORPUS = "corpus"
    METRICS = "metrics"


@dataclass(frozen=True, kw_only=True)
class Directory:
    """One directory. Less free space than `scarce_bytes` is a warning, less than `least_bytes` an error."""

    role: Role
    path: Path
    scarce_bytes: int = 0
    least_bytes: int = 0
    poll_seconds: float = 0.0
    """s. How often an inbox on a network file system is scanned."""

    @property
    def title(self) -> str:
        return f"{self.role} {self.path}"

    @property
    def is_shared(self) -> bool:
        """Return whether people put files here, or fetch them."""
        return self.role in {Role.INBOX, Role.OUTPUTS}

    @property
    def mode(self) -> str:
        """Return the mode that an installation gives it; files in a setgid folder belong to the group of the users."""
        return "2770" if self.is_shared else "750"


def service_directories(settings: Settings) -> Iterator[Directory]:
    """Yield every directory the service works in, in the order of the work; the corpus only where it is configured."""
    for inbox in settings.inboxes:
        yield Directory(role=Role.INBOX, path=inbox.path, scarce_bytes=GIB, poll_seconds=settings.intake.network_scan_seconds)
    yield Directory(role=Role.OUTPUTS, path=settings.outputs, least_bytes=settings.disk.reserve_bytes)
    yield Directory(role=Role.STATE, path=settings.state, scarce_bytes=GIB, least_bytes=100 * MIB)
    yield Directory(role=Role.CACHE, path=settings.cache, scarce_bytes=GIB)
    yield Directory(role=Role.WEIGHTS, path=settings.weights)
    if settings.corpus != settings.state / "corpus":
        yield Directory(role=Role.CORPUS, path=settings.corpus)
    if settings.metrics.textfile:
        yield Directory(role=Role.METRICS, path=Path(settings.metrics.textfile).parent)
