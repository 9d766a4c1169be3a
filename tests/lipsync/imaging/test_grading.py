"""Painted and generated colours are those that the video has: in black and white grey, in sepia sepia, in all colours unchanged."""

from collections.abc import Callable
from typing import Final

import numpy as np
import pytest
import torch

from heygem_daemon.lipsync.arrays import Float64
from heygem_daemon.lipsync.imaging.grading import UNGRADED, Grading, learn_grading, lip_colour
from tests.lipsync.atlas.conftest import Scene
from tests.lipsync.atlas.reference.interior import tint

SKIN: Final = np.array([95.0, 120.0, 170.0])
LIPS: Final = np.array([76.0, 90.0, 139.0])
"""Blue, green, red."""
LUMA: Final = np.array([0.114, 0.587, 0.299])
PAINTED: Final = np.array([[15.0, 14.0, 34.0], [40.0, 40.0, 88.0], [150.0, 160.0, 165.0]])
"""The cavity, the tongue and the teeth of that skin in its own colours."""


def matrix_grading(rows: list[list[float]]) -> Callable[[Float64], Float64]:
    """Return the grading by a matrix that takes blue, green, red to blue, green, red."""
    return lambda colours: colours @ np.array(rows).T


def saturated(amount: float) -> Callable[[Float64], Float64]:
    return lambda colours: amount * colours + (1 - amount) * (colours @ LUMA)[..., None]


def tinted(blue: float, red: float) -> Callable[[Float64], Float64]:
    """Return the grading to grey with a constant chroma: blue and red differ from brightness by so much."""
    green = -(LUMA[0] * blue + LUMA[2] * red) / LUMA[1]
    return lambda colours: (colours @ LUMA)[..., None] + np.array([blue, green, red])


MONOCHROME: Final = {
    "grey": saturated(0),
    "sepia": matrix_grading([[0.131, 0.534, 0.272], [0.168, 0.686, 0.349], [0.189, 0.769, 0.393]]),
    "night vision": matrix_grading([[0, 0, 0], [0.11, 0.59, 0.3], [0, 0, 0]]),
    "cyanotype": matrix_grading([[0.15, 0.7, 0.35], [0.09, 0.5, 0.25], [0.05, 0.25, 0.12]]),
    "constant tint": tinted(-20, 12),
}
COLOURED: Final = {
    "normal": saturated(1),
    "vivid": saturated(1.4),
    "cool": matrix_grading([[1.25, 0, 0], [0, 1, 0], [0, 0, 0.85]]),
    "warm": matrix_grading([[0.8, 0, 0], [0, 1, 0], [0, 0, 1.15]]),
}


def graded(grade: Callable[[Float64], Float64]) -> Grading:
    """Return what is learnt of a graded video: 40 frames of skin, lighter and darker, with noise, and lips."""
    random = np.random.default_rng(0)
    skin = grade(SKIN * random.uniform(0.6, 1.2, (40, 300, 1)))
    noisy = np.clip(skin + random.normal(0, 2, skin.shape), 0, 255).round().astype(np.uint8)
    return learn_grading(noisy, grade(LIPS * random.uniform(0.9, 1.1, (40, 1))))


def shown(colours: Float64) -> torch.Tensor:
    """Return colours [n, 3] as an image [3, 1, n]."""
    return torch.from_numpy(colours.T[:, None].astype(np.float32))


def tinted_as(grading: Grading, image: torch.Tensor) -> torch.Tensor:
    """Return painted colours [3, h, w] by `Grading.tint_map`."""
    matrix, offset = (torch.from_numpy(part).float() for part in grading.tint_map())
    return torch.einsum("cd,dhw->chw", matrix, image) + offset[:, None, None]


@pytest.mark.parametrize("grade", MONOCHROME.values(), ids=MONOCHROME)
def test_what_is_painted_into_a_video_of_one_colour_has_that_colour(grade: Callable[[Float64], Float64]) -> None:
    grading, wanted = graded(grade), grade(PAINTED)
    assert grading.saturation == 0
    brighter = PAINTED * ((wanted @ LUMA) / (PAINTED @ LUMA))[:, None]
    for image in (tinted_as(grading, shown(brighter)), grading.limit(shown(brighter))):
        assert image[:, 0].T.numpy() == pytest.approx(wanted, abs=4)


@pytest.mark.parametrize("grade", COLOURED.values(), ids=COLOURED)
def test_in_a_video_in_colours_nothing_changes(grade: Callable[[Float64], Float64]) -> None:
    grading, image = graded(grade), shown(PAINTED)
    assert grading.saturation == 1
    assert torch.allclose(tinted_as(grading, image), image, atol=1e-3)
    assert torch.equal(grading.limit(image), image)


def test_half_the_saturation_is_in_between() -> None:
    red = [float(tinted_as(graded(saturated(amount)), shown(PAINTED))[2, 0, 0]) for amount in (0, 0.5, 1)]
    assert red[0] + 3 < red[1] < red[2] - 3


def test_generated_lips_are_no_redder_than_the_presenters_own() -> None:
    pale = graded(saturated(0.5))
    assert 0 < pale.saturation < 1
    own, lipstick = saturated(0.5)(LIPS[None]), np.array([[20.0, 10.0, 200.0]])
    assert pale.limit(shown(own))[:, 0].T.numpy() == pytest.approx(own, abs=1)
    limited = pale.limit(shown(lipstick))[:, 0, 0].numpy()
    assert limited[2] - limited[1] < 0.5 * (lipstick[0, 2] - lipstick[0, 1])
    assert limited @ LUMA == pytest.approx(lipstick[0] @ LUMA, abs=1)


def test_brightness_stays(face: Float64) -> None:
    for grade in MONOCHROME.values():
        image = shown(PAINTED)
        assert torch.einsum("c,chw->hw", image.new_tensor(LUMA), tinted_as(graded(grade), image)).numpy() == pytest.approx(
            (PAINTED @ LUMA)[None], abs=0.1
        )


def test_without_a_grading_nothing_changes() -> None:
    assert torch.allclose(tinted_as(UNGRADED, shown(PAINTED)), shown(PAINTED), atol=1e-3)


def test_lips_are_redder_than_the_skin_around_them(scene: Scene) -> None:
    image, points = scene.frame.bgr(), scene.face.points
    lips, chin = lip_colour(scene.frame, points), image[tuple(np.round(points[152] * (1, 1) - (0, 6)).astype(int)[::-1])]
    assert lips[2] / lips.sum() > chin[2] / int(chin.astype(int).sum())


def test_the_map_of_painted_colours_is_the_plain_one() -> None:
    grading = graded(saturated(0.5))
    assert torch.allclose(tinted_as(grading, shown(PAINTED)), tint(grading, shown(PAINTED)), atol=1e-2)
