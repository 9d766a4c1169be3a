"""Finding faces in an image."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heygem_daemon.lipsync.arrays import Image
from heygem_daemon.lipsync.face.detector import Detection, FaceDetector, anchors, distinct, overlap, tile_levels, weighted_nms
from heygem_daemon.lipsync.face.image_view import ImageView, Roi
from tests.lipsync.face.conftest import as_frame


@pytest.fixture(scope="module")
def detector(weights: Path) -> FaceDetector:
    return FaceDetector(weights)


def test_the_anchors_are_two_on_a_fine_and_six_on_a_coarse_grid() -> None:
    points = anchors()
    assert points.shape == (896, 2)
    assert points[0].tolist() == points[1].tolist() == [1 / 32, 1 / 32]
    assert points[2].tolist() == [3 / 32, 1 / 32]
    assert points[512:518].tolist() == [[1 / 16, 1 / 16]] * 6
    assert points[-1].tolist() == [15 / 16, 15 / 16]


def test_boxes_on_one_face_are_averaged_and_others_kept_apart() -> None:
    boxes = np.zeros((3, 8), np.float32)
    boxes[:, :4] = [[0.5, 0.5, 0.2, 0.2], [0.2, 0.2, 0.2, 0.2], [0.52, 0.5, 0.2, 0.2]]
    found = weighted_nms(boxes, np.array([0.9, 0.8, 0.6], np.float32))
    assert [score for _, score in found] == [pytest.approx(0.9), pytest.approx(0.8)]
    assert found[0][0][0] == pytest.approx((0.9 * 0.5 + 0.6 * 0.52) / 1.5)


@pytest.mark.parametrize(("other", "wanted"), [((0, 0, 2), 1.0), ((1, 0, 2), 1 / 3), ((2, 0, 2), 0.0), ((0, 0, 1), 0.25)])
def test_overlap_is_intersection_over_union(other: tuple[float, float, float], wanted: float) -> None:
    assert overlap((0, 0, 2), other) == pytest.approx(wanted)


def test_a_face_found_in_two_tiles_is_one_face() -> None:
    whole = Detection(x=100, y=100, width=80, angle=0, score=0.9)
    part = Detection(x=110, y=110, width=50, angle=0, score=0.6)
    other = Detection(x=190, y=100, width=80, angle=0, score=0.7)
    assert distinct([part, other, whole]) == [whole, other]


@given(st.integers(64, 4096), st.integers(64, 4096))
def test_every_level_of_tiles_covers_the_image_and_overlaps_by_half(width: int, height: int) -> None:
    whole, *levels = tile_levels(width, height)
    assert whole == [Roi(x=width / 2, y=height / 2, size=max(width, height))]
    for level in filter(None, levels):
        for length, middles in ((width, {tile.x for tile in level}), (height, {tile.y for tile in level})):
            size, ordered = level[0].size, sorted(middles)
            assert ordered[0] - size / 2 == pytest.approx(0, abs=0.01)
            assert ordered[-1] + size / 2 == pytest.approx(length, abs=0.01)
            assert all(b - a <= size / 2 + 0.01 for a, b in pairwise(ordered))


@pytest.mark.parametrize("decoded", [False, True])
def test_every_face_of_an_image_is_found_once(detector: FaceDetector, scene: Callable[..., Image], decoded: bool) -> None:
    image = scene((20, 50, 1.0), (360, 70, 0.8))
    view = ImageView(as_frame(image) if decoded else image)
    faces = sorted(detector.detect(view, Roi(x=320, y=180, size=640)), key=lambda face: face.x)
    assert len(faces) == 2
    assert [face.x for face in faces] == [pytest.approx(20 + 126, abs=10), pytest.approx(360 + 0.8 * 126, abs=10)]
    assert [face.y for face in faces] == [pytest.approx(50 + 120, abs=20), pytest.approx(70 + 0.8 * 120, abs=20)]
    assert [face.width for face in faces] == [pytest.approx(102, rel=0.35), pytest.approx(82, rel=0.35)]


@pytest.mark.parametrize("degrees", [-25, 25])
def test_a_tilted_head_is_reported_with_its_angle(detector: FaceDetector, face: Image, degrees: float) -> None:
    turn = cv2.getRotationMatrix2D((128, 128), -degrees, 1)  # OpenCV counts against the clock
    tilted = np.asarray(cv2.warpAffine(face, turn, (256, 256), borderMode=cv2.BORDER_REPLICATE), np.uint8)
    found = detector.detect(ImageView(tilted), Roi(x=128, y=128, size=256))
    assert np.degrees(found[0].angle) == pytest.approx(degrees, abs=6)


def test_an_image_without_a_face_has_none(detector: FaceDetector) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    assert detector.detect(ImageView(noise), Roi(x=200, y=150, size=400)) == []
