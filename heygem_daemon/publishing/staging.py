"""Staging folders, one per attempt, in outputs/.heygem/staging: workers write only there, so that a late one does no harm."""

import errno
import itertools
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from heygem_daemon.core.names import DELETING, PRIVATE
from heygem_daemon.publishing.delete_tree import delete_tree
from heygem_daemon.publishing.outputs_errors import folder_inside

STAGING: Final = f"{PRIVATE}/staging"
DELETED_AT_ONCE: Final = 1000
"""Files and folders; an attempt stages some ten, and whoever waits for outputs waits for this."""


class Staging:
    """The staging folders in one outputs folder."""

    def __init__(self, outputs: Path) -> None:
        self._outputs = outputs

    def folder(self, token: str) -> Path:
        """Return the staging folder of the attempt `token`; ValueError for a token that is not a plain name."""
        if not token or "/" in token or token.startswith("."):
            raise ValueError(f"not a token: {token!r}")
        return self._outputs / STAGING / token

    def create(self, token: str) -> Path:
        """Create the empty folder of this attempt, but never outputs itself, whose share may not be mounted. Raises OSError."""
        folder = self.folder(token)
        folder_inside(self._outputs, STAGING)
        if os.path.lexists(folder):
            # Moved away before it is deleted: whatever somebody has put there, the new folder is empty.
            _delete(folder.rename(folder.with_name(f"{DELETING}{secrets.token_hex(8)}")))
        folder.mkdir()
        return folder

    def remove(self, token: str) -> None:
        """Delete what this attempt staged, as far as possible; retention deletes the rest by age."""
        _delete(self.folder(token))


def _delete(staged: Path) -> None:
    """Delete what an attempt staged, whatever somebody has made of it; what is more than an attempt stages is left to retention."""
    steps = itertools.count()

    def pause() -> None:
        if next(steps) >= DELETED_AT_ONCE:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(staged))

    with suppress(OSError):
        if staged.is_dir() and not staged.is_symlink():
            delete_tree(staged, pause)
        else:
            staged.unlink()
