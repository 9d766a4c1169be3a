"""What covers a mouth is detected, and what only looks different is not."""

import numpy as np

from heygem_daemon.lipsync.atlas.renderer import PreparedAtlas
from heygem_daemon.lipsync.geometry.triangulation import triangulate
from heygem_daemon.lipsync.imaging.occlusion import OcclusionTest, SkinSampler, clear_rows
from tests.lipsync.conftest import Clip
from tests.lipsync.face.conftest import as_frame


def test_a_hand_before_the_mouth_is_detected_and_a_moving_mouth_is_not_a_hand(clip: Clip, prepared: PreparedAtlas) -> None:
    presenter = prepared.presenter
    sampler = SkinSampler(presenter.mouth.rest, triangulate(presenter.reference, presenter.mouth.weight))
    faces = presenter.faces
    clear, limit = clear_rows(presenter.skin_samples, faces.angles, faces.index)
    assert clear.all()
    test = OcclusionTest(presenter.skin_samples, faces.angles, limit)
    frame, points, scale = clip.frames[int(faces.index[30])], faces.points[30], float(faces.scale[30])
    assert not test.is_covered(sampler.of_frame(frame, points, scale), faces.angles[30])
    image, (x, y) = frame.bgr(), points[14].astype(int)
    image[y - 5 : y + 40, x - 30 : x + 30] = (60, 80, 40)
    assert test.is_covered(sampler.of_frame(as_frame(image), points, scale), faces.angles[30])


def test_the_skin_of_a_frame_is_that_of_its_pixels(clip: Clip, prepared: PreparedAtlas) -> None:
    presenter, row = prepared.presenter, 20
    faces, frame = presenter.faces, clip.frames[int(presenter.faces.index[row])]
    skin = SkinSampler(presenter.mouth.rest, triangulate(presenter.reference, presenter.mouth.weight)).of_frame(
        frame, faces.points[row], float(faces.scale[row])
    )
    x, y = np.round(faces.points[row][[199, 428, 208]]).astype(int).T
    beside = frame.bgr()[y, x].mean(0)
    assert np.abs(np.median(skin, axis=0) - beside).max() < 25
    assert np.array_equal(skin, presenter.skin_samples[row])


def test_brighter_light_is_not_an_occlusion(clip: Clip, prepared: PreparedAtlas) -> None:
    presenter = prepared.presenter
    brighter = np.clip(presenter.skin_samples[20].astype(int) + 20, 0, 255).astype(np.uint8)
    assert not OcclusionTest(presenter.skin_samples, presenter.faces.angles, 28.0).is_covered(brighter, presenter.faces.angles[20])


def test_frames_covered_by_a_hand_are_not_compared_with_each_other() -> None:
    noise = np.random.default_rng(0)
    skin_samples = np.clip(noise.normal(120, 3, (80, 300, 3)), 0, 255).astype(np.uint8)
    skin_samples[30:36, 100:200] = 20
    clear, limit = clear_rows(skin_samples, np.zeros((80, 3)), np.arange(80))
    assert np.flatnonzero(~clear).tolist() == list(range(30, 36))
    assert limit < 90
