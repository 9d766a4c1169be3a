"""What prepare learns: which frames lend their mouths, what covers a mouth, and how much less the picture opens than asked."""

import numpy as np
import pytest

from heygem_daemon.lipsync.atlas.calibration import OpeningCorrection, fit_correction
from heygem_daemon.lipsync.atlas.selection import select_rows
from heygem_daemon.lipsync.geometry.mouth_model import learn_mouth, opening_of
from heygem_daemon.lipsync.geometry.samples import FaceSample
from heygem_daemon.lipsync.geometry.triangulation import triangulate
from heygem_daemon.lipsync.imaging.occlusion import OcclusionTest, SkinSampler, clear_rows


def sample_of(face, count, *, scale=100.0, gaps=()):
    mouth, times = learn_mouth(face[None], face), np.arange(count) / 25
    openings = np.abs(np.sin(times * 5)) * np.abs(np.sin(times * 0.3))
    index = np.array([i for i in range(count + len(gaps)) if i not in gaps])
    return FaceSample(
        index=index,
        points=np.zeros((count, 468, 2)),
        canonical=np.stack([mouth.target(float(opening), 0.5) for opening in openings]),
        angles=np.stack([10 * np.sin(times), 5 * np.cos(times), 0 * times], axis=1),
        scale=np.full(count, scale),
    )


def test_all_frames_of_a_short_clip_lend_their_mouths(face):
    assert np.array_equal(select_rows(sample_of(face, 200)), np.arange(200))


def test_of_a_long_clip_varied_runs_are_taken(face):
    sample = sample_of(face, 1500)
    rows = select_rows(sample)
    assert 400 < len(rows) <= 480
    assert (np.diff(rows) > 0).all()
    assert (np.diff(rows) == 1).mean() > 0.8
    chosen, whole = opening_of(sample.canonical[rows]), opening_of(sample.canonical)
    assert chosen.max() > 0.97 * whole.max()
    assert chosen.min() < whole.min() + 0.005
    assert np.ptp(sample.angles[rows, 0]) > 0.95 * np.ptp(sample.angles[:, 0])


def test_large_faces_lend_fewer_mouths_so_that_the_disk_does_not_fill(face):
    assert len(select_rows(sample_of(face, 600, scale=900.0))) < 150


def test_runs_do_not_reach_over_gaps(face):
    sample = sample_of(face, 900, gaps=(300, 301))
    rows = select_rows(sample)
    assert sample.index[rows].tolist() == sorted(set(sample.index[rows].tolist()))


def test_a_hand_before_the_mouth_is_seen_and_a_moving_mouth_is_not_a_hand(clip, prepared):
    presenter = prepared.presenter
    sampler = SkinSampler(presenter.mouth.rest, triangulate(presenter.reference, presenter.mouth.weight))
    faces = presenter.faces
    clear, limit = clear_rows(presenter.skin_samples, faces.angles, faces.index)
    assert clear.all()
    test = OcclusionTest(presenter.skin_samples, faces.angles, limit)
    frame, points, scale = clip.frames[int(faces.index[30])], faces.points[30], float(faces.scale[30])
    image = frame.bgr()
    assert not test.is_covered(sampler(image, points, scale), faces.angles[30])
    x, y = points[14].astype(int)
    image[y - 5 : y + 40, x - 30 : x + 30] = (60, 80, 40)
    assert test.is_covered(sampler(image, points, scale), faces.angles[30])


def test_brighter_light_covers_nothing(clip, prepared):
    presenter = prepared.presenter
    brighter = np.clip(presenter.skin_samples[20].astype(int) + 20, 0, 255).astype(np.uint8)
    assert not OcclusionTest(presenter.skin_samples, presenter.faces.angles, 28.0).is_covered(brighter, presenter.faces.angles[20])


def test_frames_covered_by_a_hand_do_not_vouch_for_each_other():
    noise = np.random.default_rng(0)
    skin_samples = np.clip(noise.normal(120, 3, (80, 300, 3)), 0, 255).astype(np.uint8)
    skin_samples[30:36, 100:200] = 20
    clear, limit = clear_rows(skin_samples, np.zeros((80, 3)), np.arange(80))
    assert np.flatnonzero(~clear).tolist() == list(range(30, 36))
    assert limit < 90


def test_correction_undoes_what_the_picture_loses(face):
    mouth = learn_mouth(face[None], face)
    asked = np.linspace(0.01, 0.15, 90)
    correct = OpeningCorrection(fit_correction(asked, 0.7 * asked, 0 * asked), mouth)
    target = mouth.target(0.5, 0.5)
    assert opening_of(correct(target, 0.0)) == pytest.approx(float(opening_of(target)) / 0.7, rel=0.12)


def test_correction_leaves_shut_lips_shut_and_never_closes_a_mouth(face):
    mouth = learn_mouth(face[None], face)
    asked = np.linspace(0.01, 0.15, 90)
    less, more = (OpeningCorrection(fit_correction(asked, gain * asked, 0 * asked), mouth) for gain in (0.6, 1.4))
    assert opening_of(less(mouth.rest, 0.0)) == pytest.approx(float(opening_of(mouth.rest)), abs=1e-6)
    target = mouth.target(0.5, 0.5)
    assert opening_of(more(target, 0.0)) == pytest.approx(float(opening_of(target)), abs=1e-6)


def test_without_trials_nothing_is_corrected(face):
    mouth = learn_mouth(face[None], face)
    target = mouth.target(0.7, 0.5)
    for table in (np.zeros((0, 0)), fit_correction(*np.zeros((3, 0))), fit_correction(*np.full((3, 9), np.nan))):
        assert OpeningCorrection(table, mouth)(target, 0.0) == pytest.approx(target)


def test_what_shines_through_of_the_frames_own_opening_is_taken_off(face):
    mouth = learn_mouth(face[None], face)
    asked, own = np.tile(np.linspace(0.01, 0.15, 30), 3), np.repeat([0.0, 0.1, 0.2], 30)
    correct = OpeningCorrection(fit_correction(asked, asked + 0.2 * (own - 0.1), own), mouth)
    target = mouth.target(0.5, 0.5)
    open_below, shut_below = (float(opening_of(correct(target, before))) for before in (0.2, 0.0))
    assert shut_below - open_below == pytest.approx(0.04, rel=0.15)
    assert opening_of(correct(mouth.rest, 0.2)) == pytest.approx(float(opening_of(mouth.rest)), abs=1e-6)
