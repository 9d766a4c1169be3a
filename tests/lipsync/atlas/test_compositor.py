"""Drawing a whole frame: what changes and what is left alone."""

from collections import OrderedDict
from dataclasses import replace

import numpy as np
import pytest

from heygem_daemon.lipsync.atlas.compositor import Compositor, DrawSpec
from heygem_daemon.lipsync.atlas.store import Presenter
from heygem_daemon.lipsync.imaging.grading import UNGRADED, Grading
from heygem_daemon.media.frame import Frame
from tests.lipsync.atlas.conftest import CPU, Scene
from tests.lipsync.turning import moved, quarter_map, turned_face, turned_frame


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


@pytest.fixture(scope="module", params=[1, 2, 3], ids=["90", "180", "270"])
def quarters(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def turned_presenter(presenter: Presenter, size: tuple[int, int], row: int, quarters: int) -> Presenter:
    """Return the presenter of the turned video, with the mouth of one row."""
    crop = presenter.crop(row)
    matrix = quarter_map(size, quarters)
    corners = moved(presenter.origins[row] + np.array([[0, 0], [crop.shape[1] - 1, crop.shape[0] - 1]]), matrix)
    faces = replace(presenter.faces, points=moved(presenter.faces.points, matrix))
    crops = OrderedDict({row: np.ascontiguousarray(np.rot90(crop, -quarters))})
    return replace(presenter, faces=faces, origins=np.tile(corners.min(0).astype(np.int64), (len(faces), 1)), crops=crops)


@pytest.mark.parametrize(("interior", "tolerance"), [(0.0, 0.08), (1.0, 0.25)], ids=["own mouth", "painted"])
def test_a_turned_video_gives_the_turned_result(scene: Scene, interior: float, tolerance: float, quarters: int) -> None:
    """But for the rounding of masks: the edge of the painted opening has eight pixels a side here."""
    frame, presenter, row = scene.frame, scene.presenter, 12
    size = (frame.width, frame.height)
    spec = DrawSpec(target=presenter.mouth.target(1.0, 0.5), rows=((row, 1.0),), interior=interior, strength=1.0)
    upright = Compositor(presenter, CPU).draw(frame, scene.face, spec)
    compositor = Compositor(turned_presenter(presenter, size, row, quarters), CPU)
    back = turned_frame(compositor.draw(turned_frame(frame, quarters), turned_face(scene.face, size, quarters), spec), -quarters)
    change, difference = (np.square(upright.y.astype(float) - other.y).mean() ** 0.5 for other in (frame, back))
    assert change > 1
    assert difference < tolerance * change


def test_what_is_painted_into_a_black_and_white_video_is_grey(scene: Scene) -> None:
    frame, row = scene.frame, 12
    grey = replace(frame, u=np.full_like(frame.u, 128), v=np.full_like(frame.v, 128), packed=None)
    crop = scene.presenter.crop(row).mean(2, keepdims=True).repeat(3, 2).astype(np.uint8)
    spec = DrawSpec(target=scene.presenter.mouth.target(1.0, 0.5), rows=((row, 1.0),), interior=1.0, strength=1.0)

    def chroma(grading: Grading) -> int:
        presenter = replace(scene.presenter, crops=OrderedDict({row: crop}), grading=grading)
        drawn = Compositor(presenter, CPU).draw(grey, scene.face, spec)
        return max(int(np.abs(plane.astype(int) - 128).max()) for plane in (drawn.u, drawn.v))

    assert chroma(Grading(tone=np.zeros((2, 2)), contrast=0.0)) == 0
    assert chroma(UNGRADED) > 2, "the colour it has in a video in colours"
