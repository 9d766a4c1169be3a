"""How much may be drawn on a frame: all on a face that looks this way, nothing where it is missing, turned away or covered."""

from collections.abc import Iterable
from typing import Final

import numpy as np

from heygem_daemon.lipsync.atlas.store import Presenter
from heygem_daemon.lipsync.face_tracks import FaceTracks
from heygem_daemon.lipsync.geometry.pose import Face
from heygem_daemon.lipsync.geometry.triangulation import triangulated
from heygem_daemon.lipsync.imaging.occlusion import OcclusionTest, SkinSampler
from heygem_daemon.media.frame import Frame

FADE: Final = 6
"""Frames over which a drawn mouth gives way to the untouched picture before a gap, and comes back after it."""
_YAW_FADE: Final = (23.0, 31.0)


class Visibility:
    """Looks at single frames of one presenter."""

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
        return self._occlusion.is_covered(self._sampler.of_frame(frame, face.picture, face.scale), face.angles)


def visibility_of(presenter: Presenter) -> Visibility:
    faces, clear = presenter.faces, presenter.is_clear
    sampler = SkinSampler(presenter.mouth.rest, triangulated(presenter.reference, presenter.mouth.weight))
    return Visibility(sampler, OcclusionTest(presenter.skins[clear], faces.angles[clear], presenter.skin_limit))


def ramped(before: Iterable[float], onwards: Iterable[float]) -> float:
    """Return how much is drawn on a frame: a ramp of FADE frames to and from every gap.

    before: what `Visibility` said of the frames before it, the last one first; onwards: of the frame itself and those after it.
    """
    past = [raw + k / FADE for k, raw in enumerate(before, start=1)]
    future = [raw + k / FADE for k, raw in enumerate(onwards)]
    return min([1.0, *past, *future])


def is_cut(tracks: FaceTracks, before: int, after: int) -> bool:
    """Return whether the picture jumps between two frames: another shot, or not neighbours in the video."""
    return bool(abs(after - before) > 1 or tracks.shot[before] != tracks.shot[after])


def smoothstep(x: float, low: float, high: float) -> float:
    """Return 0 below `low`, 1 above `high`, and a smooth way in between."""
    t = min(1.0, max(0.0, (x - low) / (high - low)))
    return t * t * (3 - 2 * t)
