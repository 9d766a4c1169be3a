"""Poses are fitted exactly, canonical faces do not move with the head, and smoothing stops at gaps and cuts."""

from collections.abc import Container, Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy.signal import savgol_filter
from scipy.spatial.transform import Rotation

from heygem_daemon.lipsync.arrays import Float64
from heygem_daemon.lipsync.face_tracks import FaceTracks, TracksWriter
from heygem_daemon.lipsync.geometry import mouth_prior
from heygem_daemon.lipsync.geometry.mouth_model import opening_of
from heygem_daemon.lipsync.geometry.pose import (
    FaceReader,
    Pose,
    angle_difference,
    face_geometry,
    fit_pose,
    mean_face,
    runs,
    smooth_over_time,
    upright,
)


def posed(angles: npt.ArrayLike, scale: float = 150.0, shift: tuple[float, float, float] = (400.0, 300.0, 0.0)) -> Pose:
    """Return heads at these angles [n, 3]: yaw, pitch, roll in degrees."""
    rotation = Rotation.from_euler("yxz", angles, degrees=True).as_matrix()
    return Pose(scale=np.full(len(rotation), scale), rotation=rotation, translation=np.tile(shift, (len(rotation), 1)))


def written(directory: Path, faces: Iterable[Float64], shots: Sequence[int] | None = None, missing: Container[int] = ()) -> FaceTracks:
    with TracksWriter(directory, size=(800, 600), frame_rate=Fraction(25)) as writer:
        for number, points in enumerate(faces):
            absent = number in missing
            writer.append(None if absent else points.astype(np.float32), score=1.0, shot=0 if shots is None else shots[number])
        return writer.finish()


def test_a_known_pose_is_recovered(face: Float64) -> None:
    known = posed([[10, -5, 3], [-20, 15, -8]])
    found = fit_pose(known.project(face), face)
    assert found.scale == pytest.approx(known.scale)
    assert found.rotation == pytest.approx(known.rotation)
    assert found.translation == pytest.approx(known.translation)


def test_unproject_reverses_project(face: Float64) -> None:
    pose = posed([[10, -5, 3]])
    assert pose.unproject(pose.project(face))[0] == pytest.approx(face)


def test_angles_are_those_of_the_head(face: Float64) -> None:
    yaw = posed([[17, 0, 0]]).angles()[0]
    roll = posed([[0, 0, -9]]).angles()[0]
    assert yaw == pytest.approx([17, 0, 0], abs=1e-6)
    assert roll == pytest.approx([0, 0, -9], abs=1e-6)


def test_an_upright_face_has_its_eyes_level_and_one_apart(face: Float64) -> None:
    turned = posed([[12, 7, -20]]).project(face)[0]
    back = upright(turned)
    assert back[263] - back[33] == pytest.approx([1, 0, 0])
    assert back == pytest.approx(face, abs=1e-6)


def test_the_mean_face_does_not_depend_on_the_pose(face: Float64, tmp_path: Path) -> None:
    angles = np.stack([np.linspace(-20, 20, 30), np.linspace(-8, 8, 30), np.linspace(5, -5, 30)], 1)
    tracks = written(tmp_path / "t", posed(angles).project(face))
    assert mean_face(tracks) == pytest.approx(face, abs=1e-4)


@pytest.mark.parametrize("frames", [5, 6, 7, 40])
def test_smoothing_is_that_of_savitzky_and_golay_up_to_both_ends(frames: int) -> None:
    landmarks = np.random.default_rng(frames).normal(size=(frames, 3, 2))
    np.testing.assert_allclose(smooth_over_time(landmarks), savgol_filter(landmarks, 5, 2, axis=0), atol=1e-12)


def test_smoothing_stops_at_gaps_and_cuts(face: Float64, tmp_path: Path) -> None:
    angles = np.zeros((30, 3))
    faces = posed(angles).project(face)
    faces[10:20] += 40.0
    shots = [0] * 10 + [1] * 10 + [1] * 10
    tracks = written(tmp_path / "t", faces, shots, missing=(20,))
    found = face_geometry(tracks, face, 0, 30)
    assert found.points[9] == pytest.approx(faces[9, :, :2], abs=1e-2)
    assert found.points[10] == pytest.approx(faces[10, :, :2], abs=1e-2)
    assert found.points[19] == pytest.approx(faces[19, :, :2], abs=1e-2)
    assert found.points[21] == pytest.approx(faces[21, :, :2], abs=1e-2)
    assert not found.valid[20]


def test_smoothing_reduces_noise(face: Float64, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 1, (60, 468, 3))
    clean = posed(np.zeros((60, 3))).project(face)
    found = face_geometry(written(tmp_path / "t", clean + noise), face, 0, 60)
    assert np.abs(found.points - clean[..., :2]).mean() < 0.8 * np.abs(noise[..., :2]).mean()


def test_smoothing_does_not_open_lips_that_meet_for_a_frame_or_two(face: Float64, weight: Float64, tmp_path: Path) -> None:
    wide = face + 0.15 * weight[:, None] * mouth_prior.opening_motion(face)
    shut = mouth_prior.close_lips(face, weight)
    faces = np.stack([wide] * 30)
    faces[[10, 20, 21]] = shut
    scale = posed(np.zeros((30, 3)))
    found = face_geometry(written(tmp_path / "t", scale.project(faces)), face, 0, 30)
    gap = opening_of(found.canonical)
    assert gap[[10, 20, 21]] == pytest.approx(float(opening_of(shut)), abs=0.004)
    assert gap[[5, 15, 25]] == pytest.approx(float(opening_of(wide)), abs=0.004)


def test_a_face_is_the_same_however_the_video_is_cut_into_blocks(face: Float64, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).normal(0, 1, (150, 468, 3))
    tracks = written(tmp_path / "t", posed(np.zeros((150, 3))).project(face) + noise, missing=(66, 90))
    whole, one = face_geometry(tracks, face, 0, 150), FaceReader(tracks, face)
    for index in (149, 63, 64, 65, 67, 0, 128, 91):
        found = one(index)
        assert found is not None
        assert found.points == pytest.approx(whole.points[index], abs=1e-6)
        assert found.canonical == pytest.approx(whole.canonical[index], abs=1e-6)
    assert one(66) is None
    assert one(-1) is None
    assert one(150) is None


def test_a_displacement_turns_with_the_head(face: Float64, tmp_path: Path) -> None:
    pose = posed(np.tile([[30.0, 0, 0]], (6, 1)))
    found = FaceReader(written(tmp_path / "t", pose.project(face)), face)(3)
    assert found is not None
    sideways = np.zeros((468, 3))
    sideways[:, 0] = 0.1
    assert found.shifted(sideways) - found.points == pytest.approx(np.tile([15 * np.cos(np.radians(30)), 0], (468, 1)), abs=1e-2)


def test_runs_end_at_invalid_frames_and_cuts() -> None:
    valid = np.array([1, 1, 0, 1, 1, 1], bool)
    shot = np.array([0, 0, 0, 0, 1, 1], np.int32)
    assert runs(valid, shot) == [slice(0, 2), slice(3, 4), slice(4, 6)]


@pytest.mark.parametrize("roll", range(-180, 180, 30))
def test_yaw_and_pitch_do_not_depend_on_the_way_up(roll: float) -> None:
    level, turned = posed([[17, -8, 0]]), posed([[17, -8, roll]])
    yaw, pitch, own_roll = level.angles()[0]
    assert abs(yaw) > 16
    assert turned.angles()[0] == pytest.approx([yaw, pitch, (own_roll + roll + 180) % 360 - 180], abs=1e-6)


def test_the_roll_of_an_upside_down_head_is_compared_across_its_border() -> None:
    assert angle_difference(np.array([3.0, 0.0, 179.0]), np.array([1.0, 5.0, -179.0])) == pytest.approx([2, -5, -2])
