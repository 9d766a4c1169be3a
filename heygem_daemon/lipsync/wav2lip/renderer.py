"""The renderer `paste`: blends the mouth images of a driver into the frames."""

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
from heygem_daemon.lipsync.imaging.grading import Grading
from heygem_daemon.lipsync.imaging.visibility import FADE, PresenterAppearance, faded_view, is_discontinuity, presenter_visibility
from heygem_daemon.lipsync.motion import MouthMotion
from heygem_daemon.lipsync.ports import MouthView, NotDriven, RenderedFrame
from heygem_daemon.lipsync.progress import OnProgress
from heygem_daemon.lipsync.wav2lip.blend import Patch, blend_patch
from heygem_daemon.lipsync.wav2lip.framing import FaceBox, Framing
from heygem_daemon.media.frame import Frame
from heygem_daemon.media.types import MediaInfo

_FLICKER_WEIGHT: Final = 0.5
"""Weight of the mean of the neighbours in time for a pixel that does not move."""
_MOVING: Final = 6.0
"""Grey levels of difference to its neighbours in time at which a pixel counts as moving, and keeps its value."""
_MOVING_BLUR: Final = 1.5
"""Pixels, the standard deviation of the blur of that difference."""
_YAW_FADE: Final = (23.0, 31.0)
"""Degrees of yaw over which a head turning away is drawn less and less: the networks have hardly seen others."""
_NOT_GENERATED: Final = MouthView(weight=0.0, limit=NotDriven.NO_FACE)
"""The view of a frame for which the driver generated no mouth: it found no face to generate it for."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Pending:
    """A frame that waits. lower: float32 [52, 96, 3]; target: opening of its mouth, IOD; view: of the mouth in this frame by itself."""

    frame: Frame
    face: Face | None
    box: FaceBox | None
    lower: Float32 | None
    target: float
    view: MouthView


class PreparedPresenter(Protocol):
    """A presenter and the tracks of the video that shows them."""

    @property
    def presenter(self) -> PresenterAppearance: ...
    @property
    def tracks(self) -> FaceTracks: ...


class Prepare(Protocol):
    """`Renderer.prepare` of a renderer that learns how the presenter looks with a clear view of the mouth."""

    def __call__(self, video: MediaInfo, tracks: FaceTracks, workspace: Path, on_progress: OnProgress) -> PreparedPresenter: ...


class PasteRenderer:
    """Renderer port: pastes `MouthMotion.mouth_images`. has_detail: adds the detail of the frame that 96 pixels cannot show."""

    name = "paste"
    yaw_fade = _YAW_FADE

    def __init__(self, prepare: Prepare, device: str = "cpu", *, has_detail: bool = True) -> None:
        self._device, self._has_detail = torch.device(device), has_detail
        self._prepare = prepare

    def prepare(self, video: MediaInfo, tracks: FaceTracks, workspace: Path, on_progress: OnProgress) -> PreparedPresenter:
        """Learn how the presenter looks with a clear view of the mouth. Raises InputError (`no_face`)."""
        return self._prepare(video, tracks, workspace, on_progress)

    def render(self, prepared: PreparedPresenter, frames: Iterable[Frame], motion: Iterable[MouthMotion]) -> Iterator[RenderedFrame]:
        """Yield one frame per source frame, in order, at most six frames late. Motion without mouth images leaves the frames unchanged."""
        presenter, tracks = prepared.presenter, prepared.tracks
        framing, visibility = Framing(tracks, presenter.reference), presenter_visibility(presenter, self.yaw_fade)
        stream = _Stream(self._device, has_detail=self._has_detail, grading=presenter.grading)
        previous: int | None = None
        for frame, (lower, target) in zip(frames, _mouth_images(motion, presenter.mouth), strict=False):
            if previous is not None and is_discontinuity(tracks, previous, frame.index):
                yield from stream.cut()
            face, box = framing.face_of(frame.index), framing(frame.index)
            view = _NOT_GENERATED if lower is None else visibility(frame, face)
            yield from stream.push(_Pending(frame=frame, face=face, box=box, lower=lower, target=target, view=view))
            previous = frame.index
        yield from stream.cut()

    def is_covered(self, prepared: PreparedPresenter) -> bool:
        """Return whether something covers the mouth in every frame of the video."""
        return not prepared.presenter.is_clear.any()


class _Stream:
    """Renders frames in order, some frames late, because a mouth fades in and out."""

    def __init__(self, device: torch.device, *, has_detail: bool, grading: Grading) -> None:
        self._device, self._has_detail, self._grading = device, has_detail, grading
        self._waiting: deque[_Pending] = deque()
        self._past: deque[_Pending] = deque(maxlen=FADE)

    def push(self, pending: _Pending) -> Iterator[RenderedFrame]:
        """Take one more frame; yield those that are ready."""
        self._waiting.append(pending)
        while len(self._waiting) > FADE:
            yield self._emit()

    def cut(self) -> Iterator[RenderedFrame]:
        """Yield all waiting frames and forget the past: at a scene cut, and at the end."""
        while self._waiting:
            yield self._emit()
        self._past.clear()

    def _emit(self) -> RenderedFrame:
        view = faded_view((pending.view for pending in reversed(self._past)), (pending.view for pending in self._waiting))
        strength, pending = view.weight, self._waiting.popleft()
        rendered, target = pending.frame, float("nan")
        if strength > 0 and pending.face is not None and pending.box is not None and pending.lower is not None:
            patch = Patch(
                lower=self._reduce_flicker(pending.lower),
                box=pending.box,
                strength=strength,
                has_detail=self._has_detail,
                grading=self._grading,
            )
            rendered = blend_patch(pending.frame, pending.face, patch, self._device)
            own = float(opening_of(pending.face.canonical))
            target = own + strength * (pending.target - own)
        self._past.append(pending)
        return RenderedFrame(frame=rendered, target_opening=target, not_driven=view.not_driven)

    def _reduce_flicker(self, lower: Float32) -> Float32:
        """Return the mouth image with less flicker."""
        before = self._past[-1].lower if self._past else None
        after = self._waiting[0].lower if self._waiting else None
        return lower if before is None or after is None else reduce_flicker(before, lower, after)


def reduce_flicker(before: Float32, now: Float32, after: Float32) -> Float32:
    """Return `now` (float32 [h, w, 3], 0-255) moved towards the mean of its neighbours in time where all three are similar.

    A network generates every frame independently: still skin flickers by some grey levels. The faces do not move in their box, so no motion
    compensation is needed; a pixel that differs by more than noise moves.
    """
    mean = (before + after) / 2
    moved = np.maximum(np.abs(now - before), np.abs(now - after)).max(2)
    moved = cv2.GaussianBlur(moved, (0, 0), _MOVING_BLUR)
    weight = _FLICKER_WEIGHT * np.exp(-np.square(moved / _MOVING))[..., None]
    return np.asarray(now + weight * (mean - now), np.float32)


def _mouth_images(motion: Iterable[MouthMotion], mouth: MouthModel) -> Iterator[tuple[Float32 | None, float]]:
    """Yield the mouth image of each frame and its opening in IOD; None after the end of the motion."""
    shut, wide = mouth.openings
    for block in motion:
        for i in range(len(block)):
            yield None if block.mouth_images is None else block.mouth_images[i], shut + (wide - shut) * float(block.opening[i])
    while True:
        yield None, 0.0
