"""Drawing on a region: how the face is warped, and how a source mouth is composited over it."""

import numpy as np
import torch

from heygem_daemon.lipsync.imaging.compositing import SourceMouth, composite, warp_face
from heygem_daemon.lipsync.imaging.roi import mouth_region, moving_region, to_tensor
from tests.lipsync.atlas.conftest import CPU, Scene


def test_a_face_that_does_not_move_is_not_changed(scene: Scene) -> None:
    frame, found, mesh = scene.frame, scene.face, scene.mesh
    roi = moving_region(frame, found.points, found.points, mesh=mesh, scale=found.scale, device=CPU)
    points = roi.local(found.points)
    image, difference = warp_face(roi, points, points, mesh)
    assert not difference.any()
    assert torch.allclose(image, roi.image, atol=0.01)


def test_an_opening_mouth_takes_the_chin_down_and_leaves_the_edge_of_the_region(scene: Scene) -> None:
    frame, found, mesh = scene.frame, scene.face, scene.mesh
    _, there = scene.opened(1.0)
    roi = moving_region(frame, found.points, there, mesh=mesh, scale=found.scale, device=CPU)
    _image, difference = warp_face(roi, roi.local(found.points), roi.local(there), mesh)
    x, y = np.round(roi.local(there)[152]).astype(int)
    assert difference[y, x]
    assert not difference[:2].any()
    assert not difference[:, :2].any()
    assert not difference[:, -2:].any()


def test_a_frames_own_mouth_composited_over_itself_hardly_changes_it(scene: Scene) -> None:
    frame, found, mesh = scene.frame, scene.face, scene.mesh
    roi = moving_region(frame, found.points, found.points, mesh=mesh, scale=found.scale, device=CPU)
    part = mouth_region(roi, roi.image, found.points)
    source = SourceMouth(image=to_tensor(frame.bgr(), CPU), points=found.points, weight=1.0)
    image, alpha = composite(part, [source], part.local(found.points), mesh, 1.0)
    assert alpha.max() > 0.99
    assert (image - part.image).abs().mean() < 1.5
    assert alpha[0].max() < 0.05


def test_a_source_mouth_takes_the_light_of_the_frame(scene: Scene) -> None:
    frame, found, mesh = scene.frame, scene.face, scene.mesh
    roi = moving_region(frame, found.points, found.points, mesh=mesh, scale=found.scale, device=CPU)
    part = mouth_region(roi, roi.image, found.points)
    dimmed_source = SourceMouth(image=to_tensor(frame.bgr(), CPU) - 25, points=found.points, weight=1.0)
    image, _ = composite(part, [dimmed_source], part.local(found.points), mesh, 1.0)
    assert (image - part.image).abs().mean() < 2.5
