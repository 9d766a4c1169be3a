"""The painted interior of a mouth."""

import torch

from heygem_daemon.lipsync.atlas.interior import draw_interior, skin_colour
from heygem_daemon.lipsync.geometry.landmarks import INNER_OUTLINE
from heygem_daemon.lipsync.imaging.roi import moving_region
from heygem_daemon.lipsync.imaging.warp import fill
from tests.lipsync.atlas.conftest import CPU, Scene


def test_a_painted_mouth_is_dark_inside_and_stays_inside_the_lips(scene: Scene) -> None:
    frame, found, mesh = scene.frame, scene.face, scene.mesh
    target, there = scene.opened(1.0)
    roi = moving_region(frame, found.points, there, mesh=mesh, scale=found.scale, device=CPU)
    points = roi.local(there)
    image, alpha = draw_interior(roi, points, target, rest=scene.presenter.mouth.rest, mesh=mesh, weight=1.0, skin=skin_colour(roi, points))
    opening = fill(points[list(INNER_OUTLINE)], roi.size, CPU)
    assert alpha[opening > 0.99].mean() > 0.7
    far = torch.nn.functional.max_pool2d(opening[None], 9, 1, 4)[0] == 0
    assert alpha[far].max() < 0.02
    assert torch.equal(image[:, far], roi.image[:, far]) or (image - roi.image)[:, far].abs().max() < 3
    cheek = roi.image[:, alpha == 0].mean()
    assert image[:, (alpha > 0.9)].min() < 0.4 * cheek


def test_nothing_is_painted_into_a_shut_mouth(scene: Scene) -> None:
    frame, found, mesh = scene.frame, scene.face, scene.mesh
    target, there = scene.opened(0.0)
    roi = moving_region(frame, found.points, there, mesh=mesh, scale=found.scale, device=CPU)
    points = roi.local(there)
    _, alpha = draw_interior(roi, points, target, rest=scene.presenter.mouth.rest, mesh=mesh, weight=1.0, skin=skin_colour(roi, points))
    assert alpha.max() < 0.15
