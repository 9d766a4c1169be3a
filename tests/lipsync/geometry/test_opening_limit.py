"""A mouth leaves and reaches closures as fast as people do; closures themselves stay as they are."""

from collections.abc import Iterator

import numpy as np
import pytest

from heygem_daemon.lipsync.arrays import Float64
from heygem_daemon.lipsync.geometry.landmarks import CHIN, LIPS
from heygem_daemon.lipsync.geometry.mouth_model import MouthModel, learn_mouth, opening_of
from heygem_daemon.lipsync.geometry.opening_limit import ACCELERATION, SPEED, limit_opening


@pytest.fixture(scope="module")
def mouth(face: Float64) -> MouthModel:
    return learn_mouth(face[None], face)


def limited(mouth: MouthModel, openings: Float64, rate: float) -> Float64:
    """Return the openings [T] after the limit, as fractions of the person's range."""
    faces = [(i / rate, mouth.target(float(opening), 0.5)) for i, opening in enumerate(openings)]
    return fractions(mouth, limit_opening(faces, mouth))


def fractions(mouth: MouthModel, faces: Iterator[Float64]) -> Float64:
    shut, wide = mouth.openings
    return (opening_of(np.array(list(faces))) - shut) / (wide - shut)


@pytest.mark.parametrize("rate", [25.0, 30.0, 50.0])
def test_a_shut_mouth_needs_time_to_open(mouth: MouthModel, rate: float) -> None:
    snapping = np.repeat([0.0, 0.62], 20)
    found = limited(mouth, snapping, rate)
    after = np.arange(1, 21) / rate
    assert found[20] < 0.4
    assert found[20:] == pytest.approx(np.minimum(0.62, SPEED * after + ACCELERATION / 2 * after**2), abs=1e-6)


def test_closures_keep_their_time_and_depth_and_nothing_opens_further(mouth: MouthModel) -> None:
    openings = np.full(40, 0.7)
    openings[[10, 20, 21]] = 0.0, 0.05, 0.02
    found = limited(mouth, openings, 25.0)
    assert found[[10, 21]] == pytest.approx([0.0, 0.02], abs=1e-6)
    assert (found <= openings + 1e-6).all()
    assert found[[0, 5, 15, 30, 39]] == pytest.approx(0.7, abs=1e-6)


def test_natural_speech_is_left_alone(mouth: MouthModel) -> None:
    syllables = 0.3 - 0.3 * np.cos(2 * np.pi * 3 * np.arange(50) / 25)
    found = limited(mouth, syllables, 25.0)
    assert found[syllables > 0.55] == pytest.approx(syllables[syllables > 0.55], abs=1e-6)
    assert found == pytest.approx(syllables, abs=0.02)


def test_the_limit_is_the_same_for_explicit_lips(mouth: MouthModel) -> None:
    opened = mouth.target(0.6, 0.5)
    from_lips = mouth.target(0.0, 0.5, (opened - mouth.rest)[list(LIPS)])
    faces = [(i / 25, mouth.rest if i < 5 else from_lips) for i in range(10)]
    found = list(limit_opening(faces, mouth))
    assert fractions(mouth, iter(found[4:7])) == pytest.approx([0.0, 0.36, 0.6], abs=1e-6)
    assert found[5][CHIN, 1] < from_lips[CHIN, 1]


def test_a_face_comes_out_as_soon_as_it_is_decided(mouth: MouthModel) -> None:
    taken: list[int] = []

    def faces() -> Iterator[tuple[float, Float64]]:
        for i in range(100):
            taken.append(i)
            yield i / 25, mouth.target(i % 7 / 7, 0.5)

    for done, _ in enumerate(limit_opening(faces(), mouth)):
        assert len(taken) <= done + 4
