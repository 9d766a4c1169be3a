"""Compute how much of the drawn mouth a frame may show: all towards the camera, nothing where the face is missing, turned or covered."""

from collections.abc import Iterable
from typing import Final, Protocol

import numpy as np

from heygem_daemon.lipsync.arrays import Bool, Float64, Image
from heygem_daemon.lipsync.face_tracks import FaceTracks
from heygem_daemon.lipsync.geometry.mouth_model import MouthModel
from heygem_daemon.lipsync.geometry.pose import Face
from heygem_daemon.lipsync.geometry.samples import FaceSample
from heygem_daemon.lipsync.geometry.smoothstep import smoothstep
from heygem_daemon.lipsync.geometry.triangulation import triangulate
from heygem_daemon.lipsync.imaging.occlusion import OcclusionTest, SkinSampler
from heygem_daemon.media.frame import Frame

FADE: Final = 6
"""Frames over which a drawn mouth gives way to the untouched frame before a gap, and comes back after it."""
_YAW_FADE: Final = (23.0, 31.0)
"""Degrees of yaw over which a head turning away is drawn less and less."""


class PresenterAppearance(Protocol):
    """The properties of a presenter by which a visible mouth is recognised; atlas.store.Presenter has it.

    reference: [468, 3], mean canonical face; faces: n frames of the video; skin_samples: uint8 [n, p, 3], the skin around the mouth;
    is_clear: bool [n], nothing covers the mouth; skin_limit: the residual beyond which a mouth counts as covered, grey levels
    """

    @property
    def reference(self) -> Float64: ...
    @property
    def mouth(self) -> MouthModel: ...
    @property
    def faces(self) -> FaceSample: ...
    @property
    def skin_samples(self) -> Image: ...
    @property
    def is_clear(self) -> Bool: ...
    @property
    def skin_limit(self) -> float: ...


class Visibility:
    """Judges single frames of one presenter."""

    def __init__(self, sampler: SkinSampler, occlusion: OcclusionTest) -> None:
        self._sampler, self._occlusion = sampler, occlusion

    def __call__(self, frame: Frame, face: Face | None) -> float:
        """Return 0-1: how much may be drawn on this frame by itself."""
        if face is None:
            return 0.0
        towards = 1 - smoothstep(abs(float(face.angles[0])), *_YAW_FADE)
        if towards == 0:
            return 0.0
        return 0.0 if self._is_covered(frame, face) else towards

    def _is_covered(self, frame: Frame, face: Face) -> bool:
        if not np.isfinite(self._occlusion.limit):
            return False
        return self._occlusion.is_covered(self._sampler.of_frame(frame, face.points, face.scale), face.angles)


def presenter_visibility(presenter: PresenterAppearance) -> Visibility:
    """Return the `Visibility` of frames of this presenter."""
    faces, clear = presenter.faces, presenter.is_clear
    sampler = SkinSampler(presenter.mouth.rest, triangulate(presenter.reference, presenter.mouth.weight))
    return Visibility(sampler, OcclusionTest(presenter.skin_samples[clear], faces.angles[clear], presenter.skin_limit))


def fade_weight(before: Iterable[float], onwards: Iterable[float]) -> float:
    """Return how much is drawn on a frame, 0-1: a ramp of FADE frames to and from every gap.

    before: the `Visibility` of the frames before it, the last one first; onwards: of the frame itself and those after it.
    """
    past = [raw + k / FADE for k, raw in enumerate(before, start=1)]
    future = [raw + k / FADE for k, raw in enumerate(onwards)]
    return min([1.0, *past, *future])


def is_discontinuity(tracks: FaceTracks, before: int, after: int) -> bool:
    """Return whether the image jumps between two frames: another shot, or not neighbours in the video."""
    return bool(abs(after - before) > 1 or tracks.shot[before] != tracks.shot[after])
