"""The drift of a turned head's mouth is removed, what is faster than drift is kept, and heads that look at the camera stay as they are."""

import numpy as np
import pytest

from heygem_daemon.lipsync.arrays import Float64
from heygem_daemon.lipsync.geometry.drift import SteadyFaces, mouth_drift, turned_weight, without_drift
from heygem_daemon.lipsync.geometry.mouth_model import MouthModel, learn_mouth, opening_of
from heygem_daemon.lipsync.geometry.pose import Face
from heygem_daemon.lipsync.geometry.samples import FaceSample

DRIFT = np.array([0.01, -0.03, 0.04])
COUNT = 60


@pytest.fixture
def mouth(face: Float64) -> MouthModel:
    return learn_mouth(face[None], face)


def speaking(mouth: MouthModel, yaw: float, drift: Float64) -> FaceSample:
    """Return a head turned by `yaw` that opens and shuts its mouth; drift: [3] or [n, 3], in IOD."""
    openings = 0.5 + 0.5 * np.sin(np.arange(COUNT))
    canonical = np.stack([mouth.rest + opening * 0.1 * mouth.open_basis for opening in openings])
    return FaceSample(
        index=np.arange(COUNT),
        points=np.zeros((COUNT, 468, 2)),
        canonical=canonical + np.broadcast_to(drift, (COUNT, 3))[:, None],
        angles=np.tile([yaw, 0.0, 0.0], (COUNT, 1)),
        scale=np.full(COUNT, 100.0),
    )


def face_of(faces: FaceSample, index: int) -> Face:
    return Face(points=faces.points[index], canonical=faces.canonical[index], scale=100.0, rotation=np.eye(3), angles=faces.angles[index])


def steady(faces: FaceSample, mouth: MouthModel, shot: list[int] | None = None) -> SteadyFaces:
    return SteadyFaces(lambda index: face_of(faces, index), mouth, np.array(shot or [0] * COUNT, np.int32))


@pytest.mark.parametrize("yaw", [-35.0, 35.0])
def test_the_mouth_of_a_turned_head_is_put_back_and_speaks_on(mouth: MouthModel, yaw: float) -> None:
    drifted, expected = speaking(mouth, yaw, DRIFT), speaking(mouth, yaw, np.zeros(3))
    assert mouth_drift(drifted.canonical, mouth) == pytest.approx(np.tile(DRIFT, (COUNT, 1)), abs=1e-3)
    assert without_drift(drifted, mouth).canonical == pytest.approx(expected.canonical, abs=1e-3)
    found = steady(drifted, mouth)(30)
    assert found is not None
    assert found.canonical == pytest.approx(expected.canonical[30], abs=1e-3)
    assert opening_of(found.canonical) == pytest.approx(opening_of(drifted.canonical[30]))


def test_a_head_that_looks_at_the_camera_stays_as_it_is(mouth: MouthModel) -> None:
    faces = speaking(mouth, 11.9, DRIFT)
    assert np.array_equal(without_drift(faces, mouth).canonical, faces.canonical)
    found = steady(faces, mouth)(30)
    assert found is not None
    assert np.array_equal(found.canonical, faces.canonical[30])
    assert [turned_weight(yaw) for yaw in (-12, 17.5, -23, 90)] == [0, 0.5, 1, 1]


def test_what_is_faster_than_drift_is_kept(mouth: MouthModel) -> None:
    fast = np.where(np.arange(COUNT)[:, None] % 2, DRIFT, -DRIFT)
    kept = mouth_drift(without_drift(speaking(mouth, 35, fast), mouth).canonical, mouth)[20:40]
    assert np.abs(kept - fast[20:40]).max() < 0.1 * np.abs(DRIFT).max() + 1e-3


def test_drift_is_that_of_the_own_shot(mouth: MouthModel) -> None:
    drift = np.where(np.arange(COUNT)[:, None] < 30, DRIFT, -DRIFT)
    faces = speaking(mouth, 35, drift)
    across, within = steady(faces, mouth)(30), steady(faces, mouth, [0] * 30 + [1] * 30)(30)
    assert across is not None
    assert within is not None
    assert np.abs(mouth_drift(within.canonical[None], mouth)).max() < 1e-3
    assert np.abs(mouth_drift(across.canonical[None], mouth)).max() > 0.02


def test_a_frame_without_a_face_has_none_and_is_left_out_of_the_mean(mouth: MouthModel) -> None:
    faces = speaking(mouth, 35, DRIFT)
    found = SteadyFaces(lambda index: None if index == 29 else face_of(faces, index), mouth, np.zeros(COUNT, np.int32))
    assert found(29) is None
    beside = found(30)
    assert beside is not None
    assert np.abs(mouth_drift(beside.canonical[None], mouth)).max() < 1e-3
