"""DrawSpec on a frame: what is warped, lent, painted, and left alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from heygem_daemon.lipsync.atlas.compositor import Compositor, DrawSpec
from heygem_daemon.lipsync.atlas.interior import draw_interior
from heygem_daemon.lipsync.geometry.landmarks import INNER_LOWER, INNER_UPPER
from heygem_daemon.lipsync.geometry.pose import FaceReader
from heygem_daemon.lipsync.geometry.triangulation import triangulate
from heygem_daemon.lipsync.imaging.compositing import SourceMouth, composite, warp_face
from heygem_daemon.lipsync.imaging.roi import mouth_region, moving_region, padded_bgr, to_bgr, to_tensor
from heygem_daemon.lipsync.imaging.warp import fill
from heygem_daemon.media.frame import Frame

CPU = torch.device("cpu")
FRAME = 5


@pytest.fixture(scope="module")
def scene(clip, prepared):
    presenter = prepared.presenter
    found = FaceReader(clip.tracks, presenter.reference)(FRAME)
    assert found is not None
    mesh = triangulate(presenter.reference, presenter.mouth.weight)
    return clip.frames[FRAME], found, presenter, mesh


def moved(presenter, found, opening):
    target = presenter.mouth.target(opening, 0.5)
    return target, found.shifted(presenter.mouth.weight[:, None] * (target - found.canonical))


def test_a_face_that_does_not_move_is_not_changed(scene):
    frame, found, _, mesh = scene
    roi = moving_region(frame, found.points, found.points, found.scale, CPU)
    points = roi.local(found.points)
    image, difference = warp_face(roi, points, points, mesh)
    assert not difference.any()
    assert torch.allclose(image, roi.image, atol=0.01)


def test_an_opening_mouth_takes_the_chin_down_and_leaves_the_edge_of_the_canvas(scene):
    frame, found, presenter, mesh = scene
    _, there = moved(presenter, found, 1.0)
    roi = moving_region(frame, found.points, there, found.scale, CPU)
    _image, difference = warp_face(roi, roi.local(found.points), roi.local(there), mesh)
    x, y = np.round(roi.local(there)[152]).astype(int)
    assert difference[y, x]
    assert not difference[:2].any()
    assert not difference[:, :2].any()
    assert not difference[:, -2:].any()


def test_a_frames_own_mouth_laid_over_itself_is_hardly_seen(scene):
    frame, found, _presenter, mesh = scene
    roi = moving_region(frame, found.points, found.points, found.scale, CPU)
    part = mouth_region(roi, roi.image, found.points)
    source = SourceMouth(image=to_tensor(frame.bgr(), CPU), points=found.points, weight=1.0)
    image, alpha = composite(part, [source], part.local(found.points), mesh, 1.0)
    assert alpha.max() > 0.99
    assert (image - part.image).abs().mean() < 1.5
    assert alpha[0].max() < 0.05


def test_the_light_of_a_lent_mouth_is_that_of_the_frame(scene):
    frame, found, _presenter, mesh = scene
    roi = moving_region(frame, found.points, found.points, found.scale, CPU)
    part = mouth_region(roi, roi.image, found.points)
    dimmed_source = SourceMouth(image=to_tensor(frame.bgr(), CPU) - 25, points=found.points, weight=1.0)
    image, _ = composite(part, [dimmed_source], part.local(found.points), mesh, 1.0)
    assert (image - part.image).abs().mean() < 2.5


def test_a_painted_mouth_is_dark_inside_and_stays_inside_the_lips(scene):
    frame, found, presenter, mesh = scene
    target, there = moved(presenter, found, 1.0)
    roi = moving_region(frame, found.points, there, found.scale, CPU)
    points = roi.local(there)
    image, alpha = draw_interior(roi, points, target, rest=presenter.mouth.rest, mesh=mesh, weight=1.0)
    opening = fill(points[[*INNER_UPPER, *INNER_LOWER[-2:0:-1]]], roi.size, CPU)
    assert alpha[opening > 0.99].mean() > 0.7
    far = torch.nn.functional.max_pool2d(opening[None], 9, 1, 4)[0] == 0
    assert alpha[far].max() < 0.02
    assert torch.equal(image[:, far], roi.image[:, far]) or (image - roi.image)[:, far].abs().max() < 3
    cheek = roi.image[:, alpha == 0].mean()
    assert image[:, (alpha > 0.9)].min() < 0.4 * cheek


def test_nothing_is_painted_into_a_shut_mouth(scene):
    frame, found, presenter, mesh = scene
    target, there = moved(presenter, found, 0.0)
    roi = moving_region(frame, found.points, there, found.scale, CPU)
    _, alpha = draw_interior(roi, roi.local(there), target, rest=presenter.mouth.rest, mesh=mesh, weight=1.0)
    assert alpha.max() < 0.15


def test_no_strength_leaves_the_frame_as_it_is(scene):
    frame, found, presenter, _ = scene
    compositor = Compositor(presenter, CPU)
    drawn = compositor.draw(frame, found, DrawSpec(target=presenter.mouth.target(1.0, 0.5), rows=((0, 1.0),), interior=1.0, strength=0.0))
    assert np.array_equal(drawn.i420(), frame.i420())


def test_a_face_at_the_border_of_the_picture_can_be_drawn(scene):
    frame, found, presenter, _ = scene
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


def test_a_box_beyond_the_picture_repeats_its_border(scene):
    frame = scene[0]
    image = padded_bgr(frame, (-6, 4, 10, 20))
    assert image.shape == (16, 16, 3)
    assert np.array_equal(image[:, :6], np.repeat(image[:, 6:7], 6, axis=1))
    assert padded_bgr(frame, (-30, -30, -10, -10)).shape == (20, 20, 3)


def test_a_picture_survives_being_a_tensor(scene):
    image = scene[0].bgr()
    assert np.array_equal(to_bgr(to_tensor(image, CPU)), image)
