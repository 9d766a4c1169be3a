"""The target shape: shut means shut, the opening is the one of the motion, and nobody opens wider than they can."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heygem_daemon.lipsync.arrays import Float64
from heygem_daemon.lipsync.geometry import mouth_prior
from heygem_daemon.lipsync.geometry.landmarks import INNER_LOWER, INNER_UPPER, LIPS
from heygem_daemon.lipsync.geometry.mouth_metrics import measured_opening
from heygem_daemon.lipsync.geometry.mouth_model import MouthModel, learn_mouth, opening_of, prevent_crossing, soft_clip, width_of

Talker = tuple[Float64, MouthModel]
"""Canonical faces [n, 468, 3] of a person, and the mouth learnt from them."""


@pytest.fixture(scope="module")
def still(face: Float64) -> MouthModel:
    return learn_mouth(face[None], face)


@pytest.fixture(scope="module")
def talker(face: Float64, weight: Float64) -> Talker:
    """A person whose closed mouth opens up to .16 and whose jaw drops twice as far as most people's."""
    shut = mouth_prior.close_lips(face, weight)
    jaw = (
        mouth_prior.opening_motion(face)
        * np.where(np.isin(np.arange(468), [*mouth_prior.UPPER_LIP, *mouth_prior.LOWER_LIP]), 1, 2)[:, None]
    )
    openings = 0.08 - 0.08 * np.cos(np.linspace(0, 20, 150))
    wides = 0.03 * np.sin(np.linspace(0, 33, 150))
    faces = shut + weight[:, None] * (openings[:, None, None] * jaw + wides[:, None, None] * mouth_prior.width_motion(face))
    return faces, learn_mouth(faces, face)


def test_an_opening_of_0_is_a_shut_mouth(still: MouthModel, talker: Talker) -> None:
    for model in (still, talker[1]):
        assert opening_of(model.target(0.0, 0.5)) < 0.012
        assert model.target(0.0, 0.5) == pytest.approx(model.rest)


def test_the_opening_is_a_fraction_of_the_persons_range(still: MouthModel, talker: Talker) -> None:
    for model in (still, talker[1]):
        low, high = model.openings
        for opening in (0.2, 0.5, 0.8):
            assert opening_of(model.target(opening, 0.5)) == pytest.approx(low + opening * (high - low), abs=1e-6)


def test_width_does_not_change_the_opening(talker: Talker) -> None:
    model = talker[1]
    assert opening_of(model.target(0.5, 0.0)) == pytest.approx(opening_of(model.target(0.5, 1.0)), abs=1e-6)
    assert width_of(model.target(0.5, 1.0)) > width_of(model.target(0.5, 0.5)) > width_of(model.target(0.5, 0.0))


def test_the_range_is_the_presenters_own(talker: Talker) -> None:
    faces, model = talker
    assert model.is_talking
    assert model.openings[1] == pytest.approx(np.percentile(opening_of(faces), 95), abs=1e-6)


def test_a_person_who_never_opens_the_mouth_gets_a_typical_range(still: MouthModel) -> None:
    assert not still.is_talking
    assert still.openings[1] == mouth_prior.TYPICAL_OPENING


def test_the_presenters_own_jaw_is_learnt(talker: Talker, still: MouthModel) -> None:
    chin = 152
    own, general = (model.open_basis[chin, 1] for model in (talker[1], still))
    assert own > 1.5 * general


def test_the_model_reproduces_the_faces_it_was_learnt_from(talker: Talker) -> None:
    faces, model = talker
    span = model.openings[1] - model.openings[0]
    drawn = np.stack([model.target(float((opening_of(f) - model.openings[0]) / span), 0.5) for f in faces[::10]])
    assert np.abs(drawn - faces[::10])[:, list(LIPS)].mean() < 0.006


def test_only_the_lower_face_moves(still: MouthModel) -> None:
    moved = np.abs(still.target(1.0, 0.9) - still.rest).max(1)
    assert (moved[still.weight == 0] == 0).all()
    assert moved[[33, 263, 10, 168]].max() == 0


def test_explicit_lips_replace_opening_and_width(still: MouthModel) -> None:
    lips = np.zeros((40, 3), np.float32)
    lips[[i for i, landmark in enumerate(LIPS) if landmark in INNER_LOWER[1:-1]], 1] = 0.06
    shown = still.target(0.0, 0.0, lips)
    assert (shown - still.rest)[list(LIPS), :2] == pytest.approx(lips[:, :2], abs=1e-6)


def test_explicit_lips_have_the_depth_of_the_presenter(still: MouthModel) -> None:
    own = still.target(0.6, 0.5)
    lips = (own - still.rest)[list(LIPS)]
    for depth in (0.0, 0.1):
        lips[[i for i, landmark in enumerate(LIPS) if landmark in INNER_LOWER], 2] = depth
        shown = still.target(0.0, 0.0, lips)
        assert shown[list(LIPS)] == pytest.approx(own[list(LIPS)], abs=1e-6)
        assert measured_opening(shown) == pytest.approx(measured_opening(own), abs=1e-6)


def test_explicit_lips_wider_than_the_presenters_range_are_soft_clipped(still: MouthModel) -> None:
    lips = np.zeros((40, 3), np.float32)
    lips[[i for i, landmark in enumerate(LIPS) if landmark in INNER_LOWER[1:-1]], 1] = 0.5
    assert opening_of(still.target(0.0, 0.5, lips)) < 1.3 * still.openings[1]


@given(st.floats(0, 20))
def test_soft_clip_stays_below_its_ceiling_and_keeps_small_amounts(amount: float) -> None:
    assert soft_clip(amount) <= min(amount + 1e-9, 1.25)
    assert amount > 0.9 or soft_clip(amount) == amount


@given(st.floats(0, 5), st.floats(0, 5))
def test_soft_clip_keeps_order(a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert soft_clip(low) <= soft_clip(high)


def test_lips_never_cross(still: MouthModel) -> None:
    crossed = still.rest.copy()
    crossed[list(INNER_LOWER[1:-1]), 1] -= 0.05
    apart = prevent_crossing(crossed)
    assert (apart[list(INNER_LOWER), 1] >= apart[list(INNER_UPPER), 1] - 1e-9).all()


def test_closing_an_open_mouth_brings_the_lips_together_and_the_chin_up(still: MouthModel) -> None:
    wide = still.target(1.0, 0.5)
    shut = mouth_prior.close_lips(wide, still.weight)
    assert opening_of(shut) < 0.012
    assert shut[152, 1] < wide[152, 1]
    assert shut[[61, 291]] == pytest.approx(wide[[61, 291]])
