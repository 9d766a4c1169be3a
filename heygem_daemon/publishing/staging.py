"""Staging folders, one per attempt, in outputs/.heygem/staging: workers write only there, so that a late one does no harm."""

import shutil
from pathlib import Path
from typing import Final

from heygem_daemon.core.names import PRIVATE
from heygem_daemon.publishing.outputs_errors import folder_inside

STAGING: Final = f"{PRIVATE}/staging"


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
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    def remove(self, token: str) -> None:
        """Delete what this attempt staged, as far as possible; retention deletes the rest by age."""
        shutil.rmtree(self.folder(token), ignore_errors=True)
