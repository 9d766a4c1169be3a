"""A folder per attempt under outputs/.heygem/staging: workers write there and nowhere else, so that a late one spoils nothing."""

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
        """Return where the attempt `token` stages; ValueError for a token that is no plain name."""
        if not token or "/" in token or token.startswith("."):
            raise ValueError(f"not a token: {token!r}")
        return self._outputs / STAGING / token

    def create(self, token: str) -> Path:
        """Return the empty folder of this attempt. Raises OSError; never creates outputs itself, whose share may not be mounted."""
        folder = self.folder(token)
        folder_inside(self._outputs, STAGING)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    def remove(self, token: str) -> None:
        """Delete what this attempt staged, as far as possible; the rest is swept by age."""
        shutil.rmtree(self.folder(token), ignore_errors=True)
