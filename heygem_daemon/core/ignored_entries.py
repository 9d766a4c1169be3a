"""Say of what lies in an inbox and is used for nothing, why: people wait for a result of what they put down, whatever its name is."""

from dataclasses import dataclass
from typing import Final

from heygem_daemon.core.file_types import FileType, description, type_of
from heygem_daemon.core.names import is_foreign, is_temporary

MAX_IGNORED: Final = 100
"""Entries of an inbox that are named; the others are counted."""

_UNFINISHED: Final = "it has the name of a copy that is not finished; rename it when it is complete"
_NOT_USED_HERE: Final = "only folders, recordings, videos and portraits are used here"
ABOUT_NOTHING: Final = "no drop and no job here has the name that it is about"


@dataclass(frozen=True, kw_only=True, order=True)
class IgnoredEntry:
    """An entry of an inbox that is used for nothing. name: as the file system gives it. reason: words that follow "it is not used:".
    version: changes when it is written to."""

    name: str
    reason: str
    version: tuple[int, int] = (0, 0)


def why_ignored(name: str, *, is_folder: bool) -> str | None:
    """Return why an entry of an inbox that is neither a drop nor a control file is not used; None where nobody would ask: hidden names,
    and what systems leave everywhere."""
    if is_foreign(name):
        return None
    if is_temporary(name):
        return _UNFINISHED
    if is_folder:
        return None
    return f"it is {description(name)}; {_NOT_USED_HERE}" if type_of(name) is FileType.INDIRECT else _NOT_USED_HERE
