"""Which frames a presenter is learnt from: turned heads go into the atlas, and how a mouth moves is learnt from the others."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from heygem_daemon.lipsync.arrays import Float64
from heygem_daemon.lipsync.face_tracks import FaceTracks
from heygem_daemon.lipsync.geometry.samples import sample_faces
from tests.lipsync.wav2lip.tracked import write_tracks


def tracks_of(yaws: list[float], face: Float64, directory: Path) -> FaceTracks:
    turned = (100 * face @ Rotation.from_euler("y", yaw, degrees=True).as_matrix().T + 200 for yaw in yaws)
    return write_tracks(directory, [points.astype(np.float32) for points in turned])


def sampled(yaws: list[float], face: Float64, directory: Path) -> tuple[list[int], list[int]]:
    """Return the frames of the sample, and those that a mouth is learnt from."""
    faces = sample_faces(tracks_of(yaws, face, directory), face)
    return faces.index.tolist(), faces.frontal().index.tolist()


def test_heads_turned_up_to_46_degrees_are_sampled_and_those_up_to_30_teach_how_the_mouth_moves(face: Float64, tmp_path: Path) -> None:
    yaws = [0.0] * 30 + [-38.0] * 10 + [44.0] * 10 + [50.0] * 10
    assert sampled(yaws, face, tmp_path) == (list(range(50)), list(range(30)))


@pytest.mark.parametrize("frontal", [0, 24])
def test_who_hardly_looks_at_the_camera_is_learnt_from_all_frames(face: Float64, tmp_path: Path, frontal: int) -> None:
    index, learnt = sampled([0.0] * frontal + [38.0] * 40, face, tmp_path)
    assert index == learnt == list(range(frontal + 40))


def test_who_always_looks_away_is_sampled_all_the_same(face: Float64, tmp_path: Path) -> None:
    assert sampled([60.0] * 10, face, tmp_path)[0] == list(range(10))
