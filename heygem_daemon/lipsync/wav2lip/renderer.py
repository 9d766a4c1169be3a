"""The `paste` renderer: lays the mouths that a driver drew over the frames."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import cv2
import numpy as np
import torch

from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.face_tracks import FaceTracks
from heygem_daemon.lipsync.geometry.mouth_model import MouthModel, opening_of
from heygem_daemon.lipsync.geometry.pose import Face
from heygem_daemon.lipsync.imaging.visibility import FADE, PresenterAppearance, fade_weight, is_discontinuity, presenter_visibility
from heygem_daemon.lipsync.motion import MouthMotion
from heygem_daemon.lipsync.ports import RenderedFrame
from heygem_daemon.lipsync.progress import OnProgress
from heygem_daemon.lipsync.wav2lip.blend import Patch, lay_patch
from heygem_daemon.lipsync.wav2lip.framing import FaceBox, Framing
from heygem_daemon.media.frame import Frame
from heygem_daemon.media.types import MediaInfo

_STEADIED: Final = 0.5
"""How far a pixel goes to the mean of its neighbours in time, where it hardly moves."""
_MOVES: Final = 6.0
"""Grey levels: what differs more from its neighbours in time moves, and is left alone."""
_AROUND: Final = 1.5


@dataclass(frozen=True, kw_only=True, eq=False)
class _Pending:
    """A frame on its way. lower: float32 [52, 96, 3]; asked: the opening of its mouth, IOD; raw: how much may be drawn, 0-1."""

    frame: Frame
    face: Face | None
    box: FaceBox | None
    lower: Float32 | None
    asked: float
    raw: float


class PreparedPresenter(Protocol):
    """A presenter and the tracks of the video they are on."""

    @property
    def presenter(self) -> PresenterAppearance: ...
    @property
    def tracks(self) -> FaceTracks: ...


class Prepare(Protocol):
    """`Renderer.prepare` of a renderer that learns how the presenter looks with a clear view of the mouth."""

    def __call__(self, video: MediaInfo, tracks: FaceTracks, workspace: Path, on_progress: OnProgress) -> PreparedPresenter: ...


class PasteRenderer:
    """Renderer port: pastes `MouthMotion.pictures`. has_detail: the presenter's own skin is laid over what 96 pixels cannot show."""

    name = "paste"

    def __init__(self, prepare: Prepare, device: str = "cpu", *, has_detail: bool = True) -> None:
        self._device, self._has_detail = torch.device(device), has_detail
        self._prepare = prepare

    def prepare(self, video: MediaInfo, tracks: FaceTracks, workspace: Path, on_progress: OnProgress) -> PreparedPresenter:
        """Learn how the presenter looks with a clear view of the mouth. Raises InputError (`no_face`)."""
        return self._prepare(video, tracks, workspace, on_progress)

    def render(self, prepared: PreparedPresenter, frames: Iterable[Frame], motion: Iterable[MouthMotion]) -> Iterator[RenderedFrame]:
        """Yield one frame per source frame, in order, at most six frames late. Motion without pictures leaves the frames as they are."""
        presenter, tracks = prepared.presenter, prepared.tracks
        framing, visibility = Framing(tracks, presenter.reference), presenter_visibility(presenter)
        run = _Run(self._device, has_detail=self._has_detail)
        previous: int | None = None
        for frame, (lower, asked) in zip(frames, _wanted(motion, presenter.mouth), strict=False):
            if previous is not None and is_discontinuity(tracks, previous, frame.index):
                yield from run.cut()
            face, box = framing.face_of(frame.index), framing(frame.index)
            raw = 0.0 if lower is None else visibility(frame, face)
            yield from run.push(_Pending(frame=frame, face=face, box=box, lower=lower, asked=asked, raw=raw))
            previous = frame.index
        yield from run.cut()


class _Run:
    """Frames in, drawn frames out, in order."""

    def __init__(self, device: torch.device, *, has_detail: bool) -> None:
        self._device, self._has_detail = device, has_detail
        self._waiting: deque[_Pending] = deque()
        self._past: deque[_Pending] = deque(maxlen=FADE)

    def push(self, pending: _Pending) -> Iterator[RenderedFrame]:
        self._waiting.append(pending)
        while len(self._waiting) > FADE:
            yield self._emit()

    def cut(self) -> Iterator[RenderedFrame]:
        """Give out all frames still held back and forget the past: a scene cut, or the end."""
        while self._waiting:
            yield self._emit()
        self._past.clear()

    def _emit(self) -> RenderedFrame:
        strength = fade_weight((pending.raw for pending in reversed(self._past)), (pending.raw for pending in self._waiting))
        pending = self._waiting.popleft()
        drawn, asked = pending.frame, float("nan")
        if strength > 0 and pending.face is not None and pending.box is not None and pending.lower is not None:
            patch = Patch(lower=self._steadied(pending.lower), box=pending.box, strength=strength, has_detail=self._has_detail)
            drawn = lay_patch(pending.frame, pending.face, patch, self._device)
            own = float(opening_of(pending.face.canonical))
            asked = own + strength * (pending.asked - own)
        self._past.append(pending)
        return RenderedFrame(frame=drawn, target_opening=asked)

    def _steadied(self, lower: Float32) -> Float32:
        """Return the picture with its flicker taken off; what moves stays."""
        before = self._past[-1].lower if self._past else None
        after = self._waiting[0].lower if self._waiting else None
        return lower if before is None or after is None else steadied(before, lower, after)


def steadied(before: Float32, now: Float32, after: Float32) -> Float32:
    """Return `now` (float32 [h, w, 3], 0-255) drawn to the mean of its neighbours in time where all three look alike.

    A network draws every frame anew: still skin flickers by some grey levels. The faces hold still in their box, so no motion needs to be
    followed; where a pixel differs by more than noise, it moved.
    """
    mean = (before + after) / 2
    moved = np.maximum(np.abs(now - before), np.abs(now - after)).max(2)
    moved = cv2.GaussianBlur(moved, (0, 0), _AROUND)
    share = _STEADIED * np.exp(-np.square(moved / _MOVES))[..., None]
    return np.asarray(now + share * (mean - now), np.float32)


def _wanted(motion: Iterable[MouthMotion], mouth: MouthModel) -> Iterator[tuple[Float32 | None, float]]:
    """Yield the picture of each frame and its opening in IOD; after the end of the motion nothing is drawn."""
    shut, wide = mouth.openings
    for block in motion:
        for i in range(len(block)):
            yield None if block.mouth_images is None else block.mouth_images[i], shut + (wide - shut) * float(block.opening[i])
    while True:
        yield None, 0.0
