"""Find drops in an inbox that cannot be moved, because they belong to others."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from heygem_daemon.cli.checks.finding import Finding, warning
from heygem_daemon.cli.checks.identity import Identity
from heygem_daemon.core.names import DONE, FAILED, escape_name, is_ignored
from heygem_daemon.intake.permissions import commands, may_move, permission_error

_SHOWN: Final = 5
_DELETING_PREFIX: Final = ".deleting-"


def findings(inbox: Path, me: Identity) -> Iterator[Finding]:
    """Yield the first few drops that cannot be claimed, and inputs that cannot be deleted. Raises OSError."""
    yield from islice(_immovable(inbox, me), _SHOWN)
    for folder in (inbox / DONE, inbox / FAILED):
        if folder.is_dir() and any(name.startswith(_DELETING_PREFIX) for name in os.listdir(folder)):
            what = f"the keep time of inputs in {folder} is over, but they cannot be deleted: parts of them belong to others"
            rest = ("find", str(folder), "-maxdepth", "1", "-name", f"{_DELETING_PREFIX}*", "-exec", "rm", "-r", "{}", "+")
            yield warning(what, me.command(rest))


def _immovable(inbox: Path, me: Identity) -> Iterator[Finding]:
    for name in sorted(os.listdir(inbox)):
        if not is_ignored(name, is_folder=(inbox / name).is_dir()) and not may_move(inbox / name):
            yield warning(permission_error(inbox / name, "move", inbox).message, escape_name(me.command(*commands(inbox / name, inbox))))
