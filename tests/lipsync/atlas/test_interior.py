"""The painted interior of a mouth."""

import cv2
import numpy as np

from heygem_daemon.lipsync.atlas.compositor import Compositor
from heygem_daemon.lipsync.atlas.draw_plan import DrawSpec
from heygem_daemon.lipsync.geometry.landmarks import INNER_OUTLINE
from heygem_daemon.lipsync.imaging.polygons import fill
from tests.lipsync.atlas.conftest import Scene


def drawn(scene: Scene, opening: float, interior: float) -> np.ndarray:
    """Return the luma with the mouth open as far as that, and the interior painted or not."""
    target, _ = scene.opened(opening)
    spec = DrawSpec(target=target, rows=((12, 1.0),), interior=interior, strength=1.0)
    return Compositor(scene.presenter).draw(scene.frame, scene.face, spec).y.astype(int)


def test_a_painted_mouth_is_dark_inside_and_stays_inside_the_lips(scene: Scene) -> None:
    painted, own = drawn(scene, 1.0, 1.0), drawn(scene, 1.0, 0.0)
    _, there = scene.opened(1.0)
    opening = fill(there[list(INNER_OUTLINE)], painted.shape)
    far = cv2.dilate(opening, np.ones((9, 9))) == 0
    assert np.abs(painted - own)[far].max() <= 1
    assert np.abs(painted - own)[opening > 0.99].max() > 10
    cheek = scene.frame.y[tuple(np.round(scene.face.points[205]).astype(int)[::-1])]
    assert painted[opening > 0.99].min() < 0.4 * cheek


def test_nothing_is_painted_into_a_shut_mouth(scene: Scene) -> None:
    assert np.abs(drawn(scene, 0.0, 1.0) - drawn(scene, 0.0, 0.0)).max() < 25
