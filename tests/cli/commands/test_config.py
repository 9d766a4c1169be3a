"""What commands refuse before they do anything."""

import os
from pathlib import Path

import pytest
import typer

from heygem_daemon.cli.commands.config import refuse_root

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")


@as_root
def test_root_must_work_as_the_user_who_owns_the_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["heygem", "learn", "my film.mp4"])
    os.chown(tmp_path, 65534, 65534)
    with pytest.raises(typer.Exit) as ended:
        refuse_root(tmp_path)
    assert ended.value.exit_code == 2
    assert "sudo -u nobody heygem learn 'my film.mp4'" in capsys.readouterr().err


def test_root_may_work_in_its_own_folder_or_where_there_is_none(tmp_path: Path) -> None:
    refuse_root(tmp_path, tmp_path / "missing")
