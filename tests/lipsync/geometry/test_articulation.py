"""Lips press together on p b m, the lower one meets the teeth on f v, and both are rounded on u o w."""

from dataclasses import replace

import numpy as np
import pytest

from heygem_daemon.lipsync.arrays import Float64
from heygem_daemon.lipsync.geometry.articulation import LABIODENTAL_OPENING, Articulation, articulations, lip_displacement
from heygem_daemon.lipsync.geometry.landmarks import INNER_LOWER, INNER_MIDDLE, LIPS, OUTER_LOWER
from heygem_daemon.lipsync.geometry.mouth_model import MouthModel, learn_mouth, opening_of, width_of
from heygem_daemon.lipsync.motion import VISEMES, MouthMotion
from tests.lipsync.renderer_contract import syllables


@pytest.fixture(scope="module")
def mouth(face: Float64) -> MouthModel:
    return learn_mouth(face[None], face)


def saying(*names: str) -> MouthMotion:
    """Return motion with one viseme per frame."""
    motion = syllables(len(names))
    visemes = np.zeros((len(names), len(VISEMES)), np.float32)
    visemes[np.arange(len(names)), [VISEMES.index(name) for name in names]] = 1
    return replace(motion, visemes=visemes)


def test_a_closure_presses_the_lips_together(mouth: MouthModel) -> None:
    at_rest, bilabial = mouth.target(0.0, 0.5), mouth.target(0.0, 0.5, articulation=Articulation(bilabial=1.0))
    assert opening_of(bilabial) == pytest.approx(0, abs=1e-6)
    assert opening_of(bilabial) <= opening_of(at_rest)


def test_the_lips_of_an_open_mouth_are_not_pressed_together(mouth: MouthModel) -> None:
    assert mouth.target(0.6, 0.5, articulation=Articulation(bilabial=1.0)) == pytest.approx(mouth.target(0.6, 0.5))


def test_the_lower_lip_meets_the_teeth_and_the_upper_one_stays_up(mouth: MouthModel) -> None:
    shut, wide = mouth.openings
    plain, labiodental = mouth.target(0.7, 0.5), mouth.target(0.7, 0.5, articulation=Articulation(labiodental=1.0))
    assert opening_of(labiodental) == pytest.approx(shut + LABIODENTAL_OPENING * (wide - shut), abs=1e-6)
    top, bottom = INNER_MIDDLE
    assert labiodental[top, 1] < mouth.rest[top, 1] < labiodental[bottom, 1] < plain[bottom, 1]
    nearly_shut = mouth.target(0.05, 0.5, articulation=Articulation(labiodental=1.0))
    assert opening_of(nearly_shut) == pytest.approx(opening_of(mouth.target(0.05, 0.5)), abs=1e-5)


def test_at_the_teeth_the_lower_lip_rolls_in(mouth: MouthModel) -> None:
    plain, labiodental = mouth.target(0.1, 0.5), mouth.target(0.1, 0.5, articulation=Articulation(labiodental=1.0))
    middle = OUTER_LOWER[5]
    assert labiodental[middle, 1] < plain[middle, 1] - 0.005
    assert labiodental[INNER_LOWER[5], 2] > plain[INNER_LOWER[5], 2]


def test_a_rounded_mouth_is_narrow_and_as_open_as_its_target(mouth: MouthModel) -> None:
    plain, rounded = mouth.target(0.4, 0.4), mouth.target(0.4, 0.4, articulation=Articulation(rounded=1.0))
    assert width_of(rounded) < width_of(plain)
    assert opening_of(rounded) == pytest.approx(opening_of(plain), abs=1e-6)
    assert rounded[INNER_MIDDLE[0], 2] < plain[INNER_MIDDLE[0], 2]


def test_displacements_scale_with_the_width_of_the_mouth(face: Float64) -> None:
    articulation, lips = Articulation(labiodental=1.0, rounded=1.0), list(LIPS)
    broad = face.copy()
    broad[lips, 0] *= 1.2
    largest = np.abs(lip_displacement(face, articulation)).max()
    assert np.abs(lip_displacement(broad, articulation)).max() == pytest.approx(1.2 * largest, rel=1e-3)


def test_every_viseme_has_its_articulation() -> None:
    motion = saying(*["PP"] * 6, *["FF"] * 6, *["ou"] * 6, *["aa"] * 6)
    found = list(articulations([motion]))
    assert len(found) == len(motion)
    assert found[2] == Articulation(bilabial=1.0)
    assert found[8] == Articulation(labiodental=1.0)
    assert found[14] == Articulation(rounded=1.0)
    assert found[20] == Articulation()


@pytest.mark.parametrize("rate", [24, 25, 30, 60])
def test_an_articulation_comes_before_its_viseme_and_fades_over_several_frames(rate: int) -> None:
    motion = saying(*["aa"] * 30, *["FF"] * (rate // 8), *["aa"] * 30)
    timed = replace(motion, times=np.arange(len(motion)) / rate)
    labiodental = np.array([articulation.labiodental for articulation in articulations([timed])])
    centre = (labiodental * np.arange(len(labiodental))).sum() / labiodental.sum()
    assert centre / rate == pytest.approx((29.5 + rate // 8 / 2) / rate - 0.045, abs=0.012)
    assert 0 < labiodental.max() <= 1
    assert len(set(labiodental)) > 3


@pytest.mark.parametrize("length", [1, 2, 5])
def test_articulations_do_not_depend_on_how_motion_is_cut_into_blocks(length: int) -> None:
    motion = saying("sil", "FF", "aa", "ou", "oh", "PP", "sil")
    blocks = [motion[start : start + length] for start in range(0, 7, length)]
    assert list(articulations(blocks)) == list(articulations([motion]))


def test_no_motion_has_no_articulations() -> None:
    assert list(articulations([])) == []
