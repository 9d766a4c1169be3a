"""The atlas of the moving portrait, and one of its frames to draw on."""

from dataclasses import dataclass
from typing import Final

import pytest
import torch

from heygem_daemon.lipsync.arrays import Float64
from heygem_daemon.lipsync.atlas.renderer import AtlasRenderer, PreparedAtlas
from heygem_daemon.lipsync.atlas.store import Presenter
from heygem_daemon.lipsync.geometry.pose import Face, FaceReader
from heygem_daemon.lipsync.geometry.triangulation import Triangulation, triangulate
from heygem_daemon.media.frame import Frame
from tests.lipsync.conftest import Clip

CPU: Final = torch.device("cpu")
FRAME: Final = 5
THREADS: Final = 2


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A frame with its face, and the presenter."""

    frame: Frame
    face: Face
    presenter: Presenter
    mesh: Triangulation

    def opened(self, opening: float) -> tuple[Float64, Float64]:
        """Return the canonical face [468, 3] with the mouth open, and its points [468, 2] in the frame."""
        target = self.presenter.mouth.target(opening, 0.5)
        return target, self.face.shifted(self.presenter.mouth.weight[:, None] * (target - self.face.canonical))


@pytest.fixture(scope="session")
def renderer() -> AtlasRenderer:
    return AtlasRenderer("cpu", threads=THREADS)


@pytest.fixture(scope="session")
def scene(clip: Clip, prepared: PreparedAtlas) -> Scene:
    presenter = prepared.presenter
    face = FaceReader(clip.tracks, presenter.reference)(FRAME)
    assert face is not None
    return Scene(frame=clip.frames[FRAME], face=face, presenter=presenter, mesh=triangulate(presenter.reference, presenter.mouth.weight))
