"""The visemes by name."""

from heygem_daemon.lipsync.motion import VISEMES


def column(name: str) -> int:
    """Return the index of the viseme `name` in VISEMES."""
    return VISEMES.index(name)
