"""Regions of a frame as images and tensors."""

import numpy as np

from heygem_daemon.lipsync.imaging.roi import padded_bgr, to_bgr, to_tensor
from tests.lipsync.atlas.conftest import CPU, Scene


def test_a_box_beyond_the_frame_repeats_its_border(scene: Scene) -> None:
    frame = scene.frame
    image = padded_bgr(frame, (-6, 4, 10, 20))
    assert image.shape == (16, 16, 3)
    assert np.array_equal(image[:, :6], np.repeat(image[:, 6:7], 6, axis=1))
    assert padded_bgr(frame, (-30, -30, -10, -10)).shape == (20, 20, 3)


def test_an_image_survives_the_conversion_to_a_tensor_and_back(scene: Scene) -> None:
    image = scene.frame.bgr()
    assert np.array_equal(to_bgr(to_tensor(image, CPU)), image)
