"""Regions of a frame as images and tensors."""

import numpy as np
import pytest
import torch

from heygem_daemon.lipsync.imaging.compositing import warp_face
from heygem_daemon.lipsync.imaging.roi import moving_region, padded_bgr, to_bgr, to_tensor
from tests.lipsync.atlas.conftest import CPU, Scene
from tests.lipsync.face.conftest import as_frame
from tests.lipsync.turning import moved, turned_image


def test_a_box_beyond_the_frame_repeats_its_border(scene: Scene) -> None:
    frame = scene.frame
    image = padded_bgr(frame, (-6, 4, 10, 20))
    assert image.shape == (16, 16, 3)
    assert np.array_equal(image[:, :6], np.repeat(image[:, 6:7], 6, axis=1))
    assert padded_bgr(frame, (-30, -30, -10, -10)).shape == (20, 20, 3)


def test_an_image_survives_the_conversion_to_a_tensor_and_back(scene: Scene) -> None:
    image = scene.frame.bgr()
    assert np.array_equal(to_bgr(to_tensor(image, CPU)), image)


@pytest.mark.parametrize("degrees", range(0, 360, 45))
def test_all_that_moves_lies_inside_the_moving_region_at_any_roll(scene: Scene, degrees: float) -> None:
    image, matrix = turned_image(scene.frame.bgr(), degrees)
    _, there = scene.opened(1.0)
    points, target = moved(scene.face.points, matrix), moved(there, matrix)
    roi = moving_region(as_frame(image), points, target, mesh=scene.mesh, scale=scene.face.scale, device=CPU)
    _, difference = warp_face(roi, roi.local(points), roi.local(target), scene.mesh)
    border = torch.cat([difference[:2].ravel(), difference[-2:].ravel(), difference[:, :2].ravel(), difference[:, -2:].ravel()])
    assert difference.any()
    assert not border.any()
