"""The atlas of the moving portrait."""

import numpy as np
import pytest
import torch

from heygem_daemon.lipsync.atlas.pose import mean_face
from heygem_daemon.lipsync.atlas.renderer import AtlasRenderer, PreparedAtlas
from heygem_daemon.lipsync.face.topology import lower_face_weight
from heygem_daemon.media.probe import probe
from tests.lipsync.conftest import Clip


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def face(clip: Clip) -> np.ndarray:
    """The mean canonical face of the portrait, [468, 3]."""
    return mean_face(clip.tracks)


@pytest.fixture(scope="session")
def weight(face: np.ndarray) -> np.ndarray:
    return lower_face_weight(face)


@pytest.fixture(scope="session")
def renderer() -> AtlasRenderer:
    return AtlasRenderer("cpu")


@pytest.fixture(scope="session")
def prepared(clip: Clip, renderer: AtlasRenderer, tmp_path_factory: pytest.TempPathFactory) -> PreparedAtlas:
    return renderer.prepare(probe(clip.path), clip.tracks, tmp_path_factory.mktemp("atlas"), lambda _: None)
