"""A mouth that is covered all the time is recognised, by what lies where the lips are; no real mouth is taken for a cover.

The covers are drawn on the moving portrait along its landmarks, in every frame or in most of them. Microphones, patterned cloth and balls
in the colours of mouths are none of them: what would recognise these took lipstick, beards and open mouths of strangers for covers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import pytest

from heygem_daemon.lipsync.arrays import Bool, Float64, Image
from heygem_daemon.lipsync.geometry.landmarks import CHEEKS, EYE_CORNERS, INNER_MIDDLE, INNER_OUTLINE, JAW, OUTER_OUTLINE
from heygem_daemon.lipsync.geometry.pose import Face, FaceReader, mean_face
from heygem_daemon.lipsync.imaging.mouth_cover import CoverTest, cover_means, covered_rows, read_profiles
from heygem_daemon.media.frame import Frame, YuvSpace
from tests.lipsync.conftest import Clip

FRAMES: Final = 20
Edit = Callable[[Image, Face], Image]
"""Draws on a frame, uint8 [h, w, 3]."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Frames of the clip with their faces."""

    frames: tuple[Frame, ...]
    faces: tuple[Face, ...]

    def profiles(self, edit: Edit, count: int = FRAMES) -> np.ndarray:
        """Return the profiles of all frames, of which the first `count` are edited."""
        shown = [
            frame if number >= count else to_frame(edit(frame.bgr(), face))
            for number, (frame, face) in enumerate(zip(self.frames, self.faces, strict=True))
        ]
        return np.array([read_profiles(frame, face.points, face.scale) for frame, face in zip(shown, self.faces, strict=True)])


def to_frame(image: Image) -> Frame:
    height, width = image.shape[:2]
    packed = np.asarray(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_BGR2YUV_I420), np.uint8).ravel()
    return Frame.from_i420(packed, width=width, height=height, index=0, space=YuvSpace(matrix="smpte170m", full_range=False))


@pytest.fixture(scope="module")
def scene(clip: Clip) -> Scene:
    reader = FaceReader(clip.tracks, mean_face(clip.tracks))
    faces = [reader(number) for number in range(FRAMES)]
    return Scene(frames=clip.frames[:FRAMES], faces=tuple(face for face in faces if face is not None))


def on_face(shape: tuple[int, ...], face: Face) -> tuple[Float64, Float64]:
    """Return x and y of every pixel, from the middle of the mouth, in eye distances along the face's own axes."""
    left, right = face.points[list(EYE_CORNERS)]
    across = (right - left) / np.linalg.norm(right - left)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    away = np.stack([columns, rows], -1) - face.points[list(INNER_MIDDLE)].mean(0)
    return away @ across / face.scale, away @ np.array([-across[1], across[0]]) / face.scale


def painted(image: Image, where: Bool, colour: np.ndarray) -> Image:
    return np.asarray(np.where(where[..., None], np.clip(colour, 0, 255), image), np.uint8)


def skin(image: Image, face: Face) -> np.ndarray:
    x, y = face.points[list(CHEEKS)].astype(int).T
    return np.asarray(np.median(image[y, x], axis=0))


# -- covers ------------------------------------------------------------------------------------------------------------------------------


def mask(colour: tuple[int, int, int] | None) -> Edit:
    """Return a mask from the bridge of the nose to the chin; None: of the colour of the skin."""

    def edit(image: Image, face: Face) -> Image:
        u, v = on_face(image.shape, face)
        where = np.zeros(image.shape[:2], np.uint8)
        corners = face.points[[197, *JAW[3:-3]]]
        cv2.fillConvexPoly(where, cv2.convexHull(corners.astype(np.int32)), 1)
        pleats = 1 - 0.08 * np.exp(-(((v - 0.12) / 0.015) ** 2)) - 0.2 * u**2
        return painted(image, where > 0, (skin(image, face) if colour is None else np.array(colour)) * pleats[..., None])

    return edit


def scarf(colour: tuple[int, int, int]) -> Edit:
    """Return a scarf from below the nose downwards, with folds."""

    def edit(image: Image, face: Face) -> Image:
        u, v = on_face(image.shape, face)
        folds = 1 + 0.04 * np.sin(40 * v + 6 * u)
        return painted(image, (v > -0.25) & (np.abs(u) < 0.95), np.array(colour) * folds[..., None])

    return edit


def bar(image: Image, face: Face) -> Image:
    u, v = on_face(image.shape, face)
    return painted(image, (np.abs(u) < 0.45) & (np.abs(v) < 0.22), np.array([10, 10, 10]))


def ball(colour: tuple[int, int, int]) -> Edit:
    """Return a ball in front of the lower lip."""

    def edit(image: Image, face: Face) -> Image:
        u, v = on_face(image.shape, face)
        away = np.hypot(u, v - 0.12) / 0.24
        return painted(image, away < 1, np.array(colour) * (1 - 0.25 * away[..., None] ** 2))

    return edit


COVERS: Final[Mapping[str, Edit]] = {
    "blue mask": mask((190, 150, 90)),
    "white mask": mask((230, 228, 225)),
    "skin-coloured mask": mask(None),
    "black mask": mask((28, 26, 26)),
    "grey scarf": scarf((110, 110, 110)),
    "pink mask": mask((150, 130, 225)),
    "black bar": bar,
    "green ball": ball((60, 170, 40)),
    "yellow ball": ball((30, 210, 230)),
}


@pytest.mark.family(2)
@pytest.mark.parametrize("name", COVERS)
def test_a_mouth_that_is_always_covered_is_covered_in_every_frame(scene: Scene, name: str) -> None:
    profiles = scene.profiles(COVERS[name])
    assert covered_rows(profiles).all()
    assert len(cover_means(profiles, covered_rows(profiles))) == 0


@pytest.mark.family(4)
@pytest.mark.parametrize("name", COVERS)
def test_a_still_image_of_a_covered_mouth_is_recognised_too(scene: Scene, name: str) -> None:
    assert covered_rows(scene.profiles(COVERS[name])[:1]).all()


@pytest.mark.family(2)
@pytest.mark.parametrize("name", COVERS)
def test_of_a_mouth_covered_most_of_the_time_the_clear_frames_are_kept_and_each_frame_is_told_apart(scene: Scene, name: str) -> None:
    profiles = scene.profiles(COVERS[name], 14)
    covered = covered_rows(profiles)
    assert covered.tolist() == [True] * 14 + [False] * 6
    test = CoverTest(cover_means(profiles, covered))
    assert [test.is_covered(each) for each in profiles] == covered.tolist()


# -- real mouths -------------------------------------------------------------------------------------------------------------------------


def lipstick(colour: tuple[int, int, int]) -> Edit:
    def edit(image: Image, face: Face) -> Image:
        where = np.zeros(image.shape[:2], np.float32)
        cv2.fillPoly(where, [face.points[list(OUTER_OUTLINE)].astype(np.int32)], 0.75)
        cv2.fillPoly(where, [face.points[list(INNER_OUTLINE)].astype(np.int32)], 0.0)
        shade = image.mean(2, keepdims=True) / 110
        return np.asarray(np.clip(image + where[..., None] * (np.array(colour) * shade - image), 0, 255), np.uint8)

    return edit


def beard(colour: tuple[int, int, int]) -> Edit:
    def edit(image: Image, face: Face) -> Image:
        u, v = on_face(image.shape, face)
        lips = np.zeros(image.shape[:2], np.uint8)
        cv2.fillPoly(lips, [face.points[list(OUTER_OUTLINE)].astype(np.int32)], 1)
        hair = np.array(colour) + 12 * np.sin(90 * u + 40 * v)[..., None]
        return painted(image, ((u / 0.5) ** 2 + ((v - 0.2) / 0.45) ** 2 < 1) & (lips == 0), hair)

    return edit


def compressed(image: Image, _: Face) -> Image:
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 12])[1], cv2.IMREAD_COLOR), np.uint8)


def small(image: Image, face: Face) -> Image:
    size, factor = image.shape[1::-1], 32 / face.scale
    return np.asarray(cv2.resize(cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), size), np.uint8)


def grey(image: Image, _: Face) -> Image:
    return np.repeat(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[..., None], 3, axis=2)


def exposed(factor: float, noise: float = 0.0) -> Edit:
    def edit(image: Image, _: Face) -> Image:
        grain = np.random.default_rng(0).normal(0, noise, image.shape) if noise else 0.0
        return np.asarray(np.clip(image * factor + grain, 0, 255), np.uint8)

    return edit


def open_mouth(image: Image, face: Face) -> Image:
    """Paint the mouth wide open, dark inside, with the upper teeth."""
    where = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(where, [face.points[list(INNER_OUTLINE)].astype(np.int32)], 1)
    u, v = on_face(image.shape, face)
    inside = (where > 0) | ((u / 0.25) ** 2 + (v / 0.12) ** 2 < 1)
    dark = painted(image, inside, np.array([20, 18, 35]))
    return painted(dark, inside & (v < -0.04), np.array([190, 205, 210]))


def lit(colour: tuple[float, float, float]) -> Edit:
    return lambda image, _: np.asarray(np.clip(image * np.array(colour), 0, 255), np.uint8)


REAL: Final[Mapping[str, Edit]] = {
    "as it is": lambda image, _: image,
    "black and white": grey,
    "dark and noisy": exposed(0.2, 3.0),
    "overexposed": exposed(2.0),
    "blue light": lit((1.3, 0.95, 0.75)),
    "warm light": lit((0.6, 0.95, 1.2)),
    "green light": lit((0.8, 1.2, 0.8)),
    "strongly compressed": compressed,
    "64 pixels wide": small,
    "soft": lambda image, face: np.asarray(cv2.GaussianBlur(image, (0, 0), 0.03 * face.scale), np.uint8),
    "wide open": open_mouth,
    "red lipstick": lipstick((40, 20, 190)),
    "pink lipstick": lipstick((170, 80, 230)),
    "orange lipstick": lipstick((40, 90, 220)),
    "purple lipstick": lipstick((140, 50, 130)),
    "brown lipstick": lipstick((50, 60, 110)),
    "blue lipstick": lipstick((180, 80, 40)),
    "black lipstick": lipstick((25, 20, 25)),
    "dark lipstick": lipstick((50, 15, 60)),
    "pale lipstick": lipstick((120, 140, 190)),
    "black beard": beard((32, 34, 40)),
    "grey beard": beard((150, 152, 155)),
    "red beard": beard((40, 70, 120)),
    "white beard": beard((215, 218, 220)),
}


@pytest.mark.family(2)
@pytest.mark.parametrize("name", REAL)
def test_no_real_mouth_is_taken_for_a_cover(scene: Scene, name: str) -> None:
    profiles = scene.profiles(REAL[name])
    assert not covered_rows(profiles).any()
    assert not covered_rows(profiles[:1]).any()


def test_a_mouth_outside_the_frame_is_not_taken_for_a_cover(scene: Scene) -> None:
    frame, face = scene.frames[0], scene.faces[0]
    lowest = int(face.points[INNER_MIDDLE[0], 1] - 0.1 * face.scale) // 2 * 2
    cropped = to_frame(frame.bgr()[:lowest])
    profiles = read_profiles(cropped, face.points, face.scale)
    assert (profiles[13:17] == 255).all()
    assert not covered_rows(profiles[None]).any()


def test_a_hand_that_passes_by_is_left_to_the_comparison_of_frames(scene: Scene) -> None:
    assert not covered_rows(scene.profiles(COVERS["blue mask"], 3)).any()
