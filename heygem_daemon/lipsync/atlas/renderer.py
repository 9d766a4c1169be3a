"""The `atlas` renderer: a presenter speaks with the mouth the video itself shows (Video Rewrite, Bregler et al. 1997)."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat, tee
from pathlib import Path
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Float64
from heygem_daemon.lipsync.atlas.calibration import OpeningCorrection, calibrate, mesh_reader, trial_runs
from heygem_daemon.lipsync.atlas.compositor import Compositor
from heygem_daemon.lipsync.atlas.drawers import Drawer, DrawTask, ThreadDrawer
from heygem_daemon.lipsync.atlas.frame_spool import FrameSpool
from heygem_daemon.lipsync.atlas.harvest import FrameSource, harvest, select_faces
from heygem_daemon.lipsync.atlas.retrieval import CandidateIndex, InteriorIndex
from heygem_daemon.lipsync.atlas.store import Presenter, load, save
from heygem_daemon.lipsync.atlas.stream import RenderStream
from heygem_daemon.lipsync.face_tracks import FaceTracks
from heygem_daemon.lipsync.geometry.articulation import articulations
from heygem_daemon.lipsync.geometry.drift import SteadyFaces
from heygem_daemon.lipsync.geometry.mouth_model import MouthModel
from heygem_daemon.lipsync.geometry.opening_limit import limit_opening
from heygem_daemon.lipsync.geometry.pose import FaceReader
from heygem_daemon.lipsync.imaging.visibility import YAW_FADE, is_discontinuity, presenter_visibility
from heygem_daemon.lipsync.motion import MouthMotion
from heygem_daemon.lipsync.ports import RenderedFrame
from heygem_daemon.lipsync.progress import OnProgress, Progress
from heygem_daemon.machine import usable_cores
from heygem_daemon.media.frame import Frame
from heygem_daemon.media.reader import VideoReader
from heygem_daemon.media.types import MediaInfo

SHOWS_INTERIOR: Final = 0.025
"""Opening from which a mouth shows something of its interior, in IOD."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedAtlas:
    """A presenter and the tracks of the video they are on."""

    presenter: Presenter
    tracks: FaceTracks


class AtlasRenderer:
    """Renderer port: draws with the presenter's own frames.

    device: a torch device; models: the directory of the face mesh, for calibration; None leaves calibration out; threads: that draw on the
    CPU, 0 = as many as this process may run on; batch: frames that a card draws at once, 0 = as many as suit it
    """

    name = "atlas"
    yaw_fade = YAW_FADE

    def __init__(self, device: str = "cpu", models: Path | None = None, *, threads: int = 0, batch: int = 0) -> None:
        self._device, self._models, self._threads, self._batch = device, models, threads or usable_cores(), batch

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
            presenter = self._learn(frames, tracks, workspace, on_progress, name)
            save(presenter)
        return PreparedAtlas(presenter=presenter, tracks=tracks)

    def render(self, prepared: PreparedAtlas, frames: Iterable[Frame], motion: Iterable[MouthMotion]) -> Iterator[RenderedFrame]:
        """Yield one frame per source frame, in order, at most seven frames late and those that are drawn at once."""
        with closing(self._drawer(prepared.presenter).draw(self.tasks(prepared, frames, motion))) as drawn:
            yield from drawn

    def is_covered(self, prepared: PreparedAtlas) -> bool:
        """Return whether something covers the mouth in every frame of the video."""
        return not prepared.presenter.is_clear.any()

    def _learn(self, frames: FrameSource, tracks: FaceTracks, workspace: Path, on_progress: OnProgress, name: str) -> Presenter:
        """Return the presenter of a video, calibrated, from one pass over its frames."""
        selection = select_faces(tracks, name)
        trials = trial_runs(selection.faces.frontal().index) if self._models is not None else []
        with FrameSpool(workspace / "trials.part", trials) as spool:

            def on_frame(done: int, total: int, frame: Frame) -> None:
                spool.add(frame)
                on_progress(Progress(stage="harvest", done=done, total=total))

            presenter = harvest(selection, frames, workspace, on_frame)
            if self._models is None or not presenter.is_clear.any():
                return presenter
            on_progress(Progress(stage="calibrate", done=0, total=1))
            plain = PreparedAtlas(presenter=presenter, tracks=tracks)
            render = partial(self.render, plain)
            table = calibrate(trials, tracks, spool.frames, render=render, read=mesh_reader(self._models))
        on_progress(Progress(stage="calibrate", done=1, total=1))
        return replace(presenter, correction=table)

    def tasks(self, prepared: PreparedAtlas, frames: Iterable[Frame], motion: Iterable[MouthMotion]) -> Iterator[DrawTask]:
        """Yield what to draw on each frame."""
        presenter, tracks = prepared.presenter, prepared.tracks
        correction = OpeningCorrection(presenter.correction, presenter.mouth, presenter.closed_opening)
        stream = RenderStream(
            _candidate_index(presenter),
            _interior_index(presenter),
            presenter.shown_opening,
            correction,
            presenter_visibility(presenter),
        )
        face_of = SteadyFaces(FaceReader(tracks, presenter.reference), presenter.mouth, tracks.shot)
        previous: int | None = None
        for frame, target in zip(frames, _targets(presenter, motion), strict=False):
            if previous is not None and is_discontinuity(tracks, previous, frame.index):
                yield from stream.flush()
            yield from stream.push(frame, face_of(frame.index), target)
            previous = frame.index
        yield from stream.flush()

    def _drawer(self, presenter: Presenter) -> Drawer:
        if self._device == "cpu":
            return ThreadDrawer(Compositor(presenter), self._threads)
        from heygem_daemon.lipsync.atlas.card.drawer import BatchDrawer  # noqa: PLC0415  (torch is slow to import)

        return BatchDrawer(presenter, self._device, self._batch)


def _candidate_index(presenter: Presenter) -> CandidateIndex:
    faces, clear = presenter.faces, presenter.is_clear
    return CandidateIndex(
        canonical=faces.canonical,
        openings=presenter.lips_apart,
        angles=faces.angles,
        sharpness=presenter.sharpness,
        interiors=presenter.interiors,
        index=faces.index,
        is_clear=clear,
    )


def _interior_index(presenter: Presenter) -> InteriorIndex:
    faces, openings = presenter.faces, presenter.lips_apart
    rows = np.flatnonzero(presenter.is_clear & (openings > SHOWS_INTERIOR))
    return InteriorIndex(
        rows=rows, canonical=faces.canonical, angles=faces.angles, sharpness=presenter.sharpness, index=faces.index, openings=openings
    )


def _targets(presenter: Presenter, motion: Iterable[MouthMotion]) -> Iterator[Float64]:
    """Yield the canonical face to show at each frame time; after the end of the motion the mouth rests."""
    yield from limit_opening(_driven_faces(presenter.mouth, motion), presenter.mouth)
    yield from repeat(presenter.mouth.rest)


def _driven_faces(mouth: MouthModel, motion: Iterable[MouthMotion]) -> Iterator[tuple[float, Float64]]:
    """Yield the time of each frame, in s, and the canonical face [468, 3] that the motion asks for."""
    blocks, ahead = tee(motion)
    articulation = articulations(ahead)
    for block in blocks:
        for i in range(len(block)):
            lips = None if block.lips is None else block.lips[i]
            yield float(block.times[i]), mouth.target(float(block.opening[i]), float(block.width[i]), lips, next(articulation))
