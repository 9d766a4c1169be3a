"""A generated lower face is blended into its frame without a visible edge, and nothing changes outside of it."""

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from heygem_daemon.lipsync.geometry.landmarks import CHIN, EYE_CORNERS, INNER_LIPS, JAW, LIP_AREA, NOSE_BASE
from heygem_daemon.lipsync.geometry.pose import Face
from heygem_daemon.lipsync.imaging.grading import Grading
from heygem_daemon.lipsync.wav2lip.blend import Patch, blend_patch, mask_outline
from heygem_daemon.lipsync.wav2lip.framing import FaceBox, Framing
from heygem_daemon.lipsync.wav2lip.generator import TOP
from heygem_daemon.lipsync.wav2lip.network import SIDE
from heygem_daemon.media.frame import Frame
from tests.lipsync.conftest import Clip
from tests.lipsync.turning import quarter_map, turned_face, turned_frame
from tests.lipsync.wav2lip.fake_generator import SHOWN, MouthImages

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def framing(clip: Clip, reference: np.ndarray) -> Framing:
    return Framing(clip.tracks, reference)


@pytest.fixture(scope="module")
def face(framing: Framing) -> Face:
    face = framing.face_of(SHOWN)
    assert face is not None
    return face


@pytest.fixture(scope="module")
def box(framing: Framing) -> FaceBox:
    box = framing(SHOWN)
    assert box is not None
    return box


@pytest.fixture(scope="module")
def frame(clip: Clip) -> Frame:
    return clip.frames[SHOWN]


@pytest.fixture(scope="module")
def own(frame: Frame, box: FaceBox) -> np.ndarray:
    """The lower face of the frame itself, float32 [52, 96, 3]."""
    return box.face(frame)[TOP:].astype(np.float32)


@pytest.fixture(scope="module")
def noise(own: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, own.shape).astype(np.float32)


@pytest.fixture(scope="module")
def laid(frame: Frame, face: Face, box: FaceBox) -> Callable[..., Frame]:
    """Blend a lower face into the frame."""

    def blend(lower: np.ndarray, strength: float = 1.0, *, has_detail: bool = False) -> Frame:
        return blend_patch(frame, face, Patch(lower=lower, box=box, strength=strength, has_detail=has_detail), CPU)

    return blend


@pytest.fixture(scope="module")
def near(frame: Frame, face: Face, box: FaceBox) -> tuple[Frame, Face, FaceBox]:
    """The face from nearby, three times as large, with pores."""
    planes = [
        np.asarray(cv2.resize(plane, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC), np.uint8) for plane in (frame.y, frame.u, frame.v)
    ]
    pores = np.random.default_rng(0).normal(0, 4, planes[0].shape)
    luma = np.clip(planes[0] + pores, 16, 235).round().astype(np.uint8)
    large = Frame(index=frame.index, y=luma, u=planes[1], v=planes[2], space=frame.space)
    return large, replace(face, points=3 * face.points + 1, scale=3 * face.scale), FaceBox(matrix=3 * box.matrix + [[0, 0, 1], [0, 0, 1]])


def area(points: np.ndarray, grown: float, size: tuple[int, int] = (384, 384)) -> np.ndarray:
    """Return bool [h, w]: inside the convex outline of points [n, 2], `grown` pixels larger (smaller, if negative)."""
    inside = np.zeros(size, np.uint8)
    cv2.fillConvexPoly(inside, cv2.convexHull(points.astype(np.float32))[:, 0].round().astype(np.int32), 1)
    reach = 2 * round(abs(grown)) + 1
    change = cv2.dilate if grown > 0 else cv2.erode
    return np.asarray(change(inside, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))), bool)


def difference(a: Frame, b: Frame) -> np.ndarray:
    """Return float [h, w]: by how many grey levels two frames differ, in the worst channel."""
    return np.asarray(np.abs(a.bgr().astype(float) - b.bgr()).max(2))


# -- where it changes the frame ------------------------------------------------------------------------------------------------------------


def test_the_change_follows_the_outline_of_the_face(frame: Frame, face: Face, noise: np.ndarray, laid: Callable[..., Frame]) -> None:
    outline = mask_outline(face)
    changed = laid(noise).y != frame.y
    assert not changed[~area(outline, 0.13 * face.scale)].any()
    assert changed[area(outline, -0.13 * face.scale)].mean() > 0.9


def test_the_corners_of_the_generated_square_are_not_visible(
    frame: Frame, box: FaceBox, noise: np.ndarray, laid: Callable[..., Frame]
) -> None:
    changed = laid(noise).y != frame.y
    corners = np.array([[[0.0, 95], [95, 95], [0, 44], [95, 44]]])
    for x, y in cv2.transform(corners, box.matrix)[0].round().astype(int):
        assert not changed[y - 2 : y + 3, x - 2 : x + 3].any()


def test_colour_planes_change_where_the_luma_does_and_nowhere_else(
    frame: Frame, face: Face, noise: np.ndarray, laid: Callable[..., Frame]
) -> None:
    drawn = laid(noise)
    outside = ~area(mask_outline(face), 0.13 * face.scale + 2)
    for plane in ("u", "v"):
        assert np.array_equal(getattr(drawn, plane)[outside[::2, ::2]], getattr(frame, plane)[outside[::2, ::2]])
        assert not np.array_equal(getattr(drawn, plane), getattr(frame, plane))


def test_the_source_is_not_changed(frame: Frame, noise: np.ndarray, laid: Callable[..., Frame]) -> None:
    before, given = frame.i420().copy(), noise.copy()
    drawn = laid(noise)
    assert np.array_equal(frame.i420(), before)
    assert np.array_equal(noise, given)
    assert (drawn.index, drawn.space) == (frame.index, frame.space)


def test_the_edge_is_soft(near: tuple[Frame, Face, FaceBox], noise: np.ndarray) -> None:
    """How far two generated faces shine through, around their outline: a little outside of it, and not all inside of it."""
    frame, face, box = near
    faces = (np.asarray(90 + part / 4, np.float32) for part in (noise, noise[::-1]))
    one, other = (
        blend_patch(frame, face, Patch(lower=lower, box=box, strength=1.0, has_detail=False), CPU).y.astype(float) for lower in faces
    )
    outline, step = mask_outline(face), 0.03 * face.scale
    rings = [area(outline, (k + 1) * step, frame.y.shape) & ~area(outline, k * step, frame.y.shape) for k in (-7, -2, 1, 4)]
    deep, inside, outside, far = ((one - other)[ring].std() for ring in rings)
    assert 0.5 * deep < inside < 0.97 * deep
    assert 0.05 * deep < outside < 0.5 * deep
    assert far < 0.02 * deep


def test_mouth_and_chin_are_inside_the_outline_and_the_nose_is_not(face: Face) -> None:
    inside = area(mask_outline(face), 0)
    for x, y in face.points[list(LIP_AREA)].round().astype(int):
        assert inside[y, x]
    outline = mask_outline(face)
    assert outline[:, 1].min() > face.points[NOSE_BASE, 1] - 0.15 * face.scale
    assert outline[:, 1].max() > face.points[CHIN, 1]
    assert np.hypot(*(face.points[CHIN] - outline).T).min() < 0.1 * face.scale
    assert face.scale == pytest.approx(np.hypot(*np.subtract(*face.points[list(EYE_CORNERS)])), rel=0.05)


def test_at_its_sides_the_outline_stays_inside_the_face(face: Face) -> None:
    jaw = cv2.convexHull(face.points[list(JAW)].astype(np.float32))
    corner = face.points[list(LIP_AREA), 1].max()
    beside = [(x, y) for x, y in mask_outline(face).tolist() if y < corner]
    assert len(beside) >= 6
    assert all(cv2.pointPolygonTest(jaw, point, measureDist=True) > 0.02 * face.scale for point in beside)


# -- how much it changes -------------------------------------------------------------------------------------------------------------------


def test_the_face_of_the_frame_itself_changes_hardly_anything(
    frame: Frame, face: Face, own: np.ndarray, laid: Callable[..., Frame]
) -> None:
    inside = area(mask_outline(face), 0)
    assert difference(laid(own), frame)[inside].mean() < 3
    assert difference(laid(own, has_detail=True), frame)[inside].mean() < 1.5


@pytest.mark.parametrize("cast", [(25, 25, 25), (-25, -25, -25), (20, 0, -25)], ids=str)
def test_the_generated_face_takes_the_colour_of_the_frame(
    frame: Frame, face: Face, own: np.ndarray, laid: Callable[..., Frame], cast: tuple[int, int, int]
) -> None:
    lit = np.clip(own + np.array(cast, np.float32), 0, 255)
    skin = area(mask_outline(face), 0) & ~area(face.points[list(LIP_AREA)], 0.1 * face.scale)
    usual, corrected = laid(own).bgr().astype(float), laid(lit).bgr().astype(float)
    assert np.abs((corrected - usual)[skin].mean(0)).max() < 2.5
    assert np.abs(corrected - usual)[skin].mean() < 4


def test_lips_of_another_colour_do_not_colour_the_skin(face: Face, own: np.ndarray, laid: Callable[..., Frame]) -> None:
    """A mouth as black as an open one: the skin around it stays as it is."""
    open_wide = own.copy()
    open_wide[64 - TOP : 76 - TOP, 36:60] = 0
    around = area(mask_outline(face), 0) & ~area(face.points[list(LIP_AREA)], 0.15 * face.scale)
    change = laid(open_wide).bgr().astype(float) - laid(own).bgr()
    assert np.abs(change[around]).max() < 6
    assert change[area(face.points[list(INNER_LIPS)], 0)].mean() < -80


def test_the_mouth_is_the_generated_one(frame: Frame, box: FaceBox, mouths: MouthImages, laid: Callable[..., Frame]) -> None:
    for lower in (mouths.lower[0], mouths.lower[-1]):
        inner = np.s_[63 - TOP : 77 - TOP, 34:62]
        shown = box.face(laid(lower))[TOP:].astype(float)
        assert np.corrcoef(shown[inner].ravel(), lower[inner].ravel())[0, 1] > 0.97


@pytest.mark.parametrize("strength", [0.25, 0.5])
def test_half_the_strength_is_half_the_change(frame: Frame, noise: np.ndarray, laid: Callable[..., Frame], strength: float) -> None:
    part, whole = (laid(90 + noise / 4, some).y.astype(float) - frame.y for some in (strength, 1.0))
    strong = np.abs(whole) > 25
    assert strong.sum() > 200
    off = np.abs(part - strength * whole)[strong]
    assert np.quantile(off, 0.97) < 2  # in a few pixels the whole change is clipped


def test_without_strength_nothing_changes(frame: Frame, noise: np.ndarray, laid: Callable[..., Frame]) -> None:
    assert np.array_equal(laid(noise, 0.0).i420(), frame.i420())


def test_the_edges_of_the_generated_image_are_not_used(own: np.ndarray, laid: Callable[..., Frame]) -> None:
    spoilt = own.copy()
    spoilt[:2] = spoilt[-2:] = 0
    spoilt[:, :2] = spoilt[:, -2:] = 255
    assert np.array_equal(laid(spoilt).i420(), laid(own).i420())


# -- skin ----------------------------------------------------------------------------------------------------------------------------------


def roughness(frame: Frame, where: np.ndarray) -> float:
    """Return how much fine detail there is, in grey levels."""
    grey = frame.y.astype(np.float32)
    return float((grey - cv2.GaussianBlur(grey, (0, 0), 1.2))[where].std())


def test_the_detail_of_the_skin_is_that_of_the_frame(near: tuple[Frame, Face, FaceBox]) -> None:
    frame, face, box = near
    lower = box.face(frame)[TOP:].astype(np.float32)
    skin = area(mask_outline(face), -0.15 * face.scale, frame.y.shape) & ~area(face.points[list(LIP_AREA)], 0.1 * face.scale, frame.y.shape)
    without, with_detail = (
        roughness(blend_patch(frame, face, Patch(lower=lower, box=box, strength=1.0, has_detail=detail), CPU), skin)
        for detail in (False, True)
    )
    assert without < 0.5 * roughness(frame, skin)
    assert with_detail > 0.85 * roughness(frame, skin)


def test_the_teeth_of_the_frame_do_not_show_through_shut_lips(near: tuple[Frame, Face, FaceBox]) -> None:
    frame, face, box = near
    shut = np.full((SIDE - TOP, SIDE, 3), (70.0, 60, 130), np.float32)
    inner = area(face.points[list(INNER_LIPS)], -0.03 * face.scale, frame.y.shape)
    without, with_detail = (
        roughness(blend_patch(frame, face, Patch(lower=shut, box=box, strength=1.0, has_detail=detail), CPU), inner)
        for detail in (False, True)
    )
    assert with_detail < without + 0.25 * roughness(frame, inner)


# -- at the border of the frame ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [(0, 150), (-140, 0), (170, 20)], ids=str)
def test_a_face_that_leaves_the_frame_is_drawn_as_far_as_it_is_visible(
    frame: Frame, face: Face, box: FaceBox, noise: np.ndarray, shift: tuple[int, int]
) -> None:
    gone = replace(face, points=face.points + shift)
    away = FaceBox(matrix=box.matrix + np.array([[0, 0, shift[0]], [0, 0, shift[1]]]))
    drawn = blend_patch(frame, gone, Patch(lower=noise, box=away, strength=1.0, has_detail=True), CPU)
    changed = drawn.y != frame.y
    assert changed.any()
    assert not changed[~area(mask_outline(gone), 0.13 * face.scale)].any()


def test_a_face_outside_the_frame_changes_nothing(frame: Frame, face: Face, box: FaceBox, noise: np.ndarray) -> None:
    gone, away = replace(face, points=face.points + 900), FaceBox(matrix=box.matrix + np.array([[0, 0, 900], [0, 0, 900]]))
    drawn = blend_patch(frame, gone, Patch(lower=noise, box=away, strength=1.0, has_detail=True), CPU)
    assert np.array_equal(drawn.i420(), frame.i420())


def test_the_side_of_a_face_is_96_pixels(own: np.ndarray) -> None:
    assert own.shape == (SIDE - TOP, SIDE, 3)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_turned_frame_gives_the_turned_result(frame: Frame, face: Face, box: FaceBox, mouths: MouthImages, quarters: int) -> None:
    size, matrix = (frame.width, frame.height), quarter_map((frame.width, frame.height), quarters)
    turned_box = FaceBox(matrix=matrix[:, :2] @ box.matrix + np.array([[0, 0, 1]]) * matrix[:, 2:])
    patch = Patch(lower=mouths.lower[-1], box=box, strength=1.0, has_detail=True)
    upright = blend_patch(frame, face, patch, CPU)
    turned = blend_patch(turned_frame(frame, quarters), turned_face(face, size, quarters), replace(patch, box=turned_box), CPU)
    change, difference = (np.square(upright.y.astype(float) - other.y).mean() ** 0.5 for other in (frame, turned_frame(turned, -quarters)))
    assert change > 0.3
    assert difference < 0.1 * change


@pytest.mark.parametrize("contrast", [0.0, 0.01, 0.03, 0.2])
def test_generated_colours_follow_those_of_the_video(frame: Frame, face: Face, box: FaceBox, own: np.ndarray, contrast: float) -> None:
    """Red lips on a black-and-white frame turn grey; in a video with all its colours they stay."""
    grey = replace(frame, u=np.full_like(frame.u, 128), v=np.full_like(frame.v, 128), packed=None)
    lower = np.repeat(own.mean(2, keepdims=True), 3, axis=2)
    lower[18:36, 32:64] += np.array([-30, -30, 60], np.float32)
    patch = Patch(lower=lower, box=box, strength=1.0, has_detail=False)
    graded = replace(patch, grading=Grading(tone=np.zeros((2, 2)), contrast=contrast))
    plain, drawn = (blend_patch(grey, face, one, CPU) for one in (patch, graded))
    red, plain_red = (int(one.v.max()) - 128 for one in (drawn, plain))
    assert plain_red > 10
    assert (red == plain_red) if contrast > 0.1 else (red <= 1) if contrast < 0.02 else (1 < red < plain_red)
