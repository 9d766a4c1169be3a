"""Compute how much of the drawn mouth a frame may show: all towards the camera, nothing where the face is missing, turned or covered."""

from collections.abc import Iterable
from operator import itemgetter
from typing import Final, Protocol

import numpy as np

from heygem_daemon.lipsync.arrays import Bool, Float32, Float64, Image
from heygem_daemon.lipsync.face_tracks import FaceTracks
from heygem_daemon.lipsync.geometry.mouth_model import MouthModel
from heygem_daemon.lipsync.geometry.pose import Face, fit_pose, mean_face
from heygem_daemon.lipsync.geometry.samples import FaceSample
from heygem_daemon.lipsync.geometry.smoothstep import smoothstep
from heygem_daemon.lipsync.geometry.triangulation import triangulate
from heygem_daemon.lipsync.imaging.grading import Grading
from heygem_daemon.lipsync.imaging.mouth_cover import CoverTest, read_profiles
from heygem_daemon.lipsync.imaging.occlusion import OcclusionTest, SkinSampler
from heygem_daemon.lipsync.ports import CLEAR_VIEW, MouthView, NotDriven
from heygem_daemon.media.frame import Frame

FADE: Final = 6
"""Frames over which a drawn mouth gives way to the untouched frame before a gap, and comes back after it."""
YAW_FADE: Final = (40.0, 46.0)
"""Degrees of yaw over which a head turning away is drawn less and less."""
_ANY_FITS: Final = (23.0, 31.0)
"""Degrees of yaw up to which the mouth of a head turned otherwise fits; beyond, less and less."""
_LIKE_YAW: Final = (8.0, 14.0)
"""Degrees between the yaws of two heads up to which the mouth of one fits the other, turned as far as it may be; beyond, less and less."""
COVERED_VIEW: Final = MouthView(weight=0.0, limit=NotDriven.COVERED)


class PresenterAppearance(Protocol):
    """The properties of a presenter by which a visible mouth is recognised; atlas.store.Presenter has it.

    reference: [468, 3], mean canonical face; faces: n frames of the video; skin_samples: uint8 [n, p, 3], the skin around the mouth;
    is_clear: bool [n], nothing covers the mouth; skin_limit: the residual beyond which a mouth counts as covered, grey levels;
    cover_means: float32 [2, 29, 7, 3], see `mouth_cover.CoverTest`, or empty; grading: how the colours of the video were graded
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
    @property
    def cover_means(self) -> Float32: ...
    @property
    def grading(self) -> Grading: ...


class Visibility:
    """Judges single frames of one presenter.

    cover: None where the mouth is never covered for long, or always; yaws: [n], degrees, of the clear frames there are mouths from, maybe
    none; yaw_fade: see `pose_view`
    """

    def __init__(
        self, sampler: SkinSampler, occlusion: OcclusionTest, cover: CoverTest | None, yaws: Float64, yaw_fade: tuple[float, float]
    ) -> None:
        self._sampler, self._occlusion, self._cover = sampler, occlusion, cover
        self._yaws, self._yaw_fade = yaws, yaw_fade

    def __call__(self, frame: Frame, face: Face | None) -> MouthView:
        """Return how much may be drawn on this frame by itself."""
        view = pose_view(None if face is None else float(face.angles[0]), self._yaw_fade, self._yaws)
        if face is None or view.weight == 0:
            return view
        return COVERED_VIEW if self._is_covered(frame, face) else view

    def _is_covered(self, frame: Frame, face: Face) -> bool:
        if not len(self._yaws):
            return True
        if self._cover is not None and self._cover.is_covered(read_profiles(frame, face.points, face.scale)):
            return True
        if not np.isfinite(self._occlusion.limit):
            return False
        return self._occlusion.is_covered(self._sampler.of_frame(frame, face.points, face.scale), face.angles)


def presenter_visibility(presenter: PresenterAppearance, yaw_fade: tuple[float, float] = YAW_FADE) -> Visibility:
    """Return the `Visibility` of frames of this presenter. yaw_fade: see `pose_view`."""
    faces, clear = presenter.faces, presenter.is_clear
    sampler = SkinSampler(presenter.mouth.rest, triangulate(presenter.reference, presenter.mouth.weight))
    occlusion = OcclusionTest(presenter.skin_samples[clear], faces.angles[clear], presenter.skin_limit)
    cover = CoverTest(presenter.cover_means) if len(presenter.cover_means) else None
    return Visibility(sampler, occlusion, cover, faces.angles[clear, 0], yaw_fade)


def pose_view(yaw: float | None, yaw_fade: tuple[float, float] = YAW_FADE, yaws: Float64 | None = None) -> MouthView:
    """Return how much may be drawn on a face turned by `yaw` degrees; None where there is no face.

    yaw_fade: degrees from which less is drawn, and from which nothing is; yaws: [n], of the heads whose mouths can be drawn; None or empty
    where that is not known.
    """
    if yaw is None:
        return MouthView(weight=0.0, limit=NotDriven.NO_FACE)
    towards = 1 - smoothstep(abs(yaw), *yaw_fade)
    if yaws is not None and len(yaws):
        alike = 1 - smoothstep(float(np.abs(yaws - yaw).min()), *_LIKE_YAW)
        towards = min(towards, max(alike, 1 - smoothstep(abs(yaw), *_ANY_FITS)))
    return CLEAR_VIEW if towards == 1 else MouthView(weight=towards, limit=NotDriven.TURNED)


def pose_views(tracks: FaceTracks, yaw_fade: tuple[float, float] = YAW_FADE) -> list[MouthView]:
    """Return what the tracks alone say of every frame of the video."""
    reference, views = mean_face(tracks), []
    for start, landmarks in tracks.blocks():
        valid = tracks.valid[start : start + len(landmarks)]
        yaw = fit_pose(np.where(valid[:, None, None], landmarks, reference), reference).angles()[:, 0]
        views += [pose_view(float(angle) if known else None, yaw_fade) for angle, known in zip(yaw, valid, strict=True)]
    return views


def faded_view(before: Iterable[MouthView], onwards: Iterable[MouthView]) -> MouthView:
    """Return how much is drawn on a frame, and the reason: a ramp of FADE frames to and from every gap.

    before: the `Visibility` of the frames before it, the last one first; onwards: of the frame itself and those after it.
    """
    ramps = [(view.weight + k / FADE, view.limit) for views, first in ((onwards, 0), (before, 1)) for k, view in enumerate(views, first)]
    weight, limit = min(ramps, key=itemgetter(0))
    return MouthView(weight=weight, limit=limit) if weight < CLEAR_VIEW.weight else CLEAR_VIEW


def is_discontinuity(tracks: FaceTracks, before: int, after: int) -> bool:
    """Return whether the image jumps between two frames: another shot, or not neighbours in the video."""
    return bool(abs(after - before) > 1 or tracks.shot[before] != tracks.shot[after])
