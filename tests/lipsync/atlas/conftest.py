"""The atlas of the moving portrait."""

import pytest

from heygem_daemon.lipsync.atlas.renderer import AtlasRenderer, PreparedAtlas
from heygem_daemon.media.probe import probe
from tests.lipsync.conftest import Clip


@pytest.fixture(scope="session")
def renderer() -> AtlasRenderer:
    return AtlasRenderer("cpu")


@pytest.fixture(scope="session")
def prepared(clip: Clip, renderer: AtlasRenderer, tmp_path_factory: pytest.TempPathFactory) -> PreparedAtlas:
    return renderer.prepare(probe(clip.path), clip.tracks, tmp_path_factory.mktemp("atlas"), lambda _: None)
