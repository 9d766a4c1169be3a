"""Fixtures of the lip-sync tests: one tracked face, the portrait with a gently moving camera."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from torch import Tensor

from heygem_daemon.lipsync.atlas.renderer import AtlasRenderer, PreparedAtlas
from heygem_daemon.lipsync.face.track_video import track_video
from heygem_daemon.lipsync.face_tracks import FaceTracks, TracksWriter
from heygem_daemon.lipsync.geometry.landmarks import lower_face_weight
from heygem_daemon.lipsync.geometry.pose import mean_face
from heygem_daemon.lipsync.speech.whisper import SpeechEncoder
from heygem_daemon.media.frame import Frame
from heygem_daemon.media.probe import probe
from heygem_daemon.media.reader import VideoReader
from tests.disk_cache import cached

GAP = range(24, 28)
"""Frames of the clip whose face is withheld."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    path: Path
    frames: tuple[Frame, ...]
    tracks: FaceTracks
    gap: range = GAP

    def source(self, start: int, stop: int) -> Iterator[Frame]:
        yield from self.frames[start:stop]


@pytest.fixture(scope="session")
def clip(portrait_clip: Path, weights: Path) -> Clip:
    """The moving portrait, two seconds, with its face tracks; four frames in the middle count as faceless."""
    info = probe(portrait_clip)
    assert info.video is not None
    frames = tuple(VideoReader(info).frames())
    size, rate = (info.video.width, info.video.height), info.video.frame_rate

    def track(folder: Path) -> None:
        found = track_video(frames, size=size, frame_rate=rate, models=weights, directory=folder / "all")
        with TracksWriter(folder / "gap", size=found.size, frame_rate=found.frame_rate) as writer:
            for number, points in enumerate(found.landmarks(0, found.frames)):
                writer.append(None if number in GAP else points, score=1.0, shot=0)
            writer.finish()

    return Clip(path=portrait_clip, frames=frames, tracks=FaceTracks.open(cached("tracks", track) / "gap"))


@pytest.fixture(scope="session")
def prepared(clip: Clip) -> PreparedAtlas:
    """The portrait as the atlas renderer learned it; the paste renderer uses the same."""

    def prepare(workspace: Path) -> PreparedAtlas:
        return AtlasRenderer().prepare(probe(clip.path), clip.tracks, workspace, lambda _: None)

    return prepare(cached("atlas", prepare))  # the results of the first process are read


@pytest.fixture(scope="session")
def face(clip: Clip) -> np.ndarray:
    """The mean canonical face of the portrait, [468, 3]."""
    return mean_face(clip.tracks)


@pytest.fixture(scope="session")
def weight(face: np.ndarray) -> np.ndarray:
    """How far each landmark of the mean face follows the jaw, [468]."""
    return lower_face_weight(face)


_ENCODED: Final[dict[tuple[SpeechEncoder, bytes], Tensor]] = {}
"""Windows of speech that an encoder has seen -> its output, 2.5 MB each; the newest forty."""


@pytest.fixture(scope="module")
def _equal_speech_is_encoded_once() -> Iterator[None]:
    """Let the encoder compute equal windows once: a third of a second each. For tests whose subject is what is made of its output."""
    compute = SpeechEncoder.forward

    def once(self: SpeechEncoder, mel: Tensor) -> Tensor:
        key = (self, mel.numpy().tobytes())
        if key not in _ENCODED:
            while len(_ENCODED) >= 40:
                del _ENCODED[next(iter(_ENCODED))]
            _ENCODED[key] = compute(self, mel)
        return _ENCODED[key].clone()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SpeechEncoder, "forward", once)
        yield
