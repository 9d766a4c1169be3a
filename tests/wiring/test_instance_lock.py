"""One daemon per state folder."""

import os
from pathlib import Path

import pytest

from heygem_daemon.core.errors import HeygemError
from heygem_daemon.settings import Settings
from heygem_daemon.wiring.instance_lock import AlreadyRunningError, only_instance


def settings_in(folder: Path) -> Settings:
    return Settings(outputs=folder / "outputs", state=folder / "state", cache=folder / "cache")


def test_the_folders_are_made_and_a_second_instance_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    with only_instance(settings):
        assert all(folder.is_dir() for folder in (settings.outputs, settings.state, settings.cache))
        assert (settings.state / "daemon.lock").read_text(encoding="ascii") == f"{os.getpid()}\n"
        with pytest.raises(AlreadyRunningError, match="another daemon uses"), only_instance(settings):
            pass
    with only_instance(settings):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file", encoding="ascii")
    with pytest.raises(HeygemError, match=f"{tmp_path}/state"), only_instance(settings_in(tmp_path)):
        pass
