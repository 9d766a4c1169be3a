"""Where the tracked mouth of a turned head lies.

The face mesh is aligned by eyes, nose and forehead. On a head that turns aside its lower face drifts against these: beyond 20 degrees of
yaw the lips lie .02 to .05 IOD (root mean square, six clips) from where rest, opening and width put them. The drift is slow (.006 to .033
IOD are left without its mean over half a second), and not a function of the angles alone (.016 to .04 left without that of like angles).
If it stayed, a mouth would be drawn beside its place, the silhouette of the cheek would move along, and atlas frames would be chosen by
their drift instead of their lips.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Float64, Int32
from heygem_daemon.lipsync.geometry.landmarks import LIPS
from heygem_daemon.lipsync.geometry.mouth_model import MouthModel, opening_of, width_of
from heygem_daemon.lipsync.geometry.pose import Face
from heygem_daemon.lipsync.geometry.samples import FaceSample
from heygem_daemon.lipsync.geometry.smoothstep import smoothstep

_REACH: Final = 6
"""Drift is a mean over so many frames either way: half a second, in which speech averages out."""
_TURNED: Final = (12.0, 23.0)
"""Degrees of yaw: up to the first a head counts as frontal and nothing is changed, from the second on as turned."""
_KEPT: Final = 256

_LIPS: Final = np.array(LIPS)


def turned_weight(yaw: float) -> float:
    """Return 0 for a head that looks roughly at the camera, 1 for one turned aside by `yaw` degrees, either way."""
    return smoothstep(abs(float(yaw)), *_TURNED)


class SteadyFaces:
    """Returns the faces of a video without the drift of their mouths.

    face_of: returns the face of a frame, None where it has none; shot: int [frames], over whose borders nothing is averaged.
    """

    def __init__(self, face_of: Callable[[int], Face | None], mouth: MouthModel, shot: Int32) -> None:
        self._face_of, self._mouth, self._shot = face_of, mouth, shot
        self._drift_at = lru_cache(maxsize=_KEPT)(self._read_drift)

    def __call__(self, index: int) -> Face | None:
        """Return the face of frame `index` with canonical lips where those of a frontal head would be; None where it has none."""
        face = self._face_of(index)
        if face is None or (weight := turned_weight(face.angles[0])) == 0:
            return face
        around = range(max(0, index - _REACH), min(len(self._shot), index + _REACH + 1))
        near = [self._drift_at(k) for k in around if self._shot[k] == self._shot[index]]
        return replace(face, canonical=face.canonical - weight * np.mean([drift for drift in near if drift is not None], axis=0))

    def _read_drift(self, index: int) -> Float64 | None:
        face = self._face_of(index)
        return None if face is None else mouth_drift(face.canonical[None], self._mouth)[0]


def without_drift(faces: FaceSample, mouth: MouthModel) -> FaceSample:
    """Return the sample with canonical faces without the drift of their mouths."""
    weight = np.array([turned_weight(yaw) for yaw in faces.angles[:, 0]])
    drift, canonical = mouth_drift(faces.canonical, mouth), faces.canonical.copy()
    for row in np.flatnonzero(weight):
        near = slice(*np.searchsorted(faces.index, (faces.index[row] - _REACH, faces.index[row] + _REACH + 1)))
        canonical[row] -= weight[row] * drift[near].mean(0)
    return replace(faces, canonical=canonical)


def mouth_drift(faces: Float64, mouth: MouthModel) -> Float64:
    """Return [n, 3]: how far the lips of canonical faces [n, 468, 3] lie, in the mean, from where rest, opening and width put them."""
    opening, width = opening_of(faces) - opening_of(mouth.rest), width_of(faces) - width_of(mouth.rest)
    rest, opened, widened = (shape[_LIPS].mean(0) for shape in (mouth.rest, mouth.open_basis, mouth.width_basis))
    return np.asarray(faces[:, _LIPS].mean(1) - rest - opening[:, None] * opened - width[:, None] * widened)
