"""The `atlas` renderer: a presenter speaks with the mouth the video itself shows (Video Rewrite, Bregler et al. 1997)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import repeat, tee
from pathlib import Path

import torch

from heygem_daemon.lipsync.arrays import Float64
from heygem_daemon.lipsync.atlas.calibration import OpeningCorrection, calibrate, mesh_reader
from heygem_daemon.lipsync.atlas.compositor import Compositor
from heygem_daemon.lipsync.atlas.harvest import FrameSource, harvest
from heygem_daemon.lipsync.atlas.retrieval import CandidateIndex
from heygem_daemon.lipsync.atlas.store import Presenter, load, save
from heygem_daemon.lipsync.atlas.stream import RenderStream
from heygem_daemon.lipsync.face_tracks import FaceTracks
from heygem_daemon.lipsync.geometry.articulation import articulations
from heygem_daemon.lipsync.geometry.pose import FaceReader
from heygem_daemon.lipsync.imaging.visibility import is_discontinuity, presenter_visibility
from heygem_daemon.lipsync.motion import MouthMotion
from heygem_daemon.lipsync.ports import RenderedFrame
from heygem_daemon.lipsync.progress import OnProgress, Progress
from heygem_daemon.media.frame import Frame
from heygem_daemon.media.reader import VideoReader
from heygem_daemon.media.types import MediaInfo


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedAtlas:
    """A presenter and the tracks of the video they are on."""

    presenter: Presenter
    tracks: FaceTracks


class AtlasRenderer:
    """Renderer port: draws with the presenter's own frames.

    device: a torch device; models: the directory of the face mesh, for calibration; None leaves calibration out
    """

    name = "atlas"

    def __init__(self, device: str = "cpu", models: Path | None = None) -> None:
        self._device, self._models = torch.device(device), models

    def prepare(self, video: MediaInfo, tracks: FaceTracks, workspace: Path, on_progress: OnProgress) -> PreparedAtlas:
        """Learn the presenter, or read what a former call left in `workspace`. Raises InputError (`no_face`)."""
        reader = VideoReader(video, frame_count=tracks.frames)
        return self.prepare_from(reader.frames, tracks, workspace, on_progress, name=video.path.name)

    def prepare_from(
        self, frames: FrameSource, tracks: FaceTracks, workspace: Path, on_progress: OnProgress, *, name: str = "the video"
    ) -> PreparedAtlas:
        """Prepare from any source of frames: frames(start, stop) yields those of the video."""
        presenter = load(workspace)
        if presenter is None:
            presenter = harvest(
                tracks, frames, workspace, name, lambda done, total: on_progress(Progress(stage="harvest", done=done, total=total))
            )
            if self._models is not None and presenter.is_clear.any():
                presenter = self._calibrate(presenter, tracks, frames, self._models, on_progress)
            save(presenter)
        return PreparedAtlas(presenter=presenter, tracks=tracks)

    def render(self, prepared: PreparedAtlas, frames: Iterable[Frame], motion: Iterable[MouthMotion]) -> Iterator[RenderedFrame]:
        """Yield one frame per source frame, in order, at most seven frames late."""
        presenter, tracks = prepared.presenter, prepared.tracks
        stream, face_of = self._stream(presenter), FaceReader(tracks, presenter.reference)
        previous: int | None = None
        for frame, target in zip(frames, _targets(presenter, motion), strict=False):
            if previous is not None and is_discontinuity(tracks, previous, frame.index):
                yield from stream.flush()
            yield from stream.push(frame, face_of(frame.index), target)
            previous = frame.index
        yield from stream.flush()

    def is_covered(self, prepared: PreparedAtlas) -> bool:
        """Return whether something covers the mouth in every frame of the video."""
        return not prepared.presenter.is_clear.any()

    def _calibrate(self, presenter: Presenter, tracks: FaceTracks, frames: FrameSource, models: Path, on_progress: OnProgress) -> Presenter:
        on_progress(Progress(stage="calibrate", done=0, total=1))
        plain = PreparedAtlas(presenter=presenter, tracks=tracks)
        table = calibrate(presenter.faces.index, tracks, frames, render=lambda f, m: self.render(plain, f, m), read=mesh_reader(models))
        on_progress(Progress(stage="calibrate", done=1, total=1))
        return replace(presenter, correction=table)

    def _stream(self, presenter: Presenter) -> RenderStream:
        correction = OpeningCorrection(presenter.correction, presenter.mouth)
        return RenderStream(_candidate_index(presenter), Compositor(presenter, self._device), correction, presenter_visibility(presenter))


def _candidate_index(presenter: Presenter) -> CandidateIndex:
    faces, clear = presenter.faces, presenter.is_clear
    return CandidateIndex(canonical=faces.canonical, angles=faces.angles, sharpness=presenter.sharpness, index=faces.index, is_clear=clear)


def _targets(presenter: Presenter, motion: Iterable[MouthMotion]) -> Iterator[Float64]:
    """Yield the canonical face to show at each frame time; after the end of the motion the mouth rests."""
    blocks, ahead = tee(motion)
    articulation = articulations(ahead)
    for block in blocks:
        for i in range(len(block)):
            lips = None if block.lips is None else block.lips[i]
            yield presenter.mouth.target(float(block.opening[i]), float(block.width[i]), lips, next(articulation))
    yield from repeat(presenter.mouth.rest)
