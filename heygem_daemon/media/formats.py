"""Show the name of a file, also of one that is given by an open descriptor.

Who may not trust the folder that a file lies in opens it once, following no link, and passes /proc/<process>/fd/<number> on: whatever
happens to the name, this path stays that file.
"""

import re
from contextlib import suppress
from pathlib import Path
from typing import Final

_DESCRIPTOR: Final = re.compile(r"/proc/[0-9]+/fd/[0-9]+")


def is_descriptor(path: Path | str) -> bool:
    """Return whether a path stands for an open file of a process: the only kind of link that is followed."""
    return _DESCRIPTOR.fullmatch(str(path)) is not None


def file_name(path: Path) -> str:
    """Return the last part of the name of a file; of an open one, of that under which it was opened."""
    if is_descriptor(path):
        with suppress(OSError):
            return path.readlink().name
    return path.name


def display_name(path: Path) -> str:
    """Return the file's name for a message, with what cannot be printed escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in file_name(path))
