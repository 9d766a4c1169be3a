"""The triangles of a face: complete, the same every time, none across the open mouth."""

from itertools import pairwise

import numpy as np

from heygem_daemon.lipsync.arrays import Float64
from heygem_daemon.lipsync.geometry import mouth_prior
from heygem_daemon.lipsync.geometry.landmarks import INNER_LOWER, INNER_UPPER
from heygem_daemon.lipsync.geometry.mouth_prior import LOWER_LIP
from heygem_daemon.lipsync.geometry.triangulation import triangulate
from heygem_daemon.lipsync.imaging.polygons import triangle_labels

OVERLAP = [
    triangle
    for (a, b), (c, d) in zip(pairwise(INNER_UPPER[2:-2]), pairwise(INNER_LOWER[2:-2]), strict=True)
    for triangle in ((c, d, b), (c, b, a))
]
"""Triangles between the inner lips that face the viewer where the lower lip lies above the edge of the upper one."""


def test_the_triangles_of_a_face_cover_lips_and_chin_and_never_bridge_the_open_mouth(face: Float64, weight: Float64) -> None:
    mesh = triangulate(face, weight)
    assert len(mesh.inside) == 18
    assert len(mesh.skin) > 200
    upper, lower = {13, 12, 11, 0, 82, 312}, {14, 15, 16, 17, 87, 317}
    for triangle in mesh.skin.tolist():
        assert not (upper & set(triangle) and lower & set(triangle))


def test_the_triangles_are_the_same_every_time_and_all_face_the_viewer(face: Float64, weight: Float64) -> None:
    first, second = triangulate(face, weight), triangulate(face, weight)
    assert np.array_equal(first.skin, second.skin)
    labels = triangle_labels((face[:, :2] + 1) * 200, first.skin, (600, 400))
    assert len(np.unique(labels)) > 0.9 * len(first.skin)


def test_where_lips_overlap_the_lower_one_covers_the_upper_one(face: Float64, weight: Float64) -> None:
    mesh = triangulate(face, weight)
    pressed = mouth_prior.close_lips(face, weight) - 0.04 * weight[:, None] * mouth_prior.opening_motion(face)
    points = (pressed[:, :2] + 1) * 400
    labels, overlap = (triangle_labels(points, part, (1200, 800)) for part in (mesh.skin, np.array(OVERLAP, np.int32)))
    assert (overlap >= 0).sum() > 500
    assert np.isin(mesh.skin[labels[overlap >= 0]], LOWER_LIP).any(1).all()
