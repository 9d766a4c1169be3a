"""Scene cuts."""

from collections.abc import Callable

import numpy as np
import pytest

from heygem_daemon.lipsync.arrays import Float32, Image
from heygem_daemon.lipsync.face.image_view import ImageView
from heygem_daemon.lipsync.face.shot_boundary import is_shot_boundary


@pytest.fixture(scope="module")
def room(scene: Callable[..., Image]) -> Callable[[float], Float32]:
    """A thumbnail of a speaker before a wall, moved by so many pixels."""
    return lambda shift: ImageView(scene((190 + shift, 60, 1.1))).thumbnail()


@pytest.mark.parametrize("pixels", [3, 6, 12])
def test_a_movement_is_no_cut(room: Callable[[float], Float32], pixels: float) -> None:
    assert not is_shot_boundary(room(0), room(pixels))


def test_a_camera_that_swings_is_no_cut(scene: Callable[..., Image]) -> None:
    wide = scene((190, 60, 1.1), size=(700, 360))
    before, after = (ImageView(np.ascontiguousarray(wide[:, x : x + 640])).thumbnail() for x in (0, 35))
    assert not is_shot_boundary(before, after)


@pytest.mark.parametrize("light", [0.5, 1.5])
def test_a_change_of_light_is_no_cut(room: Callable[[float], Float32], light: float) -> None:
    assert not is_shot_boundary(room(0), room(0) * np.float32(light))


def test_the_noise_of_a_black_image_is_no_cut() -> None:
    noise = np.random.default_rng(0).normal(16, 3, (2, 36, 64)).astype(np.float32)
    assert not is_shot_boundary(noise[0], noise[1])


def test_another_place_is_a_cut(room: Callable[[float], Float32], scene: Callable[..., Image]) -> None:
    assert is_shot_boundary(room(0), ImageView(scene((190, 60, 1.1), wall=1)).thumbnail())


def test_a_fade_to_grey_of_an_even_image_is_no_cut() -> None:
    assert not is_shot_boundary(np.full((36, 64), 16, np.float32), np.full((36, 64), 90, np.float32))


def test_black_before_the_image_is_a_cut(room: Callable[[float], Float32]) -> None:
    assert is_shot_boundary(np.full_like(room(0), 16), room(0))
