"""Triangles over the landmarks of a face: the lower face, the opening of the mouth, and the skin around the jaw."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Bool, Float64, Triangles
from heygem_daemon.lipsync.face_tracks import POINTS
from heygem_daemon.lipsync.geometry import mouth_prior
from heygem_daemon.lipsync.geometry.landmarks import INNER_LIPS, INNER_LOWER, INNER_OUTLINE, INNER_UPPER, JAW, LIP_AREA, OVAL_TOP

_TRIANGULATED_OPENING: Final = 0.25
"""Lip opening at which the face is triangulated, in IOD: no triangle then bridges the lips."""
RING_WIDTH: Final = 0.42
"""Distance between the jaw and the ring of points that do not move, in IOD: neck and collar stretch over it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Triangulation:
    """Triangles as landmark indices, int32 [m, 3].

    inside: between the inner lips (drawn first: where the mouth is shut the lips cover them)
    skin:   the lower face with the lips; the lower lip comes last and covers the upper one and its teeth where lips press together
    around: from the moving jaw to the ring; the vertices from 468 on are those of `ring`
    """

    inside: Triangles
    skin: Triangles
    around: Triangles

    @property
    def mouth(self) -> Triangles:
        """The triangles that are taken from another frame: the opening, then the skin and lips."""
        return np.concatenate([self.inside, self.skin])

    @property
    def whole(self) -> Triangles:
        """The triangles that move in the target frame: the ring, the opening, then the skin."""
        return np.concatenate([self.around, self.inside, self.skin])


def triangulate(face: Float64, weight: Float64) -> Triangulation:
    """Triangulate the canonical face [468, 3] seen from the front (Delaunay); only triangles that speech moves are kept.

    weight: [468], how far speech moves each landmark.
    """
    from scipy.spatial import Delaunay  # noqa: PLC0415  (.4 s of CPU time that the start of a worker should not take)

    open_face = mouth_prior.close_lips(face, weight) + _TRIANGULATED_OPENING * weight[:, None] * mouth_prior.opening_motion(face)
    triangles = Delaunay(open_face[:, :2]).simplices.astype(np.int32)
    centres = open_face[triangles, :2].mean(1)
    moving = (weight[triangles] > 0).any(1)
    oval = open_face[[*JAW, *OVAL_TOP[1:-1]], :2]
    opening = open_face[list(INNER_OUTLINE), :2]
    lips = np.isin(triangles, INNER_LIPS).all(1)
    keep = moving & _inside(centres, oval) & ~(lips & _inside(centres, opening))
    kept = triangles[keep]
    is_lower_lip = np.isin(kept, mouth_prior.LOWER_LIP).any(1)
    skin = np.concatenate([kept[~is_lower_lip], kept[is_lower_lip]])
    return Triangulation(inside=_opening_strip(), skin=_orient(skin, open_face), around=_ring_strip(weight))


def ring(points: Float64, centre: Float64, scale: float) -> Float64:
    """Return [21, 2]: the points of the ring outside the jaw, .42 IOD further from the base of the nose.

    points: [468, 2], pixels; centre: [2]; scale: pixels per IOD
    """
    outward = points[list(JAW)] - centre
    return np.asarray(points[list(JAW)] + RING_WIDTH * scale * outward / np.linalg.norm(outward, axis=1, keepdims=True))


def lip_triangles(mesh: Triangulation) -> Triangles:
    """Return the triangles of the lips themselves."""
    return mesh.skin[np.isin(mesh.skin, LIP_AREA).all(1)]


def _opening_strip() -> Triangles:
    """Return the 18 triangles between the inner edges of the lips."""
    triangles = []
    for k in range(len(INNER_UPPER) - 1):
        a, b, c, d = INNER_UPPER[k], INNER_UPPER[k + 1], INNER_LOWER[k], INNER_LOWER[k + 1]
        triangles += [(a, b, c)] if a != c else []
        triangles += [(b, d, c)] if b != d else []
    return np.array(triangles, np.int32)


def _ring_strip(weight: Float64) -> Triangles:
    """Return the triangles between the jaw and the ring, those of which speech moves a corner: at most 40."""
    triangles = []
    for k in range(len(JAW) - 1):
        triangles += [(JAW[k], JAW[k + 1], POINTS + k)] if weight[[JAW[k], JAW[k + 1]]].any() else []
        triangles += [(JAW[k + 1], POINTS + k + 1, POINTS + k)] if weight[JAW[k + 1]] > 0 else []
    return np.array(triangles, np.int32)


def _orient(triangles: Triangles, points: Float64) -> Triangles:
    """Return the triangles with their corners clockwise in an image whose y runs down, like the strips."""
    a, b, c = (points[triangles[:, k], :2] for k in range(3))
    turn = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    return np.where((turn < 0)[:, None], triangles[:, ::-1], triangles).astype(np.int32)


def _inside(points: Float64, polygon: Float64) -> Bool:
    """Return for each point [n, 2] whether it lies inside the closed polygon [m, 2] (even-odd rule)."""
    x, y = points[:, None, 0], points[:, None, 1]
    a, b = polygon, np.roll(polygon, -1, axis=0)
    crosses = (a[:, 1] > y) != (b[:, 1] > y)
    rise = np.where(b[:, 1] == a[:, 1], 1.0, b[:, 1] - a[:, 1])
    left = x < (b[:, 0] - a[:, 0]) * (y - a[:, 1]) / rise + a[:, 0]
    return np.asarray((crosses & left).sum(1) % 2 == 1)
