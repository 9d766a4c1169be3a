"""Drawing a whole frame: what changes and what is left alone."""

from dataclasses import replace

import numpy as np

from heygem_daemon.lipsync.atlas.compositor import Compositor, DrawSpec
from heygem_daemon.media.frame import Frame
from tests.lipsync.atlas.conftest import CPU, Scene


def test_a_strength_of_0_leaves_the_frame_as_it_is(scene: Scene) -> None:
    frame, found, presenter = scene.frame, scene.face, scene.presenter
    compositor = Compositor(presenter, CPU)
    drawn = compositor.draw(frame, found, DrawSpec(target=presenter.mouth.target(1.0, 0.5), rows=((0, 1.0),), interior=1.0, strength=0.0))
    assert np.array_equal(drawn.i420(), frame.i420())


def test_a_face_at_the_border_of_the_frame_can_be_drawn(scene: Scene) -> None:
    frame, found, presenter = scene.frame, scene.face, scene.presenter
    box = (int(found.points[:, 0].mean()) // 2 * 2, 0, frame.width, int(found.points[14, 1]) // 2 * 2)
    x0, _, x1, y1 = box
    part = Frame(
        index=0,
        y=frame.y[:y1, x0:x1].copy(),
        u=frame.u[: y1 // 2, x0 // 2 : x1 // 2].copy(),
        v=frame.v[: y1 // 2, x0 // 2 : x1 // 2].copy(),
        space=frame.space,
    )
    shifted = replace(found, points=found.points - (x0, 0))
    spec = DrawSpec(target=presenter.mouth.target(1.0, 0.5), rows=((0, 1.0),), interior=1.0, strength=1.0)
    drawn = Compositor(presenter, CPU).draw(part, shifted, spec)
    assert (drawn.width, drawn.height) == (part.width, part.height)
    assert not np.array_equal(drawn.i420(), part.i420())
