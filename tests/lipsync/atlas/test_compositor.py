"""Drawing a whole frame: what changes and what is left alone."""

from dataclasses import dataclass, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from heygem_daemon.lipsync.atlas import draw_plan
from heygem_daemon.lipsync.atlas.compositor import Compositor
from heygem_daemon.lipsync.atlas.draw_plan import DrawSpec, Planner
from heygem_daemon.lipsync.atlas.face_warp import warp_face
from heygem_daemon.lipsync.atlas.renderer import AtlasRenderer
from heygem_daemon.lipsync.atlas.source_mouth import SourceMouth, put_mouth
from heygem_daemon.lipsync.atlas.store import Presenter
from heygem_daemon.lipsync.face.track_video import track_video
from heygem_daemon.lipsync.geometry.pose import Face, FaceReader
from heygem_daemon.lipsync.imaging.grading import UNGRADED, Grading
from heygem_daemon.media.frame import Frame
from heygem_daemon.media.probe import probe
from heygem_daemon.media.reader import VideoReader
from tests.lipsync.atlas.conftest import Scene
from tests.lipsync.atlas.reference.compositor import ReferenceCompositor
from tests.lipsync.atlas.reference.difference import decibels, differences
from tests.lipsync.face.conftest import as_frame
from tests.lipsync.turning import moved, quarter_map, turned_face, turned_frame, turned_image

DrawRows = tuple[tuple[int, float], ...]


def test_a_strength_of_0_leaves_the_frame_as_it_is(scene: Scene) -> None:
    frame, found, presenter = scene.frame, scene.face, scene.presenter
    compositor = Compositor(presenter)
    drawn = compositor.draw(frame, found, DrawSpec(target=presenter.mouth.target(1.0, 0.5), rows=((0, 1.0),), interior=1.0, strength=0.0))
    assert np.array_equal(drawn.i420(), frame.i420())


def test_a_face_at_the_border_of_the_frame_can_be_drawn(scene: Scene) -> None:
    frame, found, presenter = scene.frame, scene.face, scene.presenter
    box = (int(found.points[:, 0].mean()) // 2 * 2, 0, frame.width, int(found.points[14, 1]) // 2 * 2)
    x0, _, x1, y1 = box
    part = Frame(
        index=0,
        y=frame.y[:y1, x0:x1].copy(),
        u=frame.u[: y1 // 2, x0 // 2 : x1 // 2].copy(),
        v=frame.v[: y1 // 2, x0 // 2 : x1 // 2].copy(),
        space=frame.space,
    )
    shifted = replace(found, points=found.points - (x0, 0))
    spec = DrawSpec(target=presenter.mouth.target(1.0, 0.5), rows=((0, 1.0),), interior=1.0, strength=1.0)
    drawn = Compositor(presenter).draw(part, shifted, spec)
    assert (drawn.width, drawn.height) == (part.width, part.height)
    assert not np.array_equal(drawn.i420(), part.i420())


@pytest.fixture(scope="module", params=[1, 2, 3], ids=["90", "180", "270"])
def quarters(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@dataclass(frozen=True, kw_only=True, eq=False)
class OneMouth(Presenter):
    """A presenter with one crop in place of all of them."""

    only: Frame

    def crop(self, row: int) -> Frame:
        del row
        return self.only


def with_crop(presenter: Presenter, crop: Frame) -> OneMouth:
    return OneMouth(**{field.name: getattr(presenter, field.name) for field in fields(presenter)}, only=crop)


def turned_presenter(presenter: Presenter, size: tuple[int, int], row: int, quarters: int) -> OneMouth:
    """Return the presenter of the turned video, with the mouth of one row."""
    crop = presenter.crop(row)
    matrix = quarter_map(size, quarters)
    corners = moved(presenter.origins[row] + np.array([[0, 0], [crop.width - 1, crop.height - 1]]), matrix)
    faces = replace(presenter.faces, points=moved(presenter.faces.points, matrix))
    origins = np.tile(corners.min(0).astype(np.int64), (len(faces), 1))
    return with_crop(replace(presenter, faces=faces, origins=origins), turned_frame(crop, quarters))


@pytest.mark.parametrize(("interior", "tolerance"), [(0.0, 0.08), (1.0, 0.25)], ids=["own mouth", "painted"])
def test_a_turned_video_gives_the_turned_result(scene: Scene, interior: float, tolerance: float, quarters: int) -> None:
    """But for the rounding of masks: the edge of the painted opening has eight pixels a side here."""
    frame, presenter, row = scene.frame, scene.presenter, 12
    size = (frame.width, frame.height)
    spec = DrawSpec(target=presenter.mouth.target(1.0, 0.5), rows=((row, 1.0),), interior=interior, strength=1.0)
    upright = Compositor(presenter).draw(frame, scene.face, spec)
    compositor = Compositor(turned_presenter(presenter, size, row, quarters))
    back = turned_frame(compositor.draw(turned_frame(frame, quarters), turned_face(scene.face, size, quarters), spec), -quarters)
    change, difference = (np.square(upright.y.astype(float) - other.y).mean() ** 0.5 for other in (frame, back))
    assert change > 1
    assert difference < tolerance * change


def test_what_is_painted_into_a_black_and_white_video_is_grey(scene: Scene) -> None:
    row = 12

    def grey(frame: Frame) -> Frame:
        return replace(frame, u=np.full_like(frame.u, 128), v=np.full_like(frame.v, 128), packed=None)

    spec = DrawSpec(target=scene.presenter.mouth.target(1.0, 0.5), rows=((row, 1.0),), interior=1.0, strength=1.0)

    def coloured(grading: Grading) -> int:
        presenter = with_crop(replace(scene.presenter, grading=grading), grey(scene.presenter.crop(row)))
        drawn = Compositor(presenter).draw(grey(scene.frame), scene.face, spec)
        return int((drawn.u != 128).sum() + (drawn.v != 128).sum())

    assert coloured(Grading(tone=np.zeros((2, 2)), contrast=0.0)) == 0
    assert coloured(UNGRADED) > 30, "the colour it has in a video in colours"


SPECS: Final[dict[str, tuple[float, DrawRows, float, float, int | None]]] = {
    "own mouth": (0.5, ((12, 1.0),), 0.0, 1.0, None),
    "cross-fade": (0.8, ((12, 0.67), (20, 0.33)), 0.0, 1.0, None),
    "painted": (1.0, ((3, 1.0),), 1.0, 1.0, None),
    "another interior": (1.0, ((3, 1.0),), 1.0, 1.0, 20),
    "a wider interior": (0.4, ((3, 1.0),), 1.0, 1.0, 20),
    "a narrower interior": (1.0, ((12, 1.0),), 0.8, 1.0, 3),
    "half": (0.9, ((20, 1.0),), 0.5, 0.5, 12),
    "shut": (0.0, ((30, 1.0),), 0.2, 1.0, 20),
}
"""Opening, atlas rows, interior, strength and the row whose interior is shown."""


REAL: Final = (
    "vr_face2_844_25_h264.mp4",
    "vr_face4_700_30_h264.mp4",
    "latentsync_demo2_1080x1920_25_hevc.mp4",
    "latentsync_demo3_1080x1920_30_hevc.mp4",
    "softcatala_webcam_1080x720_30.mp4",
    "grid_bbaf2n_360x288_25.mpg",
    "grid_lbbc2a_360x288_25.mpg",
    "grid_sbwe5n_360x288_25.mpg",
)


def test_the_plain_reference_draws_lips_that_overlap_the_same(scene: Scene) -> None:
    frame, presenter = scene.frame, scene.presenter
    pressed = presenter.mouth.opened_by(presenter.mouth.rest, -0.03)
    spec = DrawSpec(target=pressed, rows=((20, 1.0),), interior=0.0, strength=1.0)
    drawn = Compositor(presenter).draw(frame, scene.face, spec)
    error = differences(drawn, ReferenceCompositor(presenter, torch.device("cpu")).draw(frame, scene.face, spec), frame)
    assert len(error) > 2000
    assert decibels(error) > 55


@pytest.mark.parametrize("case", SPECS.values(), ids=SPECS)
def test_the_plain_reference_draws_the_same(scene: Scene, case: tuple[float, DrawRows, float, float, int | None]) -> None:
    opening, rows, interior, strength, inside = case
    frame, presenter = scene.frame, scene.presenter
    target = presenter.mouth.target(opening, 0.6)
    spec = DrawSpec(target=target, rows=rows, interior=interior, strength=strength, interior_row=inside)
    drawn = Compositor(presenter).draw(frame, scene.face, spec)
    expected = ReferenceCompositor(presenter, torch.device("cpu")).draw(frame, scene.face, spec)
    error = differences(drawn, expected, frame)
    assert len(error) > 2000
    assert decibels(error) > 55
    assert (np.abs(error) > 2).mean() < 0.004, "eye corners 55 pixels apart: a few blocks of colour where the lips meet"


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_the_plain_reference_draws_the_same_on_real_presenters(name: str, shared_media: Path, weights: Path, tmp_path: Path) -> None:
    info = probe(shared_media / name)
    frames = list(VideoReader(info).frames(0, 75))
    tracks = track_video(
        frames, size=(frames[0].width, frames[0].height), frame_rate=Fraction(25), models=weights, directory=tmp_path / "tracks"
    )
    presenter = AtlasRenderer().prepare_from(lambda start, stop: frames[start:stop], tracks, tmp_path / "atlas", lambda _: None).presenter
    ours, plain, faces = Compositor(presenter), ReferenceCompositor(presenter, torch.device("cpu")), FaceReader(tracks, presenter.reference)
    errors = []
    for number in range(3, len(frames) - 10, 6):
        opening, row = 0.5 - 0.5 * np.cos(number), (7 * number) % (len(presenter.faces) - 1)
        rows = ((row, 0.67), (row + 1, 0.33)) if number % 4 == 1 else ((row, 1.0),)
        inside, target = (5 * number) % len(presenter.faces), presenter.mouth.target(opening, 0.5)
        spec = DrawSpec(target=target, rows=rows, interior=float(number % 2), strength=1.0, interior_row=inside)
        face = faces(number)
        assert face is not None
        drawn, expected = (each.draw(frames[number], face, spec) for each in (ours, plain))
        errors.append(differences(drawn, expected, frames[number]))
    error = np.concatenate(errors)
    found = f"{decibels(error):.1f} dB, {100 * (np.abs(error) > 2).mean():.4f} % off by more than 2, at most {np.abs(error).max()}"
    assert decibels(error) >= 55, found
    is_small = float(np.median(presenter.faces.scale)) < 100  # a few pixels at the edge of the painted interior weigh more there
    assert (np.abs(error) > 2).mean() <= (4e-4 if is_small else 1e-4), found


def test_a_face_that_does_not_move_is_not_changed(scene: Scene) -> None:
    roi = warp_face(scene.frame, planner(scene).plan(scene.face, DrawSpec(target=scene.face.canonical, rows=(), interior=0, strength=1)))
    assert not roi.changed.any()


def test_an_opening_mouth_takes_the_chin_down_and_leaves_the_edge_of_the_region(scene: Scene) -> None:
    _, there = scene.opened(1.0)
    assert_inside(scene.frame, scene.face, scene, there[152])


@pytest.mark.parametrize("degrees", range(0, 360, 45))
def test_all_that_moves_lies_inside_its_region_at_any_roll(scene: Scene, degrees: float) -> None:
    image, matrix = turned_image(scene.frame.bgr(), degrees)
    turn = np.eye(3)
    turn[:2, :2] = matrix[:, :2] / np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    face = replace(scene.face, points=moved(scene.face.points, matrix), rotation=turn @ scene.face.rotation)
    _, there = scene.opened(1.0)
    assert_inside(as_frame(image), face, scene, moved(there, matrix)[152])


@pytest.mark.parametrize("yaw", [-40.0, 40.0])
def test_the_mask_of_a_turned_head_ends_at_its_silhouette(scene: Scene, yaw: float, monkeypatch: pytest.MonkeyPatch) -> None:
    def outside() -> float:
        """Return the largest alpha beyond the triangles of the turned face that face the camera."""
        plan = planner(scene).plan(turned_by(scene, yaw), DrawSpec(target=scene.presenter.mouth.rest, rows=(), interior=0, strength=1))
        height, width = plan.alpha.shape
        covered = np.zeros((4 * height, 4 * width), np.uint8)
        corners = plan.mouth_grid.to_cells(plan.moved)[scene.mesh.mouth]
        a, b, c = corners.transpose(1, 0, 2)
        facing = (b - a)[:, 0] * (c - a)[:, 1] > (b - a)[:, 1] * (c - a)[:, 0]
        for triangle in corners[facing]:
            cv2.fillConvexPoly(covered, np.round(4 * triangle + 1.5).astype(np.int32), 1)
        return float(plan.alpha[covered.reshape(height, 4, width, 4).max((1, 3)) == 0].max())

    masked = outside()
    monkeypatch.setattr(draw_plan, "turned_weight", lambda yaw: 0.0)
    assert masked < 0.01 < outside()


def turned_by(scene: Scene, yaw: float) -> Face:
    """Return the resting face of the presenter, turned by `yaw` degrees."""
    rotation, rest = Rotation.from_euler("y", yaw, degrees=True).as_matrix(), scene.presenter.mouth.rest
    points = (scene.face.scale * rest @ rotation.T)[:, :2] + (200, 150)
    return Face(points=points, canonical=rest, scale=scene.face.scale, rotation=rotation, angles=np.array([yaw, 0.0, 0.0]))


def planner(scene: Scene) -> Planner:
    return Planner(scene.mesh, scene.presenter.mouth.weight)


def assert_inside(frame: Frame, face: Face, scene: Scene, chin: np.ndarray) -> None:
    """Assert that the chin [2] moves when the mouth opens, and the border of the region does not."""
    roi = warp_face(frame, planner(scene).plan(face, DrawSpec(target=scene.opened(1.0)[0], rows=(), interior=0, strength=1)))
    x, y = np.round(chin - roi.corner).astype(int)
    assert roi.changed[y, x]
    assert not np.concatenate([roi.changed[[0, -1]].ravel(), roi.changed[:, [0, -1]].ravel()]).any()


@pytest.mark.parametrize("darker", [0, 25])
def test_a_frames_own_mouth_put_over_itself_hardly_changes_it_in_any_light(scene: Scene, darker: int) -> None:
    frame, spec = scene.frame, DrawSpec(target=scene.face.canonical, rows=(), interior=0, strength=1)
    plan = planner(scene).plan(scene.face, spec)
    roi = warp_face(frame, plan)
    before, mouth = roi.planes.luma.copy(), roi.part(plan.mouth)
    crop = replace(frame, y=np.maximum(frame.y, darker) - np.uint8(darker), packed=None)
    put_mouth(mouth, plan, [SourceMouth(crop=crop, points=scene.face.points, weight=1.0)], np.ascontiguousarray(scene.mesh.mouth))
    assert mouth.changed.mean() > 0.3
    assert np.abs(roi.planes.luma - before).mean() < 2.5
