"""Which face of a shot speaks."""

from pathlib import Path

import numpy as np
import pytest

from heygem_daemon.lipsync.face.selection import Tracklet, VideoFaces, chosen_tracks, persons_by_place
from heygem_daemon.lipsync.face.tracker import TrackedFace
from heygem_daemon.lipsync.face_tracks import FaceSelection
from heygem_daemon.lipsync.geometry.landmarks import LIPS, RIGID

SIZE = (640, 360)


def points(x: float, y: float = 180, width: float = 60) -> np.ndarray:
    """Landmarks spread over a square of this width around a place, eyes level."""
    landmarks = np.full((468, 3), (x, y, 0), np.float32)
    landmarks[:4, :2] += np.array([(-1, -1), (1, -1), (-1, 1), (1, 1)]) * width / 2
    landmarks[33, 0], landmarks[263, 0] = x - width / 4, x + width / 4
    return landmarks


def tracklet(track: int, frames: range, x: float, width: float = 60) -> Tracklet:
    summary = Tracklet([track])
    for frame in frames:
        summary.add(frame, points(x, width=width), SIZE)
    return summary


@pytest.mark.parametrize(
    ("selection", "wanted"), [("largest", 1), ("left", 0), ("right", 2), ("center", 1), (0, 0), (1, 1), (2, 2), (9, 2)]
)
def test_a_face_is_selected_by_size_or_place(selection: FaceSelection, wanted: int) -> None:
    crowd = [tracklet(2, range(50), 600), tracklet(0, range(50), 90), tracklet(1, range(50), 330, width=90)]
    assert chosen_tracks(crowd, selection, SIZE) == {wanted}


@pytest.mark.parametrize("seed", range(8))
def test_the_place_in_the_list_of_persons_is_the_number_that_selects_them(seed: int) -> None:
    random = np.random.default_rng(seed)
    crowd = [
        tracklet(track, range(int(random.integers(0, 40)), int(random.integers(60, 100))), float(x), width=float(random.uniform(12, 90)))
        for track, x in enumerate(random.uniform(40, 600, size=6))
    ]
    persons = persons_by_place(crowd)
    assert persons
    for number, person in enumerate(persons):
        assert person.tracks <= chosen_tracks(crowd, number, SIZE)


def test_of_two_equal_faces_the_central_one_is_the_largest() -> None:
    assert chosen_tracks([tracklet(0, range(50), 60), tracklet(1, range(50), 340)], "largest", SIZE) == {1}


def test_the_person_in_view_longest_outweighs_a_large_passer_by() -> None:
    assert chosen_tracks([tracklet(0, range(100), 200), tracklet(1, range(40, 55), 400, width=110)], "largest", SIZE) == {0}


@pytest.mark.parametrize("selection", ["left", "right", "center"])
def test_places_are_counted_without_passers_by_and_background(selection: FaceSelection) -> None:
    crowd = [
        tracklet(0, range(100), 330),
        tracklet(1, range(10), 20),
        tracklet(2, range(100), 620, width=12),
        tracklet(3, range(9), 325, width=50),
    ]
    assert 0 in chosen_tracks(crowd, selection, SIZE)


def test_a_track_that_was_broken_is_one_person() -> None:
    broken = [tracklet(0, range(40), 200), tracklet(5, range(45, 100), 210), tracklet(1, range(100), 450)]
    assert chosen_tracks(broken, "left", SIZE) == {0, 5}
    assert chosen_tracks(broken, "right", SIZE) == {1}


def test_a_presenter_who_comes_back_elsewhere_is_selected_again_but_no_short_track() -> None:
    wanderer = [tracklet(0, range(60), 120), tracklet(1, range(70, 120), 500), tracklet(2, range(62, 66), 320)]
    assert chosen_tracks(wanderer, "largest", SIZE) == {0, 1}


def test_two_persons_in_one_frame_are_never_selected_together() -> None:
    both = [tracklet(0, range(60), 120, width=80), tracklet(1, range(30, 90), 500)]
    assert chosen_tracks(both, "largest", SIZE) == {0}


def test_a_shot_without_faces_has_none_to_choose() -> None:
    assert chosen_tracks([], "largest", SIZE) == set()


def test_the_spool_gives_every_frame_of_the_video(tmp_path: Path) -> None:
    with VideoFaces(tmp_path / "spool", size=SIZE) as faces:
        for frame in range(400):
            left = [TrackedFace(track=0, landmarks=points(100), score=0.8)]
            right = [TrackedFace(track=1, landmarks=points(500, width=90), score=0.9)]
            faces.add([] if frame in (0, 7, 399) else left + right)
        faces.end_shot()
        faces.add(left)
        faces.add([])
        chosen = list(faces.choose("largest"))
        assert len(chosen) == 402
        assert [i for i, (landmarks, _) in enumerate(chosen) if landmarks is None] == [0, 7, 399, 401]
        landmarks, score = chosen[200]
        assert landmarks is not None
        assert np.array_equal(landmarks, points(500, width=90))
        assert score == pytest.approx(0.9)
    assert list(tmp_path.iterdir()) == []


PRESENTER, PORTRAIT = 1, 0


def living(track: int, frames: range, x: float, *, width: float = 60, speaks: bool = True) -> Tracklet:
    """Return a face whose mouth opens (or is as still as a photo), with the noise of a tracker."""
    summary, random = Tracklet([track]), np.random.default_rng(track)
    for frame in frames:
        landmarks = points(x, width=width)
        landmarks[list(LIPS), 0] += np.linspace(-0.2, 0.2, len(LIPS)) * width
        landmarks[list(RIGID), :2] += np.random.default_rng(9).uniform(-0.2, 0.2, (len(RIGID), 2)) * width
        landmarks[list(LIPS[::2]), 1] += speaks * 0.05 * width * (1 + np.sin(frame))
        landmarks[:, :2] += random.normal(0, 0.001 * width, (468, 2))
        summary.add(frame, landmarks, SIZE)
    return summary


@pytest.mark.parametrize("width", [70, 150, 300], ids=["a little larger", "larger", "very much larger"])
def test_a_portrait_on_a_slide_does_not_speak_beside_its_presenter(width: float) -> None:
    faces = [living(PORTRAIT, range(80), 320, width=width, speaks=False), living(PRESENTER, range(80), 560, width=50)]
    assert chosen_tracks(faces, "largest", SIZE) == {PRESENTER}


def test_of_two_who_speak_the_largest_is_selected() -> None:
    assert chosen_tracks([living(0, range(80), 160, width=90), living(1, range(80), 480)], "largest", SIZE) == {0}


def test_of_two_portraits_the_largest_is_selected() -> None:
    faces = [living(0, range(80), 160, speaks=False), living(1, range(80), 480, width=90, speaks=False)]
    assert chosen_tracks(faces, "largest", SIZE) == {1}


@pytest.mark.parametrize("frames", [1, 20, 200])
def test_who_sits_still_alone_is_selected(frames: int) -> None:
    assert chosen_tracks([living(0, range(frames), 160, speaks=False)], "largest", SIZE) == {0}


def test_a_portrait_does_not_take_over_while_the_presenter_is_out_of_the_frame() -> None:
    faces = [living(PORTRAIT, range(60, 200), 200, width=150, speaks=False), living(PRESENTER, range(60), 480)]
    assert chosen_tracks(faces, "largest", SIZE) == {PRESENTER}


@pytest.mark.parametrize(("selection", "wanted"), [("left", PORTRAIT), ("right", PRESENTER), (0, PORTRAIT)])
def test_a_face_selected_by_place_may_be_a_portrait(selection: FaceSelection, wanted: int) -> None:
    faces = [living(PORTRAIT, range(80), 160, width=90, speaks=False), living(PRESENTER, range(80), 480)]
    assert chosen_tracks(faces, selection, SIZE) == {wanted}


def test_a_portrait_that_leaves_the_frame_as_the_camera_pans_stays_still() -> None:
    """Beyond the border the landmarks of a photo wander; they do not count."""
    portrait, random = living(PORTRAIT, range(80), 200, width=150, speaks=False), np.random.default_rng(0)
    for frame in range(80, 120):
        landmarks = points(40, width=150)
        landmarks[:, :2] += random.normal(0, 8, 2) * np.linspace(0, 1, 468)[:, None]
        portrait.add(frame, landmarks, SIZE)
    assert chosen_tracks([portrait, living(PRESENTER, range(120), 560, width=50)], "largest", SIZE) == {PRESENTER}
