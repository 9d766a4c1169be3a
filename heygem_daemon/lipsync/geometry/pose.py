"""Pose of the head and canonical landmarks of every frame: where a face is, and what it does apart from that.

Canonical space: x to the right of the image, y down, z to the back, origin between the eyes, outer eye corners 1 apart (IOD).
"""

from collections import OrderedDict
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Bool, Float64, Int32
from heygem_daemon.lipsync.face_tracks import FaceTracks
from heygem_daemon.lipsync.geometry.landmarks import CHIN, EYE_CORNERS, FOREHEAD, INNER_MIDDLE, RIGID, lower_face_weight

_RIGID: Final = np.array(RIGID)
_WINDOW: Final = 5
"""Frames of the parabola that smooths landmarks over time (Savitzky and Golay 1964)."""
_SMOOTHING: Final[Float64] = (
    np.array([[31, 9, -3, -5, 3], [9, 13, 12, 6, -5], [-3, 12, 17, 12, -3], [-5, 6, 12, 13, 9], [3, -5, -3, 9, 31]]) / 35
)
"""Row k turns five values into that of the parabola fitted to them at place k: the middle row smooths, the others do at both ends of a
run. It is X (X' X)^-1 X' of X = [1, t, t²], t = -2..2."""
_MARGIN: Final = _WINDOW - 1
"""Frames read on either side of a block, so that smoothing does not depend on how a video is cut into blocks."""
_OPENING_NOISE: Final = 0.006
"""Lip opening, in IOD, by which smoothing changes a frame where half of the change counts as noise."""
_REFERENCE_FRAMES: Final = 400
_REFERENCE_ROUNDS: Final = 4
"""Frames the mean face is made of, and how often they are fitted to it."""
_BLOCK: Final = 64
_BLOCKS_KEPT: Final = 4
"""`FaceReader` reads blocks of so many frames, and keeps the ones used last."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pose:
    """n similarities, points = scale * rotation @ canonical + translation.

    scale: [n], pixels per IOD; rotation: [n, 3, 3]; translation: [n, 3], pixels
    """

    scale: Float64
    rotation: Float64
    translation: Float64

    def project(self, canonical: Float64) -> Float64:
        """Return [n, K, 3] in pixels for canonical [n, K, 3] (or [K, 3], the same for all)."""
        turned = np.einsum("nij,...kj->nki" if canonical.ndim == 2 else "nij,nkj->nki", self.rotation, canonical)
        return np.asarray(self.scale[:, None, None] * turned + self.translation[:, None])

    def unproject(self, points: Float64) -> Float64:
        """Return canonical [n, K, 3] for points [n, K, 3] in pixels."""
        centred = points - self.translation[:, None]
        return np.asarray(np.einsum("nji,nkj->nki", self.rotation, centred) / self.scale[:, None, None])

    def angles(self) -> Float64:
        """Return [n, 3]: yaw, pitch, roll in degrees; yaw and pitch are those of the head levelled, whatever its roll in the image."""
        roll = np.arctan2(self.rotation[:, 1, 0], self.rotation[:, 0, 0])
        x, y, z = self.rotation[:, :, 2].T
        across, down = np.cos(roll) * x + np.sin(roll) * y, np.cos(roll) * y - np.sin(roll) * x
        return np.asarray(np.degrees(np.stack([np.arctan2(across, z), np.arcsin(np.clip(-down, -1, 1)), roll], axis=1)))


@dataclass(frozen=True, kw_only=True, eq=False)
class FaceGeometry:
    """The faces of n frames.

    valid: bool [n]; points: [n, 468, 2], pixels, smoothed; canonical: [n, 468, 3], smoothed; angles: [n, 3], degrees
    """

    valid: Bool
    points: Float64
    canonical: Float64
    pose: Pose
    angles: Float64

    def __len__(self) -> int:
        return len(self.valid)


@dataclass(frozen=True, kw_only=True, eq=False)
class Face:
    """The face of one frame: the row of a `FaceGeometry`. scale: pixels per IOD; angles: yaw, pitch, roll in degrees."""

    points: Float64
    canonical: Float64
    scale: float
    rotation: Float64
    angles: Float64

    def shifted(self, displacement: Float64) -> Float64:
        """Return [468, 2] in pixels: the landmarks after a canonical displacement [468, 3]; tracker noise is in both and cancels."""
        return self.points + self.scale * (displacement @ self.rotation.T)[:, :2]


def angle_difference(angles: Float64, other: Float64) -> Float64:
    """Return `angles` - `other` in degrees, each within -180 to 180: an upside-down head rolls across that border."""
    return np.asarray((angles - other + 180) % 360 - 180)


def fit_pose(points: Float64, reference: Float64) -> Pose:
    """Return the similarities that map reference [468, 3] on points [n, 468, 3] over the rigid landmarks (Umeyama 1991)."""
    x, y = reference[_RIGID], points[:, _RIGID]
    x_mean, y_mean = x.mean(0), y.mean(1)
    spread = x - x_mean
    u, s, vt = np.linalg.svd(np.einsum("nki,kj->nij", y - y_mean[:, None], spread))
    sign = np.ones((len(points), 3))
    sign[:, 2] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * sign[:, None]) @ vt
    scale = (s * sign).sum(1) / (spread**2).sum()
    return Pose(scale=scale, rotation=rotation, translation=y_mean - scale[:, None] * (rotation @ x_mean))


def upright(face: Float64) -> Float64:
    """Return the face [468, 3] in canonical axes: eye line along x, forehead to chin along y, eye corners 1 apart."""
    left, right = (face[i] for i in EYE_CORNERS)
    x = (right - left) / np.linalg.norm(right - left)
    y = face[CHIN] - face[FOREHEAD]
    y = y - x * (y @ x)
    y /= np.linalg.norm(y)
    axes = np.stack([x, y, np.cross(x, y)], axis=1)
    return np.asarray((face - (left + right) / 2) @ axes / np.linalg.norm(right - left))


def mean_face(tracks: FaceTracks) -> Float64:
    """Return [468, 3]: the mean canonical face of the person, from up to 400 frames spread over the video."""
    usable = np.flatnonzero(tracks.valid)
    chosen = usable[np.unique(np.linspace(0, len(usable) - 1, _REFERENCE_FRAMES).astype(int))]
    faces = np.concatenate([tracks.landmarks(i, i + 1) for i in chosen]).astype(np.float64)
    reference = upright(faces[len(faces) // 2])
    for _ in range(_REFERENCE_ROUNDS):
        reference = upright(fit_pose(faces, reference).unproject(faces).mean(0))
    return reference


def face_geometry(tracks: FaceTracks, reference: Float64, start: int, stop: int) -> FaceGeometry:
    """Return the smoothed faces of the frames start to stop. Smoothing stops at gaps and scene cuts."""
    first, last = max(0, start - _MARGIN), min(tracks.frames, stop + _MARGIN)
    raw = tracks.landmarks(first, last).astype(np.float64)
    valid = tracks.valid[first:last]
    raw[~valid] = reference
    pose = fit_pose(raw, reference)
    canonical = pose.unproject(raw)
    smooth, points = canonical.copy(), raw.copy()
    for run in runs(valid, tracks.shot[first:last]):
        smooth[run] = _smooth_but_for_fast_lips(canonical[run], reference)
    noise_free = pose.project(smooth)
    for run in runs(valid, tracks.shot[first:last]):
        points[run] = noise_free[run] + smooth_over_time(raw[run] - pose.project(canonical)[run])
    keep = slice(start - first, stop - first)
    kept = Pose(scale=pose.scale[keep], rotation=pose.rotation[keep], translation=pose.translation[keep])
    return FaceGeometry(
        valid=valid[keep].copy(),
        points=points[keep, :, :2].copy(),
        canonical=smooth[keep].copy(),
        pose=kept,
        angles=kept.angles(),
    )


def _smooth_but_for_fast_lips(canonical: Float64, reference: Float64) -> Float64:
    """Return canonical faces [n, 468, 3] smoothed over time, the lower face less where smoothing changes the lip opening by more than
    the noise of the tracker: within two frames lips meet and part again, which a parabola over five frames takes half of."""
    smooth = smooth_over_time(canonical)
    upper, lower = INNER_MIDDLE
    taken = ((canonical - smooth)[:, lower] - (canonical - smooth)[:, upper])[:, 1]
    kept = taken**2 / (taken**2 + _OPENING_NOISE**2)
    return np.asarray(smooth + kept[:, None, None] * lower_face_weight(reference)[:, None] * (canonical - smooth))


def runs(valid: Bool, shot: Int32) -> list[slice]:
    """Return the runs of consecutive valid frames of one shot."""
    label = np.where(valid, shot, -1)
    borders = np.flatnonzero(np.diff(label)) + 1
    edges = [0, *borders.tolist(), len(label)]
    return [slice(a, b) for a, b in pairwise(edges) if b > a and valid[a]]


def smooth_over_time(values: Float64) -> Float64:
    """Return values [n, ...] smoothed over time; a run shorter than the window stays as it is."""
    if len(values) < _WINDOW:
        return values
    inner = sum(weight * values[k : len(values) - _MARGIN + k] for k, weight in enumerate(_SMOOTHING[_WINDOW // 2]))
    first, last = (np.tensordot(_SMOOTHING, part, 1) for part in (values[:_WINDOW], values[-_WINDOW:]))
    return np.concatenate([first[: _WINDOW // 2], inner, last[-(_WINDOW // 2) :]])


class FaceReader:
    """Reads the face of any frame, in any order, in blocks of which the last few are kept."""

    def __init__(self, tracks: FaceTracks, reference: Float64) -> None:
        self._tracks, self._reference = tracks, reference
        self._blocks: OrderedDict[int, FaceGeometry] = OrderedDict()

    def __call__(self, index: int) -> Face | None:
        """Return the face of frame `index`, or None where it has none."""
        if not 0 <= index < self._tracks.frames or not self._tracks.valid[index]:
            return None
        block = self._block(index // _BLOCK)
        row = index % _BLOCK
        return Face(
            points=block.points[row],
            canonical=block.canonical[row],
            scale=float(block.pose.scale[row]),
            rotation=block.pose.rotation[row],
            angles=block.angles[row],
        )

    def _block(self, number: int) -> FaceGeometry:
        if number not in self._blocks:
            if len(self._blocks) >= _BLOCKS_KEPT:
                self._blocks.popitem(last=False)
            start = number * _BLOCK
            self._blocks[number] = face_geometry(self._tracks, self._reference, start, min(self._tracks.frames, start + _BLOCK))
        self._blocks.move_to_end(number)
        return self._blocks[number]
