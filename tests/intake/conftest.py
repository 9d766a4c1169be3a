"""An inbox on the real file system, and drops in it."""

from pathlib import Path

import pytest


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """An empty inbox with its marker."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    (folder / ".heygem-inbox").touch()
    return folder
