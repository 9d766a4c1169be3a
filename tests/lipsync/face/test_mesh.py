"""Landmarks of a face."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from heygem_daemon.lipsync.arrays import Image
from heygem_daemon.lipsync.face.image_view import ImageView, Roi
from heygem_daemon.lipsync.face.mesh import SCORE, FaceMesh, region_of
from tests.lipsync.face.conftest import as_frame

HEAD = Roi(x=129, y=125, size=153)
EYES_AND_MOUTH = (33, 263, 61, 291)


@pytest.fixture(scope="module")
def mesh(weights: Path) -> FaceMesh:
    return FaceMesh(weights)


def test_the_landmarks_lie_where_eyes_and_mouth_are(mesh: FaceMesh, face: Image) -> None:
    points, score = mesh.refine(ImageView(face), HEAD)
    assert points.shape == (468, 3)
    assert points.dtype == np.float32
    assert score > 0.99
    seen_by_eye = [(98, 101), (161, 103), (105, 139), (151, 141)]
    assert np.abs(points[EYES_AND_MOUTH, :2] - seen_by_eye).max() < 3
    assert points[1, 2] < points[234, 2] - 20, "the tip of the nose is nearer than the ear"


@pytest.mark.parametrize("place", [(30.4, 12.7, 1.0), (300, 40, 0.6), (200, 100, 0.33)])
def test_the_landmarks_follow_the_face_down_to_twenty_pixels_between_the_eyes(
    mesh: FaceMesh, face: Image, scene: Callable[..., Image], place: tuple[float, float, float]
) -> None:
    x, y, scale = place
    there, _ = mesh.refine(ImageView(face), HEAD)
    region = Roi(x=x + HEAD.x * scale, y=y + HEAD.y * scale, size=HEAD.size * scale)
    here, score = mesh.refine(ImageView(scene((x, y, scale))), region)
    assert score > 0.9
    error = np.linalg.norm(here[:, :2] - (there[:, :2] * scale + (x, y)), axis=1) / (63 * scale)
    assert np.median(error) < 0.03, "parts of the distance between the eyes"


def test_a_decoded_frame_gives_the_landmarks_of_its_image(mesh: FaceMesh, face: Image) -> None:
    a, _ = mesh.refine(ImageView(face), HEAD)
    b, _ = mesh.refine(ImageView(as_frame(face)), HEAD)
    assert np.median(np.linalg.norm(a - b, axis=1)) < 0.3


def test_a_region_that_is_off_is_corrected(mesh: FaceMesh, face: Image) -> None:
    exact, _ = mesh.refine(ImageView(face), HEAD)
    settled, _ = mesh.refine(ImageView(face), Roi(x=HEAD.x + 30, y=HEAD.y - 20, size=HEAD.size * 1.2, angle=0.3))
    assert np.median(np.linalg.norm((settled - exact)[:, :2], axis=1)) < 2.0, "pixels; the first reading alone is 4 off"


def test_there_is_no_face_in_a_wall(mesh: FaceMesh) -> None:
    wall = np.full((200, 200, 3), 128, np.uint8)
    assert mesh.read(ImageView(wall), Roi(x=100, y=100, size=120))[1] < SCORE


@pytest.mark.parametrize("degrees", [-40, 0, 70])
def test_a_region_is_levelled_by_the_eyes(mesh: FaceMesh, face: Image, degrees: float) -> None:
    points, _ = mesh.refine(ImageView(face), HEAD)
    upright = region_of(points)
    turn = cv2.getRotationMatrix2D((128, 128), -degrees, 1)
    turned = points.copy()
    turned[:, :2] = points[:, :2] @ turn[:, :2].T + turn[:, 2]
    region = region_of(turned)
    assert np.degrees(region.angle - upright.angle) == pytest.approx(degrees, abs=0.1)
    assert region.size == pytest.approx(upright.size, rel=1e-3)
    assert (region.x, region.y) == pytest.approx(tuple(turn[:, :2] @ (upright.x, upright.y) + turn[:, 2]), abs=0.1)


def test_an_independent_tracker_agrees(mesh: FaceMesh, face: Image, weights: Path, root: Path) -> None:
    source = root.parent / "shared" / "eval" / "facemesh.py"
    if not source.is_file():
        pytest.skip("the independent tracker (../shared/eval/facemesh.py) is not on this machine")
    spec = importlib.util.spec_from_file_location("independent_facemesh", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    tracker = module.Tracker(weights)
    tracker(face)
    theirs, _ = tracker(face)
    ours, _ = mesh.refine(ImageView(face), region_of(theirs))
    assert np.median(np.linalg.norm((ours - theirs)[:, :2], axis=1)) < 0.5
