"""The check of an inbox names drops that cannot be moved, and nothing that is no drop."""

from pathlib import Path

import pytest

from heygem_daemon.cli.checks import drops
from heygem_daemon.cli.checks.identity import current
from heygem_daemon.core.names import UPLOADS


def test_the_folder_of_uploads_and_control_files_are_no_drops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (UPLOADS, "lesson", "lesson.hold", "_done"):
        (tmp_path / folder).mkdir()
    for file in ("lesson.cancel", "20261122-231500-lesson-01-k3f9.priority"):
        (tmp_path / file).touch()
    monkeypatch.setattr(drops, "may_move", lambda _path: False)
    found = [finding.fix for finding in drops.findings(tmp_path, current())]
    assert len(found) == 2
    assert "lesson" in found[0]
    assert "lesson.hold" in found[1]
