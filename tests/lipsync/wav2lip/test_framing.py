"""The crop of the network: the face, upright, whole and steady."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from heygem_daemon.lipsync.face.tracker import FaceTracker
from heygem_daemon.lipsync.face_tracks import FaceTracks
from heygem_daemon.lipsync.geometry.landmarks import CHIN, EYE_CORNERS, NOSE_BASE, OUTER_LIPS
from heygem_daemon.lipsync.geometry.pose import mean_face
from heygem_daemon.lipsync.wav2lip.framing import FaceBox, Framing
from heygem_daemon.lipsync.wav2lip.network import SIDE
from heygem_daemon.media.frame import Frame, YuvSpace
from tests.lipsync.conftest import Clip
from tests.lipsync.face.conftest import as_frame
from tests.lipsync.wav2lip.tracked import moved, write_tracks

HIDDEN = 48
"""The first row that is hidden from the network."""


@pytest.fixture(scope="module")
def framing(clip: Clip, reference: np.ndarray) -> Framing:
    return Framing(clip.tracks, reference)


@pytest.fixture(scope="module")
def points(clip: Clip) -> np.ndarray:
    """The landmarks of one frame, [468, 3]."""
    return np.asarray(clip.tracks.landmarks(10, 11)[0])


@pytest.fixture
def framed(tmp_path: Path, reference: np.ndarray) -> Callable[..., Framing]:
    """Make the framing of given landmarks."""
    return lambda faces, shots=None: Framing(write_tracks(tmp_path / "tracks", faces, shots), reference)


def within(box: FaceBox | None, points: np.ndarray) -> np.ndarray:
    """Return landmarks [n, 2 or more] in pixels of the face, [n, 2]. Theirs count from the edge of the image, not from the middle of its
    first pixel."""
    assert box is not None
    return (points[:, :2] - 0.5) @ box.inverse[:, :2].T + box.inverse[:, 2]


def matrix(box: FaceBox | None) -> np.ndarray:
    assert box is not None
    return box.matrix


# -- what the box contains -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", [0, 10, 23, 49])
def test_mouth_and_chin_are_in_the_hidden_half_and_the_eyes_are_visible(framing: Framing, clip: Clip, index: int) -> None:
    seen = within(framing(index), clip.tracks.landmarks(index, index + 1)[0])
    lips = seen[list(OUTER_LIPS)]
    assert HIDDEN + 8 < lips[:, 1].min() < lips[:, 1].max() < SIDE - 12
    assert 20 < lips[:, 0].min() < lips[:, 0].max() < SIDE - 20
    assert SIDE - 8 < seen[CHIN, 1] < SIDE - 1
    assert HIDDEN < seen[NOSE_BASE, 1] < lips[:, 1].min()
    assert 20 < seen[list(EYE_CORNERS), 1].min() < seen[list(EYE_CORNERS), 1].max() < HIDDEN - 8
    assert seen[:, 0].min() > -3
    assert seen[:, 0].max() < SIDE + 3


@pytest.mark.parametrize(
    ("degrees", "scale", "by"), [(15, 1, (0, 0)), (-40, 1, (7, 3)), (170, 1, (0, 0)), (0, 4, (50, -90)), (5, 0.25, (0, 0))]
)
def test_a_head_that_rolls_moves_or_comes_nearer_is_framed_as_before(
    framed: Callable[..., Framing], points: np.ndarray, degrees: float, scale: float, by: tuple[float, float]
) -> None:
    other = moved(points, degrees=degrees, scale=scale, by=by)
    before, box = (within(framed([face] * 5)(2), face) for face in (points, other))
    np.testing.assert_allclose(box, before, atol=0.02)


def test_a_rolled_image_is_turned_upright(portrait: Path, weights: Path, tmp_path: Path) -> None:
    image = np.asarray(cv2.imread(str(portrait)), np.uint8)[:400]
    turned = cv2.warpAffine(image, cv2.getRotationMatrix2D((224, 130), -15, 1), image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    crops: list[np.ndarray] = []
    for view in (image, turned):
        frame = as_frame(np.ascontiguousarray(view))
        (found,) = FaceTracker(weights).follow(frame)
        tracks = write_tracks(tmp_path / str(len(crops)), [found.landmarks], size=image.shape[1::-1])
        box = Framing(tracks, mean_face(tracks))(0)
        assert box is not None
        crops.append(box.face(frame).astype(float))
    assert np.corrcoef(crops[0][20:90, 15:80].ravel(), crops[1][20:90, 15:80].ravel())[0, 1] > 0.88


def test_a_jaw_that_drops_does_not_move_the_box(framed: Callable[..., Framing], points: np.ndarray) -> None:
    talking = points.copy()
    talking[[CHIN, *OUTER_LIPS], 1] += 8
    np.testing.assert_allclose(matrix(framed([talking] * 5)(2)), matrix(framed([points] * 5)(2)), atol=1e-9)


# -- where there is a box ------------------------------------------------------------------------------------------------------------------


def test_a_frame_without_a_face_has_no_box(framing: Framing, clip: Clip) -> None:
    assert all((framing(index) is None) == (index in clip.gap) for index in range(clip.tracks.frames))
    assert framing(-1) is None
    assert framing(clip.tracks.frames) is None


def test_a_box_jitters_less_than_the_landmarks(framed: Callable[..., Framing], points: np.ndarray) -> None:
    noise = np.random.default_rng(0).normal(0, 2, (60, 1, 3)) * (1, 1, 0)
    framing = framed([points + shake for shake in noise])
    places = np.array([matrix(framing(index))[:, 2] for index in range(4, 56)])
    assert places.std(0).max() < 0.6 * 2


def test_a_box_that_moves_evenly_is_where_the_face_is(framed: Callable[..., Framing], points: np.ndarray) -> None:
    framing = framed([moved(points, by=(3.0 * index, index)) for index in range(12)])
    for index in range(12):
        np.testing.assert_allclose(matrix(framing(index))[:, 2], matrix(framing(6))[:, 2] + np.array([3, 1]) * (index - 6), atol=1e-4)


def test_no_box_is_averaged_across_a_cut(framed: Callable[..., Framing], points: np.ndarray) -> None:
    faces = [points] * 6 + [moved(points, by=(90, 40))] * 6
    framing = framed(faces, [0] * 6 + [1] * 6)
    for index in range(12):
        np.testing.assert_allclose(within(framing(index), faces[index]), within(framing(2), points), atol=1e-3)


def test_no_box_is_averaged_across_a_gap(framed: Callable[..., Framing], points: np.ndarray) -> None:
    faces = [points] * 6 + [None] + [moved(points, by=(90, 40))] * 6
    framing = framed(faces)
    for index, face in enumerate(faces):
        if face is not None:
            np.testing.assert_allclose(within(framing(index), face), within(framing(2), points), atol=1e-3)


def test_a_box_does_not_depend_on_the_order_of_the_frames(points: np.ndarray, reference: np.ndarray, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    faces = [moved(points, degrees=float(turn), by=(x, y)) for turn, x, y in random.normal(0, 4, (400, 3))]
    tracks: FaceTracks = write_tracks(tmp_path, faces)
    forth = [matrix(box) for box in map(Framing(tracks, reference), range(400))]
    framing = Framing(tracks, reference)
    for index in random.permutation(400)[:120].tolist():
        assert np.array_equal(matrix(framing(index)), forth[index])


# -- the image in the box ------------------------------------------------------------------------------------------------------------------


def test_the_inverse_matrix_leads_back(framing: Framing) -> None:
    box = framing(10)
    there = np.array([[0.0, 0.0], [95, 0], [17.3, 80.1]])
    assert box is not None
    back = cv2.transform(cv2.transform(there[None], box.matrix), box.inverse)[0]
    np.testing.assert_allclose(back, there, atol=1e-9)


def grey(light: np.ndarray) -> Frame:
    """Return a frame that shows these grey levels, [h, w]."""
    chroma = np.full((light.shape[0] // 2, light.shape[1] // 2), 128, np.uint8)
    return Frame(index=0, y=np.rint(light).astype(np.uint8), u=chroma, v=chroma, space=YuvSpace(matrix="bt709", full_range=True))


@pytest.mark.parametrize("enlargement", [0.6, 1.0, 1.7, 2.5, 3.01, 5.4])
@pytest.mark.parametrize("degrees", [0, 23])
def test_a_pixel_of_the_face_shows_its_place_in_the_image(enlargement: float, degrees: float) -> None:
    """In an image of waves that are some 20 pixels of the face long."""
    angle, wave = np.radians(degrees), 2 * np.pi / (20 * enlargement)
    axes = enlargement * np.array([[np.cos(angle), -1.1 * np.sin(angle)], [np.sin(angle), 1.1 * np.cos(angle)]])
    box = FaceBox(matrix=np.column_stack([axes, np.array([420.3, 400.8]) - axes @ (48, 48)]))
    y, x = np.mgrid[:800, :840]
    shown = box.face(grey(127 + 60 * np.sin(wave * x) + 60 * np.sin(wave * y)))[..., 0].astype(float)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    place = [row[0] * columns + row[1] * rows + row[2] for row in box.matrix]
    off = shown - 127 - sum(60 * np.sin(wave * part) for part in place)
    steepness = np.stack([60 * wave * np.cos(wave * part).ravel() for part in place], axis=1)
    displaced = np.linalg.lstsq(steepness, off.ravel(), rcond=None)[0]
    assert np.abs(off).max() < 5
    assert np.abs(displaced).max() < 0.03 * max(1, enlargement)


@pytest.mark.parametrize("enlargement", [2.6, 8.2])
def test_a_large_face_is_averaged_not_sampled(enlargement: float) -> None:
    """A chequerboard of single pixels becomes grey, without rings or specks."""
    board = np.indices((1000, 1000)).sum(0) % 2 * 255.0
    box = FaceBox(matrix=np.array([[enlargement, 0, 50.2], [0, enlargement, 60.7]]))
    shown = box.face(grey(board)).astype(float)
    assert abs(shown.mean() - 127.5) < 2
    assert shown.std() < 20


def test_beyond_the_image_its_border_is_repeated() -> None:
    frame = grey(np.indices((120, 200)).sum(0) * 0.7)
    box = FaceBox(matrix=np.array([[2.0, 0, -60], [0, 2.0, 40]]))
    shown = box.face(frame)
    assert np.array_equal(shown[20, :28], np.repeat(shown[20, :1], 28, 0))
    assert np.array_equal(shown[45:, 50], np.repeat(shown[-1:, 50], SIDE - 45, 0))
    assert shown.shape == (SIDE, SIDE, 3)


def test_blue_comes_first(framing: Framing, clip: Clip) -> None:
    box = framing(10)
    assert box is not None
    cheek = box.face(clip.frames[10])[55:62, 15:25].mean((0, 1))
    assert cheek[2] > cheek[1] > cheek[0]
