"""Several faces followed over frames."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from heygem_daemon.lipsync.arrays import Image
from heygem_daemon.lipsync.face.detection_schedule import DetectionSchedule
from heygem_daemon.lipsync.face.detector import Detection, FaceDetector
from heygem_daemon.lipsync.face.image_view import ImageView, Roi
from heygem_daemon.lipsync.face.tracker import FaceTracker, TrackedFace
from tests.lipsync.face.conftest import as_frame
from tests.lipsync.turning import moved, turned_image

Scene = Callable[..., Image]


@pytest.fixture
def tracker(weights: Path) -> FaceTracker:
    return FaceTracker(weights)


def nose(face: TrackedFace) -> tuple[float, float]:
    return float(face.landmarks[1, 0]), float(face.landmarks[1, 1])


def test_two_faces_keep_their_tracks_while_they_move(tracker: FaceTracker, scene: Scene) -> None:
    for i in range(12):
        faces = tracker.follow(scene((10 + 5 * i, 40, 0.9), (370 - 3 * i, 60 + 3 * i, 0.9)))
        assert len(faces) == 2
        by_place = sorted(faces, key=nose)
        assert nose(by_place[0])[0] == pytest.approx(10 + 5 * i + 0.9 * 127, abs=5)
        assert nose(by_place[1])[0] == pytest.approx(370 - 3 * i + 0.9 * 127, abs=5)
        if i == 0:
            left, right = (face.track for face in by_place)
        assert [face.track for face in by_place] == [left, right]
    assert tracker.shot == 0


def test_a_face_is_never_followed_twice(tracker: FaceTracker, scene: Scene) -> None:
    """One face goes away towards the other, which is where its track must not jump."""
    tracker.follow(scene((60, 50, 0.9), (230, 50, 0.9)))
    for _ in range(8):
        faces = tracker.follow(scene((230, 50, 0.9)))
        assert len(faces) == 1
        assert nose(faces[0])[0] == pytest.approx(230 + 0.9 * 127, abs=4)


def test_a_hidden_face_comes_back_under_its_own_track_within_a_fifth_of_a_second(tracker: FaceTracker, scene: Scene) -> None:
    shown, hidden = scene((200, 50, 1.0)), scene((200, 50, 1.0))
    hidden[90:230, 270:390] = shown[90:230, 270:390].mean(axis=(0, 1))
    before = tracker.follow(shown)[0].track
    for _ in range(27):
        assert tracker.follow(hidden) == ()
    lost = [tracker.follow(shown) for _ in range(6)]
    first = next(i for i, faces in enumerate(lost) if faces)
    assert first < 5
    assert [face.track for face in lost[first]] == [before]


def test_a_newcomer_is_noticed_and_gets_a_track_of_its_own(tracker: FaceTracker, scene: Scene) -> None:
    for _ in range(3):
        assert len(tracker.follow(scene((20, 50, 0.9)))) == 1
    both = [len(tracker.follow(scene((20, 50, 0.9), (370, 50, 0.9)))) for _ in range(13)]
    assert both[-1] == 2


def test_a_cut_ends_every_track_and_loses_no_frame(tracker: FaceTracker, scene: Scene) -> None:
    before = [tracker.follow(scene((20, 20, 1.0), wall=1)) for _ in range(3)]
    after = [tracker.follow(scene((340, 90, 0.8), wall=2)) for _ in range(3)]
    assert tracker.shot == 1
    assert {face.track for faces in before for face in faces} == {0}
    assert [[face.track for face in faces] for faces in after] == [[1], [1], [1]]


@pytest.mark.family(2)
@pytest.mark.parametrize("scale", [0.33, 0.5])
def test_a_small_face_in_a_large_image_is_followed(tracker: FaceTracker, scene: Scene, scale: float) -> None:
    """At 0.33 the outer corners of the eyes are 21 pixels apart."""
    for i in range(3):
        faces = tracker.follow(scene((1200 + i, 600, scale), size=(1920, 1080)))
        assert len(faces) == 1
        assert nose(faces[0]) == pytest.approx((1200 + i + 127 * scale, 600 + 131 * scale), abs=3)


class CountingDetector(FaceDetector):
    """The detector, counting its work."""

    crops = 0

    def detect(self, view: ImageView, roi: Roi) -> list[Detection]:
        self.crops += 1
        return super().detect(view, roi)


def work(schedule: DetectionSchedule, detector: CountingDetector, images: list[Image]) -> int:
    detector.crops = 0
    for image in images:
        view = ImageView(image)
        thumbnail = view.thumbnail()
        for level in schedule.due(is_following=False):
            schedule.detect_level(level, view, thumbnail, [])
    return detector.crops


def test_a_slide_that_stands_still_is_searched_once(weights: Path) -> None:
    detector = CountingDetector(weights)
    schedule = DetectionSchedule(detector, width=640, height=360, frame_rate=Fraction(25))
    slide = np.random.default_rng(0).integers(0, 256, (360, 640, 3), dtype=np.uint8)
    once = work(schedule, detector, [slide])
    assert once == 1 + 3 + 21, "the whole, three squares side by side, and three rows of seven"
    assert work(schedule, detector, [slide] * 50) == 0
    written = slide.copy()
    written[10:60, 10:60] = 255
    assert 0 < work(schedule, detector, [written] * 25) <= 4, "only the tiles that changed"


def test_a_pass_that_begins_in_the_middle_soon_searches_the_same_frames(weights: Path) -> None:
    """The parts of a long video are tracked side by side: each finds a face at the frame at which one pass finds it."""
    detector = FaceDetector(weights)
    blank = ImageView(np.zeros((360, 640, 3), np.uint8))
    searched: list[list[tuple[int, int]]] = []
    for first in (0, 37):
        schedule = DetectionSchedule(detector, width=640, height=360, frame_rate=Fraction(30000, 1001), first=first)
        found = []
        for frame in range(first, 400):
            for level in schedule.due(is_following=frame % 97 < 60):
                found.append((frame, level))
                schedule.detect_level(level, blank, blank.thumbnail(), [])
        searched.append([search for search in found if search[0] > 190])
    assert searched[0] == searched[1]
    assert {level for _, level in searched[0]} == {0, 1, 2, 3}


def test_a_faceless_film_is_searched_every_fifth_of_a_second(weights: Path) -> None:
    detector = CountingDetector(weights)
    schedule = DetectionSchedule(detector, width=200, height=150, frame_rate=Fraction(25))
    film = [np.random.default_rng(i).integers(0, 256, (15, 20, 3), dtype=np.uint8).repeat(10, 0).repeat(10, 1) for i in range(50)]
    assert work(schedule, detector, film) == 10, "one square for a small image, every fifth frame"


@pytest.mark.family(13)
@pytest.mark.parametrize("scale", [0.35, 1.0])
@pytest.mark.parametrize("degrees", range(0, 360, 30))
def test_a_face_is_found_in_the_first_frame_whichever_way_up_it_is(
    tracker: FaceTracker, scene: Scene, weights: Path, scale: float, degrees: int
) -> None:
    image = scene((1000, 300, scale), size=(1280, 720)) if scale < 1 else scene((200, 50, scale))
    upright = FaceTracker(weights).follow(image)[0].landmarks[:, :2]
    turned, matrix = turned_image(image, degrees)
    faces = tracker.follow(turned)
    distance = np.linalg.norm(faces[0].landmarks[:, :2] - moved(upright, matrix), axis=1)
    assert len(faces) == 1
    assert distance.mean() < 0.06 * np.linalg.norm(upright[33] - upright[263])


@pytest.mark.family(3)
@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_turned_face_that_was_hidden_is_found_again(tracker: FaceTracker, scene: Scene, degrees: int) -> None:
    shown, _ = turned_image(scene((200, 50, 1.0)), degrees)
    hidden, _ = turned_image(scene(), degrees)
    before = tracker.follow(shown)[0].landmarks
    for _ in range(27):
        assert tracker.follow(hidden) == ()
    found = [faces[0].landmarks for faces in (tracker.follow(shown) for _ in range(6)) if faces]
    assert found
    assert found[0] == pytest.approx(before, abs=4)


@pytest.mark.parametrize("colour", ["green", "red", "blue"])
def test_a_face_is_found_in_a_video_of_one_colour(tracker: FaceTracker, scene: Scene, colour: str) -> None:
    grey = scene((200, 50, 1.0)) @ np.array([0.114, 0.587, 0.299])
    image = np.zeros((*grey.shape, 3), np.uint8)
    image[..., ["blue", "green", "red"].index(colour)] = grey.astype(np.uint8)
    assert [nose(face) for face in tracker.follow(as_frame(image))] == [pytest.approx((327, 181), abs=4)]
