"""Drawing on a frame: what is warped, lent, painted, and left alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from heygem_daemon.lipsync.atlas.compositor import Drawing, Painter
from heygem_daemon.lipsync.atlas.interior import draw_interior
from heygem_daemon.lipsync.geometry.landmarks import INNER_LOWER, INNER_UPPER
from heygem_daemon.lipsync.geometry.pose import FaceReader
from heygem_daemon.lipsync.geometry.triangulation import triangulated
from heygem_daemon.lipsync.imaging.compositing import Lent, lay_over, mouth_canvas, open_canvas, padded_bgr, to_bgr, to_tensor, warp_face
from heygem_daemon.lipsync.imaging.warp import fill
from heygem_daemon.media.frame import Frame

CPU = torch.device("cpu")
FRAME = 5


@pytest.fixture(scope="module")
def scene(clip, prepared):
    presenter = prepared.presenter
    found = FaceReader(clip.tracks, presenter.reference)(FRAME)
    assert found is not None
    mesh = triangulated(presenter.reference, presenter.mouth.weight)
    return clip.frames[FRAME], found, presenter, mesh


def moved(presenter, found, opening):
    target = presenter.mouth.target(opening, 0.5)
    return target, found.shifted(presenter.mouth.weight[:, None] * (target - found.canonical))


def test_a_face_that_does_not_move_is_not_changed(scene):
    frame, found, _, mesh = scene
    canvas = open_canvas(frame, found.picture, found.picture, found.scale, CPU)
    points = canvas.local(found.picture)
    image, difference = warp_face(canvas, points, points, mesh)
    assert not difference.any()
    assert torch.allclose(image, canvas.image, atol=0.01)


def test_an_opening_mouth_takes_the_chin_down_and_leaves_the_edge_of_the_canvas(scene):
    frame, found, presenter, mesh = scene
    _, there = moved(presenter, found, 1.0)
    canvas = open_canvas(frame, found.picture, there, found.scale, CPU)
    _image, difference = warp_face(canvas, canvas.local(found.picture), canvas.local(there), mesh)
    x, y = np.round(canvas.local(there)[152]).astype(int)
    assert difference[y, x]
    assert not difference[:2].any()
    assert not difference[:, :2].any()
    assert not difference[:, -2:].any()


def test_a_frames_own_mouth_laid_over_itself_is_hardly_seen(scene):
    frame, found, _presenter, mesh = scene
    canvas = open_canvas(frame, found.picture, found.picture, found.scale, CPU)
    part = mouth_canvas(canvas, canvas.image, found.picture)
    lent = Lent(image=to_tensor(frame.bgr(), CPU), points=found.picture, share=1.0)
    image, alpha = lay_over(part, [lent], part.local(found.picture), mesh, 1.0)
    assert alpha.max() > 0.99
    assert (image - part.image).abs().mean() < 1.5
    assert alpha[0].max() < 0.05


def test_the_light_of_a_lent_mouth_is_that_of_the_frame(scene):
    frame, found, _presenter, mesh = scene
    canvas = open_canvas(frame, found.picture, found.picture, found.scale, CPU)
    part = mouth_canvas(canvas, canvas.image, found.picture)
    dimmed = Lent(image=to_tensor(frame.bgr(), CPU) - 25, points=found.picture, share=1.0)
    image, _ = lay_over(part, [dimmed], part.local(found.picture), mesh, 1.0)
    assert (image - part.image).abs().mean() < 2.5


def test_a_painted_mouth_is_dark_inside_and_stays_inside_the_lips(scene):
    frame, found, presenter, mesh = scene
    target, there = moved(presenter, found, 1.0)
    canvas = open_canvas(frame, found.picture, there, found.scale, CPU)
    points = canvas.local(there)
    image, alpha = draw_interior(canvas, points, target, rest=presenter.mouth.rest, mesh=mesh, share=1.0)
    opening = fill(points[[*INNER_UPPER, *INNER_LOWER[-2:0:-1]]], canvas.size, CPU)
    assert alpha[opening > 0.99].mean() > 0.7
    far = torch.nn.functional.max_pool2d(opening[None], 9, 1, 4)[0] == 0
    assert alpha[far].max() < 0.02
    assert torch.equal(image[:, far], canvas.image[:, far]) or (image - canvas.image)[:, far].abs().max() < 3
    cheek = canvas.image[:, alpha == 0].mean()
    assert image[:, (alpha > 0.9)].min() < 0.4 * cheek


def test_nothing_is_painted_into_a_shut_mouth(scene):
    frame, found, presenter, mesh = scene
    target, there = moved(presenter, found, 0.0)
    canvas = open_canvas(frame, found.picture, there, found.scale, CPU)
    _, alpha = draw_interior(canvas, canvas.local(there), target, rest=presenter.mouth.rest, mesh=mesh, share=1.0)
    assert alpha.max() < 0.15


def test_no_strength_leaves_the_frame_as_it_is(scene):
    frame, found, presenter, _ = scene
    painter = Painter(presenter, CPU)
    drawn = painter.draw(frame, found, Drawing(target=presenter.mouth.target(1.0, 0.5), rows=((0, 1.0),), interior=1.0, strength=0.0))
    assert np.array_equal(drawn.i420(), frame.i420())


def test_a_face_at_the_border_of_the_picture_can_be_drawn(scene):
    frame, found, presenter, _ = scene
    box = (int(found.picture[:, 0].mean()) // 2 * 2, 0, frame.width, int(found.picture[14, 1]) // 2 * 2)
    x0, _, x1, y1 = box
    part = Frame(
        index=0,
        y=frame.y[:y1, x0:x1].copy(),
        u=frame.u[: y1 // 2, x0 // 2 : x1 // 2].copy(),
        v=frame.v[: y1 // 2, x0 // 2 : x1 // 2].copy(),
        space=frame.space,
    )
    shifted = replace(found, picture=found.picture - (x0, 0))
    drawing = Drawing(target=presenter.mouth.target(1.0, 0.5), rows=((0, 1.0),), interior=1.0, strength=1.0)
    drawn = Painter(presenter, CPU).draw(part, shifted, drawing)
    assert (drawn.width, drawn.height) == (part.width, part.height)
    assert not np.array_equal(drawn.i420(), part.i420())


def test_a_box_beyond_the_picture_repeats_its_border(scene):
    frame = scene[0]
    image = padded_bgr(frame, (-6, 4, 10, 20))
    assert image.shape == (16, 16, 3)
    assert np.array_equal(image[:, :6], np.repeat(image[:, 6:7], 6, axis=1))
    assert padded_bgr(frame, (-30, -30, -10, -10)).shape == (20, 20, 3)


def test_a_picture_survives_being_a_tensor(scene):
    image = scene[0].bgr()
    assert np.array_equal(to_bgr(to_tensor(image, CPU)), image)
