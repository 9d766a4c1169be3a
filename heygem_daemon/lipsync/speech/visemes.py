"""The visemes by name."""

from heygem_daemon.lipsync.ports import VISEMES


def column(name: str) -> int:
    """Return the index of the viseme `name` in VISEMES."""
    return VISEMES.index(name)
