"""The atlas of the moving portrait."""

from pathlib import Path

import pytest

from heygem_daemon.lipsync.atlas.renderer import AtlasRenderer, PreparedAtlas
from heygem_daemon.media.probe import probe
from tests.disk_cache import cached
from tests.lipsync.conftest import Clip


@pytest.fixture(scope="session")
def renderer() -> AtlasRenderer:
    return AtlasRenderer("cpu")


@pytest.fixture(scope="session")
def prepared(clip: Clip, renderer: AtlasRenderer) -> PreparedAtlas:
    def prepare(workspace: Path) -> PreparedAtlas:
        return renderer.prepare(probe(clip.path), clip.tracks, workspace, lambda _: None)

    return prepare(cached("atlas", prepare))  # what the first process has left there is read
