"""The triangles of a face: complete, the same every time, none across the open mouth."""

import numpy as np

from heygem_daemon.lipsync.arrays import Float64
from heygem_daemon.lipsync.geometry.triangulation import triangulate
from heygem_daemon.lipsync.imaging.polygons import triangle_labels


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
